"""Reads back what the customer has told us."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, answered, both, situation
from throughline.domain import recap


class AnswerKnown(Action):
    """``ask_known``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_known"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say all of it in one breath."""
        where = situation(tracker)
        known = recap.in_one_breath(where.facts, where.words, where.today)
        if known is None:
            dispatcher.utter_message(response="utter_known_nothing")
        else:
            dispatcher.utter_message(response="utter_known", **both(known=known))
        return answered(where)
