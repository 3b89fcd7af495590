"""What customers have said and what became of it, before and beside Rasa's events.

What always holds: a customer's message is on disk before anything is done with it; the same message id has one effect; a
message that was never finished (the process died) is found again; what was heard of an utterance is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.domain.turns import Turn
from throughline.errors import Rejected
from throughline.record.database import OnDatabase
from throughline.record.entries import Heard, LeftOver, Progress, Stored, Timed
from throughline.record.identity import aliases_of, living, utc_now
from throughline.record.limits import check_ids, check_texts, check_words
from throughline.record.schema import events, heard, messages
from throughline.record.sessions import read_session

_UNFINISHED_LIMIT = 10_000


_THIS = sa.select(messages.c.id).where(messages.c.message_id == sa.bindparam("this")).scalar_subquery()
_GIVEN = sa.bindparam("given", type_=sa.String)
_EARLIER = {  # by the index of unfinished messages: event_reads.py says why the engines are asked differently
    "sqlite": sa.and_(messages.c.contact_id == _GIVEN, messages.c.id < _THIS),
    "postgresql": sa.and_(
        sa.tuple_(messages.c.contact_id, messages.c.id) >= sa.tuple_(_GIVEN, sa.literal(0)),
        sa.tuple_(messages.c.contact_id, messages.c.id) < sa.tuple_(_GIVEN, _THIS),
    ),
}
_BEHIND = {  # part of every turn
    engine: sa.select(messages.c.id).where(earlier, messages.c.finished_at.is_(None)).limit(1)
    for engine, earlier in _EARLIER.items()
}


class Messages(OnDatabase):
    """Messages and what was heard."""

    def store_message(self, turn: Turn) -> Stored:
        """Store a message before it is processed. A repetition, told by its id, changes nothing.
        Raises Rejected("too_long"|"unknown_contact"|"unknown_session")."""
        check_ids(message_id=turn.message_id)
        check_words(channel=turn.channel, source=turn.source)
        check_texts(text=turn.text)
        row = {
            "message_id": turn.message_id,
            "contact_id": turn.contact_id,  # an alias stays one: whoever reads it asks for the living contact
            "session_id": turn.session_id,
            "channel": turn.channel,
            "text": turn.text,
            "source": turn.source,
            "confidence": turn.confidence,
            "received_at": utc_now(),
        }
        try:
            with self._database.writing() as connection:
                # Or a message could get the lower number and be seen only after the next one has looked for earlier ones.
                self._database.take_turns(connection, f"messages:{turn.contact_id}")
                is_new = self._database.insert_unless_there(connection, messages, row)
                behind = connection.execute(
                    _BEHIND[connection.dialect.name], {"given": turn.contact_id, "this": turn.message_id}
                ).first()
                return Stored(is_new, behind is not None)
        except sa.exc.IntegrityError:  # its foreign keys: which of them?
            with self._database.reading() as connection:
                read_session(connection, turn.session_id)
                living(connection, turn.contact_id)
            raise

    def progress(self, message_id: str) -> Progress:
        """What has become of a message. Raises Rejected("unknown_message")."""
        query = sa.select(messages.c.finished_at, messages.c.asked_for).where(messages.c.message_id == message_id)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise Rejected("unknown_message")
        return Progress(row.finished_at is not None, tuple(row.asked_for or ()))

    def finish_message(self, message_id: str) -> None:
        """Nothing is left to be done for a message. Raises Rejected("unknown_message")."""
        with self._database.writing() as connection:
            this = messages.c.message_id == message_id
            if connection.execute(sa.select(messages.c.id).where(this)).first() is None:
                raise Rejected("unknown_message")
            unfinished = this & messages.c.finished_at.is_(None)
            connection.execute(messages.update().where(unfinished).values(finished_at=utc_now()))

    def withdraw_message(self, message_id: str) -> bool:
        """Forget a message: its caller speaks on, and what they say comes whole. False, and nothing is changed, once it is finished."""
        with self._database.writing() as connection:
            this = (messages.c.message_id == message_id) & messages.c.finished_at.is_(None)
            return bool(connection.execute(messages.delete().where(this)).rowcount)

    def note_timing(self, message_id: str, timing: Mapping[str, float]) -> None:
        """Keep how long each stage of a message's turn took, in milliseconds by stage. A message that is not there has none."""
        with self._database.writing() as connection:
            this = messages.c.message_id == message_id
            connection.execute(messages.update().where(this).values(timing=dict(timing)))

    def timings(self, contact_id: str) -> list[Timed]:
        """The timed turns of this person, oldest first. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            mine = messages.c.contact_id.in_(aliases_of(connection, contact_id)) & messages.c.timing.is_not(None)
            columns = (messages.c.message_id, messages.c.session_id, messages.c.source, messages.c.text, messages.c.received_at)
            rows = connection.execute(sa.select(*columns, messages.c.timing).where(mine).order_by(messages.c.id)).all()
            return [Timed(*row) for row in rows]

    def unfinished_messages(self, *, before: datetime | None = None, limit: int = _UNFINISHED_LIMIT) -> list[LeftOver]:
        """Messages stored (``before`` a moment, where one is given) and not finished, oldest first, under their living contacts."""
        query = sa.select(messages).where(messages.c.finished_at.is_(None)).order_by(messages.c.id).limit(limit)
        if before is not None:
            query = query.where(messages.c.received_at < before)
        with self._database.reading() as connection:
            return [_left_over(connection, row) for row in connection.execute(query).all()]

    def unfinished_of(self, contact_id: str, *, before: str | None = None) -> list[LeftOver]:
        """The messages of this person that are not finished, oldest first; with ``before``, those stored before the message of this id.
        Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            mine = messages.c.contact_id.in_(aliases_of(connection, contact_id)) & messages.c.finished_at.is_(None)
            if before is not None:
                this = sa.select(messages.c.id).where(messages.c.message_id == before).scalar_subquery()
                mine &= messages.c.id < this
            rows = connection.execute(sa.select(messages).where(mine).order_by(messages.c.id)).all()
            return [_left_over(connection, row) for row in rows]

    def count_attempt(self, message_id: str) -> int:
        """One more attempt to finish a message is about to be made: how many that makes. Raises Rejected("unknown_message")."""
        this = messages.c.message_id == message_id
        with self._database.writing() as connection:
            connection.execute(messages.update().where(this).values(attempts=messages.c.attempts + 1))
            attempts = connection.execute(sa.select(messages.c.attempts).where(this)).scalar()
        if attempts is None:
            raise Rejected("unknown_message")
        return int(attempts)

    def record_heard(self, event_id: str, *, session_id: str, text_heard: str, complete: bool) -> None:
        """Note how much of an utterance the customer heard; saying it again replaces it.
        Raises Rejected("unknown_event"|"unknown_session"|"too_long"): what was said to somebody else is unknown."""
        check_texts(text_heard=text_heard)
        with self._database.writing() as connection:
            hearer = read_session(connection, session_id).contact_id
            said_to = connection.execute(sa.select(events.c.sender_id).where(events.c.event_id == event_id)).scalar()
            if said_to is None or living(connection, said_to) != hearer:
                raise Rejected("unknown_event")
            self._database.insert_or_update(
                connection,
                heard,
                {
                    "event_id": event_id,
                    "session_id": session_id,
                    "text_heard": text_heard,
                    "complete": complete,
                    "heard_at": utc_now(),
                },
                key="event_id",
            )

    def heard(self, event_ids: Iterable[str]) -> dict[str, Heard]:
        """What was heard of these utterances, by event id. One that nobody reported on is not in it."""
        wanted = list(event_ids)
        found: dict[str, Heard] = {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), 500):  # SQLite bounds the number of parameters of one statement
                query = sa.select(heard).where(heard.c.event_id.in_(wanted[start : start + 500]))
                for row in connection.execute(query).all():
                    found[row.event_id] = Heard(row.event_id, row.session_id, row.text_heard, row.complete, row.heard_at)
        return found


def _left_over(connection: Any, row: Any) -> LeftOver:
    turn = Turn(
        contact_id=living(connection, row.contact_id),
        session_id=row.session_id,
        channel=row.channel,
        text=row.text,
        message_id=row.message_id,
        source=row.source,
        confidence=row.confidence,
    )
    return LeftOver(turn, row.received_at, row.attempts, tuple(row.asked_for or ()))
