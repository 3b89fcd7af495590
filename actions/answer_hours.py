"""Answers when the office is open: in general, or on the day and at the time that was asked about."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timezone

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, Situation, answered, both, situation
from throughline.domain import holidays, scheduling, speakable
from throughline.domain.company import WEEKDAYS, local_time
from throughline.domain.words import Said

_DAYS = 2  # as many are answered one by one; for more the whole week is told


class AnswerHours(Action):
    """``ask_hours``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_answer_hours"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say the hours."""
        where = situation(tracker)
        clock, days = _asked_time(tracker), _asked_days(where)
        if clock is not None and not days:
            days = [(where.today, None)]
        if days and len(days) <= _DAYS:
            for day, holiday in days:
                _say_day(where, dispatcher, day, holiday, clock)
        else:
            hours = speakable.office_hours(where.business.hours, where.words)
            dispatcher.utter_message(response="utter_hours", **both(hours=hours, now=_now(where)))
        return answered(where)


def _asked_days(where: Situation) -> list[tuple[date, str | None]]:
    """The days that the message names, each with its name where it is a holiday of data/business/hours.yml; what is past is no such day."""
    message = where.tracker.latest_message or {}
    text, named = str(message.get("text") or ""), where.business.hours.holidays
    holiday = holidays.spoken_of(text, named)
    if holiday is not None:
        return [(holidays.coming(named[holiday], where.today), holiday)]
    dates = [
        date.fromisoformat(str(item["value"]))
        for item in message.get("entities") or ()
        if item["entity"] == "date" and item.get("role") in (None, "alternative")
    ]
    if not dates:  # "on sundays" is any of them
        weekdays = [position for position, name in enumerate(WEEKDAYS) if re.search(rf"\b{name}s\b", text.lower())]
        dates = [scheduling.coming_weekday(where.today, weekday) for weekday in weekdays]
    return [(day, None) for day in dates if day >= where.today]


def _asked_time(tracker: Tracker) -> time | None:
    found = next(
        (
            item["value"]
            for item in (tracker.latest_message or {}).get("entities") or ()
            if item["entity"] == "time" and not item.get("role")
        ),
        None,
    )
    return None if found is None else local_time(str(found))


def _say_day(where: Situation, dispatcher: CollectingDispatcher, day: date, holiday: str | None, clock: time | None) -> None:
    hours, zone, words = where.business.hours, where.zone, where.words
    said = where.day(day)
    if holiday is not None:
        said = Said(
            words.holiday.shown.format(holiday=holiday, day=said.shown),
            words.holiday.spoken.format(holiday=holiday, day=said.spoken),
        )
    span = scheduling.span_of(day, hours, hours.office, zone)
    if span is None:
        evening = datetime.combine(day, time.max, zone).astimezone(timezone.utc)
        opens = scheduling.next_opening(evening, hours, zone)
        if opens is None:
            dispatcher.utter_message(
                response="utter_hours", **both(hours=speakable.office_hours(hours, words), now=_now(where))
            )
            return
        at = speakable.moment(opens.astimezone(zone), words, where.today)
        dispatcher.utter_message(response="utter_hours_day_closed", **both(asked_day=said, opens=at))
        return
    begin, end = (speakable.clock(moment.astimezone(zone).time(), words) for moment in span)
    form = words.hours_of_day
    of_day = Said(
        form.shown.format(opens=begin.shown, closes=end.shown), form.spoken.format(opens=begin.spoken, closes=end.spoken)
    )
    if clock is not None:
        at_time = datetime.combine(day, clock, zone).astimezone(timezone.utc)
        response = "utter_hours_time_open" if span[0] <= at_time < span[1] else "utter_hours_time_closed"
        asked_time = speakable.clock(clock, words)
        dispatcher.utter_message(response=response, **both(asked_day=said, asked_time=asked_time, hours=of_day))
    elif day == where.today:
        dispatcher.utter_message(response="utter_hours_today", **both(asked_day=said, hours=of_day, now=_now(where)))
    else:
        dispatcher.utter_message(response="utter_hours_day", **both(asked_day=said, hours=of_day))


def _now(where: Situation) -> Said:
    hours = where.business.hours
    opens = scheduling.next_opening(where.now, hours, where.zone)
    if opens is None or scheduling.is_open(where.now, hours, where.zone):
        return where.words.open_now
    at = speakable.moment(opens.astimezone(where.zone), where.words, where.today)
    later = where.words.open_later
    return Said(later.shown.format(value=at.shown), later.spoken.format(value=at.spoken))
