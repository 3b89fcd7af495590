"""When we are open, and when somebody can come: pure rules over the company's hours and a calendar's busy times.

Days are local dates of the company, slots are UTC. What always holds: every slot offered lies wholly inside visiting hours, begins no
earlier than asked for, and is free for the technician it names, who can get there from the visit before and to the visit after.
Decision: docs/decisions/0020-when-somebody-can-come.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo

from throughline.domain.company import WEEKDAYS, Business, Hours, OpenDays, Promise, Technician, Travel, local_time
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
class Working:
    """How technicians work: their hours, the zone these are in, and how long they need from one visit to the next."""

    hours: Hours
    zone: tzinfo
    travel: Travel


@dataclass(frozen=True)
class Wanted:
    """What a visit needs: who can do it, how long it takes, how early it may begin, in which territory it is (None: not known)."""

    technicians: Sequence[Technician]
    minutes: int
    earliest: datetime
    place: str | None


@dataclass(frozen=True)
class Held:
    """What is kept free for whoever is in a hurry: on each day from ``first`` on, so many ``visits`` of this kind must stay possible."""

    skill: str
    technicians: Sequence[Technician]
    minutes: int
    place: str
    visits: int
    first: date


def held_back(business: Business, today: date) -> list[Held]:
    """What the company keeps free, of every skill in every territory, for the longest work that needs the skill."""
    first = today + timedelta(days=business.sla.held_until_days_before + 1)
    held = []
    for skill, promise in business.sla.urgent.items():
        minutes = max(service.minutes for service in business.services.values() if service.skill == skill)
        for territory in business.territories:
            team = business.skilled(skill, territory)
            if team and promise.held_windows:
                held.append(Held(skill, team, minutes, territory.name, promise.held_windows, first))
    return held


def free_slots(
    day: date, wanted: Wanted, busy: Sequence[VisitSlot], working: Working, held: Sequence[Held] = ()
) -> list[VisitSlot]:
    """The free windows of ``day``, soonest first, each with one technician who is free then (the first in their list).

    A visit takes place inside its window: the company's usual one, or one as long as the work where that takes longer. What is ``held``
    back is not offered.
    """
    return list(_free(day, wanted, busy, working, held))


def free_days(
    first: date, days_ahead: int, wanted: Wanted, busy: Sequence[VisitSlot], working: Working, held: Sequence[Held] = ()
) -> list[date]:
    """The days from ``first`` on, ``days_ahead`` of them looked at, that have a free slot."""
    days = (first + timedelta(days=ahead) for ahead in range(days_ahead))
    return [day for day in days if next(_free(day, wanted, busy, working, held), None)]


def soonest(first: date, days_ahead: int, wanted: Wanted, busy: Sequence[VisitSlot], working: Working) -> VisitSlot | None:
    """The first free slot from ``first`` on; None where ``days_ahead`` days have none."""
    days = (first + timedelta(days=ahead) for ahead in range(days_ahead))
    return next((slot for day in days for slot in _free(day, wanted, busy, working, ())), None)


def is_in_time(slot: VisitSlot | None, now: datetime, promise: Promise) -> bool:
    """Whether the soonest ``slot`` begins as soon after ``now`` as is promised where it is urgent. None never does."""
    # In UTC: added to a local time, hours are those of a clock that is put forward and back.
    return slot is not None and slot.start <= now.astimezone(timezone.utc) + timedelta(hours=promise.within_hours)


def room(who: Technician, day: date, minutes: int, place: str, busy: Sequence[VisitSlot], working: Working) -> int:
    """How many visits so long in one territory a technician can still make on ``day``, one after the other."""
    if WEEKDAYS[day.weekday()] not in who.days:
        return 0
    taken = [one for one in busy if one.technician == who.technician]
    visits = 0
    for start, end in _windows(day, minutes, working):
        slot = VisitSlot(start, end, who.technician, place)
        if _fits(slot, minutes, taken, working.travel):
            taken.append(slot)
            visits += 1
    return visits


def slot_at(slots: Sequence[VisitSlot], clock: str, zone: tzinfo) -> VisitSlot | None:
    """The slot of one day that ``clock`` (local ``HH:MM``) falls into; the one beginning last where windows overlap."""
    wanted = local_time(clock)
    fitting = [slot for slot in slots if slot.start.astimezone(zone).time() <= wanted < slot.end.astimezone(zone).time()]
    return fitting[-1] if fitting else None


def slots_within(slots: Sequence[VisitSlot], begin: str, end: str, zone: tzinfo) -> list[VisitSlot]:
    """The slots that begin from ``begin`` up to, not including, ``end`` (local ``HH:MM``)."""
    first, last = local_time(begin), local_time(end)
    return [slot for slot in slots if first <= slot.start.astimezone(zone).time() < last]


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


def _free(day: date, wanted: Wanted, busy: Sequence[VisitSlot], working: Working, held: Sequence[Held]) -> Iterator[VisitSlot]:
    that_day = _on(day, busy, working)
    on_duty = [who for who in wanted.technicians if WEEKDAYS[day.weekday()] in who.days]
    for start, end in _windows(day, wanted.minutes, working):
        if start < wanted.earliest:
            continue
        for who in on_duty:
            slot = VisitSlot(start, end, who.technician, wanted.place)
            if _fits(slot, wanted.minutes, that_day, working.travel) and all(
                _leaves(one, slot, day, that_day, working) for one in held
            ):
                yield slot
                break


def _windows(day: date, minutes: int, working: Working) -> list[tuple[datetime, datetime]]:
    """Begin and end of each window of ``day`` for work that takes so long."""
    span = span_of(day, working.hours, working.hours.visits, working.zone)
    if span is None:
        return []
    step = timedelta(minutes=working.hours.visit_window_minutes)
    length = max(step, timedelta(minutes=minutes))
    return [(start, start + length) for start in _from(span[0], step, span[1] - length)]


def _from(start: datetime, step: timedelta, last: datetime) -> Iterator[datetime]:
    while start <= last:
        yield start
        start += step


def _on(day: date, busy: Sequence[VisitSlot], working: Working) -> list[VisitSlot]:
    """What of ``busy`` is so near to ``day`` that a way between matters; no way takes longer than a day."""
    begin = datetime.combine(day, time(), working.zone).astimezone(timezone.utc)
    return [one for one in busy if one.end > begin - timedelta(days=1) and one.start < begin + timedelta(days=3)]


def _fits(slot: VisitSlot, minutes: int, busy: Sequence[VisitSlot], travel: Travel) -> bool:
    """Whether the work fits into what is left of the window, once the technician has come from each visit before and leaves for each
    after. At which time within their windows those are is not known: each may take all of its own."""
    begin, end = slot.start, slot.end
    for one in busy:
        if one.technician != slot.technician:
            continue
        if one.start < slot.end and slot.start < one.end:
            return False
        way = timedelta(minutes=travel.minutes(one.place, slot.place))
        if one.end <= slot.start:
            begin = max(begin, one.end + way)
        else:
            end = min(end, one.start - way)
    return end - begin >= timedelta(minutes=minutes)


def _leaves(held: Held, slot: VisitSlot, day: date, busy: Sequence[VisitSlot], working: Working) -> bool:
    """Whether what is held is still there once ``slot`` is taken, or no less of it than before."""
    team = {who.technician: who for who in held.technicians}
    if day < held.first or slot.technician not in team:
        return True
    found = 0
    for who in held.technicians:
        if who.technician != slot.technician:
            found += room(who, day, held.minutes, held.place, busy, working)
            if found >= held.visits:
                return True
    taker = team[slot.technician]
    after = room(taker, day, held.minutes, held.place, [*busy, slot], working)
    return found + after >= held.visits or after >= room(taker, day, held.minutes, held.place, busy, working)


def _next_hour(moment: datetime) -> datetime:
    whole = moment.replace(minute=0, second=0, microsecond=0)
    return whole if whole == moment else whole + timedelta(hours=1)
