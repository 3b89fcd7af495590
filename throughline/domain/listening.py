"""The words by which a listener tells whether somebody is done, agrees, or wants to be let in: data/business/phone.yml has them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

from throughline.domain.documented import doc

_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True)
class ListeningWords:
    """Lists of words and short phrases in small letters, without punctuation."""

    unfinished: tuple[str, ...] = field(metadata=doc("What a sentence that goes on ends with: it is waited for."))
    finished: tuple[str, ...] = field(metadata=doc("What somebody ends with who is done."))
    questions: tuple[str, ...] = field(metadata=doc("What a question begins with: one that does not break off is whole."))
    beginnings: tuple[str, ...] = field(metadata=doc("What a short answer begins with that may be the beginning of a story."))
    short_answers: tuple[str, ...] = field(metadata=doc("A yes or a no: whole answers where one is expected."))
    explained: tuple[str, ...] = field(
        metadata=doc("Questions to which a yes is often followed by its reason: it is not whole by itself.")
    )
    hesitations: tuple[str, ...] = field(metadata=doc("Words that say nothing: with them an answer is as whole as without."))
    whole_intents: tuple[str, ...] = field(metadata=doc("Intents of what people say whole: who says one and pauses is done."))
    whole_confidence: float = field(metadata=doc("How sure the model has to be of such an intent.", minimum=0.3, maximum=1.0))
    backchannels: tuple[str, ...] = field(
        metadata=doc("What a listener says who listens: it interrupts nothing, and answers nothing.")
    )
    interruptions: tuple[str, ...] = field(metadata=doc("What interrupts at once, as one word too."))
    uninterruptible: tuple[str, ...] = field(metadata=doc("Responses of domain.yml that a caller has to hear to their end."))


NO_WORDS = ListeningWords((), (), (), (), (), (), (), (), 1.0, (), (), ())
"""Listens by pauses alone."""


def plain(text: str) -> tuple[str, ...]:
    """The words of ``text`` in small letters, without punctuation: "Uh-huh, it's" is ``uh``, ``huh``, ``it's``."""
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


def is_plain(phrase: str) -> bool:
    """Whether ``phrase`` is written as it is compared."""
    return bool(phrase) and phrase == " ".join(plain(phrase))


@functools.lru_cache(maxsize=32)
def _words_of(phrases: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The words of each, the longest first: a trainer's lists are asked for every report of a recogniser."""
    return tuple(sorted({plain(phrase) for phrase in phrases} - {()}, key=len, reverse=True))


def ends_with(words: tuple[str, ...], phrases: tuple[str, ...]) -> bool:
    """Whether the last of ``words`` are one of ``phrases``."""
    return any(words[-len(phrase) :] == phrase for phrase in _words_of(phrases))


def begins_with(words: tuple[str, ...], phrases: tuple[str, ...]) -> bool:
    """Whether the first of ``words`` are one of ``phrases``."""
    return any(words[: len(phrase)] == phrase for phrase in _words_of(phrases))


def undecided(words: tuple[str, ...], phrases: tuple[str, ...]) -> tuple[str, ...]:
    """The same ``words`` without a beginning of one of ``phrases`` at their end, of which the rest may still come: "all" of "all right"."""
    for phrase in _words_of(phrases):
        for length in range(len(phrase) - 1, 0, -1):
            if words[-length:] == phrase[:length]:
                return words[:-length]
    return words


def without(words: tuple[str, ...], phrases: tuple[str, ...]) -> tuple[str, ...]:
    """What of ``words`` is left once every one of ``phrases`` is taken out, the longest first."""
    known = _words_of(phrases)
    left: list[str] = []
    place = 0
    while place < len(words):
        length = next((len(phrase) for phrase in known if words[place : place + len(phrase)] == phrase), 0)
        if not length:
            left.append(words[place])
        place += length or 1
    return tuple(left)
