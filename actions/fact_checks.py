"""Checks facts before they are kept, and says what is wrong with one that can't be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from rasa_sdk.executor import CollectingDispatcher

from actions.agenda import Agenda, agenda, offered_days, offered_slots
from actions.situation import Situation, both
from throughline.domain import answers, recap, speakable
from throughline.errors import Unavailable


class FactChecks:
    """The checks of one turn. ``known`` are the facts before it, ``asked`` is the open question; when the form ``begins`` the known
    facts are checked too."""

    def __init__(
        self,
        where: Situation,
        dispatcher: CollectingDispatcher,
        *,
        known: Mapping[str, Any],
        asked: str | None,
        begins: bool,
    ) -> None:
        self._where = where
        self._say = dispatcher.utter_message
        self._known = known
        self._asked = asked
        self._begins = begins

    async def run(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        """``proposed`` without what can't be kept, each value in its final form. Says what was dropped and what was changed."""
        facts = dict(proposed)
        self._appliance(facts)
        self._name(facts)
        self._postcode(facts)
        await self._visit(facts)
        facts = {slot: value for slot, value in facts.items() if value is not None}
        self._acknowledge(facts)
        return facts

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
        if not self._is_news("customer_name", facts):
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
            said = both(postcode=speakable.digits(postcode))
            self._say(response="utter_outside_area", territories=names, **said)
            facts["postcode"] = None

    async def _visit(self, facts: dict[str, Any]) -> None:
        """Day and time, as far as they can be checked: appliance and place must be known for that."""
        if facts.get("visit_day") is None and facts.get("visit_time") is None:
            return
        try:
            free = await agenda(self._where, facts)
        except Unavailable:
            # What was said stays; the booking will say that the calendar can't be reached.
            self._drop_unless_literal(facts)
            return
        if free is None:
            self._drop_unless_literal(facts)
            return
        self._day(facts, free)
        if facts.get("visit_day") is not None and facts.get("visit_time") is not None:
            self._time(facts, free)

    def _drop_unless_literal(self, facts: dict[str, Any]) -> None:
        """Without an agenda only a day or time that was named stands; a choice from what was offered does not."""
        if not _is_day(facts.get("visit_day")):
            facts["visit_day"] = None
        if facts.get("visit_time") in self._where.business.dialogue.ordinals or facts.get("visit_time") == answers.ANY:
            facts["visit_time"] = None

    def _day(self, facts: dict[str, Any], free: Agenda) -> None:
        wanted = facts.get("visit_day")
        if wanted is None:
            return
        if not _is_day(wanted):
            days = offered_days(self._where, free)
            position = 0 if wanted == answers.ANY else answers.chosen(wanted, len(days), self._where.business)
            facts["visit_day"] = days[position].isoformat() if days and position is not None else None
            return
        day = date.fromisoformat(str(wanted))
        if free.slots(day):
            return
        self._say(
            response="utter_day_past" if day < self._where.today else "utter_day_full", **both(wanted_day=self._where.day(day))
        )
        facts["visit_day"] = None
        if facts.get("visit_time") == self._known.get("visit_time"):
            facts["visit_time"] = None

    def _time(self, facts: dict[str, Any], free: Agenda) -> None:
        day, wanted = date.fromisoformat(str(facts["visit_day"])), str(facts["visit_time"])
        if wanted == answers.ANY:
            slot = next(iter(free.slots(day)), None)
        elif wanted in self._where.business.dialogue.ordinals:
            offered = offered_slots(self._where, free, day)
            position = answers.chosen(wanted, len(offered), self._where.business)
            slot = None if position is None else offered[position]
        else:
            slot = free.find(day, wanted, self._where.words)
        if slot is None:
            self._say(response="utter_time_full", **both(wanted_day=self._where.day(day)))
        facts["visit_time"] = None if slot is None else free.clock_of(slot)

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
            return slot != self._asked and not (slot == "visit_time" and self._asked == "visit_day")
        return earlier not in self._where.words.parts_of_day


def _is_day(value: Any) -> bool:
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return False
    return True
