"""Answers when the office is open, and whether it is now."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, Situation, answered, both, situation
from throughline.domain import scheduling, speakable
from throughline.domain.words import Said


class AnswerHours(Action):
    """``ask_hours``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_hours"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say the hours."""
        where = situation(tracker)
        hours = speakable.office_hours(where.business.hours, where.words)
        dispatcher.utter_message(response="utter_hours", **both(hours=hours, now=_now(where)))
        return answered(where)


def _now(where: Situation) -> Said:
    hours = where.business.hours
    opens = scheduling.next_opening(where.now, hours, where.zone)
    if opens is None or scheduling.is_open(where.now, hours, where.zone):
        return where.words.open_now
    at = speakable.moment(opens.astimezone(where.zone), where.words, where.today)
    later = where.words.open_later
    return Said(later.shown.format(value=at.shown), later.spoken.format(value=at.spoken))
