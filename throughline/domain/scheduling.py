"""When we are open, and when somebody can come: pure rules over the company's hours and a calendar's busy times.

Days are local dates of the company, slots are UTC. What always holds: every slot offered lies wholly inside visiting hours, begins no
earlier than asked for, and is free for the technician it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo

from throughline.domain.company import WEEKDAYS, Hours, OpenDays, Technician, local_time
from throughline.domain.visits import VisitSlot

_CALL = timedelta(hours=1)  # a call-back is promised within an hour


def span_of(day: date, hours: Hours, entries: Iterable[OpenDays], zone: tzinfo) -> tuple[datetime, datetime] | None:
    """Begin and end of the working time of ``day`` under ``entries``, UTC; None on a closed day."""
    if hours.is_closed_on(day):
        return None
    for entry in entries:
        if WEEKDAYS[day.weekday()] in entry.days:
            opens = datetime.combine(day, local_time(entry.opens), zone)
            closes = datetime.combine(day, local_time(entry.closes), zone)
            return opens.astimezone(timezone.utc), closes.astimezone(timezone.utc)
    return None


def is_open(now: datetime, hours: Hours, zone: tzinfo) -> bool:
    """Whether the office answers at ``now``."""
    span = span_of(now.astimezone(zone).date(), hours, hours.office, zone)
    return span is not None and span[0] <= now < span[1]


def next_opening(now: datetime, hours: Hours, zone: tzinfo) -> datetime | None:
    """When the office opens next after ``now``, UTC; None if it never does within a year."""
    today = now.astimezone(zone).date()
    for ahead in range(366):
        span = span_of(today + timedelta(days=ahead), hours, hours.office, zone)
        if span is not None and span[0] > now:
            return span[0]
    return None


def coming_weekday(today: date, weekday: int) -> date:
    """The next such weekday (Monday is 0), today counted."""
    return today + timedelta(days=(weekday - today.weekday()) % 7)


@dataclass(frozen=True)
class Wanted:
    """What a visit needs: who can do it, how long it takes, how early it may begin."""

    technicians: Sequence[Technician]
    minutes: int
    earliest: datetime


def free_slots(day: date, wanted: Wanted, busy: Sequence[VisitSlot], hours: Hours, zone: tzinfo) -> list[VisitSlot]:
    """The free windows of ``day``, soonest first, each with one technician who is free then (the first in their list).

    A visit takes place inside its window: the company's usual one, or one as long as the work where that takes longer.
    """
    span = span_of(day, hours, hours.visits, zone)
    if span is None:
        return []
    window = timedelta(minutes=hours.visit_window_minutes)
    length = max(window, timedelta(minutes=wanted.minutes))
    on_duty = [who for who in wanted.technicians if WEEKDAYS[day.weekday()] in who.days]
    slots = []
    start = span[0]
    while start + length <= span[1]:
        if start >= wanted.earliest:
            free = next((who for who in on_duty if _is_free(who, start, start + length, busy)), None)
            if free is not None:
                slots.append(VisitSlot(start, start + length, free.technician))
        start += window
    return slots


def free_days(
    first: date, days_ahead: int, wanted: Wanted, busy: Sequence[VisitSlot], hours: Hours, zone: tzinfo
) -> list[date]:
    """The days from ``first`` on, ``days_ahead`` of them looked at, that have a free slot."""
    days = (first + timedelta(days=ahead) for ahead in range(days_ahead))
    return [day for day in days if free_slots(day, wanted, busy, hours, zone)]


def slot_at(slots: Sequence[VisitSlot], clock: str, zone: tzinfo) -> VisitSlot | None:
    """The slot of one day that ``clock`` (local ``HH:MM``) falls into; the one beginning last where windows overlap."""
    wanted = local_time(clock)
    fitting = [slot for slot in slots if slot.start.astimezone(zone).time() <= wanted < slot.end.astimezone(zone).time()]
    return fitting[-1] if fitting else None


def slots_within(slots: Sequence[VisitSlot], begin: str, end: str, zone: tzinfo) -> list[VisitSlot]:
    """The slots that begin from ``begin`` up to, not including, ``end`` (local ``HH:MM``)."""
    first, last = local_time(begin), local_time(end)
    return [slot for slot in slots if first <= slot.start.astimezone(zone).time() < last]


def _is_free(who: Technician, start: datetime, end: datetime, busy: Sequence[VisitSlot]) -> bool:
    return not any(slot.technician == who.technician and slot.start < end and start < slot.end for slot in busy)


def office_slots(day: date, earliest: datetime, hours: Hours, zone: tzinfo) -> list[VisitSlot]:
    """The hours of ``day`` in which the office is open and that begin at ``earliest`` or later, soonest first; nobody's in particular."""
    span = span_of(day, hours, hours.office, zone)
    if span is None:
        return []
    slots, start = [], _next_hour(span[0])
    while start + _CALL <= span[1]:
        if start >= earliest:
            slots.append(VisitSlot(start, start + _CALL, ""))
        start += _CALL
    return slots


def find_slot(
    slots: Sequence[VisitSlot], when: str, parts_of_day: Mapping[str, Sequence[str]], zone: tzinfo
) -> VisitSlot | None:
    """The slot of one day's ``slots`` for ``when``: ``HH:MM``, or one of the parts of the day, whose first slot it is."""
    if when in parts_of_day:
        begin, end = parts_of_day[when]
        return next(iter(slots_within(slots, begin, end, zone)), None)
    return slot_at(slots, when, zone)


def _next_hour(moment: datetime) -> datetime:
    whole = moment.replace(minute=0, second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(hours=1)
