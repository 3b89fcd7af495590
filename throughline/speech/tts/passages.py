"""Cuts a long text into passages: what an engine can make at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+|\n+")


def passages(text: str, limit: int) -> Iterator[str]:
    """``text`` in pieces of at most ``limit`` characters, cut where a sentence ends, else between words, else anywhere."""
    pending = ""
    for sentence in _SENTENCE_END.split(text):
        if pending and len(pending) + 1 + len(sentence) > limit:
            yield pending
            pending = ""
        pending = f"{pending} {sentence}".strip()
        while len(pending) > limit:
            cut = pending.rfind(" ", 1, limit + 1)
            cut = cut if cut > 0 else limit
            yield pending[:cut]
            pending = pending[cut:].strip()
    if pending:
        yield pending
