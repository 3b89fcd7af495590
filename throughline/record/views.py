"""What pages have been shown of a conversation, so that one that comes back gets what it missed and nothing twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.privacy import Standing
from throughline.errors import Rejected
from throughline.record.database import OnDatabase
from throughline.record.entries import Session, StoredEvent
from throughline.record.event_reads import rows_of_people, stored
from throughline.record.identity import aliases_of, living, utc_now
from throughline.record.schema import events, messages, sessions, tracker_heads
from throughline.record.sessions import read_session
from throughline.record.standings import standing_of

_SAID = ("user", "bot")
_NEAR = 20  # lines of both parties before and behind the end of a turn: more than a reply has


@dataclass(frozen=True)
class Conversation:
    """A line of the list of conversations. ``messages`` counts both parties'."""

    contact_id: str
    messages: int
    channels: tuple[str, ...]
    last_at: datetime


@dataclass(frozen=True)
class Unseen:
    """One look at a conversation for the page of one session: the ``session`` as it was then, what it might be told, and the ``events``
    after the page's place."""

    session: Session
    standing: Standing
    events: tuple[StoredEvent, ...]


@dataclass(frozen=True)
class Typed:
    """What has been typed in a session up to a moment: as far as it is committed it stands up to the event ``up_to``; ``waiting`` are the
    ids of the messages whose turns are not over."""

    up_to: int
    waiting: frozenset[str]


class Views(OnDatabase):
    """Where a page stands in its conversation."""

    def unseen(
        self, session_id: str, *, after_seq: int, limit: int, together: timedelta, now: datetime | None = None
    ) -> Unseen:
        """The first ``limit`` events after ``after_seq`` of whoever the session belongs to now, with what it may be told (Standings): read
        together, so that a page never gets the conversation of a contact its session has just left.
        Raises Rejected("unknown_session")."""
        at = now or utc_now()
        with self._database.reading() as connection:
            session = read_session(connection, session_id, at)
            people = aliases_of(connection, session.contact_id)
            rows = rows_of_people(connection, people, after_seq=after_seq, limit=limit)
            if all(
                row.session_id == session_id for row in rows
            ):  # nearly always: nobody has to know who else is in the same hands
                standing = Standing(session.assurance, frozenset({session_id}))
            else:
                standing = standing_of(connection, session, people, at - together)
        return Unseen(session, standing, tuple(stored(row) for row in rows))

    def typed(self, session_id: str) -> Typed:
        """What has been typed in the session up to now. Raises Rejected("unknown_session")."""
        with self._database.reading() as connection:
            people = aliases_of(connection, read_session(connection, session_id).contact_id)
            unfinished = messages.c.contact_id.in_(people) & messages.c.finished_at.is_(None)
            query = sa.select(messages.c.message_id).where(unfinished, messages.c.session_id == session_id)
            waiting = frozenset(connection.execute(query).scalars())
            heads = sa.select(sa.func.max(tracker_heads.c.last_seq)).where(tracker_heads.c.contact_id.in_(people))
            return Typed(connection.execute(heads).scalar() or 0, waiting)

    def note_shown(self, session_id: str, seq: int) -> None:
        """The session's page has been shown everything up to event ``seq``. Never goes back."""
        with self._database.writing() as connection:
            behind = (sessions.c.session_id == session_id) & (sessions.c.shown_seq < seq)
            connection.execute(sessions.update().where(behind).values(shown_seq=seq))

    def history_start(self, contact_id: str, *, messages: int) -> int:
        """The ``seq`` after which the contact's latest ``messages`` messages stand, over all aliases.
        Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            people = aliases_of(connection, contact_id)
            latest = rows_of_people(connection, people, limit=messages, newest=True, types=_SAID)
        return int(latest[0].id) - 1 if latest else 0

    def reply_to(self, message_id: str) -> list[StoredEvent]:
        """What was said to a message: what the assistant said in its session until the customer's next message there, as far as it stands
        near the message's turn. It costs the same however old the message is. Empty while the turn is not committed.
        Raises Rejected("unknown_message")."""
        with self._database.reading() as connection:
            asked = sa.select(messages.c.contact_id, messages.c.session_id, messages.c.turn_seq)
            message = connection.execute(asked.where(messages.c.message_id == message_id)).first()
            if message is None:
                raise Rejected("unknown_message")
            if message.turn_seq is None:
                return []
            people, end = aliases_of(connection, message.contact_id), message.turn_seq
            turn = rows_of_people(connection, people, before_seq=end + 1, limit=_NEAR, newest=True, types=_SAID)
            # A turn that makes one of two people goes on with the other's next words.
            behind = rows_of_people(connection, people, after_seq=end, limit=_NEAR, types=_SAID)
        before = _said_in(message.session_id, reversed(turn))
        return [*reversed(before), *_said_in(message.session_id, behind)]

    def latest_conversations(self, *, limit: int) -> list[Conversation]:
        """The contacts whose conversations went on last, newest first, each under its living id."""
        with self._database.reading() as connection:
            newest = sa.select(tracker_heads.c.contact_id).order_by(tracker_heads.c.last_seq.desc())
            found: dict[str, Conversation] = {}
            for alias in connection.execute(newest).scalars():
                contact = living(connection, alias)
                if contact not in found and (conversation := _told(connection, contact)) is not None:
                    found[contact] = conversation
                if len(found) == limit:
                    break
        return list(found.values())


def _said_in(session_id: str, rows: Iterable[Any]) -> list[StoredEvent]:
    """What the assistant says in this session in these rows, up to the first of the customer's words."""
    said = []
    for row in rows:
        if row.session_id != session_id:
            continue
        if row.type_name == "user":
            break
        said.append(stored(row))
    return said


def _told(connection: Any, contact: str) -> Conversation | None:
    """What the list of conversations says of this contact; None where nothing was said."""
    of_contact = events.c.sender_id.in_(aliases_of(connection, contact)) & events.c.type_name.in_(_SAID)
    count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(events.c.created_at)).where(of_contact)).one()
    if not count:
        return None
    channels = connection.execute(sa.select(events.c.channel).where(of_contact).distinct()).scalars()
    return Conversation(contact, int(count), tuple(sorted(channel for channel in channels if channel)), last)
