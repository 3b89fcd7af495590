"""Days, as they are typed and said, as ISO dates. Which way a day lies, ahead or back, is decided from the words.

A day still to come has the kind ``date`` ("thursday", "next week monday", "in two days", "the 24th"); one that tells when something
began has the kind ``since`` ("since yesterday", "three days ago", "it broke on monday", "leaking for two weeks"). A weekday alone is
the next one after today; "next thursday" is the one in the following week; "since monday" is the last one. Which day that is, is counted
in `day_arithmetic`; here are the words. Pure: today is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from throughline.nlu import day_arithmetic as days
from throughline.nlu.day_words import (
    COUNTS,
    FIXED_DAYS,
    MONTHS,
    MOVING_DAYS,
    NEAR_AHEAD,
    NEAR_EITHER,
    NEAR_PAST,
    WEEKDAYS,
    goes_on,
    tells_past,
)
from throughline.nlu.spoken_text import Found, SpokenText


def _one_of(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first, so that "the day after tomorrow" is not read as "tomorrow"."""
    return "|".join(sorted(words, key=len, reverse=True))


_COMMA = r"(?: ?,)?"
_FULL_WEEKDAY = rf"(?:{_one_of([name for name in WEEKDAYS if len(name) > 3])})"
# Short forms that are words of their own count only behind a word that leads to a day.
_WEEKDAY = rf"(?P<weekday>{_FULL_WEEKDAY}|(?:(?<=on )|(?<=this )|(?<=next )|(?<=last )|(?<=or )|(?<=since ))(?:sat|sun|wed))\b"
_MONTH = rf"(?P<month>{_one_of(MONTHS)})\b"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])(?!\d)(?:st|nd|rd|th)?"
_NTH = r"(?P<day>3[01]|[12]\d|[1-9])(?:st|nd|rd|th)\b"
_YEAR = rf"(?:{_COMMA} (?:of )?(?P<year>(?:19|20)\d\d|20 \d\d)\b(?! ?:))"
_LEAD = rf"(?:\b{_WEEKDAY}{_COMMA} (?:the )?)?"
_COUNT = rf"(?P<count>\d+|{_one_of(COUNTS)})"
_UNIT = r"(?P<unit>day|week|fortnight|month|year)s?\b"
_ROUGHLY = r"(?:(?:about|around|roughly|maybe|at least|over|almost|nearly|more than|probably|like|only|just|i think|well) )*"
_THE_LAST = r"(?:(?:the |these )?(?:last |past )?)"
_ANCHOR = rf"\b(?P<anchor>{_FULL_WEEKDAY}|tomorrow|today)\b"
_DAYS_FROM_TODAY = NEAR_AHEAD | NEAR_EITHER | NEAR_PAST
_NOT_TWO_NUMBERS = r"(?<![\d/.:-] )(?<!\d)"


@dataclass(frozen=True)
class _Context:
    """What a rule may look at besides its own match."""

    today: date
    day_first: bool
    back: bool  # the words around tell that the day is past


_Reader = Callable[[re.Match[str], _Context], "date | None"]


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    read: _Reader
    past: bool | None  # True: always when it began; False: always a day to come; None: the words around decide


def find_dates(words: SpokenText, today: date, *, day_first: bool = False, expected: str = "free") -> Iterator[Found]:
    """Kinds ``date`` and ``since``, values ISO dates, in order, not overlapping.

    ``day_first``: 11/04 is 11 April. ``expected``: ``date`` or ``since`` where the customer was just asked for that; a bare "24th" or
    "24" is then one, and what may lie either way lies the way that was asked for.
    """
    claimed = [False] * len(words.text)
    found = []
    for rule in [*_RULES, *(_BARE if expected in ("date", "since") else [])]:
        for match in rule.pattern.finditer(words.text):
            start, end = match.span("what") if "what" in rule.pattern.groupindex else match.span()
            if any(claimed[start:end]):
                continue
            either = expected == "since" or tells_past(words.text, start, end)
            back = either if rule.past is None else rule.past
            day = rule.read(match, _Context(today, day_first, back))
            if day is None:
                continue
            claimed[start:end] = [True] * (end - start)
            # A day that has passed can only be when it began, whatever the words.
            found.append(Found("since" if back or day < today else "date", day.isoformat(), *words.source(start, end)))
    yield from sorted(found, key=lambda item: item.start)


def _near(match: re.Match[str], context: _Context) -> date | None:
    """today, tomorrow, yesterday and their like."""
    return context.today + timedelta(days=_DAYS_FROM_TODAY[match["near"]])


def _weekday(match: re.Match[str], context: _Context) -> date | None:
    """A weekday alone, or behind "this" or "coming"."""
    wanted = WEEKDAYS[match["weekday"]]
    if match.groupdict().get("which") == "this" and wanted == context.today.weekday():
        return context.today
    return days.gone(context.today, wanted) if context.back else days.coming(context.today, wanted)


def _last_weekday(match: re.Match[str], context: _Context) -> date | None:
    """ "last friday" is the most recent one; "friday last week" the one in the week before."""
    return days.gone(context.today, WEEKDAYS[match["weekday"]])


def _weekday_of_week(match: re.Match[str], context: _Context) -> date | None:
    """ "next friday", "friday next week", "last week friday"."""
    return days.in_week(context.today, WEEKDAYS[match["weekday"]], {"last": -1, "this": 0, "next": 1}[match["week"]])


def _weeks_from(match: re.Match[str], context: _Context) -> date | None:
    """ "a week from tuesday", "two weeks from tomorrow", "tuesday in two weeks"."""
    anchor = match["anchor"]
    start = (
        days.coming(context.today, WEEKDAYS[anchor])
        if anchor in WEEKDAYS
        else context.today + timedelta(_DAYS_FROM_TODAY[anchor])
    )
    return days.shifted(start, _count(match), "fortnight" if "fortnight" in match.group() else "week")


def _ahead(match: re.Match[str], context: _Context) -> date | None:
    return days.shifted(context.today, _count(match), match["unit"])


def _ago(match: re.Match[str], context: _Context) -> date | None:
    return days.shifted(context.today, -_count(match), match["unit"])


def _for_a_while(match: re.Match[str], context: _Context) -> date | None:
    """ "for two weeks" tells when it began only where something has been going on: "i'm away for two weeks" doesn't."""
    before = match.string[: match.start()]
    going_on = not before.strip() or re.search(
        r"\b(?:been|has|have|had|hasn't|haven't|it's|not|no|\w+ing|\w+s|\w+n't) (?:\S+ ){0,3}$", before
    )
    leaving = re.search(r"\b(?:away|gone|out|wait|waiting|traveling|travelling|vacation|leaving) (?:\S+ ){0,2}$", before)
    return _ago(match, context) if going_on and not leaving else None


def _today(match: re.Match[str], context: _Context) -> date | None:
    return context.today


def _last_period(match: re.Match[str], context: _Context) -> date | None:
    return days.shifted(context.today, -1, match["unit"])


def _next_period(match: re.Match[str], context: _Context) -> date | None:
    return days.first_of_next(context.today, match["unit"])


def _weekend(match: re.Match[str], context: _Context) -> date | None:
    which = match["which"]
    weeks = -1 if which == "last" or context.back else 1 if which == "next" else 0
    return days.weekend(context.today, weeks)


def _calendar_day(match: re.Match[str], context: _Context) -> date | None:
    """A month and a day, perhaps a weekday, perhaps a year."""
    return _of_year(MONTHS[match["month"]], int(match["day"]), match, context)


def _numeric_day(match: re.Match[str], context: _Context) -> date | None:
    """11/24, 11/24/26, 24.11.2026: the business's own order of day and month; the other where only that makes a date."""
    first, second = int(match["first"]), int(match["second"])
    day, month = (first, second) if context.day_first or match["sign"] == "." else (second, first)
    if month > 12:
        day, month = month, day
    return _of_year(month, day, match, context)


def _iso_day(match: re.Match[str], context: _Context) -> date | None:
    return days.on(int(match["year"]), int(match["month_number"]), int(match["day"]))


def _fixed_day(match: re.Match[str], context: _Context) -> date | None:
    return _of_year(*FIXED_DAYS[match["name"]], match, context)


def _moving_day(match: re.Match[str], context: _Context) -> date | None:
    return days.moving(context.today, MOVING_DAYS[match["name"]], back=context.back)


def _month_alone(match: re.Match[str], context: _Context) -> date | None:
    return _of_year(MONTHS[match["month"]], 1, match, context)


def _nth(match: re.Match[str], context: _Context) -> date | None:
    """A day of the month, perhaps with its weekday, perhaps with "this month" or "next month"."""
    groups = match.groupdict()
    day, weekday = int(groups["day"]), WEEKDAYS.get(groups.get("weekday") or "")
    if groups.get("period"):
        start = context.today if groups["period"] == "this" else days.first_of_next(context.today, "month")
        return days.on(start.year, start.month, day)
    if weekday is None and goes_on(match.string[match.end() :]):
        return None  # "the 2nd floor", "the first one"
    return days.of_month(context.today, day, weekday=weekday, back=context.back)


def _bare_day(match: re.Match[str], context: _Context) -> date | None:
    return days.of_month(context.today, int(match["day"]), back=context.back)


def _of_year(month: int, day: int, match: re.Match[str], context: _Context) -> date | None:
    """The day in the year named, else in the one the words mean."""
    groups = match.groupdict()
    if groups.get("year"):
        digits = groups["year"].replace(" ", "")
        return days.on(2000 + int(digits) if len(digits) == 2 else int(digits), month, day)
    return days.of_year(context.today, month, day, weekday=WEEKDAYS.get(groups.get("weekday") or ""), back=context.back)


def _count(match: re.Match[str]) -> int:
    text = match["count"]
    return COUNTS[text] if text in COUNTS else int(text)


def _rule(pattern: str, read: _Reader, *, past: bool | None = None) -> _Rule:
    return _Rule(re.compile(pattern), read, past)


_NUMERIC = rf"{_LEAD}{_NOT_TWO_NUMBERS}(?P<first>\d{{1,2}}) ?(?P<sign>[/.-]) ?(?P<second>\d{{1,2}})"
_SPELLED_MONTH = rf"{_LEAD}\b{_MONTH} (?:the )?{_DAY}(?! ?:|\d| (?:am|pm|o'clock)\b)"

# The longest and most telling first: what one rule has taken is out of reach for the next.
_RULES = [
    _rule(r"(?<!\d)(?P<year>20\d\d) ?- ?(?P<month_number>1[0-2]|0\d) ?- ?(?P<day>3[01]|[0-2]\d)(?! ?-? ?\d)", _iso_day),
    _rule(rf"{_NUMERIC} ?(?P=sign) ?(?P<year>20\d\d|\d\d)(?! ?[/.-]? ?\d)", _numeric_day),
    _rule(rf"{_LEAD}{_NOT_TWO_NUMBERS}(?P<first>\d{{1,2}}) ?(?P<sign>/) ?(?P<second>\d{{1,2}})(?! ?/? ?\d)", _numeric_day),
    _rule(rf"{_LEAD}{_NOT_TWO_NUMBERS}\b{_DAY} (?:of )?{_MONTH}{_YEAR}?", _calendar_day),
    _rule(rf"{_SPELLED_MONTH}{_YEAR}?", _calendar_day),
    _rule(rf"\b(?:last|this past) (?P<what>(?P<name>{_one_of(FIXED_DAYS)}))\b", _fixed_day, past=True),
    _rule(rf"\b(?P<name>{_one_of(FIXED_DAYS)})\b{_YEAR}?", _fixed_day),
    _rule(rf"\b(?:last|this past) (?P<what>(?P<name>{_one_of(MOVING_DAYS)}))\b", _moving_day, past=True),
    _rule(rf"\b(?P<name>{_one_of(MOVING_DAYS)})\b", _moving_day),
    _rule(rf"\b{_COUNT} (?:weeks?|fortnights?) (?:(?:from|on|after) )?{_ANCHOR}", _weeks_from, past=False),
    _rule(rf"{_ANCHOR} in {_COUNT} (?:weeks?|fortnights?)(?: from now)?\b", _weeks_from, past=False),
    _rule(rf"\b{_WEEKDAY}{_COMMA} (?:of )?(?P<week>next|this) week\b", _weekday_of_week, past=False),
    _rule(rf"\b(?P<week>next|this) week{_COMMA} (?:on )?{_WEEKDAY}", _weekday_of_week, past=False),
    _rule(rf"\b{_WEEKDAY}{_COMMA} (?:of )?(?P<week>last) week\b", _weekday_of_week, past=True),
    _rule(rf"\b(?P<week>last) week{_COMMA} (?:on )?{_WEEKDAY}", _weekday_of_week, past=True),
    _rule(rf"\b{_WEEKDAY}{_COMMA} (?:the )?{_NTH}", _nth),
    _rule(rf"\b(?P<near>{_one_of(NEAR_AHEAD)})\b", _near, past=False),
    _rule(rf"\b(?P<near>{_one_of(NEAR_PAST)})\b", _near, past=True),
    _rule(rf"\b(?P<near>{_one_of(NEAR_EITHER)})\b", _near),
    _rule(rf"\b(?P<week>next) {_WEEKDAY}", _weekday_of_week, past=False),
    _rule(rf"\b(?:this )?(?:last|past) {_WEEKDAY}", _last_weekday, past=True),
    _rule(rf"\b(?:this )?(?P<which>this|coming) {_WEEKDAY}", _weekday),
    _rule(rf"\b{_WEEKDAY}", _weekday),
    _rule(rf"\b{_COUNT} {_UNIT} (?:ago|back)\b", _ago, past=True),
    _rule(r"\b(?:\d+|an?|a few|a couple of|few|couple of|half an) (?:hours?|minutes?) ago\b", _today, past=True),
    _rule(r"\b(?:just now|earlier today|earlier this (?:morning|afternoon|evening))\b", _today, past=True),
    _rule(rf"\bin {_ROUGHLY}{_COUNT} {_UNIT}(?: time)?\b", _ahead, past=False),
    _rule(rf"\b{_COUNT} {_UNIT} (?:from (?:now|today)|away(?: from now)?)\b", _ahead, past=False),
    _rule(rf"\b(?:in|over|during) the (?:last|past) (?P<what>{_COUNT} {_UNIT})", _ago, past=True),
    _rule(rf"\b(?:since|been) {_ROUGHLY}{_THE_LAST}(?P<what>{_COUNT} {_UNIT})(?: now| already)?", _ago, past=True),
    _rule(rf"\b(?P<what>{_COUNT} {_UNIT}) (?:now|already)\b", _ago, past=True),
    _rule(rf"\bfor {_ROUGHLY}{_THE_LAST}(?P<what>{_COUNT} {_UNIT})", _for_a_while, past=True),
    _rule(rf"^{_ROUGHLY}(?P<what>{_COUNT} {_UNIT})(?: or so| maybe| i think| i guess)?(?: [|,])?$", _ago, past=True),
    _rule(rf"\b{_NTH} (?:of )?(?:the|(?P<period>this|next)) month\b", _nth),
    _rule(r"\blast (?P<unit>week|month|year)\b", _last_period, past=True),
    _rule(r"\bnext (?P<unit>week|month)\b", _next_period, past=False),
    _rule(r"\b(?P<which>this|next|last|the) weekend\b", _weekend),
    _rule(rf"\blast {_NTH}", _nth, past=True),
    _rule(rf"\b(?:on|since) (?:the )?(?P<what>{_NTH})", _nth),
    # "the first", "the second", "the third" alone choose from a list; behind "on" they are days.
    _rule(rf"\b(?:the|by the) (?P<what>(?![123](?:st|nd|rd)\b){_NTH})", _nth),
    _rule(rf"\b(?:since|in) (?P<what>{_MONTH}{_YEAR}?)", _month_alone),
    _rule(rf"^(?P<what>(?![123](?:st|nd|rd)\b){_NTH})(?: please)?(?: [|,])?$", _nth),
]
# Only where a day was asked for.
_BARE = [
    _rule(r"^(?P<weekday>sat|sun|wed)\b", _weekday),
    _rule(rf"\b{_NTH}", _nth),
    _rule(rf"\b{_MONTH}{_YEAR}?", _month_alone),
    _rule(r"^(?:(?:the|on|on the) )?(?P<what>(?P<day>3[01]|[12]\d|[1-9]))(?: please)?(?: [|,])?$", _bare_day),
]
