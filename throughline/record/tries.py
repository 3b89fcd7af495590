"""How often somebody was wrong about a code or a fact, and when that is too often.

Three limits, all counted in the database, so that they are the same on every server: so many in one session (of a call that was connected
again, in all its parts), so many an hour by one caller over all sessions, and an alarm over all callers together, after which that way is
closed for a while. What always holds:

- A session and a caller are looked at and counted by one transaction at a time: tries at the same moment can't slip past the limit.
- Who is right waits for nobody but their own session and caller; only wrong tries are counted one after the other over all callers.
- Callers whose number is vouched for are counted apart from all others, and so are codes from facts: whoever closes one way by
  guessing leaves the others open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline import log
from throughline.domain.assurance import TryLimits
from throughline.errors import Rejected
from throughline.record.database import Database
from throughline.record.schema import audit_log, failed_tries, marks, sessions

_log = log.get_logger("record")

CODE, FACT = "code", "fact"
FIRST_PART = "first_part"
"""In the detail of a session with which a call goes on whose line broke: the session that it began with. Tries are counted there."""
_HOUR = timedelta(hours=1)

_VOUCHED = "_vouched"  # what the kind of a caller's tries ends with whose number is vouched for
_MARK = sa.select(marks.c.value).where(marks.c.name == sa.bindparam("name"))
# One statement, because it is all that a guess costs us while that way is closed.
_WHO = (
    sa.select(
        sessions.c.contact_id,
        sessions.c.caller_digest,
        sessions.c.caller_vouched,
        sessions.c.detail,
        marks.c.value.label("closing"),
    )
    .outerjoin_from(
        sessions,
        marks,
        marks.c.name == sa.case((sessions.c.caller_vouched, sa.bindparam("of_vouched")), else_=sa.bindparam("of_others")),
    )
    .where(sessions.c.session_id == sa.bindparam("session_id"))
)
_IS_THERE = sa.select(sessions.c.session_id).where(sessions.c.session_id == sa.bindparam("session_id"))
_COUNT = sa.select(sa.func.count()).select_from(failed_tries)
_IN_SESSION = _COUNT.where(failed_tries.c.session_id == sa.bindparam("session_id"))
_BY_CALLER = _COUNT.where(failed_tries.c.caller_digest == sa.bindparam("caller"), failed_tries.c.at > sa.bindparam("since"))
_BY_ALL = _COUNT.where(failed_tries.c.kind == sa.bindparam("kind"), failed_tries.c.at > sa.bindparam("since"))


@dataclass(frozen=True)
class Closing:
    """When a way was closed and when it opens again, in seconds since 1970."""

    begins: float
    ends: float

    @classmethod
    def of(cls, marked: str | None) -> Closing | None:
        """As a mark holds it; None where the way never was closed."""
        return None if marked is None else cls(*map(float, marked.split()))

    @property
    def marked(self) -> str:
        """As a mark holds it."""
        return f"{self.begins} {self.ends}"


@dataclass(frozen=True)
class Trier:
    """Who tries: a session, of a call the one that it began with; the caller behind it as far as known; and ``kind``, the way that is
    tried, with when that was closed last. ``contact_id`` is that of the session that tries, perhaps an alias."""

    session_id: str
    contact_id: str
    caller: str | None
    kind: str
    closing: Closing | None


def trier(connection: Any, session_id: str, way: str) -> Trier:
    """Who tries ``way`` (CODE or FACT) in this session. Raises Rejected("unknown_session")."""
    names = {"of_others": _mark(way), "of_vouched": _mark(way + _VOUCHED)}
    row = connection.execute(_WHO, {"session_id": session_id, **names}).first()
    if row is None:
        raise Rejected("unknown_session")
    kind = way + _VOUCHED if row.caller_vouched else way
    first = row.detail.get(FIRST_PART)
    if first is not None and connection.execute(_IS_THERE, {"session_id": first}).first() is not None:
        session_id = first
    return Trier(session_id, row.contact_id, row.caller_digest, kind, Closing.of(row.closing))


def refuse_if_too_many(connection: Any, who: Trier, limits: TryLimits, at: datetime) -> None:
    """Raises Rejected("closed") while that way is closed, Rejected("too_many_tries") for a session or a caller that was wrong too often."""
    if who.closing is not None and at.timestamp() < who.closing.ends:
        raise Rejected("closed")
    if connection.execute(_IN_SESSION, {"session_id": who.session_id}).scalar_one() >= limits.per_session:
        raise Rejected("too_many_tries")
    if who.caller is not None:
        by_caller = {"caller": who.caller, "since": at - _HOUR}
        if connection.execute(_BY_CALLER, by_caller).scalar_one() >= limits.per_caller:
            raise Rejected("too_many_tries")


def take_turns(database: Database, connection: Any, session_id: str, way: str) -> Trier:
    """Until this transaction ends, nobody else tries in this session or as its caller; who tries, as it is then. Everybody waits for the
    session first, so that nobody waits in a circle. Raises Rejected("unknown_session")."""
    who = trier(connection, session_id, way)
    database.take_turns(connection, f"tries:{who.session_id}")
    if who.caller is not None:
        database.take_turns(connection, f"tries of:{who.caller}")
    return trier(connection, session_id, way)


def count(database: Database, connection: Any, who: Trier, limits: TryLimits, at: datetime) -> bool:
    """Note that it was wrong. True where this was one too many over all callers and the way is closed now, which ``alarm`` tells once
    that is committed."""
    database.take_turns(connection, f"failed:{who.kind}")
    row = {"session_id": who.session_id, "caller_digest": who.caller, "kind": who.kind, "at": at}
    connection.execute(failed_tries.insert().values(row))
    latest = Closing.of(connection.execute(_MARK, {"name": _mark(who.kind)}).scalar())
    since = at - limits.alarm_within
    if latest is not None:
        if at.timestamp() < latest.ends:
            return False  # another try at the same moment has closed it
        since = max(since, datetime.fromtimestamp(latest.begins, at.tzinfo))
    failed = connection.execute(_BY_ALL, {"kind": who.kind, "since": since}).scalar_one()
    if failed < limits.alarm_tries:
        return False
    closed = Closing(at.timestamp(), (at + limits.closed_for).timestamp())
    database.insert_or_update(connection, marks, {"name": _mark(who.kind), "value": closed.marked}, key="name")
    detail = {"kind": who.kind, "failed": failed, "closed_for_s": limits.closed_for.total_seconds()}
    entry = {"action": "tries_closed", "contact_id": None, "session_id": who.session_id, "detail": detail, "at": at}
    connection.execute(audit_log.insert().values(entry))
    return True


def alarm(who: Trier, limits: TryLimits) -> None:
    """Somebody guesses, from many sides: operators should hear of it. Once for each time that a way is closed."""
    _log.error(
        "identity.alarm",
        kind=who.kind,
        failed=limits.alarm_tries,
        within_s=limits.alarm_within.total_seconds(),
        closed_for_s=limits.closed_for.total_seconds(),
        mend="Somebody may be guessing. The audit log has the session that was one too many; failed_tries has all of them.",
    )


def _mark(kind: str) -> str:
    return f"closed:{kind}"
