"""Times of day and parts of the day, as they are typed and said.

Times come out as "HH:MM" (24 hours), parts of the day as morning, afternoon or evening. Who says "at two" to a company that works
by day means 14:00: an hour without am, pm or a part of the day that lies before ``day_starts`` is taken for the afternoon.
With ``day_starts`` None it is taken as it stands. Pure: the present moment is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from throughline.nlu.spoken_text import Found, SpokenText

MORNING, AFTERNOON, EVENING = "morning", "afternoon", "evening"

_HOUR = r"(?P<hour>2[0-3]|1\d|0?\d)(?!\d)"
_MINUTE = r"(?P<minute>[0-5]\d|0 \d)(?!\d)"
_PART_WORD = r"(?P<part>morning|afternoon|evening|night)"
_PART = rf"(?:,? ?(?:in the |at |of the |this |the )?{_PART_WORD}\b)"
_CLOCK = r"(?: ?o'clock\b)"
_HALF_DAY = r"(?: ?(?P<meridiem>am|pm)\b)"
_WHEN = rf"(?:{_CLOCK}?(?:{_HALF_DAY}|{_PART}))"
_CUE = r"(?P<cue>at|around|about|by|after|before|from|until|till|til|past|between|say|like|for)"
_ROUGHLY = r"(?:around |about |like |say |exactly |roughly |maybe )?"
# After a bare hour these may follow and it is still an hour: "at 5 on friday", and not "at 5 main street".
_ENDS = (
    r"(?= ?(?:$|[|,;?!)-])| (?:and|or|to|on|in|if|is|would|works|work|will|please|then|today|tomorrow|this|next|sharp|ish"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday|thanks|thank|for|but|when|so|at|instead|not|might|could|can)\b)"
)
_FRACTION = r"(?P<fraction>half|(?:a )?quarter|\d{1,2}(?: minutes?)?)"
_SIDE = r"(?P<side>past|after|to|till|til|before|of|until)"


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str], datetime, time | None], str | None]


def find_times(words: SpokenText, now: datetime, *, day_starts: time | None = None, expected: bool = False) -> Iterator[Found]:
    """Times in ``words``, in order, not overlapping. The end of a range ("between 10 and 12") has the role ``until``.

    ``expected``: the customer was just asked for a time, so a bare "2" is one.
    """
    claimed = [False] * len(words.text)
    found = []
    for rule in [*_RULES, *(_BARE if expected else [])]:
        for match in rule.pattern.finditer(words.text):
            start, end = _trimmed(match)
            value = None if any(claimed[start:end]) else rule.read(match, now, day_starts)
            if value is None:
                continue
            claimed[start:end] = [True] * (end - start)
            role = "until" if _ends_range(words.text[:start]) else None
            found.append(Found("time", value, *words.source(start, end), role))
    yield from sorted(found, key=lambda item: item.start)


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
# "good morning" greets, "last night" and "since this morning" tell when it began: none of them is a wish.
_PARTS = re.compile(
    r"(?<!good )(?<!last )(?<!since )(?<!since this )(?<!since early )(?<!all )"
    rf"\b(?P<name>{'|'.join(_PART_OF)})\b"
)


def _trimmed(match: re.Match[str]) -> tuple[int, int]:
    """The time itself: without the word that led to it and the blanks around it."""
    start = match.start("time") if "time" in match.re.groupindex else match.start()
    text = match.string[start : match.end()]
    return start + len(text) - len(text.lstrip(" ,")), match.end() - (len(text) - len(text.rstrip(" ,")))


def _ends_range(before: str) -> bool:
    return bool(re.search(r"\b(?:between|from) [^|]{1,25} (?:and|to|until|till|-) $|\b(?:until|till|til|before|by) $", before))


def _clock(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    groups = match.groupdict()
    hour, minute = int(groups["hour"]), int((groups.get("minute") or "0").replace(" ", ""))
    return _written(hour, minute, groups, day_starts)


def _fraction(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    """ "half past two", "20 to 2", "quarter of three"."""
    groups = match.groupdict()
    text = groups["fraction"]
    minutes = 30 if text == "half" else 15 if "quarter" in text else int(text.split()[0])
    after = groups["side"] in ("past", "after")
    if minutes >= 60 or minutes == 0 or (not after and minutes % 5):
        return None
    if not after and re.search(r"\b(?:between|from) $", match.string[: match.start()]):
        return None  # "from 10 to 12" is a range
    hour = int(groups["hour"])
    written = _written(hour, 0, groups, day_starts)
    if written is None:
        return None
    whole = timedelta(hours=int(written[:2])) + timedelta(minutes=minutes if after else -minutes)
    total = int(whole.total_seconds() // 60) % (24 * 60)
    return f"{total // 60:02d}:{total % 60:02d}"


def _in_a_while(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    amount, unit = match["amount"], match["unit"]
    count = 0.5 if "half" in amount else 1 if amount in ("a", "an") else int(amount)
    step = timedelta(hours=count) if unit.startswith("hour") else timedelta(minutes=count)
    return (now + step).strftime("%H:%M")


def _named(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    return "00:00" if match["name"] == "midnight" else "12:00"


def _present(match: re.Match[str], now: datetime, day_starts: time | None) -> str | None:
    return now.strftime("%H:%M")


def _written(hour: int, minute: int, groups: dict[str, str | None], day_starts: time | None) -> str | None:
    """The time of a 12 or 24 hour reading, as HH:MM; None where there is no such hour."""
    if hour > 23 or minute > 59:
        return None
    meridiem, part = groups.get("meridiem"), groups.get("part")
    if meridiem == "pm" or part in (AFTERNOON, EVENING):
        hour = hour + 12 if hour < 12 else hour
    elif meridiem == "am" or part == MORNING:
        hour = 0 if hour == 12 else hour
    elif part == "night":
        hour = 0 if hour == 12 else hour + 12 if 5 <= hour < 12 else hour
    elif day_starts is not None and 0 < hour < 12 and time(hour, minute) < day_starts:
        hour += 12
    return f"{hour:02d}:{minute:02d}"


def _rule(pattern: str, read: Callable[[re.Match[str], datetime, time | None], str | None]) -> _Rule:
    return _Rule(re.compile(pattern), read)


# The most telling first: what one rule has taken is out of reach for the next.
_RULES = [
    _rule(rf"\b{_FRACTION} {_SIDE} {_HOUR}(?! ?[:\d]){_WHEN}?{_CLOCK}?", _fraction),
    _rule(rf"(?<![\d/:-] )(?<!\d)\b{_HOUR} ?: ?{_MINUTE}(?! ?:){_WHEN}?", _clock),
    _rule(rf"\b{_HOUR} {_MINUTE}{_WHEN}", _clock),
    _rule(rf"\b{_HOUR}(?: ?ish\b)?{_WHEN}", _clock),
    _rule(rf"\b{_HOUR}{_CLOCK}", _clock),
    _rule(rf"\b{_HOUR} ?ish\b", _clock),
    _rule(rf"\b(?P<name>noon|midday|noontime|midnight)\b", _named),
    _rule(r"\bin (?P<amount>half an|an?|\d+) (?P<unit>hours?|minutes?)\b", _in_a_while),
    _rule(rf"\b{_CUE} {_ROUGHLY}(?P<time>{_HOUR} {_MINUTE}){_ENDS}", _clock),
    _rule(rf"\b{_CUE} {_ROUGHLY}(?P<time>{_HOUR}){_ENDS}", _clock),
    _rule(rf"\b(?:between|from) [^|]{{1,12}}? (?:and|to|until|till|-) (?P<time>{_HOUR}(?: {_MINUTE})?){_ENDS}", _clock),
]
# Only where a time was asked for.
_BARE = [
    _rule(rf"(?<![\d/:-] )(?<!\d)\b{_HOUR} {_MINUTE}(?! ?[\d:/])", _clock),
    _rule(rf"(?<![\d/:-] )(?<!\d)\b{_HOUR}(?! ?[\d:/-])", _clock),
    _rule(r"\b(?:right )?now\b", _present),
]
