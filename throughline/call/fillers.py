"""What bridges an answer that takes long. Pure: times are passed in.

Always holds: an answer hears no filler twice; the one that was said longest ago comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Fillers:
    """The fillers of one call, of which the first comes after ``after_ms`` of waiting and another after each ``again_ms``."""

    def __init__(self, texts: Iterable[str], *, after_ms: float, again_ms: float) -> None:
        self._texts = deque(texts)
        self._after_ms = after_ms
        self._again_ms = again_ms
        self._due_ms = float("inf")
        self._left = 0

    def begin(self, now_ms: float) -> None:
        """An answer is waited for."""
        self._due_ms, self._left = now_ms + self._after_ms, len(self._texts)

    def end(self) -> None:
        """Nothing is waited for any more."""
        self._due_ms = float("inf")

    def due(self, now_ms: float, *, fits: bool) -> str | None:
        """The filler that is to be said now. Where it is due and does not fit, because somebody is speaking, that time passes without."""
        if now_ms < self._due_ms:
            return None
        self._due_ms = now_ms + self._again_ms
        if not fits or not self._left:
            return None
        self._left -= 1
        text = self._texts[0]
        self._texts.rotate(-1)
        return text
