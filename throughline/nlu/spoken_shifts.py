"""Days counted from another one that is spoken of: "a day later", "the day before that", "push it back a week", "same time next week".

Kind ``day_shift``, the value is in days, negative for earlier. From which day it counts is known to whoever holds the conversation: from
the visit that is booked, from the day that was offered. ``same_time`` says that the hour stays. Reads `SpokenText`'s canonical form. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from throughline.nlu.day_words import COUNTS
from throughline.nlu.spoken_text import Found, SpokenText

_COUNT = rf"(?P<count>\d{{1,2}}|{'|'.join(sorted(COUNTS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>day|week|fortnight)s?"
_DAYS = {"day": 1, "week": 7, "fortnight": 14}
_BEFORE = ("earlier", "sooner", "before", "up", "forward", "previous")
# Behind these nothing follows that they would count from themselves, as "the day after christmas" does.
_ENDS = r"(?=$| [,|]| (?:please|instead|if|would|works?|is|are|at|in|on|or|for|then|too|maybe|around|between|with|suits?|sounds|that's)\b)"
_RULES = [
    re.compile(rf"\b{_COUNT} {_UNIT} (?P<way>later|earlier|sooner|after|before)(?: that| it| then)?\b{_ENDS}"),
    re.compile(rf"\b(?:the )?(?P<unit>day|week) (?P<way>after|before)(?: that| it| then)?\b{_ENDS}"),
    re.compile(r"\b(?:the )?(?P<way>following|previous) (?P<unit>day|week)\b"),
    re.compile(r"\bthe (?P<way>next) (?P<unit>day)\b"),
    re.compile(rf"\b(?P<way>back|out|off|up|forward)(?: by)? {_COUNT} {_UNIT}\b(?! ago)"),
    re.compile(r"\b(?:the )?same (?:time|day|slot|hour) (?:the )?(?P<way>next|following) (?P<unit>week|day)\b"),
]
_SAME_TIME = re.compile(r"\b(?:the )?same (?:time|slot|hour)\b")


def find_shifts(words: SpokenText) -> Iterator[Found]:
    """Kinds ``day_shift`` (the first there is) and ``same_time``."""
    match = min((found for rule in _RULES if (found := rule.search(words.text))), key=lambda found: found.start(), default=None)
    if match is None:
        return
    count = match.groupdict().get("count") or "1"
    days = _DAYS[match["unit"]] * (COUNTS[count] if count in COUNTS else int(count))
    yield Found("day_shift", -days if match["way"] in _BEFORE else days, *words.source(*match.span()))
    same = _SAME_TIME.search(words.text)
    if same is not None:
        yield Found("same_time", "true", *words.source(*same.span()))
