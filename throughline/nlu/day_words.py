"""The words around days: names of weekdays, months and feasts, and what tells whether a day is past.

Data, and two questions about it. All words are in `SpokenText`'s canonical form.
"""

from __future__ import annotations

import calendar
import re

WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)} | {"sat": 5, "sun": 6, "wed": 2}
MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name} | {"mar": 3}

FIXED_DAYS = {
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

# Feasts that fall on another date each year, as `domain.holidays` reads them.
MOVING_DAYS = {
    "thanksgiving day": "4th thursday of november",
    "thanksgiving": "4th thursday of november",
    "memorial day": "last monday of may",
    "labor day": "1st monday of september",
    "presidents day": "3rd monday of february",
    "presidents' day": "3rd monday of february",
    "martin luther king day": "3rd monday of january",
    "mlk day": "3rd monday of january",
    "columbus day": "2nd monday of october",
}

# Days from today: those to come, those gone, and those that the words around decide.
NEAR_AHEAD = {"the day after tomorrow": 2, "day after tomorrow": 2, "tomorrow": 1}
NEAR_PAST = {"the day before yesterday": -2, "day before yesterday": -2, "yesterday": -1, "last night": -1, "last evening": -1}
NEAR_EITHER = {"today": 0, "tonight": 0, "this morning": 0, "this afternoon": 0, "this evening": 0}

COUNTS = {"a": 1, "an": 1, "a couple of": 2, "a couple": 2, "couple of": 2, "couple": 2, "a few": 3, "few": 3, "several": 4}

_BEGAN = (
    r"since|started|start|began|begun|broke|broken|stopped|failed|died|leaked|noticed|happened|quit|flooded|froze|tripped|bought|worked"
    r"|appeared|acting up|went out|went off|was fine|was working|been|gone|installed"
)
# Behind these a new thought begins, mostly a wish: "it stopped heating, can you come on thursday".
_WISH = (
    r"can|could|come|book|visit|free|need|want|please|would|available|for|i'd|i'll|i'm|i|you|schedule|hoping|fix|send|someone|anyone|technician"
    r"|appointment|how|what|and"
)
_LOOKS_BACK = re.compile(rf"\b(?:{_BEGAN})(?: (?!(?:{_WISH})\b)[^|,\s]+){{0,6}} $")
_SINCE = re.compile(r"\bsince (?:about |around |at least |early |late |maybe |like )*$")
_GOES_ON_BACK = re.compile(
    r"^(?: ,)?(?: (?:in the )?(?:morning|afternoon|evening|night))?(?: ,)? (?:it|they|she|he|water|there|(?:the|my|our) \w+(?: \w+)?)"
    r" (?:just |suddenly |then |all )*"
    r"(?:started|began|broke|stopped|quit|went|was|were|wouldn't|didn't|died|failed|leaked|tripped|came|made|flooded|froze)\b"
)
_GOES_AHEAD = re.compile(
    r"^(?: (?:in the )?(?:morning|afternoon|evening|night))? (?:would|works?|please|if|suits?"
    r"|is (?:good|fine|best|ok|okay|great|better|perfect)|sounds|could|can|might|should|will|i can|i'm free)\b"
)
_AFTER_A_DAY = re.compile(
    r"^ (?!(?:of|at|in|on|or|and|if|is|would|works?|please|then|this|next|around|about|after|before|between|for|to|instead|not|so|but"
    r"|morning|afternoon|evening|it|i|can|could|will|thanks|thank|sounds|suits|maybe)\b)[a-z\d]"
)


def tells_past(text: str, start: int, end: int) -> bool:
    """Whether the words around ``text[start:end]``, a day, say that something began or happened on it."""
    before, after = text[:start], text[end:]
    if _SINCE.search(before):
        return True
    return not _GOES_AHEAD.match(after) and bool(_LOOKS_BACK.search(before) or _GOES_ON_BACK.match(after))


def goes_on(after: str) -> bool:
    """Whether an ordinal is followed by a word it counts ("the second floor"), so that it is no day of the month."""
    return bool(_AFTER_A_DAY.match(after))
