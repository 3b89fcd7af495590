"""Where a message may turn to another matter: "I have to move my appointment, and I have a question about my bill".

Only places behind which a new clause begins are taken: a sentence's end, or a joining word before a word that begins a wish, a question
or a statement of its own. So "my washer and dryer are leaking" stays whole. Whether the parts are really different matters is for the
understanding to say. Pure.
"""

from __future__ import annotations

import re

_BEGINS = (
    r"i|i'd|i'm|i've|i'll|we|we'd|we've|we're|my|our|can|could|do|does|did|is|are|will|would|how|what|what's|when|when's|where|please"
    r"|there's|there|also|then|you|your"
)
_TURN = re.compile(
    r"(?:[.!?;]+\s+(?:and\s+|also\s+|but\s+|oh\s+|plus\s+)*"
    rf"|,?\s+(?:and\s+(?:also\s+|then\s+)?|but\s+(?:also\s+)?|plus\s+|also\s+|oh\s+and\s+)(?=(?:{_BEGINS})\b)"
    r"|,\s+(?=(?:how|what|when|where|do|does|can|could|is|are)\b))",
    re.IGNORECASE,
)
_LEAST_WORDS = 3  # a part of fewer words is no matter of its own: "thanks", "and today"
_MOST_PARTS = 4


def parts(text: str) -> list[tuple[int, int]]:
    """The spans of the parts of ``text``, in order; none where it is one matter, or too many for one message."""
    spans, start = [], 0
    for turn in _TURN.finditer(text):
        if len(text[start : turn.start()].split()) >= _LEAST_WORDS and len(text[turn.end() :].split()) >= _LEAST_WORDS:
            spans.append((start, turn.start()))
            start = turn.end()
    spans.append((start, len(text)))
    return spans if 2 <= len(spans) <= _MOST_PARTS else []
