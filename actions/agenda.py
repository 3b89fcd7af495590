"""When somebody can come, for what the customer has told us so far. Read anew from the calendar each time it is offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any

from actions.situation import Situation
from throughline.domain import scheduling, speakable
from throughline.domain.company import Hours
from throughline.domain.scheduling import Wanted
from throughline.domain.visits import VisitSlot
from throughline.domain.words import Said, Words


@dataclass(frozen=True)
class Agenda:
    """The free visits for one appliance in one territory, at one moment."""

    wanted: Wanted
    busy: Sequence[VisitSlot]
    hours: Hours
    zone: tzinfo
    today: date
    days_ahead: int

    def days(self) -> list[date]:
        """The days that have something free, soonest first."""
        return scheduling.free_days(self.today, self.days_ahead, self.wanted, self.busy, self.hours, self.zone)

    def slots(self, day: date) -> list[VisitSlot]:
        """What is free on ``day``, soonest first."""
        if not self.today <= day < self.today + timedelta(days=self.days_ahead):
            return []
        return scheduling.free_slots(day, self.wanted, self.busy, self.hours, self.zone)

    def find(self, day: date, when: str, words: Words) -> VisitSlot | None:
        """The slot of ``day`` for ``when``: ``HH:MM``, or a part of the day, whose first slot it is."""
        return scheduling.find_slot(self.slots(day), when, words.parts_of_day, self.zone)

    def clock_of(self, slot: VisitSlot) -> str:
        """The local time at which a slot begins, as the fact ``visit_time`` holds it."""
        return slot.start.astimezone(self.zone).strftime("%H:%M")


async def agenda(where: Situation, facts: Mapping[str, Any]) -> Agenda | None:
    """The agenda for ``facts``; None while the appliance or the place is not known. Raises Unavailable."""
    appliance, territory = str(facts.get("appliance")), where.business.territory_of(str(facts.get("postcode") or ""))
    if appliance not in where.business.services or territory is None:
        return None
    thresholds = where.business.thresholds
    lead = thresholds.urgent_lead_minutes if facts.get("urgent") else thresholds.lead_minutes
    technicians = where.business.qualified(appliance, territory)
    wanted = Wanted(technicians, where.business.services[appliance].minutes, where.now + timedelta(minutes=lead))
    begin = datetime.combine(where.today, datetime.min.time(), where.zone).astimezone(timezone.utc)
    end = begin + timedelta(days=thresholds.days_ahead + 1)
    busy = await where.bounded(where.app.calendar.busy([who.technician for who in technicians], begin, end))
    return Agenda(wanted, busy, where.business.hours, where.zone, where.today, thresholds.days_ahead)


def window_of(where: Situation, slot: VisitSlot) -> Said:
    """A slot in words."""
    start, end = (moment.astimezone(where.zone) for moment in (slot.start, slot.end))
    return speakable.window(start, end, where.words)
