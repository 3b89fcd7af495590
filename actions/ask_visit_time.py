"""Asks which time suits, naming windows of the chosen day that are really free."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskVisitTime(Action):
    """The form's question for the slot ``visit_time``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_visit_time"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("visit_time", situation(tracker), dispatcher)
        return []
