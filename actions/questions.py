"""Puts the form's open question: as the form does, or once more in plainer words."""

from __future__ import annotations

from datetime import date

from rasa_sdk.executor import CollectingDispatcher

from actions.agenda import window_of
from actions.situation import Situation, both
from actions.times import DAY_AND_TIME, offered_days, offered_slots, times
from actions.visits import NotYours, NoVisit, changeable_visits, chosen_visit, late_fee, visit_values
from throughline.domain import speakable
from throughline.domain.visits import Visit
from throughline.domain.words import Said
from throughline.errors import Rejected, Unavailable


def open_question(where: Situation) -> str | None:
    """The fact that is asked for: the form's own next one, or the first that is missing."""
    requested = where.tracker.get_slot("requested_slot")
    if requested:
        return str(requested)
    return next((slot for slot in where.journey.needs if where.tracker.get_slot(slot) is None), None)


async def put(slot: str, where: Situation, dispatcher: CollectingDispatcher, *, again: bool = False) -> None:
    """Ask for ``slot``. Days, windows and visits are read from the calendar; if it can't be reached, that is said."""
    days, clocks = zip(*DAY_AND_TIME, strict=True)
    try:
        if slot in days:
            await _put_day(slot, where, dispatcher, again=again)
        elif slot in clocks:
            await _put_time(slot, where, dispatcher, again=again)
        elif slot == "which_visit":
            await _put_which(where, dispatcher, again=again)
        elif slot == "sure":
            visit = await chosen_visit(where, where.facts.get("which_visit"))
            fee = late_fee(where, visit)
            values = {**visit_values(where, visit), **both(fee=speakable.money(fee, where.words, where.business.company))}
            dispatcher.utter_message(response=_asks("sure_late" if fee else "sure", again=again), **values)
        else:
            dispatcher.utter_message(response=_asks(slot, again=again), **_limits(where))
    except (Unavailable, Rejected):
        dispatcher.utter_message(response="utter_calendar_unavailable")
    except (NoVisit, NotYours) as error:
        dispatcher.utter_message(response=why_not(error))


def _asks(question: str, *, again: bool) -> str:
    """The response that puts a question."""
    return f"utter_again_{question}" if again else f"utter_ask_{question}"


def why_not(error: Exception) -> str:
    """The response that says why there is no visit to be changed."""
    if isinstance(error, NoVisit):
        return "utter_no_visit_to_change"
    return "utter_visit_not_yours" if isinstance(error, NotYours) else "utter_calendar_unavailable"


async def _put_day(slot: str, where: Situation, dispatcher: CollectingDispatcher, *, again: bool) -> None:
    """Ask for the day, naming the next free ones."""
    free = await times(where, where.journey, where.facts)
    days = offered_days(where, free) if free else []
    if not days:
        dispatcher.utter_message(response="utter_no_days", days_ahead=where.business.thresholds.days_ahead)
        return
    said = speakable.joined([where.day(day) for day in days], where.words.conjunction)
    dispatcher.utter_message(response=_asks(slot, again=again), **both(days=said))


async def _put_time(slot: str, where: Situation, dispatcher: CollectingDispatcher, *, again: bool) -> None:
    """Ask for the time, naming free windows of the chosen day."""
    of_day = {clock: day for day, clock in DAY_AND_TIME}[slot]
    free, chosen = await times(where, where.journey, where.facts), where.facts.get(of_day)
    if free is None or chosen is None:
        await _put_day(of_day, where, dispatcher, again=again)
        return
    day = date.fromisoformat(chosen)
    windows = [window_of(where, found) for found in offered_slots(where, free, day)]
    said = speakable.joined(windows, where.words.alternative)
    dispatcher.utter_message(response=_asks(slot, again=again), **both(wanted_day=where.day(day), windows=said))


async def _put_which(where: Situation, dispatcher: CollectingDispatcher, *, again: bool) -> None:
    """Ask which visit, naming them."""
    visits = await changeable_visits(where)
    named = [_named(where, visit) for visit in visits]
    session = {visit.details.get("session") for visit in visits}
    told_in = session.pop() if len(session) == 1 else None
    said = speakable.joined(named, where.words.alternative)
    dispatcher.utter_message(response=_asks("which_visit", again=again), told_in=told_in, **both(visits=said))


def _named(where: Situation, visit: Visit) -> Said:
    """A visit by its day and what it is for."""
    day, appliance = where.day(visit.slot.start.astimezone(where.zone).date()), str(visit.details.get("appliance") or "")
    form = where.words.visit_named
    return Said(form.shown.format(day=day.shown, appliance=appliance), form.spoken.format(day=day.spoken, appliance=appliance))


def _limits(where: Situation) -> dict[str, object]:
    """What may be agreed without a person, for the questions that name it."""
    return {"most_parts": where.business.payment.most_parts, "latest_days": where.business.payment.latest_days}
