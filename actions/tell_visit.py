"""Tells when a visit is that was found by its reference, and ends the looking."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import why_not
from actions.situation import Event, journey_ends, situation
from actions.visits import NotYours, NoVisit, changeable_visit, visit_values
from throughline.errors import Rejected, Unavailable


class TellVisit(Action):
    """When it is found, or the looking is given up."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_tell_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say it. Who says that they have booked none is asked whether they would like to."""
        where = situation(tracker)
        try:
            visit = await changeable_visit(where, where.facts.get("which_visit"))
        except (NoVisit, NotYours, Unavailable, Rejected) as error:
            none = isinstance(error, NoVisit) and where.intent == "deny"
            dispatcher.utter_message(response="utter_visit_none" if none else why_not(error))
        else:
            dispatcher.utter_message(response="utter_visit_known", **visit_values(where, visit))
        return journey_ends(where, dispatcher)
