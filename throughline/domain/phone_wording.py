"""What the assistant's phone sentences are known to be before anything is said: which pieces of them are fixed, what is said while somebody
waits, how pieces are written for the voice.

Made of the domain's responses (channels/voice_script.py) and given to each call. A piece is fixed when it is the company's own text with
no value in it: only such speech is kept on disk, and it can be made before it is needed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from throughline.domain.lexicon import Lexicon
from throughline.domain.privacy import placeholders
from throughline.domain.sentences import clause_ends, sentences_of


@dataclass(frozen=True)
class PhoneWording:
    """``fixed``: whole sentences. ``openings``: how sentences begin that go on with a value, each up to a comma or colon. ``fillers``: what
    is said while a turn takes long, in this order. Without ``lexicon`` everything is given to the voice as it is written."""

    fixed: frozenset[str] = frozenset()
    openings: frozenset[str] = frozenset()
    fillers: tuple[str, ...] = ()
    lexicon: Lexicon | None = None

    def pieces_of(self, text: str) -> list[str]:
        """``text`` in the pieces in which it is made and played: sentences, and a known opening by itself, so that it plays while the rest
        is being made. Joined by single spaces they are the text again."""
        pieces: list[str] = []
        for sentence in sentences_of(text):
            opening = "" if sentence in self.fixed else self._opening_of(sentence)
            pieces += [opening, sentence[len(opening) :].lstrip()] if opening else [sentence]
        return pieces

    def _opening_of(self, sentence: str) -> str:
        for end in reversed(clause_ends(sentence)):
            if sentence[:end] in self.openings:
                return sentence[:end]
        return ""

    def spoken(self, text: str) -> str:
        """``text`` as a voice is given it."""
        return self.lexicon.spoken(text) if self.lexicon else text

    @functools.cached_property
    def to_keep(self) -> tuple[str, ...]:
        """Every piece that may be kept, as a voice is given it, sorted."""
        return tuple(
            sorted(
                {self.spoken(piece) for text in self.fillers for piece in sentences_of(text)}
                | {self.spoken(piece) for piece in self.fixed | self.openings}
            )
        )


def phone_wording(
    texts: Iterable[str], *, fillers: Iterable[str] = (), opening_chars: int, lexicon: Lexicon | None = None
) -> PhoneWording:
    """The wording of a company that says ``texts``, with ``{value}`` wherever a value comes. An opening has ``opening_chars`` or more."""
    fixed, openings = set[str](), set[str]()
    for sentence in (sentence for text in texts for sentence in sentences_of(text)):
        if not placeholders(sentence):
            fixed.add(sentence)
            continue
        before = sentence[: sentence.index("{")]
        ends = [end for end in clause_ends(before) if end >= opening_chars]
        if ends:
            openings.add(before[: ends[-1]])
    return PhoneWording(frozenset(fixed), frozenset(openings), tuple(fillers), lexicon)
