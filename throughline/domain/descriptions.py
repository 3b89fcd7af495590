"""What a first message tells about a fault in words that the understanding has no entity for. Pure: words in, facts out.

The understanding learns problems from examples, and customers describe them in their own words. What stands behind the appliance's name
("my fridge is warm and everything is melting") is the problem, unless it is one of the small words that say nothing of it; asking for
it again would be asking twice. The words are in data/business/dialogue.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from throughline.domain.company import Dialogue

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_CLAUSE_END = re.compile(r"[,.;:!?\n]|\s-\s")


def says_nothing(text: str, dialogue: Dialogue) -> bool:
    """Whether ``text`` holds nothing but small words ("i think")."""
    return all(word in dialogue.filler_words for word in _words(text))


def problem(text: str, entities: Sequence[Mapping[str, Any]], dialogue: Dialogue, *, before: bool = False) -> str | None:
    """The first clause behind the appliance's name that describes something, without small words around it; None where none does.
    ``before``: where none does, the words that lead up to the name count with it ("a puddle under my washer"), two of them at least.
    ``entities`` are Rasa's dicts of what was found in ``text``; their words belong to them."""
    named = [item for item in entities if item["entity"] == "appliance"]
    if not named:
        return None
    nothing = {*dialogue.filler_words, *dialogue.no_problem_words}
    phrases = (*dialogue.urgent_phrases, *dialogue.not_urgent_phrases)
    for clause in _clauses_behind(int(named[-1]["end"]), text, entities):
        bare = _cut_out(phrases, clause)
        if any(word not in nothing for word in _words(bare)):
            return _trimmed(bare, dialogue)
    if before:
        led_up = _CLAUSE_END.split(_text_before(named[0], text, entities))[-1]
        if sum(word not in nothing for word in _words(led_up)) > 1:
            return _trimmed(led_up + text[named[0]["start"] : named[0]["end"]], dialogue)
    return None


def urgent(text: str, dialogue: Dialogue) -> bool | None:
    """Whether the customer says that it is urgent, or that it is not; None where neither is said."""
    plain = " ".join(_words(text))
    if _has(dialogue.not_urgent_phrases, plain):
        return False
    return True if _has(dialogue.urgent_phrases, plain) else None


def _words(text: str) -> list[str]:
    return [word for _, word in _found(text)]


def _found(text: str) -> list[tuple[re.Match[str], str]]:
    """Every word of ``text``, where it stands and as the lists write it."""
    return [(match, match.group().lower().replace("’", "'")) for match in _WORD.finditer(text)]


def _has(phrases: Iterable[str], plain: str) -> bool:
    return any(re.search(rf"\b{re.escape(phrase)}\b", plain) for phrase in phrases)


def _cut_out(phrases: Iterable[str], clause: str) -> str:
    for phrase in phrases:
        clause = re.sub(rf"\b{re.escape(phrase)}\b", " ", clause, flags=re.IGNORECASE)
    return clause


def _clauses_behind(start: int, text: str, entities: Sequence[Mapping[str, Any]]) -> list[str]:
    """The clauses of ``text`` from ``start`` on. An entity ends one and is no part of any."""
    rest, position = [], start
    for item in sorted(entities, key=lambda item: int(item["start"])):
        if item["start"] >= position:
            rest.append(text[position : item["start"]])
            position = int(item["end"])
    return [clause for part in [*rest, text[position:]] for clause in _CLAUSE_END.split(part)]


def _text_before(appliance: Mapping[str, Any], text: str, entities: Sequence[Mapping[str, Any]]) -> str:
    """What stands between the appliance's name and the entity before it."""
    ends = [int(item["end"]) for item in entities if item["end"] <= appliance["start"]]
    return text[max(ends, default=0) : appliance["start"]]


def _trimmed(clause: str, dialogue: Dialogue) -> str:
    """``clause`` from its first word that is not small to its last that nothing has to follow."""
    words = _found(clause)
    first = next(match for match, word in words if word not in dialogue.filler_words)
    dangling = {*dialogue.dangling_words} & {*dialogue.filler_words}  # so that the first word can always be the last
    last = next(match for match, word in reversed(words) if word not in dangling)
    return clause[first.start() : last.end()]
