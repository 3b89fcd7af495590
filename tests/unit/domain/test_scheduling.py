"""When we are open, and when somebody can come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.company import Business, Hours, OpenDays, Promise, Technician, Travel, Way
from throughline.domain.scheduling import (
    Held,
    Wanted,
    Working,
    free_days,
    free_slots,
    held_back,
    is_in_time,
    is_open,
    next_opening,
    room,
    slot_at,
    slots_within,
    soonest,
)
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
PORTLAND, VANCOUVER = "Portland", "Vancouver"
AT_ONCE = Travel(0, 0, ())
TRAVEL = Travel(within_minutes=15, other_minutes=90, ways=(Way((PORTLAND, VANCOUVER), 30), Way(("Salem", PORTLAND), 60)))
WORKING = Working(HOURS, ZONE, AT_ONCE)
ON_THE_ROAD = Working(HOURS, ZONE, TRAVEL)
ABE = Technician("t-abe", "Abe", ("laundry",), ("Portland",), WEEK)
BEA = Technician("t-bea", "Bea", ("laundry",), ("Portland",), ("monday",))
MONDAY = date(2026, 11, 23)
LONG_AGO = datetime(2026, 1, 1, tzinfo=timezone.utc)


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)


def clocks(slots: list[VisitSlot]) -> list[str]:
    return [slot.start.astimezone(ZONE).strftime("%H:%M") for slot in slots]


def test_a_free_day_offers_every_window_that_fits() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO, PORTLAND), [], WORKING)
    assert clocks(slots) == ["08:00", "10:00", "12:00", "14:00", "16:00"]
    assert all(slot.end - slot.start == timedelta(minutes=120) for slot in slots)


def test_work_that_takes_longer_has_a_longer_window() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 150, LONG_AGO, PORTLAND), [], WORKING)
    assert clocks(slots)[-1] == "14:00", "at 16:00 it would not be done by closing time"
    assert slots[0].end - slots[0].start == timedelta(minutes=150)


def test_a_taken_window_goes_to_the_next_technician_and_then_to_nobody() -> None:
    taken = VisitSlot(local(MONDAY, 10), local(MONDAY, 12), "t-abe")
    both = free_slots(MONDAY, Wanted([ABE, BEA], 90, LONG_AGO, PORTLAND), [taken], WORKING)
    assert [slot.technician for slot in both] == ["t-abe", "t-bea", "t-abe", "t-abe", "t-abe"]
    alone = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO, PORTLAND), [taken], WORKING)
    assert "10:00" not in clocks(alone)


def test_nothing_begins_before_the_earliest() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 90, local(MONDAY, 12, 1), PORTLAND), [], WORKING)
    assert clocks(slots) == ["14:00", "16:00"]


@pytest.mark.parametrize("day", [date(2026, 11, 22), date(2026, 12, 25)])
def test_nobody_comes_on_a_closed_day(day: date) -> None:
    assert free_slots(day, Wanted([ABE], 90, LONG_AGO, PORTLAND), [], WORKING) == []


def test_only_days_with_something_free_are_named() -> None:
    full = VisitSlot(local(MONDAY, 0), local(MONDAY, 23), "t-abe")
    days = free_days(MONDAY, 7, Wanted([ABE], 90, LONG_AGO, PORTLAND), [full], WORKING)
    assert days == [MONDAY + timedelta(days=ahead) for ahead in (1, 2, 3, 4)]


def test_a_time_belongs_to_the_window_it_falls_into() -> None:
    slots = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO, PORTLAND), [], WORKING)
    assert slot_at(slots, "10:30", ZONE) == slots[1]
    assert slot_at(slots, "10:00", ZONE) == slots[1]
    assert slot_at(slots, "19:00", ZONE) is None
    assert clocks(slots_within(slots, "12:00", "17:00", ZONE)) == ["12:00", "14:00", "16:00"]


def test_windows_keep_local_time_when_the_clocks_change() -> None:
    before, after = date(2026, 10, 30), date(2026, 11, 2)
    for day in (before, after):
        assert clocks(free_slots(day, Wanted([ABE], 90, LONG_AGO, PORTLAND), [], WORKING))[0] == "08:00"


def test_the_office_is_open_from_its_first_to_its_last_minute() -> None:
    assert not is_open(local(MONDAY, 7, 29), HOURS, ZONE)
    assert is_open(local(MONDAY, 7, 30), HOURS, ZONE)
    assert not is_open(local(MONDAY, 18), HOURS, ZONE)
    assert next_opening(local(MONDAY, 18), HOURS, ZONE) == local(MONDAY + timedelta(days=1), 7, 30)
    assert next_opening(local(date(2026, 12, 24), 20), HOURS, ZONE) == local(date(2026, 12, 28), 7, 30)


def visit(first: int, last: int, place: str | None = PORTLAND, technician: str = "t-abe", day: date = MONDAY) -> VisitSlot:
    return VisitSlot(local(day, first), local(day, last), technician, place)


def test_a_way_takes_as_long_back_and_where_none_is_known_the_longest_counts() -> None:
    assert TRAVEL.minutes(PORTLAND, PORTLAND) == 15
    assert TRAVEL.minutes(PORTLAND, "Salem") == TRAVEL.minutes("Salem", PORTLAND) == 60
    assert TRAVEL.minutes(VANCOUVER, "Salem") == 90
    assert TRAVEL.minutes(None, PORTLAND) == TRAVEL.minutes(PORTLAND, None) == TRAVEL.minutes(None, None) == 90


@pytest.mark.parametrize(
    ("minutes", "busy", "free"),
    [
        (90, [visit(10, 12)], ["08:00", "12:00", "14:00", "16:00"]),  # 15 minutes of the way fit beside 90 of work
        (105, [visit(10, 12)], ["08:00", "12:00", "14:00", "16:00"]),  # just so
        (106, [visit(10, 12)], ["14:00", "16:00"]),
        (90, [visit(8, 10), visit(12, 14)], ["10:00", "14:00", "16:00"]),  # a way on each side
        (91, [visit(8, 10), visit(12, 14)], ["14:00", "16:00"]),
        (90, [visit(10, 12, VANCOUVER)], ["08:00", "12:00", "14:00", "16:00"]),
        (91, [visit(10, 12, VANCOUVER)], ["14:00", "16:00"]),
        (90, [visit(10, 12, "Salem")], ["14:00", "16:00"]),
        (90, [visit(8, 10, "Salem")], ["12:00", "14:00", "16:00"]),
        (30, [visit(8, 10, None)], ["10:00", "12:00", "14:00", "16:00"]),
        (31, [visit(8, 10, None)], ["12:00", "14:00", "16:00"]),
        (90, [visit(10, 12, "Salem", "t-bea")], ["08:00", "10:00", "12:00", "14:00", "16:00"]),
    ],
)
def test_whoever_comes_gets_there_from_the_visit_before_and_to_the_visit_after(
    minutes: int, busy: list[VisitSlot], free: list[str]
) -> None:
    slots = free_slots(MONDAY, Wanted([ABE], minutes, LONG_AGO, PORTLAND), busy, ON_THE_ROAD)
    assert clocks(slots) == free
    assert {slot.place for slot in slots} == {PORTLAND}


def test_a_visit_late_the_day_before_is_a_way_away_too() -> None:
    far = Working(HOURS, ZONE, Travel(0, 1440, ()))
    friday = MONDAY - timedelta(days=3)
    before = VisitSlot(local(friday, 9), local(friday, 17), "t-abe", "Seattle")
    assert free_slots(friday + timedelta(days=1), Wanted([ABE], 90, LONG_AGO, PORTLAND), [before], far) == []
    sunday = VisitSlot(local(MONDAY - timedelta(days=1), 9), local(MONDAY - timedelta(days=1), 12), "t-abe", "Seattle")
    slots = free_slots(MONDAY, Wanted([ABE], 90, LONG_AGO, PORTLAND), [sunday], far)
    assert clocks(slots) == ["12:00", "14:00", "16:00"]


def held(visits: int = 1, technicians: Sequence[Technician] = (ABE,), minutes: int = 90, first: date = MONDAY) -> Held:
    return Held("laundry", technicians, minutes, PORTLAND, visits, first)


def test_what_is_held_is_not_offered_and_is_there_for_whoever_is_in_a_hurry() -> None:
    wanted = Wanted([ABE], 90, LONG_AGO, PORTLAND)
    busy = [visit(8, 10), visit(10, 12), visit(12, 14)]
    assert clocks(free_slots(MONDAY, wanted, busy, WORKING, [held()])) == ["14:00", "16:00"], "one of two may go"
    busy.append(visit(14, 16))
    assert free_slots(MONDAY, wanted, busy, WORKING, [held()]) == []
    assert clocks(free_slots(MONDAY, wanted, busy, WORKING)) == ["16:00"]


def test_a_colleagues_free_time_may_be_the_one_that_is_held() -> None:
    wanted = Wanted([ABE, BEA], 90, LONG_AGO, PORTLAND)
    busy = [visit(8, 10), visit(10, 12), visit(12, 14), visit(14, 16)]
    slots = free_slots(MONDAY, wanted, busy, WORKING, [held(technicians=(ABE, BEA))])
    assert [slot.technician for slot in slots] == ["t-bea"] * 4 + ["t-abe"]
    everybody = [*busy, *(visit(hour, hour + 2, technician="t-bea") for hour in (8, 10, 12, 14, 16))]
    assert free_slots(MONDAY, wanted, everybody, WORKING, [held(technicians=(ABE, BEA))]) == [], "the last one of all"


def test_a_window_that_leaves_no_way_to_what_is_held_is_held_too() -> None:
    """Another one would be free, but nobody would get there in time."""
    wanted = Wanted([ABE], 90, LONG_AGO, VANCOUVER)
    busy = [visit(8, 14)]
    assert clocks(free_slots(MONDAY, wanted, busy, ON_THE_ROAD)) == ["14:00", "16:00"]
    assert free_slots(MONDAY, wanted, busy, ON_THE_ROAD, [held(minutes=120)]) == []
    assert clocks(free_slots(MONDAY, wanted, busy, ON_THE_ROAD, [held(minutes=90)])) == ["14:00"], "from 16 on the way"


def test_what_nobody_could_have_held_is_offered() -> None:
    """The work that is held does not fit any more, the shorter one does."""
    wanted, busy = Wanted([ABE], 90, LONG_AGO, PORTLAND), [visit(8, 15)]
    assert room(ABE, MONDAY, 180, PORTLAND, busy, WORKING) == 0
    assert clocks(free_slots(MONDAY, wanted, busy, WORKING, [held(minutes=180)])) == ["16:00"]


def test_what_is_held_is_offered_to_everybody_from_its_day_on() -> None:
    wanted, busy = Wanted([ABE], 90, LONG_AGO, PORTLAND), [visit(8, 16)]
    assert free_slots(MONDAY, wanted, busy, WORKING, [held(first=MONDAY)]) == []
    assert len(free_slots(MONDAY, wanted, busy, WORKING, [held(first=MONDAY + timedelta(days=1))])) == 1
    assert free_days(MONDAY, 2, wanted, busy, WORKING, [held(visits=5)]) == [], "neither today nor tomorrow"


def test_a_company_holds_back_what_its_files_say(business: Business) -> None:
    found = held_back(business, MONDAY)
    assert {one.skill for one in found} == {skill for skill, one in business.sla.urgent.items() if one.held_windows}
    salem = next(one for one in found if (one.skill, one.place) == ("heating", "Salem"))
    assert ([who.name for who in salem.technicians], salem.minutes, salem.visits) == (["Cal"], 150, 1)
    assert salem.first == MONDAY + timedelta(days=2), "until the day before"


def test_the_soonest_is_found_and_in_time_or_not() -> None:
    wanted, promise = Wanted([ABE], 90, local(MONDAY, 9), PORTLAND), Promise(within_hours=24, held_windows=0)
    first = soonest(MONDAY, 7, wanted, [visit(8, 18)], WORKING)
    assert first == visit(8, 10, day=MONDAY + timedelta(days=1))
    assert is_in_time(first, local(MONDAY, 8), promise)
    assert not is_in_time(first, local(MONDAY, 7, 59), promise)
    assert soonest(MONDAY, 1, wanted, [visit(8, 18)], WORKING) is None
    assert not is_in_time(None, local(MONDAY, 8), promise)


@pytest.mark.parametrize(
    ("asked", "clock", "in_time"),
    [
        (datetime(2026, 10, 30, 9, tzinfo=ZONE), "08:00", True),  # 72 hours with one more in the night: until 8 on Monday
        (datetime(2026, 10, 30, 8, 59, tzinfo=ZONE), "08:00", False),
        (datetime(2027, 3, 12, 7, tzinfo=ZONE), "08:00", True),  # with one less: until 8 on Monday
        (datetime(2027, 3, 12, 6, 59, tzinfo=ZONE), "08:00", False),
    ],
)
def test_hours_that_are_promised_are_real_ones_when_the_clocks_change(asked: datetime, clock: str, in_time: bool) -> None:
    friday = asked.date()
    full = [visit(0, 23, day=friday)]
    first = soonest(friday, 7, Wanted([ABE], 90, asked, PORTLAND), full, WORKING)
    assert first is not None
    assert first.start.astimezone(ZONE).date() == friday + timedelta(days=3)
    assert clocks([first]) == [clock]
    assert is_in_time(first, asked, Promise(within_hours=72, held_windows=0)) is in_time


@pytest.mark.parametrize("sunday", [date(2026, 11, 1), date(2027, 3, 14)])
def test_ways_and_what_is_held_keep_local_days_when_the_clocks_change(sunday: date) -> None:
    every_day = replace(HOURS, visits=(OpenDays((*WEEK, "saturday", "sunday"), "00:00", "23:00"),))
    working, daily = Working(every_day, ZONE, TRAVEL), replace(ABE, days=(*WEEK, "saturday", "sunday"))
    wanted = Wanted([daily], 90, LONG_AGO, PORTLAND)
    late = VisitSlot(local(sunday, 21), local(sunday, 23), "t-abe", "Salem")
    for day in (sunday - timedelta(days=1), sunday, sunday + timedelta(days=1)):
        slots = free_slots(day, wanted, [late], working)
        assert all(slot.start.astimezone(ZONE).date() == day for slot in slots)
        assert all(slot.end - slot.start == timedelta(hours=2) for slot in slots)
        assert all(slot.end + timedelta(minutes=60) <= late.start or slot.start >= late.end for slot in slots)
        assert slots[-1].end <= local(day, 23)
        most = room(daily, day, 90, PORTLAND, [late], working)
        reserve = held(visits=most, technicians=(daily,), first=sunday)
        assert bool(free_slots(day, wanted, [late], working, [reserve])) is (day < sunday)


PLACES = st.sampled_from([PORTLAND, VANCOUVER, "Salem", None])


@given(works=st.lists(st.tuples(st.integers(30, 240), PLACES, st.integers(0, 9)), min_size=1, max_size=8))
def test_whatever_is_booked_in_any_order_can_be_kept(works: list[tuple[int, str | None, int]]) -> None:
    """Whoever works through the day, begins at each visit as soon as they get there and its window allows, is done within each window."""
    booked: list[tuple[VisitSlot, int]] = []
    for minutes, place, which in works:
        free = free_slots(MONDAY, Wanted([ABE], minutes, LONG_AGO, place), [slot for slot, _ in booked], ON_THE_ROAD)
        if free:
            booked.append((free[which % len(free)], minutes))
    booked.sort(key=lambda one: one[0].start)
    at, here = local(MONDAY, 0), booked[0][0].place if booked else None
    for slot, minutes in booked:
        arrives = max(at + timedelta(minutes=TRAVEL.minutes(here, slot.place) if at > local(MONDAY, 0) else 0), slot.start)
        at, here = arrives + timedelta(minutes=minutes), slot.place
        assert at <= slot.end


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
    reserve = [held(technicians=(ABE, BEA))]
    for slot in free_slots(MONDAY, Wanted([ABE, BEA], minutes, earliest, PORTLAND), busy, WORKING, reserve):
        assert local(MONDAY, 8) <= slot.start
        assert slot.end <= local(MONDAY, 18)
        assert slot.start >= earliest
        assert not any(one.technician == slot.technician and one.start < slot.end and slot.start < one.end for one in busy)
