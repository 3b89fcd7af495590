"""Asks which day suits, naming the next days that are really free."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskVisitDay(Action):
    """The form's question for the slot ``visit_day``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_visit_day"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("visit_day", situation(tracker), dispatcher)
        return []
