"""What a page's look at its conversation finds, and what has been typed in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from throughline.domain.assurance import Assurance
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.errors import Rejected
from throughline.record import Record, Session
from throughline.record.entries import NewEvent
from throughline.record.events import new_event, new_event_id
from throughline.record.views import Typed, Unseen

pytestmark = pytest.mark.unit

HOUR = timedelta(hours=1)


@pytest.fixture
def chat(record: Record) -> Session:
    return record.open_session(record.create_contact(), WEB_CHAT)


def say(record: Record, session: Session, text: str, message_id: str | None = None) -> int:
    """Commit one line of it; its ``seq``."""
    event_id, kind = new_event_id(), "bot" if message_id is None else "user"
    data = {"event": kind, "text": text, "timestamp": 1.0, "message_id": message_id, "metadata": {"event_id": event_id}}
    event = NewEvent(event_id, data, session.session_id, session.channel)
    contact = record.resolve(session.contact_id)
    return record.append_events(contact, [event], expected=None, message_id=message_id).last_seq


def store(record: Record, session: Session, message_id: str) -> None:
    record.store_message(Turn(session.contact_id, session.session_id, session.channel, "hello", message_id))


def look(record: Record, session: Session, after_seq: int = 0) -> Unseen:
    return record.unseen(session.session_id, after_seq=after_seq, limit=10, together=HOUR)


def texts(unseen: Unseen) -> list[str]:
    return [event.data["text"] for event in unseen.events]


def test_a_look_finds_what_comes_after_a_place_and_what_may_be_told(record: Record, chat: Session) -> None:
    first = say(record, chat, "one")
    say(record, chat, "two")
    assert texts(look(record, chat)) == ["one", "two"]
    found = look(record, chat, first)
    assert texts(found) == ["two"]
    assert found.session.session_id == chat.session_id
    assert found.standing.together == {chat.session_id}
    assert found.standing.assurance is Assurance.ANONYMOUS


def test_where_it_finds_another_visit_it_knows_whether_that_is_in_the_same_hands(record: Record, chat: Session) -> None:
    its_call = record.open_session(chat.contact_id, PHONE, detail={"chat_session_id": chat.session_id})
    other_call = record.open_session(chat.contact_id, PHONE)
    say(record, other_call, "by phone")
    assert look(record, chat).standing == record.standing(chat.session_id, together=HOUR)
    assert look(record, chat).standing.together == {chat.session_id, its_call.session_id}


def test_it_follows_its_session_into_a_merge(record: Record, chat: Session) -> None:
    known = record.create_contact()
    record.merge(chat.contact_id, known, reason="code", session_id=chat.session_id)
    record.raise_assurance(chat.session_id, Assurance.POSSESSED, lasts=None)
    say(record, chat, "welcome back")
    found = look(record, chat)
    assert (found.session.contact_id, texts(found)) == (known, ["welcome back"])
    assert found.standing.assurance is Assurance.POSSESSED


def test_an_unknown_session_finds_nothing(record: Record) -> None:
    for work in (
        lambda: record.unseen("s_nowhere", after_seq=0, limit=1, together=HOUR),
        lambda: record.typed("s_nowhere"),
    ):
        with pytest.raises(Rejected, match="unknown_session"):
            work()


def test_the_answer_to_an_old_message_costs_what_that_to_the_last_costs(record: Record, chat: Session) -> None:
    """Whoever repeats an old message does not have the conversation gone through."""
    for number in range(150):
        store(record, chat, f"m{number}")
        say(record, chat, "hello", f"m{number}")
        say(record, chat, f"to {number}")

    def cost(number: int) -> int:
        """In statements, of which each gives back a few rows."""
        asked: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            asked.append(statement)

        engine = record._database.ways.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        assert [event.data["text"] for event in record.reply_to(f"m{number}")] == [f"to {number}"]
        sa.event.remove(engine, "before_cursor_execute", note)
        return len(asked)

    assert cost(0) == cost(75) == cost(149) < 12


def test_a_turn_that_is_committed_is_answered_while_something_is_left_to_be_done_for_it(record: Record, chat: Session) -> None:
    store(record, chat, "m1")
    said = [
        new_event({"event": kind, "text": text, "timestamp": 1.0, "message_id": named}, chat.session_id, WEB_CHAT)
        for kind, text, named in (("user", "12345678", "m1"), ("bot", "I have found you.", None))
    ]
    record.append_events(chat.contact_id, said, expected=None, message_id="m1", asked_for=[{"kind": "merge"}])
    assert [event.data["text"] for event in record.reply_to("m1")] == ["I have found you."]
    known = record.create_contact()
    record.merge(chat.contact_id, known, reason="code", session_id=chat.session_id)
    greeting = new_event({"event": "bot", "text": "Welcome back.", "timestamp": 1.0}, chat.session_id, WEB_CHAT)
    record.append_events(known, [greeting], expected=None, message_id="m1")
    assert [event.data["text"] for event in record.reply_to("m1")] == ["I have found you.", "Welcome back."]


def test_what_was_typed_is_committed_or_waits(record: Record, chat: Session) -> None:
    assert record.typed(chat.session_id) == Typed(0, frozenset())
    for message_id in ("m1", "m2", "m3"):
        store(record, chat, message_id)
    up_to = say(record, chat, "hello", "m1")
    assert record.typed(chat.session_id) == Typed(up_to, frozenset({"m2", "m3"}))
    record.merge(chat.contact_id, record.create_contact(), reason="code", session_id=chat.session_id)
    assert record.typed(chat.session_id).waiting == {"m2", "m3"}
    up_to = say(record, chat, "hello", "m2")
    assert record.typed(chat.session_id) == Typed(up_to, frozenset({"m3"}))


def test_what_waits_in_another_visit_was_not_typed_in_this_one(record: Record, chat: Session) -> None:
    other = record.open_session(chat.contact_id, WEB_CHAT)
    store(record, other, "m1")
    assert record.typed(chat.session_id).waiting == frozenset()
    assert record.typed(other.session_id).waiting == {"m1"}
