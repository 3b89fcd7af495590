"""Takes the answer to "would you like ...?": a yes does it, a no asks for other words."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.guesses import last_said
from actions.situation import Event, situation


class FollowGuess(Action):
    """``affirm`` or ``deny`` while a guess is open."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_follow_guess"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Do what was meant. A guess that was not the last thing we said is stale: then the answer is to something else."""
        where = situation(tracker)
        guess = str(tracker.get_slot("ui_guess"))
        closed = SlotSet("ui_guess", None)
        topic = [SlotSet("ui_topic", None)] if tracker.get_slot("ui_topic") else []
        mentioned = tracker.get_slot("ui_next")  # what was mentioned beside a journey that is over
        forgotten = [SlotSet("ui_next", None)] if mentioned else []
        last = last_said(tracker)
        if last == "utter_next_matter" and where.intent == "deny":
            dispatcher.utter_message(response="utter_nothing_to_stop")
            return [closed, *forgotten, FollowupAction("action_listen")]
        if last not in (f"utter_guess_{guess}", "utter_next_matter"):
            dispatcher.utter_message(response="utter_what_next")
            return [closed, *topic, FollowupAction("action_listen")]
        if where.intent == "affirm" and guess in where.business.dialogue.guesses:
            journey = where.business.journeys.begun_by(guess)
            begun = [SlotSet("ui_journey", journey.journey)] if journey else []
            return [closed, *begun, FollowupAction(where.business.dialogue.guesses[guess])]
        dispatcher.utter_message(response="utter_rephrase_other")
        return [closed, *topic, FollowupAction("action_listen")]
