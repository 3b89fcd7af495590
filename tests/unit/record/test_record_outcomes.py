"""Hand-offs, outcomes, and the embedded CRM and calendar: every write has one effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.unit.record.somebody import entry_of, notes_of
from throughline.domain.visits import VisitSlot
from throughline.errors import Rejected
from throughline.record import Record

pytestmark = pytest.mark.unit

NINE = datetime(2026, 11, 24, 15, 0, tzinfo=timezone.utc)


def slot(start: datetime = NINE, technician: str = "t1", hours: int = 2) -> VisitSlot:
    return VisitSlot(start, start + timedelta(hours=hours), technician)


def test_a_handoff_with_the_same_key_is_one_handoff(record: Record) -> None:
    contact = record.create_contact()
    session = record.open_session(contact, "phone").session_id
    packet = {"reason": "asked", "facts": [{"slot": "appliance", "value": "dryer"}]}
    ids = [
        record.open_handoff(contact, session, kind="person", reason="asked", packet=packet, idempotency_key="k1")
        for _ in range(2)
    ]
    [handoff] = record.handoffs(contact)
    assert ids == [handoff.handoff_id] * 2
    assert (handoff.kind, handoff.reason, handoff.packet, handoff.session_id) == ("person", "asked", packet, session)


def test_a_message_that_is_left_later_is_added_to_its_handoff(record: Record) -> None:
    contact = record.create_contact()

    def leave(recording: str = "", reason: str = "message_left") -> str:
        return record.open_handoff(
            contact, None, kind="call_back", reason=reason, packet={"to": "x"}, idempotency_key="k1", recording=recording
        )

    leave(reason="busy")
    assert record.handoffs(contact)[0].packet == {"to": "x"}
    for recording in ("https://x.example/RE1", "https://x.example/RE1", "", "https://x.example/RE2"):
        leave(recording)
    [handoff] = record.handoffs(contact)
    assert handoff.reason == "busy"
    assert handoff.packet == {"to": "x", "recording": "https://x.example/RE1 https://x.example/RE2"}


def test_messages_that_are_left_at_the_same_moment_are_all_there(record: Record) -> None:
    contact, left = record.create_contact(), [f"https://x.example/RE{number}" for number in range(6)]

    def leave(recording: str) -> None:
        record.open_handoff(contact, None, kind="call_back", reason="x", packet={}, idempotency_key="k1", recording=recording)

    threads = [threading.Thread(target=leave, args=(recording,)) for recording in left]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [handoff] = record.handoffs(contact)
    assert sorted(handoff.packet["recording"].split()) == left


def test_outcomes_of_all_aliases_are_the_persons(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    first = record.record_outcome(caller, None, kind="visit", data={"reference": "1"}, idempotency_key="k1")
    record.merge(caller, customer, reason="code", session_id=None)
    second = record.record_outcome(caller, None, kind="case", data={"reference": "2"}, idempotency_key="k2")
    assert [outcome.outcome_id for outcome in record.outcomes(customer)] == [first, second]
    assert record.record_outcome(customer, None, kind="visit", data={}, idempotency_key="k1") == first


def test_a_customer_keeps_what_an_update_does_not_name(record: Record) -> None:
    record.crm.upsert_customer("c_1", {"name": "Ada", "postcode": "12345"})
    record.crm.upsert_customer("c_1", {"postcode": "54321"})
    assert entry_of(record, "c_1") == {"name": "Ada", "postcode": "54321"}
    assert entry_of(record, "c_2") is None


def test_a_case_is_opened_once_for_its_key(record: Record) -> None:
    case = record.crm.open_case("c_1", "Dryer is noisy", {"brand": "Bosch"}, kind="repair", idempotency_key="k1")
    assert record.crm.open_case("c_1", "Dryer is noisy", {}, kind="repair", idempotency_key="k1") == case
    assert case.reference.isdigit() and len(case.reference) == 6
    record.crm.add_note(case.case_id, "customer called again", idempotency_key="n1")
    record.crm.add_note(case.case_id, "customer called again", idempotency_key="n1")
    assert notes_of(record, case.case_id) == ["customer called again"]
    with pytest.raises(Rejected, match="unknown_case"):
        record.crm.add_note("case_none", "?", idempotency_key="n2")


def test_cases_and_visits_of_all_aliases_are_the_persons(record: Record) -> None:
    caller, customer = record.create_contact(), record.create_contact()
    old = record.crm.open_case(caller, "one", {}, kind="repair", idempotency_key="k1")
    new = record.crm.open_case(customer, "two", {}, kind="repair", idempotency_key="k2")
    later = record.calendar.book(slot(NINE + timedelta(days=1)), caller, {}, idempotency_key="k1")
    sooner = record.calendar.book(slot(), customer, {}, idempotency_key="k2")
    record.merge(caller, customer, reason="code", session_id=None)
    assert record.crm.cases_of(caller) == record.crm.cases_of(customer) == [new, old]
    assert record.calendar.visits_of(caller) == record.calendar.visits_of(customer) == [sooner, later]


def test_a_visit_is_booked_once_and_its_time_is_busy(record: Record, reopen: Callable[[], Record]) -> None:
    visit = record.calendar.book(slot(), "c_1", {"appliance": "dryer"}, idempotency_key="k1")
    assert record.calendar.book(slot(), "c_1", {}, idempotency_key="k1") == visit
    record.close()
    calendar = reopen().calendar
    assert calendar.visits_of("c_1") == [visit]
    assert calendar.busy(["t1", "t2"], NINE + timedelta(hours=1), NINE + timedelta(hours=9)) == [visit.slot]
    assert calendar.busy(["t2"], NINE, NINE + timedelta(hours=9)) == []
    assert calendar.busy(["t1"], NINE + timedelta(hours=2), NINE + timedelta(hours=9)) == []


def test_a_taken_time_is_refused_and_its_neighbours_are_free(record: Record) -> None:
    record.calendar.book(slot(), "c_1", {}, idempotency_key="k1")
    for start in (NINE - timedelta(hours=1), NINE, NINE + timedelta(hours=1)):
        with pytest.raises(Rejected, match="slot_taken"):
            record.calendar.book(slot(start), "c_2", {}, idempotency_key="k2")
    record.calendar.book(slot(technician="t2"), "c_2", {}, idempotency_key="k3")
    record.calendar.book(slot(NINE + timedelta(hours=2)), "c_2", {}, idempotency_key="k4")


def test_of_many_who_book_the_same_time_at_once_one_gets_it(record: Record) -> None:
    results: list[str] = []

    def book(customer: int) -> None:
        try:
            record.calendar.book(slot(), f"c_{customer}", {}, idempotency_key=f"k{customer}")
            results.append("booked")
        except Rejected as error:
            results.append(error.reason)

    threads = [threading.Thread(target=book, args=(customer,)) for customer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["booked", *["slot_taken"] * 5]


def test_a_visit_moves_within_its_own_time_and_to_another_technician(record: Record) -> None:
    calendar, before = record.calendar, NINE - timedelta(days=1)
    visit = calendar.book(replace(slot(), place="Portland"), "c_1", {"appliance": "dryer"}, idempotency_key="k1")
    overlapping = slot(NINE + timedelta(hours=1))
    moved = calendar.move(visit.visit_id, overlapping, idempotency_key="m1", now=before)
    assert moved == replace(visit, slot=replace(overlapping, place="Portland"))
    other = slot(technician="t2")
    assert calendar.move(visit.visit_id, other, idempotency_key="m2", now=before).slot == replace(other, place="Portland")
    assert calendar.busy(["t1"], NINE, NINE + timedelta(hours=9)) == []
    assert calendar.move(visit.visit_id, overlapping, idempotency_key="m1", now=before).slot.technician == "t2", "done before"


def test_a_move_that_was_refused_may_be_tried_again_with_its_key(record: Record) -> None:
    before = NINE - timedelta(days=1)
    visit = record.calendar.book(slot(), "c_1", {}, idempotency_key="k1")
    in_the_way = record.calendar.book(slot(technician="t2"), "c_2", {}, idempotency_key="k2")
    with pytest.raises(Rejected, match="slot_taken"):
        record.calendar.move(visit.visit_id, slot(technician="t2"), idempotency_key="m1", now=before)
    assert record.calendar.visits_of("c_1") == [visit]
    record.calendar.cancel(in_the_way.visit_id, idempotency_key="x1", now=before)
    assert record.calendar.move(visit.visit_id, slot(technician="t2"), idempotency_key="m1", now=before).slot.technician == "t2"


def test_times_without_a_zone_are_a_fault(record: Record) -> None:
    with pytest.raises(Exception, match="zone"):
        record.calendar.book(slot(NINE.replace(tzinfo=None)), "c_1", {}, idempotency_key="k1")
