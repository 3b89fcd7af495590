"""Says goodbye; on the phone the call ends with it. An open booking stays open."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, comma_name, request, situation, stays_open


class Goodbye(Action):
    """``goodbye``, and a no to "anything else?"."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_goodbye"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Part."""
        where = situation(tracker)
        dispatcher.utter_message(response="utter_goodbye", comma_name=comma_name(where))
        end = [request("end_call")] if where.by_phone else []
        return [*end, *stays_open(where)]
