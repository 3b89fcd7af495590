"""Waits when asked to, without putting the open question again."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, situation, stays_open


class Wait(Action):
    """``wait``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_wait"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say that there is time."""
        dispatcher.utter_message(response="utter_wait")
        return stays_open(situation(tracker))
