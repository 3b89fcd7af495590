"""What every calendar adapter must do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.postgres import Postgres
from throughline import record as record_room
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.calendar.protocol import Calendar
from throughline.domain.visits import VisitSlot
from throughline.errors import Rejected
from throughline.record import Record

pytestmark = pytest.mark.contract

TEN = datetime(2026, 11, 26, 18, tzinfo=timezone.utc)
SLOT = VisitSlot(TEN, TEN + timedelta(hours=2), "t-abe")
LATER = VisitSlot(TEN + timedelta(days=1), TEN + timedelta(days=1, hours=2), "t-bea")
TWO_HOURS, TEN_HOURS = timedelta(hours=2), timedelta(hours=10)
BEFORE = TEN - timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Record]:
    """A record of its own, on either engine."""
    url = f"sqlite:///{tmp_path}/record.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.create_database(like=request.getfixturevalue("empty_postgresql_database")))
    opened = record_room.open(url, secret=b"for tests")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(params=["embedded"])
def calendar(request: pytest.FixtureRequest, record: Record) -> Calendar:
    """Each adapter in turn."""
    return {"embedded": EmbeddedCalendar}[request.param](record)


async def test_a_booked_visit_is_found_again_and_is_busy(calendar: Calendar, record: Record) -> None:
    contact = record.create_contact()
    visit = await calendar.book(SLOT, contact, {"appliance": "dryer"}, idempotency_key="k1")
    assert visit.slot == SLOT
    assert visit.contact_id == contact
    assert visit.details["appliance"] == "dryer"
    assert visit.reference
    assert await calendar.visits_of(contact) == [visit]
    assert await calendar.busy(["t-abe"], TEN - timedelta(days=1), TEN + timedelta(days=1)) == [SLOT]


async def test_busy_is_what_overlaps_and_is_theirs(calendar: Calendar, record: Record) -> None:
    await calendar.book(SLOT, record.create_contact(), {}, idempotency_key="k1")
    assert await calendar.busy(["t-bea"], TEN, SLOT.end) == []
    assert await calendar.busy(["t-abe"], SLOT.end, SLOT.end + timedelta(hours=2)) == []
    assert await calendar.busy(["t-abe"], SLOT.end - timedelta(minutes=1), SLOT.end) == [SLOT]


async def test_the_same_key_books_once(calendar: Calendar, record: Record) -> None:
    contact = record.create_contact()
    first = await calendar.book(SLOT, contact, {}, idempotency_key="k1")
    again = await calendar.book(SLOT, contact, {}, idempotency_key="k1")
    assert again == first
    assert await calendar.visits_of(contact) == [first]


async def test_of_two_who_book_at_the_same_moment_one_is_too_late(calendar: Calendar, record: Record) -> None:
    contacts = [record.create_contact() for _ in range(4)]
    results = await asyncio.gather(
        *(calendar.book(SLOT, contact, {}, idempotency_key=contact) for contact in contacts), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Rejected)]
    assert [result.reason for result in refused] == ["slot_taken"] * 3
    assert len(await calendar.busy(["t-abe"], TEN, SLOT.end)) == 1


async def test_an_overlapping_window_is_taken_too(calendar: Calendar, record: Record) -> None:
    await calendar.book(SLOT, record.create_contact(), {}, idempotency_key="k1")
    late = VisitSlot(TEN + timedelta(hours=1), TEN + timedelta(hours=3), "t-abe")
    with pytest.raises(Rejected, match="slot_taken"):
        await calendar.book(late, record.create_contact(), {}, idempotency_key="k2")


async def test_a_visit_tells_the_place_it_was_booked_for(calendar: Calendar, record: Record) -> None:
    contact = record.create_contact()
    there = replace(SLOT, place="Portland")
    assert (await calendar.book(there, contact, {}, idempotency_key="k1")).slot == there
    assert await calendar.busy(["t-abe"], TEN, SLOT.end) == [there]
    assert [visit.slot for visit in await calendar.visits_of(contact)] == [there]


async def test_a_moved_visit_keeps_everything_but_its_time(calendar: Calendar, record: Record) -> None:
    contact = record.create_contact()
    visit = await calendar.book(replace(SLOT, place="Portland"), contact, {"appliance": "dryer"}, idempotency_key="k1")
    moved = await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=BEFORE)
    assert moved == replace(visit, slot=replace(LATER, place="Portland"))
    assert await calendar.visits_of(contact) == [moved]
    assert await calendar.busy(["t-abe", "t-bea"], TEN, LATER.end) == [moved.slot]
    await calendar.book(SLOT, contact, {}, idempotency_key="k2")  # its old time is free


async def test_a_visit_may_move_into_its_own_time(calendar: Calendar, record: Record) -> None:
    visit = await calendar.book(SLOT, record.create_contact(), {}, idempotency_key="k1")
    an_hour = VisitSlot(SLOT.start + timedelta(hours=1), SLOT.end + timedelta(hours=1), SLOT.technician)
    assert (await calendar.move(visit.visit_id, an_hour, idempotency_key="m1", now=BEFORE)).slot == an_hour


async def test_the_same_key_moves_once(calendar: Calendar, record: Record) -> None:
    visit = await calendar.book(SLOT, record.create_contact(), {}, idempotency_key="k1")
    await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=BEFORE)
    back = await calendar.move(visit.visit_id, SLOT, idempotency_key="m2", now=BEFORE)
    assert await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=BEFORE) == back == visit
    gone = await calendar.cancel(visit.visit_id, idempotency_key="x1", now=BEFORE)
    assert await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=BEFORE) == gone, "it was done, and is as it is"


async def test_a_time_that_is_taken_is_refused_and_the_visit_stays(calendar: Calendar, record: Record) -> None:
    contact = record.create_contact()
    visit = await calendar.book(SLOT, contact, {}, idempotency_key="k1")
    await calendar.book(LATER, record.create_contact(), {}, idempotency_key="k2")
    with pytest.raises(Rejected, match="slot_taken"):
        await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=BEFORE)
    assert await calendar.visits_of(contact) == [visit]


async def test_what_has_begun_is_neither_moved_nor_cancelled(calendar: Calendar, record: Record) -> None:
    visit = await calendar.book(SLOT, record.create_contact(), {}, idempotency_key="k1")
    with pytest.raises(Rejected, match="visit_over"):
        await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=TEN)
    with pytest.raises(Rejected, match="visit_over"):
        await calendar.cancel(visit.visit_id, idempotency_key="x1", now=TEN)
    assert await calendar.busy(["t-abe"], TEN, SLOT.end) == [SLOT]


async def test_the_present_moment_counts_where_none_is_named(calendar: Calendar, record: Record) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    begun, ahead = (VisitSlot(now + hours, now + hours + timedelta(hours=1), "t-abe") for hours in (-TEN_HOURS, TEN_HOURS))
    visits = [await calendar.book(one, record.create_contact(), {}, idempotency_key=str(one.start)) for one in (begun, ahead)]
    with pytest.raises(Rejected, match="visit_over"):
        await calendar.cancel(visits[0].visit_id, idempotency_key="x1")
    assert (await calendar.cancel(visits[1].visit_id, idempotency_key="x2")).cancelled_at is not None


async def test_a_cancelled_visit_is_none_any_more(calendar: Calendar, record: Record) -> None:
    contact = record.create_contact()
    visit = await calendar.book(SLOT, contact, {}, idempotency_key="k1")
    gone = await calendar.cancel(visit.visit_id, idempotency_key="x1", now=BEFORE)
    assert gone == replace(visit, cancelled_at=gone.cancelled_at) and gone.cancelled_at is not None
    assert await calendar.visits_of(contact) == []
    assert await calendar.busy(["t-abe"], TEN, SLOT.end) == []
    assert await calendar.cancel(visit.visit_id, idempotency_key="x1", now=BEFORE) == gone
    assert await calendar.cancel(visit.visit_id, idempotency_key="x2", now=TEN) == gone, "by whomever, it stays cancelled"
    with pytest.raises(Rejected, match="visit_cancelled"):
        await calendar.move(visit.visit_id, LATER, idempotency_key="m1", now=BEFORE)
    with pytest.raises(Rejected, match="visit_cancelled"):
        await calendar.book(SLOT, contact, {}, idempotency_key="k1")
    assert (await calendar.book(SLOT, contact, {}, idempotency_key="k2")).reference != visit.reference


async def test_a_visit_nobody_knows_is_neither_moved_nor_cancelled(calendar: Calendar) -> None:
    with pytest.raises(Rejected, match="unknown_visit"):
        await calendar.move("v_nowhere", SLOT, idempotency_key="m1", now=BEFORE)
    with pytest.raises(Rejected, match="unknown_visit"):
        await calendar.cancel("v_nowhere", idempotency_key="x1", now=BEFORE)


async def test_of_those_who_book_and_move_into_one_time_at_the_same_moment_one_gets_it(
    calendar: Calendar, record: Record
) -> None:
    contacts = [record.create_contact() for _ in range(4)]
    hours = [timedelta(hours=3 * number) for number in range(2)]
    visits = [
        await calendar.book(VisitSlot(TEN + one, TEN + one + TWO_HOURS, "t-cal"), contacts[0], {}, idempotency_key=str(one))
        for one in hours
    ]
    results = await asyncio.gather(
        *(calendar.move(visit.visit_id, LATER, idempotency_key=f"m {visit.visit_id}", now=BEFORE) for visit in visits),
        *(calendar.book(LATER, contact, {}, idempotency_key=contact) for contact in contacts[1:]),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, Rejected)]
    assert [result.reason for result in refused] == ["slot_taken"] * 4
    assert await calendar.busy(["t-bea"], LATER.start, LATER.end) == [LATER]


async def test_visits_are_found_under_every_alias(calendar: Calendar, record: Record) -> None:
    caller, known = record.create_contact(), record.create_contact()
    visit = await calendar.book(SLOT, caller, {}, idempotency_key="k1")
    record.merge(caller, known, reason="code", session_id=None)
    assert [one.visit_id for one in await calendar.visits_of(known)] == [visit.visit_id]


async def test_a_visit_is_found_by_its_reference_whoevers_it_is(calendar: Calendar, record: Record) -> None:
    visit = await calendar.book(SLOT, record.create_contact(), {}, idempotency_key="k1")
    assert await calendar.find(visit.reference) == visit
    moved = await calendar.move(visit.visit_id, LATER, idempotency_key="k2", now=BEFORE)
    assert await calendar.find(visit.reference) == moved
    cancelled = await calendar.cancel(visit.visit_id, idempotency_key="k3", now=BEFORE)
    assert await calendar.find(visit.reference) == cancelled
    assert await calendar.find("") is await calendar.find("1") is None
