"""How often somebody was wrong about a code or a fact, and when that is too often.

Three limits, all counted in the database, so that they are the same on every server: so many in one session, so many an hour by one
caller over all sessions, and an alarm over all callers together, after which that way is closed for a while. What always holds:

- A session and a caller are looked at and counted by one transaction at a time: tries at the same moment can't slip past the limit.
- Who is right waits for nobody but their own session and caller; only wrong tries are counted one after the other over all callers.
- Callers whose number is vouched for are counted apart from all others, and so are codes from facts: whoever closes one way by
  guessing leaves the others open.
"""

from __future__ import annotations

from collections.abc import Mapping
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
_HOUR = timedelta(hours=1)

_WHO = sa.select(sessions.c.contact_id, sessions.c.caller_digest, sessions.c.caller_vouched).where(
    sessions.c.session_id == sa.bindparam("session_id")
)
_MARK = sa.select(marks.c.value).where(marks.c.name == sa.bindparam("name"))
_COUNT = sa.select(sa.func.count()).select_from(failed_tries)
_IN_SESSION = _COUNT.where(failed_tries.c.session_id == sa.bindparam("session_id"))
_BY_CALLER = _COUNT.where(failed_tries.c.caller_digest == sa.bindparam("caller"), failed_tries.c.at > sa.bindparam("since"))
_BY_ALL = _COUNT.where(failed_tries.c.kind == sa.bindparam("kind"), failed_tries.c.at > sa.bindparam("since"))


@dataclass(frozen=True)
class Trier:
    """Who tries: a session, the caller behind it as far as known, and ``kind``, the way that is tried. ``contact_id`` is the session's,
    perhaps an alias."""

    session_id: str
    contact_id: str
    caller: str | None
    kind: str


def trier(connection: Any, session_id: str, way: str) -> Trier:
    """Who tries ``way`` (CODE or FACT) in this session. Raises Rejected("unknown_session")."""
    row = connection.execute(_WHO, {"session_id": session_id}).first()
    if row is None:
        raise Rejected("unknown_session")
    return Trier(session_id, row.contact_id, row.caller_digest, f"{way}_vouched" if row.caller_vouched else way)


def refuse_if_too_many(connection: Any, who: Trier, limits: TryLimits, at: datetime) -> None:
    """Raises Rejected("closed") while that way is closed, Rejected("too_many_tries") for a session or a caller that was wrong too often."""
    closing = _closing(connection, who.kind)
    if closing is not None and at.timestamp() < closing["until"]:
        raise Rejected("closed")
    if connection.execute(_IN_SESSION, {"session_id": who.session_id}).scalar_one() >= limits.per_session:
        raise Rejected("too_many_tries")
    if who.caller is not None:
        by_caller = {"caller": who.caller, "since": at - _HOUR}
        if connection.execute(_BY_CALLER, by_caller).scalar_one() >= limits.per_caller:
            raise Rejected("too_many_tries")


def take_turns(database: Database, connection: Any, who: Trier) -> None:
    """Until this transaction ends, nobody else tries in this session or as this caller. Always in this order: nobody waits in a circle."""
    database.take_turns(connection, f"tries:{who.session_id}")
    if who.caller is not None:
        database.take_turns(connection, f"tries of:{who.caller}")


def count(database: Database, connection: Any, who: Trier, limits: TryLimits, at: datetime) -> bool:
    """Note that it was wrong. True where this was one too many over all callers and the way is closed now, which ``alarm`` tells once
    that is committed."""
    database.take_turns(connection, f"failed:{who.kind}")
    row = {"session_id": who.session_id, "caller_digest": who.caller, "kind": who.kind, "at": at}
    connection.execute(failed_tries.insert().values(row))
    closing, since = _closing(connection, who.kind), at - limits.alarm_within
    if closing is not None:
        if at.timestamp() < closing["until"]:
            return False  # another try at the same moment has closed it
        since = max(since, datetime.fromtimestamp(closing["from"], at.tzinfo))
    failed = connection.execute(_BY_ALL, {"kind": who.kind, "since": since}).scalar_one()
    if failed < limits.alarm_tries:
        return False
    closed = {"from": at.timestamp(), "until": (at + limits.closed_for).timestamp()}
    database.insert_or_update(connection, marks, {"name": _mark(who.kind), "value": _MARKED.format(**closed)}, key="name")
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


_MARKED = "{from} {until}"


def _mark(kind: str) -> str:
    return f"closed:{kind}"


def _closing(connection: Any, kind: str) -> Mapping[str, float] | None:
    """When that way was closed last, from and until; None where it never was."""
    value = connection.execute(_MARK, {"name": _mark(kind)}).scalar()
    return None if value is None else dict(zip(("from", "until"), map(float, value.split()), strict=True))
