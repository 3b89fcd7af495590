"""What every calendar adapter must do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from throughline import record as record_room
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.calendar.protocol import Calendar
from throughline.domain.visits import VisitSlot
from throughline.errors import Rejected
from throughline.record import Record

pytestmark = pytest.mark.contract

TEN = datetime(2026, 11, 26, 18, tzinfo=timezone.utc)
SLOT = VisitSlot(TEN, TEN + timedelta(hours=2), "t-abe")


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    """A record of its own."""
    opened = record_room.open(f"sqlite:///{tmp_path}/record.db", secret=b"for tests")
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


async def test_visits_are_found_under_every_alias(calendar: Calendar, record: Record) -> None:
    caller, known = record.create_contact(), record.create_contact()
    visit = await calendar.book(SLOT, caller, {}, idempotency_key="k1")
    record.merge(caller, known, reason="code", session_id=None)
    assert [one.visit_id for one in await calendar.visits_of(known)] == [visit.visit_id]
