"""Everything the spoken-form grammar finds in one text, each character claimed once, and what several days mean together.

| kind           | value               | example                                    |
|----------------|---------------------|--------------------------------------------|
| `date`         | ISO day             | "next thursday", "the 24th", "in two days" |
| `since`        | ISO day in the past | "since yesterday", "it broke on monday"    |
| `day_shift`    | int, days           | "a day later", "the day before that"       |
| `same_time`    | "true"              | "same time next week"                      |
| `time`         | HH:MM               | "half past two", "2:30 pm"                 |
| `part_of_day`  | morning, afternoon, evening | "in the morning", "after work"     |
| `postcode`     | 5 digits            | "nine seven two oh one", "97201-1234"      |
| `phone_number` | E.164               | "503 555 oh one double four"               |
| `code`         | 8 digits            | "12 34 56 78"                              |
| `reference`    | 6 digits            | "my reference is 284 193"                  |
| `bill_number`  | 4 to 9 digits       | "bill 20417", "invoice number 20 41 7"     |
| `number`       | int                 | "two", "12"                                |

Of several of one kind the wish is plain and the others carry a role: `excluded` ("not tuesday", "tuesday, no, wednesday"), `alternative`
("tuesday or wednesday"), `until` (the end of a time range), `since` (the time of a day that has passed). So a slot that is filled from
the plain entity gets one value. Pure: the present moment is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time

from throughline.nlu.spoken_dates import find_dates
from throughline.nlu.spoken_digits import find_identifiers, find_numbers
from throughline.nlu.spoken_shifts import find_shifts
from throughline.nlu.spoken_text import Found, SpokenText
from throughline.nlu.spoken_times import find_parts_of_day, find_times

KINDS = (
    "date",
    "since",
    "day_shift",
    "same_time",
    "time",
    "part_of_day",
    "postcode",
    "phone_number",
    "code",
    "reference",
    "bill_number",
    "number",
)

EXPECTED = ("free", "date", "time", "since", "reference")
EXCLUDED, ALTERNATIVE, SINCE = "excluded", "alternative", "since"

_CHOSEN_ONCE = ("date", "time", "part_of_day", "postcode", "phone_number", "code", "reference")
_EXCLUDES = re.compile(
    r"\b(?:not(?: on| at| in)?|instead of|rather than|except(?: for| on)?|any(?: other)? (?:day|time) but"
    r"|can't do|can't (?:on|make)|cannot do|don't want)(?: the)? ?$",
    re.IGNORECASE,
)
_CORRECTS = re.compile(r"\b(?:no|sorry|actually|i mean|i meant|wait|make (?:it|that)|rather|instead|better)\b", re.IGNORECASE)
_MOVED_FROM = re.compile(r"\b(?:change|move|moved|switch|push|reschedule)\b.*\bfrom(?: the)? ?$", re.IGNORECASE)
_SINCE = re.compile(r"\bsince(?: about| around| early| late| this)? ?$", re.IGNORECASE)
_WISH = re.compile(
    r"\b(?:would (?:be|work|suit)|works?(?: best| well)? for (?:me|us)|suits?|(?:is|are) (?:good|fine|best|better|okay|ok|perfect)|prefer"
    r"|(?:can|could) (?:you|somebody|someone|they) come|come (?:on|by|over)|please come|i'd like|i want|book)\b",
    re.IGNORECASE,
)
_JOINS = re.compile(r",? ?(?:at|around|about|in the|by|early|late)? ?(?:about |around )?", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """How to read: the company's customs. ``day_starts``: see `spoken_times`; ``day_first``: 11/04 is 11 April."""

    day_starts: time | None = None
    day_first: bool = False


def find(text: str, now: datetime, reading: Reading | None = None, *, expected: str = "free") -> list[Found]:
    """All of ``text``'s dates, times, identifiers and numbers, in order of appearance.

    ``now``: the present, in the customer's timezone. ``expected``: what the customer was just asked for, `date`, `time`, `since`,
    `reference`, else `free`. It adds readings: "2" is a time when a time was asked for, six digits are a reference when that was, "monday"
    lies in the past when "since when?" was asked, unless the words are a wish ("monday would be good").
    """
    reading = reading or Reading()
    if expected == "since" and _WISH.search(text):
        expected = "date"  # "thursday would be good" tells when to come, whatever was asked
    words = SpokenText(text)
    # Days first: "2026-11-24" would be eight digits. Identifiers next: "97201" at two would be an hour. Numbers are what is left.
    found = list(find_shifts(words))
    found += [
        item
        for item in find_dates(words, now.date(), day_first=reading.day_first, expected=expected)
        if not _touches(item, found)
    ]
    parts = list(find_parts_of_day(words))
    times = find_times(words, now, day_starts=reading.day_starts, expected=expected == "time")
    times = (item for item in times if not any(_holds(part, item) for part in parts))  # "before noon" is a part of the day
    for group in (find_identifiers(words, reference_expected=expected == "reference"), times, find_numbers(words)):
        found += [item for item in group if not _touches(item, found)]
    # A part of the day may lie within a day ("tonight"): it is found besides it. Within a time it has done its work.
    found += [part for part in parts if not _touches(part, [item for item in found if item.kind == "time"])]
    found.sort(key=lambda item: (item.start, item.end))
    return _choose(text, _of_the_past(text, found))


def _touches(item: Found, others: Iterable[Found]) -> bool:
    """Whether any character of ``item`` belongs to one of ``others``."""
    return any(item.start < other.end and item.end > other.start for other in others)


def _holds(outer: Found, inner: Found) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _of_the_past(text: str, found: list[Found]) -> list[Found]:
    """Times and parts of the day that belong to a day in the past: "since yesterday at 5", "monday morning it broke"."""
    past = [item for item in found if item.kind == "since"]

    def belongs(item: Found) -> bool:
        if _touches(item, past) or _SINCE.search(text[: item.start]):
            return True
        return any(other.end <= item.start and _JOINS.fullmatch(text[other.end : item.start]) for other in past)

    return [replace(item, role=SINCE) if item.kind in ("time", "part_of_day") and belongs(item) else item for item in found]


def _choose(text: str, found: list[Found]) -> list[Found]:
    """Of several of one kind, leave one plain and give the others their role."""
    found = list(found)
    for kind in _CHOSEN_ONCE:
        plain: int | None = None
        for index, item in enumerate(found):
            if item.kind != kind or item.role is not None:
                continue
            if _EXCLUDES.search(text[: item.start]) or (kind == "date" and _MOVED_FROM.search(text[: item.start])):
                found[index] = replace(item, role=EXCLUDED)
            elif plain is None:
                plain = index
            elif _CORRECTS.search(text[found[plain].end : item.start]):
                found[plain] = replace(found[plain], role=EXCLUDED)
                plain = index
            else:
                found[index] = replace(item, role=ALTERNATIVE)
    return found
