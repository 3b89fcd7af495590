"""Asks for the day of the first payment, naming how long it may take."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskPayDay(Action):
    """The form's question for the slot ``pay_day``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_pay_day"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("pay_day", situation(tracker), dispatcher)
        return []
