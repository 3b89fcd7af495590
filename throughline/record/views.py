"""What pages have been shown of a conversation, so that one that comes back gets what it missed and nothing twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from throughline.record.database import OnDatabase
from throughline.record.identity import aliases_of, living
from throughline.record.schema import events, sessions

_SAID = ("user", "bot")


@dataclass(frozen=True)
class Conversation:
    """A line of the list of conversations. ``messages`` counts both parties'."""

    contact_id: str
    messages: int
    channels: tuple[str, ...]
    last_at: datetime


class Views(OnDatabase):
    """Where a page stands in its conversation."""

    def note_shown(self, session_id: str, seq: int) -> None:
        """The session's page has been shown everything up to event ``seq``. Never goes back."""
        with self._database.writing() as connection:
            behind = (sessions.c.session_id == session_id) & (sessions.c.shown_seq < seq)
            connection.execute(sessions.update().where(behind).values(shown_seq=seq))

    def history_start(self, contact_id: str, *, messages: int) -> int:
        """The ``seq`` after which the contact's latest ``messages`` messages stand, over all aliases.
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

    def latest_conversations(self, *, limit: int) -> list[Conversation]:
        """The contacts whose conversations went on last, newest first, each under its living id."""
        said = events.c.type_name.in_(_SAID)
        with self._database.reading() as connection:
            newest = (
                sa.select(events.c.sender_id, sa.func.max(events.c.id).label("last"))
                .where(said)
                .group_by(events.c.sender_id)
                .order_by(sa.desc("last"))
                .limit(limit)
            )
            contacts = list(dict.fromkeys(living(connection, row.sender_id) for row in connection.execute(newest).all()))
            found = []
            for contact in contacts:
                of_contact = events.c.sender_id.in_(aliases_of(connection, contact)) & said
                count, last = connection.execute(
                    sa.select(sa.func.count(), sa.func.max(events.c.created_at)).where(of_contact)
                ).one()
                channels = connection.execute(sa.select(events.c.channel).where(of_contact).distinct()).scalars()
                names = tuple(sorted(channel for channel in channels if channel))
                found.append(Conversation(contact, int(count), names, last))
        return found
