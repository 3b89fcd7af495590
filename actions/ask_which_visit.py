"""Asks which of several visits is meant, naming them."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskWhichVisit(Action):
    """The form's question for the slot ``which_visit``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_which_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("which_visit", situation(tracker), dispatcher)
        return []
