"""Appending and reading events, and the facts in them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from throughline.domain.turns import Turn
from throughline.errors import Rejected, Unavailable
from throughline.record import Record
from throughline.record.entries import Checkpoint, Head, NewEvent

pytestmark = pytest.mark.unit


def event(event_id: str, kind: str = "user", session_id: str | None = None, **data: Any) -> NewEvent:
    return NewEvent(
        event_id, {"event": kind, "timestamp": 10.0, **data, "metadata": {"event_id": event_id}}, session_id, "web_chat"
    )


def slot(event_id: str, name: str, value: Any, session_id: str | None = None) -> NewEvent:
    return event(event_id, "slot", session_id, name=name, value=value)


def test_a_conversation_is_everything_under_all_aliases_in_order(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    record.append_events(customer, [event("e1", text="one")], expected=None)
    record.append_events(caller, [event("e2", text="two")], expected=None)
    record.append_events(customer, [event("e3", text="three")], expected=None)
    record.merge(caller, customer, reason="code", session_id=None)
    told = record.conversation(caller)
    assert [(one.data["text"], one.contact_id) for one in told] == [("one", customer), ("two", caller), ("three", customer)]
    assert [one.seq for one in told] == sorted(one.seq for one in told)
    assert record.conversation(customer, after_seq=told[1].seq) == told[2:]
    assert record.conversation(customer, limit=2) == told[:2]
    assert record.conversation(customer, limit=2, newest=True) == told[1:]


def test_of_two_writers_who_started_from_the_same_state_one_fails_and_writes_nothing(record: Record) -> None:
    contact = record.create_contact()
    start = record.append_events(contact, [event("e1")], expected=Head(contact, 0))
    record.append_events(contact, [event("e2")], expected=start)
    with pytest.raises(Unavailable):
        record.append_events(contact, [event("e3"), slot("e4", "appliance", "dryer")], expected=start)
    assert [stored.event_id for stored in record.conversation(contact)] == ["e1", "e2"]
    assert record.facts(contact) == []


def test_many_writers_at_once_lose_no_event_and_write_none_twice(record: Record) -> None:
    contact = record.create_contact()

    def write(writer: int) -> None:
        for number in range(10):
            while True:
                head = record.window(contact).head
                try:
                    record.append_events(contact, [event(f"e{writer}-{number}")], expected=head)
                    break
                except Unavailable:
                    continue

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [stored.event_id for stored in record.conversation(contact)]
    assert sorted(ids) == sorted(f"e{writer}-{number}" for writer in range(4) for number in range(10))
    assert record.window(contact).head.version == 40


def test_the_window_begins_at_the_checkpoint_and_nothing_is_lost(record: Record) -> None:
    contact = record.create_contact()
    head = record.append_events(contact, [event("e1"), event("e2"), event("e3")], expected=None)
    header = {"at": 10.0, "slots": {"appliance": "dryer"}, "loop": None}
    record.append_events(contact, [event("e4")], expected=head, checkpoint=Checkpoint("e2", header))
    window = record.window(contact)
    assert window.header == header
    assert [data["metadata"]["event_id"] for data in window.events] == ["e2", "e3", "e4"]
    assert len(record.conversation(contact)) == len(record.whole_tracker(contact).events) == 4


def test_an_id_that_rasas_tools_made_up_becomes_a_contact_at_its_first_save(record: Record) -> None:
    assert record.window("default").head == Head("default", 0)
    record.append_events("default", [event("e1")], expected=Head("default", 0))
    assert record.resolve("default") == "default"
    assert record.tracker_ids() == ["default"]


def test_facts_are_the_newest_values_with_their_source(record: Record) -> None:
    contact = record.create_contact()
    session = record.open_session(contact, "phone")
    record.store_message(Turn(contact, session.session_id, "phone", "no, the dryer", "m1", source="speech", confidence=0.75))
    record.append_events(contact, [slot("e1", "appliance", "oven"), slot("e2", "brand", "Bosch")], expected=None)
    told = [slot("e3", "appliance", "dryer", session.session_id), slot("e4", "brand", None, session.session_id)]
    record.append_events(contact, told, expected=None, message_id="m1")
    [fact] = record.facts(contact)
    assert (fact.slot, fact.value, fact.session_id, fact.confidence) == ("appliance", "dryer", session.session_id, 0.75)
    assert fact.said_at.timestamp() == 10.0


def test_internal_slots_are_no_facts(record: Record) -> None:
    contact = record.create_contact()
    names = ["requested_slot", "session_started_metadata", "ui_page", "request", "request_kind", "postcode"]
    record.append_events(contact, [slot(f"e{name}", name, "x") for name in names], expected=None)
    assert [fact.slot for fact in record.facts(contact)] == ["postcode"]


def test_watchers_are_told_after_the_commit_and_cannot_break_it(record: Record) -> None:
    contact = record.create_contact()
    told: list[tuple[str | None, list[str]]] = []
    here = threading.get_ident()

    def read(contact_id: str | None, last_seq: int) -> None:
        if threading.get_ident() == here and contact_id is not None:
            told.append((contact_id, [one.event_id for one in record.conversation(contact_id) if one.seq <= last_seq]))

    def fail(contact_id: str | None, last_seq: int) -> None:
        raise RuntimeError("a watcher's fault")

    record.on_commit(fail)
    unsubscribe = record.on_commit(read)
    record.append_events(contact, [event("e1")], expected=None)
    unsubscribe()
    record.append_events(contact, [event("e2")], expected=None)
    assert told == [(contact, ["e1"])]


def test_an_event_that_is_too_big_is_refused(record: Record) -> None:
    with pytest.raises(Rejected, match="too_long"):
        record.append_events("default", [event("e1", text="x" * 600_000)], expected=None)
    assert record.window("default").head.version == 0


def test_a_long_conversation_is_read_in_one_go(record: Record) -> None:
    contact = record.create_contact()
    record.append_events(contact, [event(f"e{number}") for number in range(1_200)], expected=None)
    assert len(record.conversation(contact)) == 1_200
    assert record.known_event_ids(contact, [f"e{number}" for number in range(1_201)]) == {f"e{n}" for n in range(1_200)}


def test_everything_is_there_after_a_restart(record: Record, reopen: Callable[[], Record]) -> None:
    contact = record.create_contact()
    record.append_events(contact, [event("e1", text="Grüße 👋"), slot("e2", "postcode", "12345")], expected=None)
    before = record.conversation(contact)
    record.close()
    reopened = reopen()
    assert reopened.conversation(contact) == before
    assert [fact.value for fact in reopened.facts(contact)] == ["12345"]


def test_rasas_own_columns_can_be_read_by_stock_tools(record: Record, url: str) -> None:
    uttered = event("e1", text="hi", parse_data={"intent": {"name": "greet"}})
    record.append_events("default", [uttered, event("e2", "action", name="action_listen")], expected=None)
    engine = sa.create_engine(url)
    query = sa.text("SELECT sender_id, type_name, timestamp, intent_name, action_name FROM events ORDER BY id")
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    assert rows == [("default", "user", 10.0, "greet", None), ("default", "action", 10.0, None, "action_listen")]
