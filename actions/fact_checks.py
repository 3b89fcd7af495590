"""Checks facts before they are kept, and says what is wrong with one that can't be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rasa_sdk.executor import CollectingDispatcher

from actions.agenda import agenda, is_in_time
from actions.situation import Situation, both
from actions.times import Times, asked_times, offered_days, offered_slots, times
from actions.visits import NotYours, NoVisit, changeable_visits, find_visit, visit_values
from throughline.domain import answers, recap, said_digits, speakable
from throughline.domain.facts import DAYS, FINDING, TIMES
from throughline.domain.journeys import Journey
from throughline.domain.privacy import UNKNOWN
from throughline.domain.tel_link import is_e164
from throughline.domain.visits import Visit
from throughline.errors import Rejected, Unavailable

_ANY_PARTS = 60  # monthly payments that somebody may mean
_NO_MORE = {"too_many_tries": "utter_find_too_many", "closed": "utter_find_closed"}
_PROMISED_FOR = ("urgent", "appliance", "postcode")  # what it depends on how soon somebody can come, and how soon we promise to


class GivenUp(Exception):
    """A visit can't be looked for any more; ``response`` says why."""

    def __init__(self, response: str) -> None:
        super().__init__(response)
        self.response = response


class FactChecks:
    """The checks of one turn. ``known`` are the journey's facts before it, ``asked`` is the open question; when the form ``begins`` the
    known facts are checked too."""

    def __init__(
        self,
        where: Situation,
        dispatcher: CollectingDispatcher,
        journey: Journey,
        *,
        known: Mapping[str, Any],
        asked: str | None,
        begins: bool = False,
    ) -> None:
        self._where = where
        self._journey = journey
        self._say = dispatcher.utter_message
        self._known = known
        self._asked = asked
        self._begins = begins

    async def run(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        """``proposed`` without what can't be kept, each value in its final form. Says what was dropped and what was changed.
        Raises GivenUp."""
        facts = dict(proposed)
        self._appliance(facts)
        self._product(facts)
        self._name(facts)
        self._postcode(facts)
        self._number(facts)
        self._payment(facts)
        await self._find(facts)
        await self._which(facts)
        await self._day_and_time(facts)
        facts = {slot: value for slot, value in facts.items() if value is not None}
        self._acknowledge(facts)
        await self._say_if_late(facts)
        return facts

    def _told_in(self, slot: str, facts: Mapping[str, Any]) -> str | None:
        """The visit in which a value was told that no slot holds yet."""
        return self._where.session_id if facts.get(slot) != self._known.get(slot) else UNKNOWN

    def _is_news(self, slot: str, facts: Mapping[str, Any]) -> bool:
        return slot in facts and (self._begins or facts[slot] != self._known.get(slot))

    def _appliance(self, facts: dict[str, Any]) -> None:
        if not self._is_news("appliance", facts):
            return
        business = self._where.business
        found = business.service_named(facts["appliance"])
        if found is None:
            # "The toaster too" is no reason to forget the oven; "no, the toaster" is.
            found = (
                None
                if self._begins or self._where.intent == "correct"
                else business.service_named(self._known.get("appliance"))
            )
            names = speakable.named(list(business.services), self._where.words.conjunction)
            self._say(response="utter_appliance_unknown", appliances=names)
        facts["appliance"] = found

    def _name(self, facts: dict[str, Any]) -> None:
        if not self._is_news("customer_name", facts) or facts["customer_name"] == self._where.words.unknown:
            return
        name = answers.name(str(facts["customer_name"]), self._where.business)
        if name is None and not self._begins:
            self._say(response="utter_name_again")
        facts["customer_name"] = name

    def _postcode(self, facts: dict[str, Any]) -> None:
        if not self._is_news("postcode", facts):
            return
        postcode, business = str(facts["postcode"]), self._where.business
        if not (len(postcode) == 5 and postcode.isdigit()):
            self._say(response="utter_postcode_again")
            facts["postcode"] = None
        elif business.territory_of(postcode) is None:
            names = speakable.named([one.name for one in business.territories], self._where.words.conjunction)
            said = both(postcode=said_digits.digits(postcode))
            self._say(response="utter_outside_area", territories=names, **said)
            facts["postcode"] = None

    def _product(self, facts: dict[str, Any]) -> None:
        if not self._is_news("product", facts):
            return
        business = self._where.business
        found = business.installed_named(facts["product"])
        if found is None:
            names = speakable.named(list(business.prices.installed), self._where.words.conjunction)
            self._say(response="utter_product_unknown", products=names)
        facts["product"] = found

    def _number(self, facts: dict[str, Any]) -> None:
        number = facts.get("phone_number")
        if number == self._where.words.unknown and "phone_number" in self._journey.can_go_without:
            return
        if self._is_news("phone_number", facts) and not is_e164(str(number)):
            self._say(response="utter_number_again")
            facts["phone_number"] = None

    def _payment(self, facts: dict[str, Any]) -> None:
        """What goes beyond what may be agreed here is kept: the journey's end passes it to a person. What can't be meant is not."""
        day, parts = facts.get("pay_day"), facts.get("pay_parts")
        if self._is_news("pay_day", facts) and date.fromisoformat(str(day)) < self._where.today:
            past = self._where.day(date.fromisoformat(str(day)))
            self._say(response="utter_day_past", told_in=self._told_in("pay_day", facts), **both(wanted_day=past))
            facts["pay_day"] = None
        if self._is_news("pay_parts", facts) and not 0 < int(str(parts)) <= _ANY_PARTS:
            facts["pay_parts"] = None

    async def _find(self, facts: dict[str, Any]) -> None:
        """The visit of another conversation, once both are told by which it is found. What did not lead to one is asked for anew."""
        looked_for = [facts.get(slot) for slot in FINDING]
        if not self._journey.is_looking or None in looked_for or not any(self._is_news(slot, facts) for slot in FINDING):
            return
        try:
            visit = await find_visit(self._where, *map(str, looked_for))
        except Unavailable as error:
            raise GivenUp("utter_calendar_unavailable") from error
        except Rejected as refusal:
            if refusal.reason != "no_match":
                raise GivenUp(_NO_MORE.get(refusal.reason, "utter_find_closed")) from refusal
            self._say(response="utter_visit_not_found")
            facts.update(dict.fromkeys(FINDING))
            return
        facts["which_visit"] = visit.reference
        if asked_times(self._journey):  # elsewhere the next thing that is said names it
            self._say(response="utter_visit_found", **visit_values(self._where, visit))

    async def _which(self, facts: dict[str, Any]) -> None:
        """The visit that is meant, by its reference: told by that, by its appliance, its day, or its place in what was offered."""
        if not self._is_news("which_visit", facts):
            return
        try:
            visits = await changeable_visits(self._where)
        except (NoVisit, NotYours, Unavailable, Rejected):
            facts["which_visit"] = None  # the question says why
            return
        facts["which_visit"] = self._meant(str(facts["which_visit"]), visits)

    def _meant(self, wanted: str, visits: Sequence[Visit]) -> str | None:
        position = answers.chosen(wanted, len(visits), self._where.business)
        if position is not None:
            return visits[position].reference
        zone = self._where.zone
        fitting = [
            visit
            for visit in visits
            if wanted in (visit.reference, visit.details.get("appliance"), visit.slot.start.astimezone(zone).date().isoformat())
        ]
        return fitting[0].reference if len(fitting) == 1 else None

    async def _day_and_time(self, facts: dict[str, Any]) -> None:
        """Day and time, as far as they can be checked: what they depend on must be known for that."""
        asked = asked_times(self._journey)
        if asked is None or (facts.get(asked[0]) is None and facts.get(asked[1]) is None):
            return
        day, clock = asked
        try:
            free = await times(self._where, self._journey, facts)
        except (Unavailable, Rejected):
            free = None  # what was said stays; the end of the journey will say that the calendar can't be reached
        if free is None:
            self._drop_unless_literal(day, clock, facts)
            return
        self._day(day, clock, facts, free)
        if facts.get(day) is not None and facts.get(clock) is not None:
            self._time(day, clock, facts, free)

    def _drop_unless_literal(self, day: str, clock: str, facts: dict[str, Any]) -> None:
        """Without free times only a day or time that was named stands; a choice from what was offered does not."""
        if not _is_day(facts.get(day)):
            facts[day] = None
        if facts.get(clock) in self._where.business.dialogue.ordinals or facts.get(clock) == answers.ANY:
            facts[clock] = None

    def _day(self, slot: str, clock: str, facts: dict[str, Any], free: Times) -> None:
        wanted = facts.get(slot)
        if wanted is None:
            return
        if not _is_day(wanted):
            days = offered_days(self._where, free)
            position = 0 if wanted == answers.ANY else answers.chosen(wanted, len(days), self._where.business)
            facts[slot] = days[position].isoformat() if days and position is not None else None
            return
        day = date.fromisoformat(str(wanted))
        if free.slots(day):
            return
        full = "utter_day_full" if slot == "visit_day" else "utter_day_closed"
        response = "utter_day_past" if day < self._where.today else full
        self._say(response=response, told_in=self._told_in(slot, facts), **both(wanted_day=self._where.day(day)))
        facts[slot] = None
        if facts.get(clock) == self._known.get(clock):
            facts[clock] = None

    def _time(self, slot: str, clock: str, facts: dict[str, Any], free: Times) -> None:
        day, wanted = date.fromisoformat(str(facts[slot])), str(facts[clock])
        if wanted == answers.ANY:
            found = next(iter(free.slots(day)), None)
        elif wanted in self._where.business.dialogue.ordinals:
            offered = offered_slots(self._where, free, day)
            position = answers.chosen(wanted, len(offered), self._where.business)
            found = None if position is None else offered[position]
        else:
            found = free.find(day, wanted, self._where.words)
        if found is None:
            full = "utter_time_full" if clock == "visit_time" else "utter_time_closed"
            self._say(response=full, told_in=self._told_in(slot, facts), **both(wanted_day=self._where.day(day)))
        facts[clock] = None if found is None else free.clock_of(found)

    async def _say_if_late(self, facts: Mapping[str, Any]) -> None:
        """Where it is urgent and nothing is free as soon as we promise, say so before anything is offered: once, when what that depends on
        has become known. Where nothing is free at all, the question for the day says that."""
        is_urgent = facts.get("urgent") is True and _PROMISED_FOR[0] in self._journey.needs
        if not is_urgent or all(facts.get(slot) == self._known.get(slot) for slot in _PROMISED_FOR):
            return
        try:
            free = await agenda(self._where, facts)
        except (Unavailable, Rejected):
            return  # the question for the day says it
        appliance = str(facts["appliance"]) if free else ""
        if free is None or free.soonest() is None or is_in_time(self._where, free, appliance):
            return
        hours = self._where.business.promise(appliance).within_hours
        self._say(response="utter_later_than_promised", told_in=self._told_in("urgent", facts), promised_hours=hours)

    def _acknowledge(self, facts: Mapping[str, Any]) -> None:
        """Say back, in the middle of the form, what replaced something we had and what we had not asked for."""
        if self._begins:
            return
        noted = {slot: value for slot, value in facts.items() if value != self._known.get(slot) and self._worth_saying(slot)}
        said = recap.in_one_breath(recap.told(noted), self._where.words, self._where.today)
        if said is not None:
            self._say(response="utter_noted", told_in=self._where.session_id, **both(fact=said))

    def _worth_saying(self, slot: str) -> bool:
        earlier = self._known.get(slot)
        if earlier is None:
            # What was asked for needs no echo, and a day or a window is said with the next question or the booking.
            return slot != self._asked and not (slot in TIMES and self._asked in DAYS)
        return earlier not in self._where.words.parts_of_day


def _is_day(value: Any) -> bool:
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return False
    return True
