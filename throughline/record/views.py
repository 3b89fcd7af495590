"""What pages have been shown of a conversation, so that one that comes back gets what it missed and nothing twice."""

from __future__ import annotations

import sqlalchemy as sa

from throughline.record.database import OnDatabase
from throughline.record.identity import aliases_of
from throughline.record.schema import events, sessions

_SAID = ("user", "bot")


class Views(OnDatabase):
    """Where a page stands in its conversation."""

    def note_shown(self, session_id: str, seq: int) -> None:
        """The session's page has been shown everything up to event ``seq``. Never goes back."""
        with self._database.writing() as connection:
            behind = (sessions.c.session_id == session_id) & (sessions.c.shown_seq < seq)
            connection.execute(sessions.update().where(behind).values(shown_seq=seq))

    def history_start(self, contact_id: str, *, messages: int) -> int:
        """The ``seq`` after which the contact's latest ``messages`` messages stand (of customer and assistant, over all aliases).
        Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            query = (
                sa.select(events.c.id)
                .where(events.c.sender_id.in_(aliases_of(connection, contact_id)), events.c.type_name.in_(_SAID))
                .order_by(events.c.id.desc())
                .limit(messages)
            )
            latest = connection.execute(query).scalars().all()
        return int(latest[-1]) - 1 if latest else 0
