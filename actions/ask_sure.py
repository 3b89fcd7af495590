"""Asks whether the visit is to be cancelled, naming it: a mistake costs the customer their window."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskSure(Action):
    """The form's question for the slot ``sure``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_sure"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("sure", situation(tracker), dispatcher)
        return []
