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
    visits together counts ``since`` then."""
    given = _by_pass(connection, codes, session.session_id, since) | _by_pass(connection, links, session.session_id, since)
    others = given | _by_call(connection, session, people, since)
    return Standing(session.assurance, frozenset({session.session_id, *others}))


def _by_pass(connection: Any, passes: Any, session_id: str, since: datetime) -> set[str]:
    """By a code or a link, of which one visit issued it and the other used it."""
    p = passes.c
    ours = (p.session_id == session_id) | (p.used_by_session == session_id)
    rows = connection.execute(sa.select(p.session_id, p.used_by_session).where(ours, p.used_at > since))
    return {str(other) for row in rows for other in (row.session_id, row.used_by_session) if other is not None}


def _by_call(connection: Any, session: Session, people: Sequence[str], since: datetime) -> set[str]:
    call_sid, chat = session.detail.get("call_sid"), session.detail.get("chat_session_id")
    # A chat may have been open for weeks, and no more of them is read than what can be one visit with it.
    lately = sessions.c.started_at > (since if call_sid is None else min(since, session.started_at - _LONGEST_CALL))
    if chat is not None:
        lately |= sessions.c.session_id == chat
    rows = connection.execute(
        sa.select(sessions.c.session_id, sessions.c.started_at, sessions.c.detail).where(
            sessions.c.contact_id.in_(people), lately
        )
    )
    found = set()
    for row in rows:
        is_its_call = row.detail.get("chat_session_id") == session.session_id and row.started_at > since
        is_same_call = call_sid is not None and row.detail.get("call_sid") == call_sid
        if is_its_call or is_same_call or row.session_id == chat:
            found.add(str(row.session_id))
    return found
