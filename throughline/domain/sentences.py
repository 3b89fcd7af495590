"""Text cut where a voice pauses: a sentence is what is made, kept and played as one piece.

Used by the call's playback, and by whoever works out beforehand which pieces there will be (phone_wording.py): both must cut alike.
"""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_CLAUSE_END = re.compile(r"[,;:](?=\s)")
_SHORTEST_SENTENCE_CHARS = 12
"""What is shorter is more likely an abbreviation ("Mr."), or sounds better with what follows."""


def sentences_of(text: str) -> list[str]:
    """``text`` cut where a voice pauses, spaces normalised. Joined by single spaces they are the text again."""
    sentences: list[str] = []
    for piece in _SENTENCE_END.split(" ".join(text.split())):
        if sentences and len(sentences[-1]) < _SHORTEST_SENTENCE_CHARS:
            sentences[-1] += " " + piece
        elif piece:
            sentences.append(piece)
    return sentences


def clause_ends(sentence: str) -> list[int]:
    """Where in ``sentence`` a voice pauses within it: the positions behind each comma, semicolon and colon that a space follows."""
    return [match.end() for match in _CLAUSE_END.finditer(sentence)]
