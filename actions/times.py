"""The times that a journey may choose from: when a technician can come, or when the office can call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Protocol

from actions.agenda import agenda
from actions.situation import Situation
from actions.visits import NoVisit, chosen_visit, wanted_of
from throughline.domain import scheduling
from throughline.domain.company import Hours
from throughline.domain.journeys import Journey
from throughline.domain.visits import VisitSlot
from throughline.domain.words import Words

DAY_AND_TIME = (("visit_day", "visit_time"), ("call_day", "call_time"))


class Times(Protocol):
    """Free times, soonest first."""

    def days(self) -> list[date]:
        """The days that have something free."""

    def slots(self, day: date) -> list[VisitSlot]:
        """What is free on ``day``."""

    def find(self, day: date, when: str, words: Words) -> VisitSlot | None:
        """The slot of ``day`` for ``when``: ``HH:MM``, or a part of the day, whose first slot it is."""

    def clock_of(self, slot: VisitSlot) -> str:
        """The local time at which a slot begins, as a fact holds it."""


@dataclass(frozen=True)
class OfficeTimes:
    """When a person of the office can call: hours in which it is open."""

    hours: Hours
    zone: tzinfo
    today: date
    days_ahead: int
    earliest: datetime

    def days(self) -> list[date]:
        """The days on which the office is open, from today on."""
        days = (self.today + timedelta(days=ahead) for ahead in range(self.days_ahead))
        return [day for day in days if self.slots(day)]

    def slots(self, day: date) -> list[VisitSlot]:
        """The hours of ``day`` that are still to come."""
        if not self.today <= day < self.today + timedelta(days=self.days_ahead):
            return []
        return scheduling.office_slots(day, self.earliest, self.hours, self.zone)

    def find(self, day: date, when: str, words: Words) -> VisitSlot | None:
        """As Times says."""
        return scheduling.find_slot(self.slots(day), when, words.parts_of_day, self.zone)

    def clock_of(self, slot: VisitSlot) -> str:
        """As Times says."""
        return slot.start.astimezone(self.zone).strftime("%H:%M")


def asked_times(journey: Journey) -> tuple[str, str] | None:
    """The slots of the day and the time that ``journey`` asks for; None where it asks for none."""
    return next((pair for pair in DAY_AND_TIME if pair[0] in journey.needs), None)


async def times(where: Situation, journey: Journey, facts: Mapping[str, Any]) -> Times | None:
    """The free times for ``journey``; None while what they depend on is not known. Raises Unavailable, or Rejected."""
    pair = asked_times(journey)
    if pair == ("call_day", "call_time"):
        thresholds = where.business.thresholds
        earliest = where.now + timedelta(minutes=thresholds.call_lead_minutes)
        return OfficeTimes(where.business.hours, where.zone, where.today, thresholds.days_ahead, earliest)
    if "which_visit" not in journey.needs:
        return await agenda(where, facts)
    try:
        visit = await chosen_visit(where, facts.get("which_visit"))
    except NoVisit:
        return None
    return await agenda(where, wanted_of(visit), moving=visit)


def offered_days(where: Situation, free: Times) -> list[date]:
    """The days that are named in one breath."""
    return free.days()[: where.business.thresholds.days_offered]


def offered_slots(where: Situation, free: Times, day: date) -> list[VisitSlot]:
    """The windows that are named in one breath: spread over the day, so that morning and afternoon are both among them."""
    slots, count = free.slots(day), where.business.thresholds.windows_offered
    if len(slots) <= count:
        return slots
    step = (len(slots) - 1) / max(count - 1, 1)
    return [slots[round(position * step)] for position in range(count)]
