"""Lets somebody go who wanted somebody else; on the phone the call ends with it."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, request, situation, stays_open


class WrongNumber(Action):
    """``wrong_number``, where no booking is going on."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_wrong_number"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Part."""
        where = situation(tracker)
        dispatcher.utter_message(response="utter_wrong_number")
        end = [request("end_call")] if where.by_phone else []
        return [*end, *stays_open(where)]
