"""Reads every message that comes while the booking form is open, and checks the facts in it before they are kept.

Rasa calls it at three moments, told apart by what stands behind the customer's message in the tracker: when the form begins (everything
known is checked), for an answer to the open question, and when the form is come back to after something else was answered (nothing to do).
What always holds: a fact that leaves here is one that can be acted on: an appliance we repair, a place we serve, a day and a window
that are really free.
"""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import ActionExecutionRejected, FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.fact_checks import FactChecks
from actions.handing_over import latest_message_name
from actions.situation import FORM, Event, Situation, put_back, situation, slots_before_message
from throughline.domain import answers, recap
from throughline.domain.answers import Said

# Kinds of entities that are learned from examples and have no list of names, with what they may be mistaken for.
_MISTAKEN = {"problem": ("customer_name",), "brand": ("customer_name", "problem"), "customer_name": ("problem",)}


class ValidateFaultForm(Action):
    """Called by Rasa's form of the same name."""

    def name(self) -> str:
        """As in domain.yml."""
        return f"validate_{FORM}"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """The facts after this message, or a rejection where it does not answer the form."""
        where = situation(tracker)
        begins = _begins(tracker)
        if not begins and _came_back(tracker):
            return []
        said = _said(where)
        if answers.about_gas(said.text, where.business):
            return _instead("action_gas_emergency")
        before = slots_before_message(tracker)
        if not begins and _is_digression(said, where, tracker.get_slot("requested_slot")):
            return [ActionExecutionRejected(FORM), *_put_back(where, before)]
        # A fact of an earlier fault, withdrawn since the message came, is not known any more.
        known = {slot: value for slot, value in recap.told(before).items() if tracker.get_slot(slot) is not None or not begins}
        asked = None if begins else tracker.get_slot("requested_slot")
        told = _told(said, where, before, asked)
        if begins and not told and said.intent in where.business.dialogue.begin_with_fact:
            return _instead("action_clarify")
        checks = FactChecks(where, dispatcher, known=known, asked=asked, begins=begins)
        final = await checks.run({**known, **told})
        events = [
            SlotSet(slot, final.get(slot)) if slot in told or final.get(slot) is None else put_back(tracker, slot, final[slot])
            for slot in recap.FACTS
            if final.get(slot) != tracker.get_slot(slot)
        ]
        if not events and told:
            # Nothing changed, but the question was answered: without an event Rasa would take it for a digression.
            events = [SlotSet(slot, final.get(slot)) for slot in told]
        if begins:
            events += [SlotSet("ui_booking", latest_message_name(where)), SlotSet("ui_handed_over", None)]
        return events


def _instead(action: str) -> list[Event]:
    """Events that end the form without another question and do ``action``."""
    return [SlotSet("requested_slot", None), FollowupAction(action)]


def _begins(tracker: Tracker) -> bool:
    """Whether the form began with the latest message."""
    for event in reversed(tracker.events):
        if event.get("event") == "user":
            return False
        if event.get("event") == "active_loop":
            return bool(event.get("name") == FORM)
    return False


def _came_back(tracker: Tracker) -> bool:
    """Whether something else was done for the latest message already."""
    for event in reversed(tracker.events):
        if event.get("event") == "user":
            return False
        if event.get("event") == "action" and event.get("name") not in (FORM, "action_extract_slots", "action_listen"):
            return True
    return False


def _said(where: Situation) -> Said:
    message = where.tracker.latest_message or {}
    return Said(str(message.get("text") or ""), where.intent, tuple(message.get("entities") or ()))


def _is_digression(said: Said, where: Situation, asked: str | None) -> bool:
    if said.intent == "give_code" and not said.values("code"):
        return not (said.values("postcode") or said.values("date") or said.values("time"))
    dialogue = where.business.dialogue
    if said.intent in dialogue.courtesies and asked is not None and asked in answers.volunteered(said, {}, where.business):
        return False
    return said.intent in dialogue.digressions


def _put_back(where: Situation, before: dict[str, Any]) -> list[Event]:
    """A question is no answer: what it named replaces no fact, and what we can't serve becomes none."""
    events = []
    for slot in recap.FACTS:
        value, earlier = where.tracker.get_slot(slot), before.get(slot)
        useless = (slot == "postcode" and where.business.territory_of(str(value)) is None) or (
            slot == "appliance" and value not in where.business.services
        )
        if value != earlier and (earlier is not None or useless):
            events.append(put_back(where.tracker, slot, earlier))
    return events


def _told(said: Said, where: Situation, before: dict[str, Any], asked: str | None) -> dict[str, Any]:
    """The facts in the message: volunteered ones, and the answer to the open question."""
    told = answers.volunteered(said, before, where.business)
    if said.intent in ("urgent", "not_urgent"):
        told["urgent"] = said.intent == "urgent"
        if before.get("problem") is not None:
            told.pop("problem", None)  # "it's not pressing" is no other problem
    if not asked:
        return told
    if asked in ("visit_day", "visit_time"):
        choice = answers.choice(said, where.business)
        if choice is not None:
            # "The second one" is neither the second of the month nor one o'clock.
            return {**told, asked: choice}
    if asked == "visit_day" and "since" in told and "visit_day" not in told and before.get("since") is not None:
        told["visit_day"] = told.pop("since")  # a day that is past, which will be said
    if asked in _MISTAKEN and asked not in told and said.intent != "correct":
        _reassign(told, asked, said, where)
    if asked not in told:
        value = answers.answer(asked, said, where.business)
        if value is not None:
            told[asked] = value
    return told


def _reassign(told: dict[str, Any], asked: str, said: Said, where: Situation) -> None:
    """What was learned as another kind of entity, but is nearly all that was said, is the answer to the question."""
    whole = answers.bare(said.text, where.business)
    for other in _MISTAKEN[asked]:
        if other in told and len(str(told[other])) >= 0.8 * len(whole):
            value = told.pop(other)
            told[asked] = answers.name(str(value), where.business) or value if asked == "customer_name" else value
