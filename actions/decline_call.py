"""Ends a call that we have placed, where whoever has picked up does not want it."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, request


class DeclineCall(Action):
    """``deny``, ``stop`` and ``goodbye``, from somebody whom we have called."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_decline_call"

    async def run(self, dispatcher: CollectingDispatcher, _tracker: Tracker, _domain: object) -> list[Event]:
        """Part."""
        dispatcher.utter_message(response="utter_call_declined")
        return [request("end_call"), FollowupAction("action_listen")]
