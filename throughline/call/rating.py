"""The question how it was, at the end of a call that the dialogue has ended: one key or one word, or none.

Between the caller's keys and words and ``machine.py``, which asks it what to say next and when to hang up. Whoever says something else, or
nothing, is thanked by being let go.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from enum import Enum

from throughline.nlu.spoken_grammar import find

LEAST, MOST = 1, 5
_ANY_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)
_KEY = re.compile(rf"[{LEAST}-{MOST}]")


class _State(Enum):
    TO_ASK = "to ask"
    ASKED = "asked"
    GIVEN = "given"
    OVER = "over"


class Rating:
    """One call's."""

    def __init__(self, *, asks: bool, wait_ms: int) -> None:
        """``asks``: callers are asked at all. ``wait_ms``: how long an answer is waited for once the question has been put."""
        self._state = _State.TO_ASK if asks else _State.OVER
        self._wait_ms = wait_ms

    @property
    def open(self) -> bool:
        """The question has been put, and is not answered yet."""
        return self._state is _State.ASKED

    def next_prompt(self) -> str | None:
        """The response that is to be said now: the question, and thanks for the answer. Each once."""
        if self._state is _State.TO_ASK:
            self._state = _State.ASKED
            return "utter_ask_rating"
        if self._state is _State.GIVEN:
            self._state = _State.OVER
            return "utter_rated"
        return None

    def is_over(self, quiet_ms: float) -> bool:
        """Nothing more is waited for, when nobody has said anything for ``quiet_ms``."""
        return self._state is not _State.ASKED or quiet_ms >= self._wait_ms

    def key(self, key: str) -> int | None:
        """The rating that a key is; None where it is none."""
        return self._given(int(key)) if self.open and _KEY.fullmatch(key) else None

    def words(self, text: str) -> int | None:
        """The rating that somebody has said; None where it was none."""
        if not self.open:
            return None
        numbers = [int(item.value) for item in find(text, _ANY_DAY) if item.kind == "number"]
        return self._given(numbers[0]) if len(numbers) == 1 and LEAST <= numbers[0] <= MOST else None

    def _given(self, rating: int) -> int:
        self._state = _State.GIVEN
        return rating
