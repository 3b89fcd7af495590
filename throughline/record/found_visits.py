"""A technician's visit that was booked in another conversation, found again by its reference and the ZIP code of where it is.

Both can be overheard, read on a slip of paper or guessed, so being wrong is counted as for any fact (tries.py). Which visit has that
reference the calendar knows: whoever calls has looked it up, and here it is compared. What always holds: nobody learns which of the two
was wrong, or whether a refused try was right; what was found is open to the session that found it and to those in the same hands, for a
while; nobody becomes anybody else by it, and nothing but that one visit is opened. Decision: docs/decisions/0021-finding-a-visit.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import TryLimits
from throughline.domain.visits import Visit
from throughline.errors import Rejected
from throughline.record import tries
from throughline.record.database import OnDatabase
from throughline.record.identity import aliases_of, aliases_or_self, utc_now
from throughline.record.limits import check_ids
from throughline.record.schema import audit_log, contacts, sessions
from throughline.record.sessions import read_session
from throughline.record.standings import standing_of

_FOUND = "found_visits"  # in a session's detail: for each reference until when (ISO 8601, UTC), None for as long as the session lasts


class FoundVisits(OnDatabase):
    """Visits of other conversations."""

    def refuse_if_too_many(self, session_id: str, *, limits: TryLimits, now: datetime | None = None) -> None:
        """Before anything is looked up: raises Rejected("closed"|"too_many_tries"|"unknown_session") as ``match_visit`` would."""
        with self._database.reading() as connection:
            who = tries.trier(connection, session_id, tries.FACT)
            tries.refuse_if_too_many(connection, who, limits, now or utc_now())

    def match_visit(
        self,
        session_id: str,
        visit: Visit | None,
        *,
        postcode: str,
        limits: TryLimits,
        lasts: timedelta | None,
        now: datetime | None = None,
    ) -> None:
        """Whoever is in this session knows where ``visit`` is: it is open to them for as long as that ``lasts`` (None: to the session's
        end). ``visit`` is what stands under the reference that they gave, None for nothing.

        Raises Rejected("no_match"), counted, whatever was wrong; beyond the ``limits`` Rejected("too_many_tries") or Rejected("closed")
        whatever is said. Raises Rejected("unknown_session").
        """
        at = now or utc_now()
        with self._database.writing() as connection:
            who = tries.take_turns(self._database, connection, session_id, tries.FACT)
            tries.refuse_if_too_many(connection, who, limits, at)
            if visit is not None and visit.cancelled_at is None and visit.details.get("postcode") == postcode:
                _open(connection, session_id, visit, None if lasts is None else at + lasts, at)
                return
            closed = tries.count(self._database, connection, who, limits, at)
        # Raised after the commit: a counted try must not be rolled back by its own refusal.
        if closed:
            tries.alarm(who, limits)
        raise Rejected("no_match")

    def found_visits(self, session_id: str, *, together: timedelta, now: datetime | None = None) -> list[str]:
        """The references of the visits that were found in this session, or in one that is in the same hands for as long as ``together``
        says, and are still open to it. Raises Rejected("unknown_session")."""
        at = now or utc_now()
        with self._database.reading() as connection:
            session = read_session(connection, session_id, at)
            here = standing_of(connection, session, aliases_of(connection, session.contact_id), at - together).together
            query = sa.select(sessions.c.detail).where(sessions.c.session_id.in_([one for one in here if one is not None]))
            found: dict[str, None] = {}
            for detail in connection.execute(query.order_by(sessions.c.started_at)).scalars():
                found |= {reference: None for reference, until in _of(detail).items() if _is_open(until, at)}
        return list(found)


def _open(connection: Any, session_id: str, visit: Visit, until: datetime | None, at: datetime) -> None:
    check_ids(reference=visit.reference)
    this = sessions.c.session_id == session_id
    detail = connection.execute(sa.select(sessions.c.detail).where(this).with_for_update(key_share=True)).scalar_one()
    found = {**_of(detail), visit.reference: None if until is None else until.isoformat()}
    connection.execute(sessions.update().where(this).values(detail={**detail, _FOUND: found}))
    # A calendar may have visits of people whom the record doesn't know.
    owner = aliases_or_self(connection, visit.contact_id)[0]
    is_known = connection.execute(sa.select(contacts.c.contact_id).where(contacts.c.contact_id == owner)).first() is not None
    entry = {
        "action": "visit_found",
        "contact_id": owner if is_known else None,
        "session_id": session_id,
        "detail": {"reference": visit.reference},
        "at": at,
    }
    connection.execute(audit_log.insert().values(**entry))


def _of(detail: Mapping[str, Any]) -> dict[str, str | None]:
    return dict(detail.get(_FOUND) or {})


def _is_open(until: str | None, at: datetime) -> bool:
    return until is None or at < datetime.fromisoformat(until)
