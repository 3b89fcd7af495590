"""Puts the form's open question: as the form does, or once more in plainer words."""

from __future__ import annotations

from datetime import date

from rasa_sdk.executor import CollectingDispatcher

from actions.agenda import agenda, offered_days, offered_slots, window_of
from actions.situation import Situation, both
from throughline.domain import speakable
from throughline.domain.recap import FACTS
from throughline.errors import Unavailable


def open_question(where: Situation) -> str | None:
    """The fact that is asked for: the form's own next one, or the first that is missing."""
    requested = where.tracker.get_slot("requested_slot")
    if requested:
        return str(requested)
    return next((slot for slot in FACTS if where.tracker.get_slot(slot) is None), None)


async def put(slot: str, where: Situation, dispatcher: CollectingDispatcher, *, again: bool = False) -> None:
    """Ask for ``slot``. Days and windows are read from the calendar; if it can't be reached, that is said."""
    if slot == "visit_day":
        await put_visit_day(where, dispatcher)
    elif slot == "visit_time":
        await put_visit_time(where, dispatcher)
    else:
        dispatcher.utter_message(response=f"utter_again_{slot}" if again else f"utter_ask_{slot}")


async def put_visit_day(where: Situation, dispatcher: CollectingDispatcher) -> None:
    """Ask for the day, naming the next free ones."""
    try:
        free = await agenda(where, where.facts)
    except Unavailable:
        dispatcher.utter_message(response="utter_calendar_unavailable")
        return
    days = offered_days(where, free) if free else []
    if not days:
        dispatcher.utter_message(response="utter_no_days", days_ahead=where.business.thresholds.days_ahead)
        return
    said = speakable.joined([where.day(day) for day in days], where.words.conjunction)
    dispatcher.utter_message(response="utter_ask_visit_day", **both(days=said))


async def put_visit_time(where: Situation, dispatcher: CollectingDispatcher) -> None:
    """Ask for the time, naming free windows of the chosen day."""
    try:
        free = await agenda(where, where.facts)
    except Unavailable:
        dispatcher.utter_message(response="utter_calendar_unavailable")
        return
    chosen = where.facts.get("visit_day")
    if free is None or chosen is None:
        await put_visit_day(where, dispatcher)
        return
    day = date.fromisoformat(chosen)
    windows = [window_of(where, slot) for slot in offered_slots(where, free, day)]
    said = speakable.joined(windows, where.words.alternative)
    dispatcher.utter_message(response="utter_ask_visit_time", **both(wanted_day=where.day(day), windows=said))
