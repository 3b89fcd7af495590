"""Asks in how many payments, naming how many there may be."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskPayParts(Action):
    """The form's question for the slot ``pay_parts``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_pay_parts"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("pay_parts", situation(tracker), dispatcher)
        return []
