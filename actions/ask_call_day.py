"""Asks on which day a person should call, naming the next days on which the office is open."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import put
from actions.situation import Event, situation


class AskCallDay(Action):
    """The form's question for the slot ``call_day``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_ask_call_day"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask."""
        await put("call_day", situation(tracker), dispatcher)
        return []
