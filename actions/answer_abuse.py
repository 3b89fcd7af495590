"""Stays kind when insulted: offers a person once, and after that only goes on."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.guesses import put_guess
from actions.said_before import lately
from actions.situation import Event, answered, situation

_PERSON = "ask_person"


class AnswerAbuse(Action):
    """``abuse``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_abuse"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Be sorry and offer a person; where that was said lately, leave it at that. In the form its question follows."""
        where = situation(tracker)
        if lately(self.name(), tracker):
            if where.in_form:
                return []
            dispatcher.utter_message(response="utter_abuse_again")
            return [SlotSet("ui_guess", None), *answered(where)]
        dispatcher.utter_message(response="utter_abuse")
        if where.in_form:  # there a yes would answer the form
            dispatcher.utter_message(response="utter_say_person")
            return []
        put_guess(_PERSON, dispatcher)
        return [SlotSet("ui_guess", _PERSON), *answered(where)]
