"""What a visit may be told: how sure we are of who is there, and which other visits are in the same hands.

Visits are in the same hands for a while when one gave the other's one-time code or opened its link, when a page's call belongs to its chat,
and when a telephone call went on after its line broke. What always holds: these only read; a visit is always in its own hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.privacy import Standing
from throughline.record.database import OnDatabase
from throughline.record.entries import Session
from throughline.record.identity import aliases_of, utc_now
from throughline.record.schema import codes, links, sessions
from throughline.record.sessions import read_session

_LONGEST_CALL = timedelta(days=1)  # parts of one call lie no further apart


class Standings(OnDatabase):
    """How far visits may be trusted."""

    def standing(self, session_id: str, *, together: timedelta, now: datetime | None = None) -> Standing:
        """What this visit may be told. ``together``: how long a chat and the call that it led to stay in the same hands.
        Raises Rejected("unknown_session")."""
        at = now or utc_now()
        with self._database.reading() as connection:
            session = read_session(connection, session_id, at)
            return standing_of(connection, session, aliases_of(connection, session.contact_id), at - together)


def standing_of(connection: Any, session: Session, people: Sequence[str], since: datetime) -> Standing:
    """What the session's visit may be told, inside the caller's transaction. ``people`` are all ids of whom it belongs to; what ties two
    visits together counts ``since`` then, and ties every part of a telephone call."""
    own = {session.session_id} | _parts(connection, people, [session])
    tied = _by_pass(connection, codes, own, since) | _by_pass(connection, links, own, since)
    named = tied | {session.detail.get("chat_session_id")} - {None}
    # By their ids alone: PostgreSQL might go through all visits of the person instead.
    others = [visit for visit in _visits(connection, sessions.c.session_id.in_(named)) if visit.contact_id in people]
    # A chat may have been open for weeks, and no more of the person's visits is read than what can be one with it.
    lately = _visits(connection, sessions.c.contact_id.in_(people), sessions.c.started_at > since)
    others += [visit for visit in lately if visit.detail.get("chat_session_id") in own]
    found = {str(visit.session_id) for visit in others} | _parts(connection, people, others)
    return Standing(session.assurance, frozenset({*own, *tied, *found}))


def _by_pass(connection: Any, passes: Any, own: set[str], since: datetime) -> set[str]:
    """By a code or a link, of which one visit issued it and the other used it."""
    p = passes.c
    ours = p.session_id.in_(own) | p.used_by_session.in_(own)
    rows = connection.execute(sa.select(p.session_id, p.used_by_session).where(ours, p.used_at > since))
    return {str(other) for row in rows for other in (row.session_id, row.used_by_session) if other is not None}


def _parts(connection: Any, people: Sequence[str], visits: Sequence[Any]) -> set[str]:
    """The sessions of the telephone calls of which these visits are parts."""
    begun = {visit.detail["call_sid"]: visit.started_at for visit in visits if visit.detail.get("call_sid")}
    if not begun:
        return set()
    lately = sessions.c.started_at > min(begun.values()) - _LONGEST_CALL
    around = _visits(connection, sessions.c.contact_id.in_(people), lately)
    return {str(visit.session_id) for visit in around if visit.detail.get("call_sid") in begun}


def _visits(connection: Any, *which: Any) -> list[Any]:
    query = sa.select(sessions.c.session_id, sessions.c.contact_id, sessions.c.started_at, sessions.c.detail)
    return list(connection.execute(query.where(*which)))
