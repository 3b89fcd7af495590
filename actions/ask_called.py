"""Asks whoever has picked up when we called once more whether it is them; then gives up, because it may be a machine that talks."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, request

AGAIN = "asked_again"


class AskCalled(Action):
    """Whatever else is said by somebody whom we have called."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_called"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask again, or part."""
        listen = FollowupAction("action_listen")
        if tracker.get_slot("ui_placed") == AGAIN:
            dispatcher.utter_message(response="utter_call_given_up")
            return [request("end_call"), listen]
        dispatcher.utter_message(response="utter_call_placed_again")
        return [SlotSet("ui_placed", AGAIN), listen]
