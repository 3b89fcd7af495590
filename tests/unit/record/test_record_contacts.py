"""Contacts, their addresses, and merges."""

from __future__ import annotations

import threading

import pytest

from throughline.errors import Rejected
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id

pytestmark = pytest.mark.unit


def say_slot(record: Record, contact_id: str, slot: str, value: object, session_id: str | None = None) -> None:
    event_id = new_event_id()
    data = {"event": "slot", "timestamp": 1.0, "name": slot, "value": value, "metadata": {"event_id": event_id}}
    record.append_events(contact_id, [NewEvent(event_id, data, session_id, "phone")], expected=None)


def test_a_contact_id_is_opaque_and_new_each_time(record: Record) -> None:
    one, other = record.create_contact(), record.create_contact()
    assert one.startswith("c_") and len(one) == 24
    assert one != other


def test_an_unknown_contact_is_refused(record: Record) -> None:
    for ask in (record.resolve, record.aliases, record.conversation, record.facts, record.handoffs, record.outcomes):
        with pytest.raises(Rejected, match="unknown_contact"):
            ask("c_nobody")
    with pytest.raises(Rejected, match="unknown_contact"):
        record.open_session("c_nobody", "phone")


def test_aliases_are_followed_through_every_merge(record: Record) -> None:
    first, second, third = (record.create_contact() for _ in range(3))
    record.merge(first, second, reason="code", session_id=None)
    record.merge(second, third, reason="code", session_id=None)
    assert [record.resolve(contact) for contact in (first, second, third)] == [third] * 3
    assert record.aliases(first) == [third, second, first]


def test_merging_two_aliases_merges_the_people_they_have_become(record: Record) -> None:
    first, second, third = (record.create_contact() for _ in range(3))
    record.merge(first, second, reason="code", session_id=None)
    record.merge(first, third, reason="code", session_id=None)
    assert record.resolve(second) == third


def test_a_contact_is_not_merged_with_itself_nor_in_a_circle(record: Record) -> None:
    one, other = record.create_contact(), record.create_contact()
    with pytest.raises(Rejected, match="same_contact"):
        record.merge(one, one, reason="code", session_id=None)
    record.merge(one, other, reason="code", session_id=None)
    with pytest.raises(Rejected, match="same_contact"):
        record.merge(other, one, reason="code", session_id=None)


def test_opposite_merges_at_the_same_moment_leave_one_living_contact(record: Record) -> None:
    for _ in range(10):
        one, other = record.create_contact(), record.create_contact()
        start, refused = threading.Barrier(2), []

        def merge(source: str, target: str, start: threading.Barrier = start, refused: list[str] = refused) -> None:
            start.wait()
            try:
                record.merge(source, target, reason="code", session_id=None)
            except Rejected as error:
                refused.append(error.reason)

        threads = [threading.Thread(target=merge, args=pair) for pair in ((one, other), (other, one))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused == ["same_contact"]
        assert record.resolve(one) == record.resolve(other)


def test_open_sessions_move_with_a_merge_and_ended_ones_lead_to_the_living_contact(record: Record) -> None:
    visitor, customer = record.create_contact(), record.create_contact()
    ended, going_on = record.open_session(visitor, "web_chat"), record.open_session(visitor, "phone")
    record.end_session(ended.session_id, "left")
    record.merge(visitor, customer, reason="code", session_id=going_on.session_id)
    assert record.session(going_on.session_id).contact_id == customer
    assert record.session(ended.session_id).contact_id == customer


def test_a_merge_carries_over_what_the_other_does_not_know(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    call = record.open_session(caller, "phone").session_id
    say_slot(record, customer, "appliance", "washing machine")
    say_slot(record, caller, "appliance", "dryer", call)
    say_slot(record, caller, "postcode", "12345", call)
    record.merge(caller, customer, reason="code", session_id=call)
    assert {fact.slot: fact.value for fact in record.facts(caller)} == {"appliance": "washing machine", "postcode": "12345"}
    postcode = next(fact for fact in record.facts(customer) if fact.slot == "postcode")
    assert (postcode.session_id, postcode.channel) == (call, "phone")
    carried = [event for event in record.window(customer).events if event["name"] == "postcode"]
    assert [event["value"] for event in carried] == ["12345"]


def test_a_contact_without_a_tracker_listens_after_facts_were_carried_to_it(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    say_slot(record, caller, "postcode", "12345")
    record.merge(caller, customer, reason="code", session_id=None)
    assert [event["name"] for event in record.window(customer).events] == ["postcode", "action_listen"]


def test_addresses_are_found_under_the_living_contact_each_once(record: Record) -> None:
    one, other, third = (record.create_contact() for _ in range(3))
    for contact in (one, other, third):
        record.add_address(contact, "phone", "+15125550100", proof="caller_id")
    record.add_address(one, "phone", "+15125550100", proof="code")
    record.merge(one, other, reason="code", session_id=None)
    assert record.find_by_address("phone", "+15125550100") == [other, third]
    assert record.find_by_address("email", "+15125550100") == []


def test_what_is_too_long_is_refused_and_not_stored(record: Record) -> None:
    contact = record.create_contact()
    with pytest.raises(Rejected, match="too_long"):
        record.add_address(contact, "phone", "+" + "1" * 300, proof="caller_id")
    with pytest.raises(Rejected, match="too_long"):
        record.open_session(contact, "phone", detail={"note": "x" * 600_000})
