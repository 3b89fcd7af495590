"""Days, times, amounts and lists in words: once for the eye, once for the ear.

Every function gives a ``Said``: ``shown`` for chat, ``spoken`` for the phone, where nothing needs to be seen. Codes and numbers of which
each digit counts are said by said_digits.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time

from throughline.domain.company import WEEKDAYS, Company, Hours, local_time
from throughline.domain.words import Said, Words


def day(value: date, words: Words, today: date) -> Said:
    """``Thursday, November 26`` and ``Thursday, November twenty sixth``; of today and tomorrow that is said too."""
    weekday, month = words.weekdays[WEEKDAYS[value.weekday()]], words.months[value.month - 1]
    shown = f"{weekday}, {month} {value.day}"
    near = {0: words.today, 1: words.tomorrow}.get((value - today).days)
    if near:
        return Said(near.shown.format(value=shown), near.spoken.format(value=weekday))
    return Said(shown, f"{weekday}, {month} {words.ordinal_days[value.day - 1]}")


def clock(value: time, words: Words, *, half_of_day: bool = True) -> Said:
    """``10:30 am`` and ``10 30 am``; ``half_of_day=False`` leaves am and pm out of what is spoken, for a company's day is clear."""
    hour = value.hour % 12 or 12
    half = words.am if value.hour < 12 else words.pm
    minutes = f":{value.minute:02d}" if value.minute else ""
    spoken = f"{hour}{' oh' if 0 < value.minute < 10 else ''}{f' {value.minute}' if value.minute else ''}"
    return Said(f"{hour}{minutes} {half}", f"{spoken} {half}" if half_of_day else spoken)


def window(start: datetime, end: datetime, words: Words) -> Said:
    """An arrival window, given in local time."""
    first, last = (clock(moment.time(), words, half_of_day=False) for moment in (start, end))
    shown = words.window.shown.format(start=first.shown, end=last.shown)
    return Said(shown, words.window.spoken.format(start=first.spoken, end=last.spoken))


def moment(value: datetime, words: Words, today: date) -> Said:
    """A day and a time, given in local time."""
    on, at = day(value.date(), words, today), clock(value.time(), words)
    return Said(words.day_at.format(day=on.shown, time=at.shown), words.day_at.format(day=on.spoken, time=at.spoken))


def money(amount: int, words: Words, company: Company) -> Said:
    """``$1,389`` and ``1389 dollars``."""
    return Said(f"{company.currency_sign}{amount:,}", f"{amount} {words.dollars}")


def joined(parts: Sequence[Said], joint: str) -> Said:
    """``a, b and c`` with ``joint`` before the last."""
    return Said(_joined([part.shown for part in parts], joint), _joined([part.spoken for part in parts], joint))


def named(names: Sequence[str], joint: str) -> str:
    """``a, b and c`` of plain names, the same for eye and ear."""
    return _joined(names, joint)


def office_hours(hours: Hours, words: Words) -> Said:
    """``Monday to Friday 7:30 am to 6 pm and Saturday 9 am to 2 pm``."""
    parts = []
    for entry in hours.office:
        names = [words.weekdays[name] for name in entry.days]
        days = words.day_range.format(first=names[0], last=names[-1]) if len(names) > 2 else _joined(names, words.conjunction)
        opens, closes = clock(local_time(entry.opens), words), clock(local_time(entry.closes), words)
        parts.append(
            Said(
                words.hours.shown.format(days=days, opens=opens.shown, closes=closes.shown),
                words.hours.spoken.format(days=days, opens=opens.spoken, closes=closes.spoken),
            )
        )
    return joined(parts, words.conjunction)


def _joined(parts: Sequence[str], joint: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {joint} {parts[-1]}"
