"""Ends the journey at hand in the way that data/business/journeys.yml says."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, situation


class EndJourney(Action):
    """When everything is known that it needs."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_end_journey"

    async def run(self, _dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Go on with its last action."""
        return [FollowupAction(situation(tracker).journey.ends)]
