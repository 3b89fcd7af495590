"""Everything the spoken-form grammar finds in one text, each character claimed once, and what several days mean together.

| kind           | value               | example                                    |
|----------------|---------------------|--------------------------------------------|
| `date`         | ISO day             | "next thursday", "the 24th", "in two days" |
| `since`        | ISO day in the past | "since yesterday", "it broke on monday"    |
| `time`         | HH:MM               | "half past two", "2:30 pm"                 |
| `part_of_day`  | morning, afternoon, evening | "in the morning", "after work"     |
| `postcode`     | 5 digits            | "nine seven two oh one", "97201-1234"      |
| `phone_number` | E.164               | "503 555 oh one double four"               |
| `code`         | 8 digits            | "12 34 56 78"                              |
| `number`       | int                 | "two", "12"                                |

Of several days the first wish is the plain one. The others carry a role: `excluded` ("not tuesday", "tuesday, no, wednesday"),
`alternative` ("tuesday or wednesday"). The end of a time range has the role `until`. So a slot filled from the plain entity
gets one value. Pure: the present moment is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time

from throughline.nlu.spoken_dates import find_dates
from throughline.nlu.spoken_digits import find_identifiers, find_numbers
from throughline.nlu.spoken_text import Found, SpokenText
from throughline.nlu.spoken_times import find_parts_of_day, find_times

KINDS = ("date", "since", "time", "part_of_day", "postcode", "phone_number", "code", "number")

_EXCLUDES = re.compile(
    r"\b(?:not(?: on)?|instead of|rather than|except(?: for)?|any day but|can't do|can't (?:on|make)|cannot do|don't want)(?: the)? ?$",
    re.IGNORECASE,
)
_CORRECTS = re.compile(r"\b(?:no|sorry|actually|i mean|i meant|wait|make (?:it|that)|rather|instead|better)\b", re.IGNORECASE)
_MOVES = re.compile(r"\b(?:change|move|moved|switch|push|reschedule)\b.*\bfrom(?: the)? ?$", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """How to read: the company's customs. ``day_starts``: see `spoken_times`; ``day_first``: 11/04 is 11 April."""

    day_starts: time | None = None
    day_first: bool = False


def find(text: str, now: datetime, reading: Reading | None = None, *, expected: str = "free") -> list[Found]:
    """All of ``text``'s dates, times, identifiers and numbers, in order of appearance.

    ``now``: the present, in the customer's timezone. ``expected``: what the customer was just asked for, one of
    `domain.turns.EXPECTATIONS`; it only adds readings ("2" is a time when a time was asked for).
    """
    reading = reading or Reading()
    words = SpokenText(text)
    # A number of a fixed length is a day or a clock time only if it is written like one; so days first, identifiers next.
    dates = list(find_dates(words, now.date(), day_first=reading.day_first, expected=expected == "date"))
    identifiers = find_identifiers(words)
    times = find_times(words, now, day_starts=reading.day_starts, expected=expected == "time")
    taken = _unclaimed([], dates)
    for group in (identifiers, times, find_numbers(words)):
        taken += _unclaimed(taken, group)
    # A part of the day may lie within a day ("tonight") or a time ("8 in the evening"): it is found besides them.
    taken += [
        part
        for part in find_parts_of_day(words)
        if not _within(part, [item for item in taken if item.kind in ("time", "since")])
    ]
    return _with_roles(text, sorted(taken, key=lambda item: (item.start, item.end)))


def _unclaimed(taken: list[Found], group: Iterable[Found]) -> list[Found]:
    return [item for item in group if not _within(item, taken)]


def _within(item: Found, others: Iterable[Found]) -> bool:
    """Whether any character of ``item`` belongs to one of ``others``."""
    return any(item.start < other.end and item.end > other.start for other in others)


def _with_roles(text: str, found: list[Found]) -> list[Found]:
    """Give days and times that are not the wish itself their role."""
    for kind in ("date", "time"):
        same = [index for index, item in enumerate(found) if item.kind == kind and item.role is None]
        plain: int | None = None
        for position, index in enumerate(same):
            item = found[index]
            if _EXCLUDES.search(text[: item.start]) or _MOVES.search(text[: item.start]):
                found[index] = replace(item, role="excluded")
                continue
            between = text[found[plain].end : item.start] if plain is not None else ""
            if plain is not None and _CORRECTS.search(between):
                found[plain] = replace(found[plain], role="excluded")
                plain = index
            elif plain is not None:
                found[index] = replace(item, role="alternative")
            else:
                plain = index
            del position
    return found
