"""Days of the year that have a name, as data/business/hours.yml gives them: on which date one falls, and which of them is spoken of.

A day of the year is written ``MM-DD``, or as its place in a month: "4th thursday of november", "last monday of may". Pure.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import date, timedelta

_FIXED = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_PLACE = re.compile(r"(?P<place>1st|2nd|3rd|4th|last) (?P<weekday>[a-z]+) of (?P<month>[a-z]+)")
_WEEKDAYS = [name.lower() for name in calendar.day_name]
_MONTHS = [name.lower() for name in calendar.month_name]  # the first is empty: months count from 1
_PLACES = {"1st": 0, "2nd": 1, "3rd": 2, "4th": 3}


def is_day_of_year(text: str) -> bool:
    """Whether ``text`` is written as such a day."""
    place = _PLACE.fullmatch(text)
    return bool(_FIXED.fullmatch(text)) or bool(place and place["weekday"] in _WEEKDAYS and place["month"] in _MONTHS[1:])


def in_year(text: str, year: int) -> date | None:
    """The date of that day in ``year``; None for the 29th of February of most years. Raises ValueError for what is no day of the year."""
    if not is_day_of_year(text):
        raise ValueError(f"no day of the year: {text!r}")
    place = _PLACE.fullmatch(text)
    if place is None:
        try:
            return date(year, int(text[:2]), int(text[3:]))
        except ValueError:
            return None
    weekday, month = _WEEKDAYS.index(place["weekday"]), _MONTHS.index(place["month"])
    days = [date(year, month, 1) + timedelta(ahead) for ahead in range(calendar.monthrange(year, month)[1])]
    fitting = [day for day in days if day.weekday() == weekday]
    return fitting[-1] if place["place"] == "last" else fitting[_PLACES[place["place"]]]


def coming(text: str, today: date) -> date:
    """The next one, today counted."""
    years = (in_year(text, today.year + ahead) for ahead in range(9))  # a 29th of February returns within eight years
    return next(day for day in years if day is not None and day >= today)


def spoken_of(text: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that stands in ``text``, whatever its case, apostrophes and accents of punctuation; the longest of several."""
    plain = f" {_plain(text)} "
    return next((name for name in sorted(names, key=len, reverse=True) if f" {_plain(name)} " in plain), None)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", re.sub(r"['’]", "", text.casefold())))
