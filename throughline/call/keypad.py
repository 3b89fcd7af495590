"""Keys pressed during a call, gathered into numbers. Digits are never logged: they may be somebody's code.

A number ends at ``#``, at a pause, or at its longest length. The pause is short once it has as many digits as were asked for, or as a
one-time code has, which may be keyed at any time; a key more within it, and it is a longer number. ``*`` begins it anew.
"""

from __future__ import annotations

from throughline.nlu.spoken_digits import CODE_DIGITS, NATIONAL_PHONE_DIGITS, POSTCODE_DIGITS, REFERENCE_DIGITS

DIGITS_OF = {
    "postcode": POSTCODE_DIGITS,
    "reference": REFERENCE_DIGITS,
    "code": CODE_DIGITS,
    "phone_number": NATIONAL_PHONE_DIGITS,
    "yes_no": 1,
    "choice": 1,
    "date": 1,
    "time": 1,
}
"""How many digits answer a question, by the kind of the answer."""


class Keypad:
    """One caller's keypad."""

    def __init__(self, *, pause_ms: int, whole_pause_ms: int, max_digits: int) -> None:
        """``whole_pause_ms``: the pause behind a number that has all its digits."""
        self._pause_ms = pause_ms
        self._whole_pause_ms = whole_pause_ms
        self._max_digits = max_digits
        self._digits = ""
        self._pressed_ms = 0.0

    @property
    def gathering(self) -> bool:
        """A number has begun and not ended."""
        return bool(self._digits)

    def press(self, key: str, now_ms: float) -> str | None:
        """One key, of Media Streams' KEYS. Returns the number that it ends. A to D, which no telephone has, do nothing."""
        if key == "*":
            self._digits = ""
        elif key == "#":
            return self.take()
        elif key.isdigit():
            self._digits += key
            self._pressed_ms = now_ms
            if len(self._digits) >= self._max_digits:
                return self.take()
        return None

    def tick(self, now_ms: float, kind: str = "free") -> str | None:
        """The number that a pause has ended, where an answer of ``kind`` is asked for (domain/turns.py: EXPECTATIONS)."""
        is_whole = len(self._digits) in (DIGITS_OF.get(kind), CODE_DIGITS)
        if self._digits and now_ms - self._pressed_ms >= (self._whole_pause_ms if is_whole else self._pause_ms):
            return self.take()
        return None

    def take(self) -> str | None:
        """End the number now and return it, None when there is none."""
        digits, self._digits = self._digits, ""
        return digits or None
