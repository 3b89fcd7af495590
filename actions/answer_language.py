"""Says in several languages which one is spoken here, and offers a person."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.guesses import put_guess
from actions.said_before import in_the_turn_before
from actions.situation import Event, answered, situation

_PERSON = "ask_person"


class AnswerLanguage(Action):
    """``other_language``. Whoever goes on in it has not understood our offer, and gets a person without another question."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_language"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say it, and offer."""
        where = situation(tracker)
        if in_the_turn_before(self.name(), tracker):
            return [SlotSet("ui_guess", None), FollowupAction("action_request_person")]
        dispatcher.utter_message(response="utter_other_language")
        if where.in_form:  # there a yes would answer the form
            dispatcher.utter_message(response="utter_say_person")
            return answered(where)
        put_guess(_PERSON, dispatcher)
        return [SlotSet("ui_guess", _PERSON), *answered(where)]
