"""Goes on with a conversation on another channel: greets with what is known, and puts the next open question, nothing else. Who was cut off
just now is told the rest of what they were being told instead of what is known, which they know.

The runner runs it without a message of the customer, when a call begins and after a merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import ActiveLoop, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.cut_off import CutOff, cut_off
from actions.guesses import put_guess_again
from actions.questions import open_question, put
from actions.situation import FORM, Event, Situation, both, comma_name, situation
from actions.visits import booked_visit, visit_values
from throughline import log
from throughline.domain import recap
from throughline.domain.visits import Visit
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class Resume(Action):
    """At the beginning of a call."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_resume"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Greet. Where a booking is open it goes on: the form is set again, so that the next message answers it."""
        where = situation(tracker)
        if tracker.get_slot("ui_placed"):  # we have called, and don't know yet who has picked up
            dispatcher.utter_message(response="utter_call_placed")
            return []
        cut = await _cut_off(where)
        if cut:
            dispatcher.utter_message(response="utter_resume", comma_name=comma_name(where))
            dispatcher.utter_message(response="utter_cut_off", said=cut.rest, told_in=cut.session_id)
            return await _ask_on(where, dispatcher) if where.in_form else []
        handed_over, booked = tracker.get_slot("ui_handed_over"), tracker.get_slot("ui_visit")
        if not (where.facts or where.in_form or handed_over or booked):
            _greet_with_nothing_known(where, dispatcher)
            return []
        dispatcher.utter_message(response="utter_resume", comma_name=comma_name(where))
        if where.in_form:
            return await _go_on(where, dispatcher)
        visit = await _visit(where) if booked else None
        if visit:
            dispatcher.utter_message(response="utter_resume_booked", **visit_values(where, visit))
        elif handed_over:
            dispatcher.utter_message(response="utter_resume_person")
        else:
            _say_known(where, dispatcher, where.facts)
            if not put_guess_again(where, dispatcher):
                dispatcher.utter_message(response="utter_resume_open")
        return []


def _greet_with_nothing_known(where: Situation, dispatcher: CollectingDispatcher) -> None:
    """Greet somebody who has told us nothing that we keep. Who has spoken with us before has found their conversation, and is not asked
    for a code."""
    if where.tracker.get_slot("ui_claim"):
        dispatcher.utter_message(response="utter_call_claimed")
    elif any(event.get("event") == "user" for event in where.tracker.events):
        dispatcher.utter_message(response="utter_resume", comma_name=comma_name(where))
        if not put_guess_again(where, dispatcher):
            dispatcher.utter_message(response="utter_resume_open")
    else:
        dispatcher.utter_message(response="utter_call_welcome")


async def _go_on(where: Situation, dispatcher: CollectingDispatcher) -> list[Event]:
    needed = {slot: value for slot, value in where.facts.items() if slot in where.journey.needs}
    _say_known(where, dispatcher, needed)
    return await _ask_on(where, dispatcher)


async def _ask_on(where: Situation, dispatcher: CollectingDispatcher) -> list[Event]:
    slot = open_question(where)
    if slot:
        await put(slot, where, dispatcher)
    return [ActiveLoop(FORM), SlotSet("requested_slot", slot)]


def _say_known(where: Situation, dispatcher: CollectingDispatcher, facts: Mapping[str, Any]) -> None:
    """Everything but the name, which was in the greeting."""
    known = recap.in_one_breath(facts, where.words, where.today, without=("customer_name",))
    if known is not None:
        dispatcher.utter_message(response="utter_resume_known", **both(known=known))


async def _cut_off(where: Situation) -> CutOff | None:
    try:
        return await cut_off(where)
    except (Unavailable, Rejected) as error:
        _log.error("resume.no_record", error=str(error))
        return None


async def _visit(where: Situation) -> Visit | None:
    try:
        return await booked_visit(where)
    except (Unavailable, Rejected) as error:
        _log.error("resume.no_calendar", error=str(error))
        return None
