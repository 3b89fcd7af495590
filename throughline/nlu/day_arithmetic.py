"""Which day is meant: weekdays, weeks, months and years counted from today. Numbers in, dates out; no words here.

Weeks begin on Monday; weekdays count from Monday 0. Every function gives None where there is no such day. Pure.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta

from throughline.domain.holidays import in_year

_FEBRUARY_29_RETURNS_WITHIN = 8  # years: 1896 to 1904, and 2096 to 2104
_WEEKDAY_RETURNS_WITHIN = 12  # years until a day of the year falls on a given weekday again, at the most (11) and one to spare
_FARTHEST_DAYS = 36525  # a century: what lies beyond is no visit and no fault, but a misheard number


def coming(today: date, weekday: int) -> date:
    """The next such weekday after today."""
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def gone(today: date, weekday: int) -> date:
    """The last such weekday before today."""
    return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)


def in_week(today: date, weekday: int, weeks: int) -> date:
    """The weekday in this week (0), the next (1), the last (-1)."""
    return today + timedelta(weeks=weeks, days=weekday - today.weekday())


def shifted(start: date, amount: int, unit: str) -> date | None:
    """``start`` moved by ``amount`` (negative: back) days, weeks, fortnights, months or years; the 31st becomes the month's last."""
    days = {"day": 1, "week": 7, "fortnight": 14, "month": 30, "year": 365}[unit] * amount
    if abs(days) > _FARTHEST_DAYS:
        return None
    if unit in ("day", "week", "fortnight"):
        return start + timedelta(days=days)
    months = start.year * 12 + start.month - 1 + amount * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def first_of_next(today: date, unit: str) -> date:
    """The Monday of next week, or the first of next month."""
    if unit == "week":
        return in_week(today, 0, 1)
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)


def weekend(today: date, weeks: int) -> date:
    """The Saturday of this week's weekend (0), the next (1), the last (-1). On a Sunday this weekend's is gone: it is next Saturday's."""
    ahead = 1 if today.weekday() == 6 and weeks >= 0 else 0
    return in_week(today, 5, weeks + ahead)


def on(year: int, month: int, day: int) -> date | None:
    """That day, if there is one."""
    try:
        return date(year, month, day)
    except ValueError:
        return None


def of_year(today: date, month: int, day: int, *, weekday: int | None, back: bool) -> date | None:
    """The month's day in the year that is meant when none is named: the next, or going back the last; on ``weekday`` if one is named.

    The present month's days stay in the present year: said on the 22nd, "november 3rd" is this month's, not next year's.
    """
    reach = _WEEKDAY_RETURNS_WITHIN if weekday is not None else _FEBRUARY_29_RETURNS_WITHIN
    step = -1 if back else 1
    for year in range(today.year, today.year + reach * step, step):
        found = on(year, month, day)
        if found is None or weekday not in (None, found.weekday()):
            continue
        this_month = (year, month) == (today.year, today.month) and weekday is None
        if found <= today if back else (found >= today or this_month):
            return found
    return None


def of_month(today: date, day: int, *, weekday: int | None = None, back: bool = False) -> date | None:
    """The next (or going back the last) month's day, today counted, on ``weekday`` if one is named."""
    month = today.replace(day=1)
    for _ in range(12 * _WEEKDAY_RETURNS_WITHIN):
        found = on(month.year, month.month, day)
        if found is not None and weekday in (None, found.weekday()) and (found <= today if back else found >= today):
            return found
        month = (month - timedelta(days=1)).replace(day=1) if back else first_of_next(month, "month")
    return None


def moving(today: date, written: str, *, back: bool) -> date | None:
    """The next day that is ``written`` as `domain.holidays` reads it, today counted; going back the last."""
    years = (today.year - 1, today.year) if back else (today.year, today.year + 1)
    found = [day for year in years if (day := in_year(written, year)) is not None]
    fitting = [day for day in found if (day <= today if back else day >= today)]
    return (fitting[-1] if back else fitting[0]) if fitting else None
