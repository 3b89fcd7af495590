"""Keys pressed during a call, gathered into numbers. Digits are never logged: they may be somebody's code.

A number ends at its longest length, at ``#``, or at a pause. ``*`` begins it anew.
"""

from __future__ import annotations


class Keypad:
    """One caller's keypad."""

    def __init__(self, *, pause_ms: int, max_digits: int) -> None:
        self._pause_ms = pause_ms
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

    def tick(self, now_ms: float) -> str | None:
        """The number that a pause has ended."""
        if self._digits and now_ms - self._pressed_ms >= self._pause_ms:
            return self.take()
        return None

    def take(self) -> str | None:
        """End the number now and return it, None when there is none."""
        digits, self._digits = self._digits, ""
        return digits or None
