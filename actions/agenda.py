"""When somebody can come, for what the customer has told us so far. Read anew from the calendar each time it is offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

from actions.situation import Situation
from throughline.domain import scheduling, speakable
from throughline.domain.company import Technician
from throughline.domain.scheduling import Held, Wanted, Working
from throughline.domain.visits import Visit, VisitSlot
from throughline.domain.words import Said, Words


@dataclass(frozen=True)
class Agenda:
    """The free visits for one appliance in one territory, at one moment."""

    wanted: Wanted
    busy: Sequence[VisitSlot]
    working: Working
    held: Sequence[Held]
    today: date
    days_ahead: int

    def days(self) -> list[date]:
        """The days that have something free, soonest first."""
        return scheduling.free_days(self.today, self.days_ahead, self.wanted, self.busy, self.working, self.held)

    def slots(self, day: date) -> list[VisitSlot]:
        """What is free on ``day``, soonest first."""
        if not self.today <= day < self.today + timedelta(days=self.days_ahead):
            return []
        return scheduling.free_slots(day, self.wanted, self.busy, self.working, self.held)

    def soonest(self) -> VisitSlot | None:
        """The first slot that is free for whoever is in a hurry."""
        return scheduling.soonest(self.today, self.days_ahead, self.wanted, self.busy, self.working)

    def find(self, day: date, when: str, words: Words) -> VisitSlot | None:
        """The slot of ``day`` for ``when``: ``HH:MM``, or a part of the day, whose first slot it is."""
        return scheduling.find_slot(self.slots(day), when, words.parts_of_day, self.working.zone)

    def clock_of(self, slot: VisitSlot) -> str:
        """The local time at which a slot begins, as the fact ``visit_time`` holds it."""
        return slot.start.astimezone(self.working.zone).strftime("%H:%M")


async def agenda(where: Situation, facts: Mapping[str, Any], *, moving: Visit | None = None) -> Agenda | None:
    """The agenda for ``facts``; None while the appliance or the place is not known. The time of a visit that is ``moving`` counts as free.
    Raises Unavailable."""
    business = where.business
    appliance, territory = str(facts.get("appliance")), business.territory_of(str(facts.get("postcode") or ""))
    if appliance not in business.services or territory is None:
        return None
    thresholds = business.thresholds
    lead = thresholds.urgent_lead_minutes if facts.get("urgent") else thresholds.lead_minutes
    technicians = business.qualified(appliance, territory)
    earliest = where.now + timedelta(minutes=lead)
    wanted = Wanted(technicians, business.services[appliance].minutes, earliest, territory.name)
    held = [] if facts.get("urgent") else _held_from(where, technicians)
    asked = {who.technician for team in (technicians, *(one.technicians for one in held)) for who in team}
    begin = datetime.combine(where.today, datetime.min.time(), where.zone).astimezone(timezone.utc)
    end = begin + timedelta(days=thresholds.days_ahead + 1)
    busy = await where.bounded(where.app.calendar.busy(sorted(asked), begin, end))
    others = [one for one in busy if moving is None or one != moving.slot]
    working = Working(business.hours, where.zone, business.travel)
    return Agenda(wanted, others, working, held, where.today, thresholds.days_ahead)


def is_in_time(where: Situation, free: Agenda, appliance: str) -> bool:
    """Whether something is free for ``appliance`` as soon as is promised where it is urgent (data/business/sla.yml)."""
    return scheduling.is_in_time(free.soonest(), where.now, where.business.promise(appliance))


def _held_from(where: Situation, technicians: Sequence[Technician]) -> list[Held]:
    """What is kept free of the time of any of them."""
    return [
        one for one in scheduling.held_back(where.business, where.today) if any(who in technicians for who in one.technicians)
    ]


def window_of(where: Situation, slot: VisitSlot) -> Said:
    """A slot in words."""
    start, end = (moment.astimezone(where.zone) for moment in (slot.start, slot.end))
    return speakable.window(start, end, where.words)
