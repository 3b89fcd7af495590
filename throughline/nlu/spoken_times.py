"""Times of day and parts of the day, as they are typed and said.

Times come out as "HH:MM" (24 hours), parts of the day as morning, afternoon or evening. Who says "at two" to a company that works
by day means 14:00: an hour without am, pm or a part of the day that lies before ``day_starts`` is taken for the afternoon.
With ``day_starts`` None it is taken as it stands. Pure: the present moment is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from throughline.nlu.spoken_text import Found, SpokenText

MORNING, AFTERNOON, EVENING = "morning", "afternoon", "evening"
UNTIL = "until"  # the role of the end of a range

_HOUR = r"(?P<hour>2[0-3]|1\d|0?\d)(?!\d)"
_MINUTE = r"(?P<minute>[0-5]\d|0 \d)(?!\d)"
_PART_WORD = r"(?P<part>morning|afternoon|evening|night)"
_PART = rf"(?:(?: ,)? ?(?:in the |at |of the |this |the )?{_PART_WORD}\b)"
_CLOCK = r"(?: ?o'clock\b)"
_WHEN = rf"(?:{_CLOCK}?(?: ?(?P<meridiem>am|pm)\b|{_PART}))"
_ROUGHLY = r"(?:around |about |like |say |exactly |roughly |maybe )?"
_CUE = (
    rf"\b(?:{_PART_WORD}(?: ,)? )?(?:at|around|about|by|after|before|from|until|till|til|past|between|say|like|for"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|tomorrow|tonight) " + _ROUGHLY
)
# After a bare hour these may follow and it is still an hour: "at 5 on friday", and not "at 5 main street".
_ENDS = (
    r"(?= ?(?:$|[|,;?!)-])| (?:and|or|to|on|in|if|is|would|works|work|will|please|then|today|tomorrow|this|next|sharp|ish"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday|thanks|thank|for|but|when|so|at|instead|not|might|could|can"
    r"|until|till|through)\b)"
)
_FRACTION = r"(?P<fraction>half|(?:a )?quarter|\d{1,2}(?: minutes?)?)"
_SIDE = r"(?P<side>past|after|to|till|til|before|of|until)"
_RANGE = r"(?: ?- ?| (?:to|until|till|til|and|through|thru) )"
_NOT_WITHIN_FIGURES = r"(?<![\d/:-] )(?<!\d)\b"
_SPOKEN_MINUTES = (5, 10, 15, 20, 25)  # "ten to four" is a time; "eight to four" can only be a range

_Reader = Callable[[re.Match[str], datetime, "time | None"], "str | None"]


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    read: _Reader


def find_times(words: SpokenText, now: datetime, *, day_starts: time | None = None, expected: bool = False) -> Iterator[Found]:
    """Times in ``words``, in order, not overlapping. The end of a range ("between 10 and 12") has the role ``until``.

    ``expected``: the customer was just asked for a time, so a bare "2" is one.
    """
    claimed = [False] * len(words.text)
    spans: dict[int, tuple[int, str]] = {}
    for rule in [*_RULES, *(_BARE if expected else [])]:
        for match in rule.pattern.finditer(words.text):
            start, end = _own_span(match)
            value = None if any(claimed[start:end]) else rule.read(match, now, day_starts)
            if value is not None:
                claimed[start:end] = [True] * (end - start)
                spans[start] = (end, value)
    previous_end = -1
    for start, (end, value) in sorted(spans.items()):
        found = Found("time", value, *words.source(start, end))
        yield replace(found, role=UNTIL) if _ends_range(words.text, previous_end, start) else found
        previous_end = end


def find_parts_of_day(words: SpokenText) -> Iterator[Found]:
    """Parts of the day, wherever they stand; "before noon" is the morning, "after work" the evening."""
    for match in _PARTS.finditer(words.text):
        yield Found("part_of_day", _PART_OF[match["name"]], *words.source(*match.span()))


_PART_OF = {
    "morning": MORNING,
    "before noon": MORNING,
    "before lunch": MORNING,
    "forenoon": MORNING,
    "afternoon": AFTERNOON,
    "after lunch": AFTERNOON,
    "evening": EVENING,
    "tonight": EVENING,
    "night": EVENING,
    "after work": EVENING,
}
# "good morning" greets.
_PARTS = re.compile(rf"(?<!good )\b(?P<name>{'|'.join(_PART_OF)})\b")


def _own_span(match: re.Match[str]) -> tuple[int, int]:
    """The time itself: without the word that led to it and the blanks around it."""
    start = match.start("time") if "time" in match.re.groupindex else match.start()
    text = match.string[start : match.end()]
    return start + len(text) - len(text.lstrip(" ,")), match.end() - (len(text) - len(text.rstrip(" ,")))


def _ends_range(text: str, previous_end: int, start: int) -> bool:
    if re.search(r"\b(?:until|till|til|before|by|through) $", text[:start]):
        return True
    if previous_end < 0:
        return False
    joined = re.fullmatch(rf"{_RANGE}(?:about |around )?", text[previous_end:start])
    return bool(joined) and ("and" not in text[previous_end:start] or bool(re.search(r"\bbetween\b", text[:previous_end])))


def _clock(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    groups = match.groupdict()
    return _written(int(groups["hour"]), int((groups.get("minute") or "0").replace(" ", "")), groups, day_starts)


def _fraction(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    """ "half past two", "20 to 2", "quarter of three"."""
    groups = match.groupdict()
    text = groups["fraction"]
    minutes = 30 if text == "half" else 15 if "quarter" in text else int(text.split()[0])
    after = groups["side"] in ("past", "after")
    if not 0 < minutes < 60 or (not after and minutes not in (*_SPOKEN_MINUTES, 30)):
        return None
    if not after and re.search(r"\b(?:between|from) $", match.string[: match.start()]):
        return None  # "from 10 to 12" is a range
    written = _written(int(groups["hour"]), 0, groups, day_starts)
    return None if written is None else _moved(written, minutes if after else -minutes)


def _range_start(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    """The first of two times, which takes am, pm or the part of the day from the second: "4 to 6 pm"."""
    groups = match.groupdict()
    if not groups["opening"] and groups["joined"] == " to " and int(groups["hour"]) in _SPOKEN_MINUTES and not groups["minute"]:
        return None  # "ten to four"
    start = _clock(match, now, day_starts)
    end = _written(int(groups["end_hour"]), 0, groups, day_starts)
    if start is not None and end is not None and start >= end and int(groups["hour"]) < 12:
        return _moved(start, -12 * 60)  # "10 to 2 pm" begins in the morning
    return start


def _in_a_while(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    amount = match["amount"]
    count = 0.5 if "half" in amount else 1 if amount in ("a", "an") else int(amount)
    if count > 24 * 60:
        return None
    return (now + timedelta(minutes=count * (60 if match["unit"].startswith("hour") else 1))).strftime("%H:%M")


def _named(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    return "00:00" if match["name"] == "midnight" else "12:00"


def _present(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    return now.strftime("%H:%M")


def _written(hour: int, minute: int, groups: Mapping[str, str | None], day_starts: time | None) -> str | None:
    """The time of a 12 or 24 hour reading, as HH:MM; None where there is no such hour."""
    if hour > 23 or minute > 59:
        return None
    meridiem, part = groups.get("meridiem"), groups.get("part")
    if meridiem == "pm" or (meridiem is None and part in (AFTERNOON, EVENING)):
        hour = hour + 12 if hour < 12 else hour
    elif meridiem == "am" or part == MORNING:
        hour = 0 if hour == 12 else hour
    elif part == "night":
        hour = 0 if hour == 12 else hour + 12 if 5 <= hour < 12 else hour
    elif day_starts is not None and 0 < hour < 12 and time(hour, minute) < day_starts:
        hour += 12
    return f"{hour:02d}:{minute:02d}"


def _moved(written: str, minutes: int) -> str:
    total = (int(written[:2]) * 60 + int(written[3:]) + minutes) % (24 * 60)
    return f"{total // 60:02d}:{total % 60:02d}"


def _rule(pattern: str, read: _Reader) -> _Rule:
    return _Rule(re.compile(pattern), read)


_END_HOUR = r"(?P<end_hour>2[0-3]|1\d|0?\d)(?!\d)(?: ?:? ?[0-5]\d)?"
_JOINED = rf"(?P<joined>{_RANGE})"
_DAY = r"(?:tomorrow|today|tonight|on|this|next|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b"
_STARTS = rf"(?P<time>{_HOUR}(?: ?:? ?{_MINUTE})?)"

# The most telling first: what one rule has taken is out of reach for the next.
_RULES = [
    _rule(rf"{_NOT_WITHIN_FIGURES}(?P<opening>(?:between|from) )?{_STARTS}(?={_JOINED}{_END_HOUR}{_WHEN})", _range_start),
    _rule(rf"\b(?P<opening>(?:between|from) ){_STARTS}(?={_JOINED}{_END_HOUR}{_ENDS})", _range_start),
    _rule(rf"{_NOT_WITHIN_FIGURES}(?P<opening>){_STARTS}(?={_JOINED}{_END_HOUR} {_DAY})", _range_start),
    _rule(rf"{_NOT_WITHIN_FIGURES}{_FRACTION} {_SIDE} {_HOUR}(?! ?[:\d]){_WHEN}?{_CLOCK}?", _fraction),
    _rule(rf"{_NOT_WITHIN_FIGURES}{_HOUR} ?: ?{_MINUTE}(?! ?:){_WHEN}?", _clock),
    _rule(rf"{_NOT_WITHIN_FIGURES}{_HOUR}(?: \.)? {_MINUTE}{_WHEN}", _clock),
    _rule(rf"\b{_HOUR}(?: ?ish\b)?{_WHEN}", _clock),
    _rule(rf"\b{_HOUR}{_CLOCK}", _clock),
    _rule(rf"\b{_HOUR} ?ish\b", _clock),
    _rule(r"\b(?:at |around |about )?(?P<time>(?P<name>noon|midday|noontime|midnight))\b", _named),
    _rule(r"\bin (?P<amount>half an|an?|\d+) (?P<unit>hours?|minutes?)\b", _in_a_while),
    _rule(rf"{_CUE}(?P<time>{_HOUR} {_MINUTE}){_ENDS}", _clock),
    _rule(rf"{_CUE}(?P<time>{_HOUR}){_ENDS}", _clock),
    _rule(rf"\b(?:at|by|around|until|before) (?P<time>(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5][05])){_ENDS}", _clock),
    _rule(rf"\b(?:between|from) [^|]{{1,12}}?{_RANGE}{_STARTS}{_ENDS}", _clock),
    _rule(rf"\d{_RANGE}{_STARTS}(?= {_DAY})", _clock),
    # Alone, and on a quarter of an hour, two numbers are a time whatever was asked for.
    _rule(rf"^(?P<time>{_HOUR} (?P<minute>00|15|30|45))(?: please)?(?: [|,])?$", _clock),
]
# Only where a time was asked for.
_BARE = [
    _rule(rf"{_NOT_WITHIN_FIGURES}(?P<opening>){_STARTS}(?={_JOINED}{_END_HOUR}{_ENDS})", _range_start),
    _rule(rf"\d{_RANGE}{_STARTS}{_ENDS}", _clock),
    _rule(rf"{_NOT_WITHIN_FIGURES}{_HOUR} {_MINUTE}(?! ?[\d:/])", _clock),
    _rule(rf"{_NOT_WITHIN_FIGURES}{_HOUR}(?! ?[\d:/])", _clock),
    _rule(r"\b(?:right )?now\b", _present),
]
