"""Welcomes a message for somebody else: a fact in it begins a booking, without one we ask what is broken there."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction
from rasa_sdk.executor import CollectingDispatcher

from actions.new_fault import NewFault
from actions.situation import FORM, Event, Situation, answered, situation
from throughline.domain import answers
from throughline.domain.answers import Said


class ForSomeoneElse(Action):
    """``for_someone_else``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_for_someone_else"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: object) -> list[Event]:
        """Say that it is no difference, and go on."""
        where = situation(tracker)
        if where.in_form:
            dispatcher.utter_message(response="utter_of_course")
            return answered(where)
        if not _names_a_fault(where):
            dispatcher.utter_message(response="utter_for_someone_else")
            return answered(where)
        dispatcher.utter_message(response="utter_of_course")
        room = await NewFault().run(dispatcher, tracker, domain) if tracker.get_slot("ui_visit") else []
        return [*room, FollowupAction(FORM)]


def _names_a_fault(where: Situation) -> bool:
    """Whether the message says what it is about; a name alone says only for whom."""
    message = where.tracker.latest_message or {}
    said = Said(str(message.get("text") or ""), where.intent, tuple(message.get("entities") or ()))
    return bool({"appliance", "problem"} & set(answers.volunteered(said, {}, where.business, where.business.journeys.usual)))
