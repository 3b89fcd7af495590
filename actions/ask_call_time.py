"""Asks at which time a person should call, naming hours of the chosen day."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskCallTime(Action):
    """The form's question for the slot ``call_time``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_call_time"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("call_time", situation(tracker), dispatcher)
        return []
