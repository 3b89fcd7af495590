"""When we are open, and when somebody can come."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.company import Hours, OpenDays, Technician
from throughline.domain.scheduling import Wanted, free_days, free_slots, is_open, next_opening, slot_at, slots_within
from throughline.domain.visits import VisitSlot

pytestmark = pytest.mark.unit

ZONE = ZoneInfo("America/Los_Angeles")
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday")
HOURS = Hours(
    office=(OpenDays(WEEK, "07:30", "18:00"),),
    visits=(OpenDays(WEEK, "08:00", "18:00"), OpenDays(("saturday",), "09:00", "13:00")),
    visit_window_minutes=120,
    free_changes_until="18:00",
    closed=("12-25",),
)
ABE = Technician("t-abe", "Abe", ("laundry",), ("Portland",), WEEK)
BEA = Technician("t-bea", "Bea", ("laundry",), ("Portland",), ("monday",))
MONDAY = date(2026, 11, 23)
LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)


def clocks(slots: list[VisitSlot]) -> list[str]:
    return [slot.start.astimezone(ZONE).strftime("%H:%M") for slot in slots]


def test_a_free_day_offers_every_window_that_fits() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO), [], HOURS, ZONE)
    assert clocks(slots) == ["08:00", "10:00", "12:00", "14:00", "16:00"]
    assert all(slot.end - slot.start == timedelta(minutes=120) for slot in slots)


def test_work_that_takes_longer_has_a_longer_window() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 150, LONG_AGO), [], HOURS, ZONE)
    assert clocks(slots)[-1] == "14:00", "at 16:00 it would not be done by closing time"
    assert slots[0].end - slots[0].start == timedelta(minutes=150)


def test_a_taken_window_goes_to_the_next_technician_and_then_to_nobody() -> None:
    taken = VisitSlot(local(MONDAY, 10), local(MONDAY, 12), "t-abe")
    both = free_slots(MONDAY, Wanted([ABE, BEA], 90, LONG_AGO), [taken], HOURS, ZONE)
    assert [slot.technician for slot in both] == ["t-abe", "t-bea", "t-abe", "t-abe", "t-abe"]
    alone = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO), [taken], HOURS, ZONE)
    assert "10:00" not in clocks(alone)


def test_nothing_begins_before_the_earliest() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 90, local(MONDAY, 12, 1)), [], HOURS, ZONE)
    assert clocks(slots) == ["14:00", "16:00"]


@pytest.mark.parametrize("day", [date(2026, 11, 22), date(2026, 12, 25)])
def test_nobody_comes_on_a_closed_day(day: date) -> None:
    assert free_slots(day, Wanted([ABE], 90, LONG_AGO), [], HOURS, ZONE) == []


def test_only_days_with_something_free_are_named() -> None:
    full = VisitSlot(local(MONDAY, 0), local(MONDAY, 23), "t-abe")
    days = free_days(MONDAY, 7, Wanted([ABE], 90, LONG_AGO), [full], HOURS, ZONE)
    assert days == [MONDAY + timedelta(days=ahead) for ahead in (1, 2, 3, 4)]


def test_a_time_belongs_to_the_window_it_falls_into() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO), [], HOURS, ZONE)
    assert slot_at(slots, "10:30", ZONE) == slots[1]
    assert slot_at(slots, "10:00", ZONE) == slots[1]
    assert slot_at(slots, "19:00", ZONE) is None
    assert clocks(slots_within(slots, "12:00", "17:00", ZONE)) == ["12:00", "14:00", "16:00"]


def test_windows_keep_local_time_when_the_clocks_change() -> None:
    before, after = date(2026, 10, 30), date(2026, 11, 2)
    for day in (before, after):
        assert clocks(free_slots(day, Wanted([ABE], 90, LONG_AGO), [], HOURS, ZONE))[0] == "08:00"


def test_the_office_is_open_from_its_first_to_its_last_minute() -> None:
    assert not is_open(local(MONDAY, 7, 29), HOURS, ZONE)
    assert is_open(local(MONDAY, 7, 30), HOURS, ZONE)
    assert not is_open(local(MONDAY, 18), HOURS, ZONE)
    assert next_opening(local(MONDAY, 18), HOURS, ZONE) == local(MONDAY + timedelta(days=1), 7, 30)
    assert next_opening(local(date(2026, 12, 24), 20), HOURS, ZONE) == local(date(2026, 12, 28), 7, 30)


@given(
    minutes=st.integers(15, 400),
    earliest_hour=st.integers(0, 23),
    taken=st.lists(st.tuples(st.integers(6, 20), st.integers(1, 5), st.sampled_from(["t-abe", "t-bea"])), max_size=6),
)
def test_whatever_is_offered_is_free_open_and_early_enough(
    minutes: int, earliest_hour: int, taken: list[tuple[int, int, str]]
) -> None:
    busy = [VisitSlot(local(MONDAY, hour), local(MONDAY, min(hour + length, 23)), who) for hour, length, who in taken]
    earliest = local(MONDAY, earliest_hour)
    for slot in free_slots(MONDAY, Wanted([ABE, BEA], minutes, earliest), busy, HOURS, ZONE):
        assert local(MONDAY, 8) <= slot.start
        assert slot.end <= local(MONDAY, 18)
        assert slot.start >= earliest
        assert not any(one.technician == slot.technician and one.start < slot.end and slot.start < one.end for one in busy)
