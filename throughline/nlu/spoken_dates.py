"""Days, as they are typed and said, as ISO dates. Which way a day lies, ahead or back, is decided from the words.

A day still to come has the kind ``date`` ("thursday", "next week monday", "in two days", "the 24th"); one that tells when something began
has the kind ``since`` ("since yesterday", "three days ago", "it broke on monday", "leaking for two weeks"). A weekday alone is the next
one after today; "next thursday" is the one in the following week (weeks begin on Monday); "since monday" is the last one. A month and day without a year is
the next such day, except that the present month's days stay in it. Pure: today is passed in.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from throughline.nlu.spoken_text import Found, SpokenText

_WEEKDAYS = [name.lower() for name in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")]
_SHORT_WEEKDAYS = {"sat": 5, "sun": 6, "wed": 2}
_MONTHS = [name.lower() for name in calendar.month_name]
_SHORT_MONTHS = {"mar": 3}
_FIXED_DAYS = {
    "new year's eve": (12, 31),
    "new years eve": (12, 31),
    "new year's day": (1, 1),
    "new years day": (1, 1),
    "christmas eve": (12, 24),
    "christmas day": (12, 25),
    "christmas": (12, 25),
    "halloween": (10, 31),
    "valentine's day": (2, 14),
}
_COUNTS = {"a": 1, "an": 1, "a couple of": 2, "a couple": 2, "couple of": 2, "couple": 2, "a few": 3, "few": 3, "several": 4}

_WEEKDAY = rf"(?P<weekday>{'|'.join(_WEEKDAYS)}|(?<=on )(?:sat|sun|wed)|(?<=this )(?:sat|sun|wed)|(?<=next )(?:sat|sun|wed))"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS[1:])}|mar)"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])(?!\d)(?:st|nd|rd|th)?"
_NTH = r"(?P<day>3[01]|[12]\d|[1-9])(?:st|nd|rd|th)"
_YEAR = r"(?:,? (?:of )?(?P<year>(?:19|20)\d\d|20 \d\d)\b(?! ?:))"
_LEAD = rf"(?:{_WEEKDAY},? (?:the )?)?"
_COUNT = rf"(?P<count>\d+|{'|'.join(sorted(_COUNTS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>day|week|fortnight|month|year)s?"
_ROUGH = r"(?:about |around |roughly |maybe |at least |over |almost |nearly |more than |probably |like |the last |the past )*"

# What stands before or after a day and tells that it is past: something began or broke then.
_BEGAN = (
    r"since|ever since|started|start|began|begun|broke|broken|stopped|failed|died|leaked|noticed|happened|quit|was|were|did|didn't"
    r"|has been|had|came|went|gone|bought|called|flooded|froze|tripped|turned"
)
_LOOKS_BACK = re.compile(
    rf"\b(?:{_BEGAN})(?: (?!(?:can|could|come|book|visit|free|need|want|please|would|available|for)\b)[^|,\s]+){{0,6}} $"
)
_GOES_ON_BACK = re.compile(
    r"^ ?,? ?(?:(?:morning|afternoon|evening|night) )?(?:it|they|she|he|water|there|(?:the|my|our) \w+(?: \w+)?) (?:just |suddenly |then )?"
    r"(?:started|began|broke|stopped|quit|went|was|were|wouldn't|didn't|died|failed|leaked|tripped|came|made)\b"
)
_PLAIN_NTH_GOES_ON = re.compile(
    r"^ (?!(?:of|at|in|on|or|and|if|is|would|works?|please|then|this|next|around|about|after|before|between|for|to|instead|not|so|but|morning|afternoon|evening)\b)[a-z]"
)


@dataclass(frozen=True)
class _Context:
    """What a rule may look at besides its own match."""

    today: date
    day_first: bool
    back: bool  # the words around tell that the day is past


_Reader = Callable[[re.Match[str], _Context], date | None]


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    read: _Reader
    past: bool | None = None  # True: always tells when it began; None: decided from the words around


def find_dates(words: SpokenText, today: date, *, day_first: bool = False, expected: bool = False) -> Iterator[Found]:
    """Kinds ``date`` and ``since``, values ISO dates, in order, not overlapping.

    ``day_first``: 11/04 is 11 April. ``expected``: the customer was just asked for a day, so a bare "the 5th" or "24" is one.
    """
    claimed = [False] * len(words.text)
    found = []
    for rule in [*_RULES, *(_BARE if expected else [])]:
        for match in rule.pattern.finditer(words.text):
            start, end = match.span("what") if "what" in rule.pattern.groupindex else match.span()
            if any(claimed[start:end]):
                continue
            back = rule.past or (rule.past is None and _tells_past(words.text, start, end))
            day = rule.read(match, _Context(today, day_first, back))
            if day is None:
                continue
            claimed[start:end] = [True] * (end - start)
            # A day that has passed can only be when it began, whatever the words.
            kind = "since" if back or day < today else "date"
            found.append(Found(kind, day.isoformat(), *words.source(start, end)))
    yield from sorted(found, key=lambda item: item.start)


def _tells_past(text: str, start: int, end: int) -> bool:
    return bool(_LOOKS_BACK.search(text[:start]) or _GOES_ON_BACK.match(text[end:]))


def _near(match: re.Match[str], context: _Context) -> date | None:
    """today, tomorrow, yesterday and their like."""
    return context.today + timedelta(days=_NEAR[match["near"]])


_NEAR = {
    "the day after tomorrow": 2,
    "day after tomorrow": 2,
    "the day before yesterday": -2,
    "day before yesterday": -2,
    "yesterday": -1,
    "last night": -1,
    "last evening": -1,
    "today": 0,
    "tonight": 0,
    "this morning": 0,
    "this afternoon": 0,
    "this evening": 0,
    "tomorrow": 1,
}


def _weekday(match: re.Match[str], context: _Context) -> date | None:
    """A weekday with what may stand around it: this, next, last, in two weeks, next week."""
    groups = match.groupdict()
    wanted = _weekday_number(groups["weekday"])
    if groups.get("count"):
        return _coming(context.today, wanted) + timedelta(weeks=_count(groups["count"]))
    which = (groups.get("which") or "").strip()
    if groups.get("week") or which == "next":
        monday = context.today - timedelta(days=context.today.weekday())
        shift = {"last": -1, "this": 0, "next": 1}[groups.get("week") or which]
        return monday + timedelta(weeks=shift, days=wanted)
    if which in ("last", "past") or context.back:
        return _coming(context.today, wanted) - timedelta(weeks=1 if wanted != context.today.weekday() else 2)
    if which == "this" and wanted == context.today.weekday():
        return context.today
    return _coming(context.today, wanted)


def _week_from(match: re.Match[str], context: _Context) -> date | None:
    """ "a week from tuesday", "two weeks from tomorrow", "tuesday week"."""
    anchor = match["anchor"]
    start = (
        context.today + timedelta(days=_NEAR[anchor]) if anchor in _NEAR else _coming(context.today, _weekday_number(anchor))
    )
    return start + timedelta(weeks=_count(match.groupdict().get("count") or "a") * (2 if "fortnight" in match.group() else 1))


def _ahead(match: re.Match[str], context: _Context) -> date | None:
    return _shifted(context.today, match["count"], match["unit"], 1)


def _ago(match: re.Match[str], context: _Context) -> date | None:
    return _shifted(context.today, match["count"], match["unit"], -1)


def _hours_ago(match: re.Match[str], context: _Context) -> date | None:
    return context.today


def _last_period(match: re.Match[str], context: _Context) -> date | None:
    return _shifted(context.today, "a", match["unit"], -1)


def _next_period(match: re.Match[str], context: _Context) -> date | None:
    """The first day of next week or month."""
    if match["unit"] == "week":
        return context.today + timedelta(days=7 - context.today.weekday())
    return (context.today.replace(day=1) + timedelta(days=32)).replace(day=1)


def _weekend(match: re.Match[str], context: _Context) -> date | None:
    saturday = context.today + timedelta(days=(5 - context.today.weekday()) % 7)
    if context.today.weekday() == 6:
        saturday -= timedelta(weeks=1) if context.back else timedelta(0)
    elif context.back or match["which"] == "last":
        return saturday - timedelta(weeks=1)
    return saturday + timedelta(weeks=1) if match["which"] == "next" else saturday


def _calendar_day(match: re.Match[str], context: _Context) -> date | None:
    """A month and a day, perhaps a weekday, perhaps a year."""
    groups = match.groupdict()
    month = _SHORT_MONTHS.get(groups["month"]) or _MONTHS.index(groups["month"])
    return _in_year(month, int(groups["day"]), groups, context)


def _numeric_day(match: re.Match[str], context: _Context) -> date | None:
    """11/24, 11/24/26, 24.11.2026: the business's own order of day and month, the other where only that makes a date."""
    first, second = int(match["first"]), int(match["second"])
    day, month = (first, second) if context.day_first or match["sign"] == "." else (second, first)
    if month > 12:
        day, month = month, day
    return _in_year(month, day, match.groupdict(), context)


def _iso_day(match: re.Match[str], context: _Context) -> date | None:
    return _valid(int(match["year"]), int(match["month_number"]), int(match["day"]))


def _fixed_day(match: re.Match[str], context: _Context) -> date | None:
    month, day = _FIXED_DAYS[match["name"]]
    return _in_year(month, day, match.groupdict(), context)


def _thanksgiving(match: re.Match[str], context: _Context) -> date | None:
    """The fourth Thursday of November."""
    for year in (context.today.year, context.today.year + 1):
        first = date(year, 11, 1)
        day = first + timedelta(days=(3 - first.weekday()) % 7 + 21)
        if day >= context.today:
            return day
    return None


def _nth(match: re.Match[str], context: _Context) -> date | None:
    """A day of the month: the next one, in a month that has it (and where it falls on the weekday named, if one is)."""
    groups = match.groupdict()
    wanted = int(groups["day"])
    weekday = _weekday_number(groups["weekday"]) if groups.get("weekday") else None
    if weekday is None and not groups.get("period") and _PLAIN_NTH_GOES_ON.match(match.string[match.end() :]):
        return None  # "the 2nd floor"
    month = context.today.replace(day=1)
    step = -1 if context.back or groups.get("which") == "last" else 1
    if groups.get("period") == "next":
        month = (month + timedelta(days=32)).replace(day=1)
    for _ in range(60):
        day = _valid(month.year, month.month, wanted)
        ahead = day is not None and (day >= context.today if step > 0 else day <= context.today)
        if day is not None and (ahead or groups.get("period")) and weekday in (None, day.weekday()):
            return day
        month = (month + timedelta(days=32)).replace(day=1) if step > 0 else (month - timedelta(days=1)).replace(day=1)
    return None


def _month_alone(match: re.Match[str], context: _Context) -> date | None:
    month = _SHORT_MONTHS.get(match["month"]) or _MONTHS.index(match["month"])
    return _in_year(month, 1, match.groupdict(), context)


def _bare_day(match: re.Match[str], context: _Context) -> date | None:
    month = context.today.replace(day=1)
    for _ in range(3):
        day = _valid(month.year, month.month, int(match["day"]))
        if day is not None and day >= context.today:
            return day
        month = (month + timedelta(days=32)).replace(day=1)
    return None


def _in_year(month: int, day: int, groups: dict[str, str | None], context: _Context) -> date | None:
    """The day in the year named, else in the one the words mean."""
    if groups.get("year"):
        digits = (groups["year"] or "").replace(" ", "")
        return _valid(2000 + int(digits) if len(digits) == 2 else int(digits), month, day)
    weekday = _weekday_number(groups["weekday"]) if groups.get("weekday") else None
    step = -1 if context.back else 1
    for year in range(context.today.year, context.today.year + 12 * step, step):
        found = _valid(year, month, day)
        if found is None or weekday not in (None, found.weekday()):
            continue
        this_month = (year, month) == (context.today.year, context.today.month)
        if found <= context.today if context.back else (found >= context.today or (this_month and weekday is None)):
            return found
    return None


def _shifted(start: date, count: str, unit: str, direction: int) -> date | None:
    amount = _count(count) * direction
    if unit in ("day", "week", "fortnight"):
        days = amount * {"day": 1, "week": 7, "fortnight": 14}[unit]
        return start + timedelta(days=days) if abs(days) < 36525 else None
    months = start.year * 12 + start.month - 1 + amount * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        return None
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def _coming(today: date, weekday: int) -> date:
    """The next such weekday after today."""
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def _weekday_number(name: str | None) -> int:
    return _SHORT_WEEKDAYS[name] if name in _SHORT_WEEKDAYS else _WEEKDAYS.index(name or "")


def _count(text: str) -> int:
    return _COUNTS[text] if text in _COUNTS else int(text)


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _rule(pattern: str, read: _Reader, *, past: bool | None = None) -> _Rule:
    return _Rule(re.compile(pattern), read, past)


_ANCHOR = rf"(?P<anchor>{'|'.join(_WEEKDAYS)}|tomorrow|today)"
_PERIOD = r"(?: (?:of )?(?:the|(?P<period>this|next)) month)"

# The longest and most telling first: what one rule has taken is out of reach for the next.
_RULES = [
    _rule(r"(?<!\d)(?P<year>20\d\d) ?- ?(?P<month_number>1[0-2]|0\d) ?- ?(?P<day>3[01]|[0-2]\d)(?! ?-? ?\d)", _iso_day),
    _rule(
        rf"{_LEAD}(?<![\d/.] )(?<!\d)(?P<first>\d{{1,2}}) ?(?P<sign>[/.-]) ?(?P<second>\d{{1,2}}) ?(?P=sign) ?(?P<year>20\d\d|\d\d)(?! ?[/.-]? ?\d)",
        _numeric_day,
    ),
    _rule(rf"{_LEAD}(?<![\d/] )(?<!\d)(?P<first>\d{{1,2}}) ?(?P<sign>/) ?(?P<second>\d{{1,2}})(?! ?[/]? ?\d)", _numeric_day),
    _rule(rf"{_LEAD}(?<!\d )\b{_DAY} (?:of )?{_MONTH}\b{_YEAR}?", _calendar_day),
    _rule(
        rf"{_LEAD}\b(?P<month>{'|'.join(_MONTHS[1:])}|mar) (?:the )?{_DAY}\b(?! ?:|\d| (?:am|pm|o'clock)){_YEAR}?",
        _calendar_day,
    ),
    _rule(rf"\b(?P<name>{'|'.join(sorted(_FIXED_DAYS, key=len, reverse=True))})\b{_YEAR}?", _fixed_day),
    _rule(r"\bthanksgiving(?: day)?\b", _thanksgiving),
    _rule(rf"\b{_COUNT} (?:weeks?|fortnights?) (?:from|on|after)? ?{_ANCHOR}\b", _week_from),
    _rule(rf"\b{_ANCHOR} (?:in )?{_COUNT} (?:weeks?|fortnights?)(?: from now)?\b", _week_from),
    _rule(rf"\b{_WEEKDAY},? (?:of )?(?P<week>this|next|last) week\b", _weekday),
    _rule(rf"\b(?P<week>this|next|last) week,? (?:on )?{_WEEKDAY}\b", _weekday),
    _rule(rf"\b{_WEEKDAY},? (?:the )?{_NTH}\b", _nth),
    _rule(rf"\b(?P<near>{'|'.join(sorted(_NEAR, key=len, reverse=True))})\b", _near),
    _rule(rf"\b(?P<which>last|this|next|coming|this coming|past|this past) {_WEEKDAY}\b", _weekday),
    _rule(rf"\b{_WEEKDAY}\b", _weekday),
    _rule(rf"\b{_COUNT} {_UNIT} ago\b", _ago, past=True),
    _rule(r"\b(?:\d+|an?|a few|a couple of|few|couple of|half an) (?:hours?|minutes?) ago\b", _hours_ago, past=True),
    _rule(rf"\bin {_ROUGH}{_COUNT} {_UNIT}\b(?: time)?", _ahead),
    _rule(rf"\b{_COUNT} {_UNIT} (?:from (?:now|today)|away(?: from now)?)\b", _ahead),
    _rule(rf"\b(?:for|since|been) {_ROUGH}(?P<what>{_COUNT} {_UNIT})(?: now| already)?\b", _ago, past=True),
    _rule(rf"\b(?P<what>{_COUNT} {_UNIT}) (?:now|already)\b", _ago, past=True),
    _rule(rf"^{_ROUGH}(?P<what>{_COUNT} {_UNIT})(?: or so| maybe| i think)?(?: ?[|.,])?$", _ago, past=True),
    _rule(r"\blast (?P<unit>week|month|year)\b", _last_period, past=True),
    _rule(r"\bnext (?P<unit>week|month)\b", _next_period),
    _rule(r"\b(?:(?P<which>this|next|last|the) )weekend\b", _weekend),
    _rule(rf"\b(?:the |on )?(?P<which>last )?{_NTH}{_PERIOD}\b", _nth),
    _rule(rf"\b(?:last |on (?:the )?|the |by the )(?P<what>{_NTH})\b", _nth),
    _rule(rf"\b(?:since|in) (?P<what>{_MONTH})\b{_YEAR}?", _month_alone),
]
# Only where a day was asked for.
_BARE = [
    _rule(rf"\b{_NTH}\b", _nth),
    _rule(rf"\b{_MONTH}\b{_YEAR}?", _month_alone),
    _rule(r"^(?:the )?(?P<day>3[01]|[12]\d|[1-9])(?: ?[|.,])?$", _bare_day),
]
