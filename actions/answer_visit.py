"""Answers when the visit is. Where this conversation has none, it is looked for by its reference."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import FORM, Event, Situation, answered, situation
from actions.visits import booked_visit, visit_values
from throughline.errors import Rejected, Unavailable

_LOOKS = "find_visit"  # the journey of data/business/journeys.yml; a company without it says that there is none


class AnswerVisit(Action):
    """``ask_visit`` and ``forgot_reference``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say the next visit, or that there is none; begin to look for it where nothing else is under way."""
        where = situation(tracker)
        try:
            visit = await booked_visit(where)
        except (Unavailable, Rejected):
            dispatcher.utter_message(response="utter_calendar_unavailable")
            return answered(where)
        looks = where.business.journeys.named(_LOOKS)
        if visit is None and looks and where.intent != "forgot_reference" and not where.in_form:
            return [SlotSet("ui_journey", looks.journey), FollowupAction(FORM)]
        if visit:
            dispatcher.utter_message(response="utter_visit_known", **visit_values(where, visit))
        else:
            dispatcher.utter_message(response=_why_none(where))
        return answered(where)


def _why_none(where: Situation) -> str:
    if where.intent == "forgot_reference":
        return "utter_no_visit_to_change"
    booking = where.in_form and where.journey is where.business.journeys.usual
    return "utter_visit_open" if booking else "utter_visit_none"
