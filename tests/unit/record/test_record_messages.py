"""Nothing a customer says is lost, nothing is done twice, and what was not heard is known."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from throughline.domain.turns import Turn
from throughline.errors import Overtaken, Rejected
from throughline.record import Record
from throughline.record.entries import NewEvent, Progress, Stored
from throughline.record.events import new_event

pytestmark = pytest.mark.unit

KILLED_WHILE_IT_SAVES = """
import os, signal, sys
import sqlalchemy as sa
import throughline.record as record_room
from throughline.domain.turns import Turn
from throughline.record.entries import NewEvent

record = record_room.open(sys.argv[1])
contact = record.create_contact()
session = record.open_session(contact, "web_chat")
record.store_message(Turn(contact, session.session_id, "web_chat", "My dryer is on fire", "m1"))

@sa.event.listens_for(record._database.ways.engine, "before_cursor_execute")
def stop(connection, cursor, statement, *rest):
    if statement.startswith("INSERT INTO tracker_heads"):  # the events are inserted, nothing is committed
        print(contact, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

data = {"event": "user", "timestamp": 1.0, "text": "My dryer is on fire", "metadata": {"event_id": "e1"}}
record.append_events(contact, [NewEvent("e1", data, session.session_id, "web_chat")], expected=None, message_id="m1")
"""


def turn(record: Record, text: str = "My washing machine leaks", message_id: str = "m1") -> Turn:
    contact = record.create_contact()
    session = record.open_session(contact, "phone")
    return Turn(contact, session.session_id, "phone", text, message_id, source="speech", confidence=0.8)


def utter(record: Record, contact_id: str, event_id: str) -> None:
    data = {"event": "bot", "timestamp": 1.0, "text": "Which appliance is it?", "metadata": {"event_id": event_id}}
    record.append_events(contact_id, [NewEvent(event_id, data, None, "phone")], expected=None)


def test_the_same_message_is_stored_once(record: Record) -> None:
    first = turn(record)
    assert record.store_message(first) == Stored(is_new=True, behind=False)
    assert record.store_message(first) == Stored(is_new=False, behind=False)
    assert [left.turn for left in record.unfinished_messages()] == [first]


def test_a_message_knows_whether_others_of_its_contact_stand_before_it(record: Record) -> None:
    first, stranger = turn(record), turn(record, message_id="m2")
    second = replace(first, message_id="m3")
    record.store_message(first)
    assert not record.store_message(stranger).behind
    assert record.store_message(second).behind
    assert [left.turn for left in record.unfinished_of(first.contact_id)] == [first, second]
    assert [left.turn for left in record.unfinished_of(first.contact_id, before="m3")] == [first]
    assert record.unfinished_of(first.contact_id, before="m1") == []
    record.finish_message("m1")
    assert not record.store_message(second).behind


def test_a_message_that_is_withdrawn_was_never_said(record: Record) -> None:
    said = turn(record)
    record.store_message(said)
    assert record.withdraw_message("m1")
    assert record.unfinished_messages() == []
    assert record.store_message(said) == Stored(is_new=True, behind=False)


def test_a_message_that_is_finished_is_not_withdrawn(record: Record) -> None:
    record.store_message(turn(record))
    record.finish_message("m1")
    assert not record.withdraw_message("m1")
    assert record.progress("m1").finished


def test_what_the_stages_of_a_turn_took_is_kept_with_it(record: Record) -> None:
    said, other = turn(record), turn(record, message_id="m2")
    for one in (said, other):
        record.store_message(one)
    record.note_timing("m1", {"quiet_ms": 260.0, "turn_ms": 41.5})
    record.note_timing("m_none", {"quiet_ms": 1.0})
    customer = record.create_contact()
    record.merge(said.contact_id, customer, reason="code", session_id=None)
    [timed] = record.timings(customer)
    assert (timed.message_id, timed.source, timed.text) == ("m1", said.source, said.text)
    assert timed.timing == {"quiet_ms": 260.0, "turn_ms": 41.5}
    assert record.timings(other.contact_id) == []


def test_attempts_to_finish_a_message_are_counted(record: Record, reopen: Callable[[], Record]) -> None:
    record.store_message(turn(record))
    [left] = record.unfinished_messages()
    assert left.attempts == 0
    assert [record.count_attempt("m1"), record.count_attempt("m1")] == [1, 2]
    [left] = record.unfinished_messages()
    assert left.attempts == 2
    assert record.unfinished_messages(before=left.received_at) == []
    assert record.unfinished_messages(before=left.received_at + timedelta(seconds=1)) == [left]
    with pytest.raises(Rejected, match="unknown_message"):
        record.count_attempt("m_none")


def test_of_two_who_finish_the_same_message_one_has_no_effect(record: Record) -> None:
    said = turn(record)
    record.store_message(said)
    for number in (1, 2):
        data = {"event": "user", "timestamp": 1.0, "text": said.text, "metadata": {"event_id": f"e{number}"}}
        event = NewEvent(f"e{number}", data, said.session_id, "phone")
        if number == 1:
            record.append_events(said.contact_id, [event], expected=None, message_id="m1")
        else:
            with pytest.raises(Overtaken):
                record.append_events(said.contact_id, [event], expected=None, message_id="m1")
    assert [event.event_id for event in record.conversation(said.contact_id)] == ["e1"]


def test_an_unfinished_message_is_given_back_as_it_was_oldest_first(record: Record, reopen: Callable[[], Record]) -> None:
    turns = [turn(record, message_id=f"m{number}") for number in (3, 1, 2)]
    for stored in turns:
        record.store_message(stored)
    record.finish_message("m1")
    record.close()
    reopened = reopen()
    assert [left.turn for left in reopened.unfinished_messages()] == [turns[0], turns[2]]
    assert [left.turn for left in reopened.unfinished_messages(limit=1)] == [turns[0]]


def test_an_unfinished_message_goes_to_the_living_contact(record: Record) -> None:
    said = turn(record)
    record.store_message(said)
    customer = record.create_contact()
    record.merge(said.contact_id, customer, reason="code", session_id=None)
    assert [found.turn.contact_id for found in record.unfinished_messages()] == [customer]
    assert [found.turn.contact_id for found in record.unfinished_of(said.contact_id)] == [customer]


def test_events_and_the_end_of_their_message_are_one_commit(record: Record) -> None:
    said = turn(record)
    record.store_message(said)
    data = {"event": "user", "timestamp": 1.0, "text": said.text, "metadata": {"event_id": "e1"}}
    record.append_events(said.contact_id, [NewEvent("e1", data, said.session_id, "phone")], expected=None, message_id="m1")
    assert record.unfinished_messages() == []


def test_a_process_killed_while_it_saves_leaves_the_message_and_no_half_of_a_turn(
    record: Record, url: str, reopen: Callable[[], Record]
) -> None:
    record.close()
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_SAVES, url], capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    reopened = reopen()
    [left] = reopened.unfinished_messages()
    assert (left.turn.contact_id, left.turn.text) == (killed.stdout.strip(), "My dryer is on fire")
    assert reopened.conversation(left.turn.contact_id) == []
    assert reopened.window(left.turn.contact_id).head.version == 0


def test_what_is_no_message_is_refused(record: Record) -> None:
    for text, reason in (("x" * 16_001, "too_long"), ("a\ud800", "not_text"), ("a\x00b", "not_text")):
        with pytest.raises(Rejected, match=reason):
            record.store_message(turn(record, text))
    with pytest.raises(Rejected, match="unknown_session"):
        record.store_message(Turn(record.create_contact(), "s_none", "phone", "hello", "m9"))
    with pytest.raises(Rejected, match="unknown_message"):
        record.finish_message("m_none")
    assert record.unfinished_messages() == []


def test_what_was_heard_is_a_row_of_its_own_and_the_event_stays(record: Record) -> None:
    call = turn(record)
    utter(record, call.contact_id, "e1")
    utter(record, call.contact_id, "e2")
    record.record_heard("e1", session_id=call.session_id, text_heard="", complete=False)
    record.record_heard("e1", session_id=call.session_id, text_heard="Which appliance", complete=False)
    heard = record.heard(["e1", "e2", "e3"])
    assert list(heard) == ["e1"]
    assert (heard["e1"].text_heard, heard["e1"].complete) == ("Which appliance", False)
    assert record.conversation(call.contact_id)[0].data["text"] == "Which appliance is it?"
    with pytest.raises(Rejected, match="unknown_event"):
        record.record_heard("e3", session_id=call.session_id, text_heard="", complete=False)


def test_a_message_is_finished_once_its_turn_is_committed(record: Record) -> None:
    message = turn(record)
    with pytest.raises(Rejected, match="unknown_message"):
        record.progress(message.message_id)
    record.store_message(message)
    assert not record.progress(message.message_id).finished
    record.finish_message(message.message_id)
    assert record.progress(message.message_id).finished


def test_what_a_turn_has_asked_for_is_kept_until_the_message_is_finished(record: Record) -> None:
    message, wanted = turn(record), ({"kind": "merge", "into": "c_other", "because": "code"},)
    record.store_message(message)

    def append(number: int, **options: Any) -> None:
        event = new_event({"event": "user", "timestamp": 1.0, "text": message.text}, message.session_id, "phone")
        record.append_events(message.contact_id, [event], expected=None, message_id=message.message_id, **options)

    append(1, asked_for=wanted)
    assert record.progress(message.message_id) == Progress(finished=False, asked_for=wanted)
    assert [left.asked_for for left in record.unfinished_of(message.contact_id)] == [wanted]
    with pytest.raises(Overtaken):  # its turn was taken
        append(2, asked_for=wanted)
    append(3)  # what carries it out
    assert record.progress(message.message_id).finished
    assert record.unfinished_messages() == []
    assert len(record.conversation(message.contact_id)) == 2
