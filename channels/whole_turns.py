"""Whether what a caller has said so far is all of it, as the model understands it.

``throughline/call/completeness.py`` judges by the kind of answer that is asked for, and by the last words. Neither tells anything of "since
around noon I think" or "how much is a visit"; their parsing does: the question that is open has its answer, or it is one of the things
that people say whole (data/business/phone.yml: listening.whole_intents).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from throughline.domain.company import Business
from throughline.domain.listening import plain

_BESIDE, _BESIDE_UNASKED, _BESIDE_IN_A_STORY = 3, 2, 1  # words
_CHOSEN = ("date", "time", "choice")  # kinds of answers of which some are offered
_ANSWERS = (
    "brand",
    "since",
    "date",
    "time",
    "postcode",
    "reference",
    "phone_number",
)  # entities that answer a question by themselves


def is_whole(parsed: Mapping[str, Any], slot: str | None, slots: Iterable[Any], business: Business) -> bool:
    """Of Rasa's parse of a text: it answers the question for ``slot``, one of the domain's ``slots``, or needs nothing more."""
    intent, listening = parsed["intent"], business.phone.listening
    begins = intent["name"] in business.dialogue.courtesies and parsed["entities"]  # "hello I'm calling about the furnace"
    if intent["name"] in listening.whole_intents and intent["confidence"] >= listening.whole_confidence and not begins:
        return True
    kind = business.phone.expects.get(slot or "", "free")
    if kind in _CHOSEN and set(plain(parsed["text"])) & set(business.dialogue.ordinals):
        return True  # "the earlier one please"
    if any(entity["entity"] == "phone_number" and entity["end"] == len(parsed["text"]) for entity in parsed["entities"]):
        return True  # told without being asked for: it has all its digits
    if _is_an_answer_alone(parsed):
        return True
    asked = (one for one in slots if one.name == slot)
    beside = _BESIDE_IN_A_STORY if kind == "free" else _BESIDE
    return any(_fills(mapping, parsed, beside) for one in asked for mapping in one.mappings)


def _is_an_answer_alone(parsed: Mapping[str, Any]) -> bool:
    """ "It's a Maytag", also where something else is asked; "my Maytag dryer" may go on."""
    found = parsed["entities"]
    only_answers = all(entity["entity"] in _ANSWERS for entity in found)
    return only_answers and any(_beside(parsed["text"], entity) <= _BESIDE_UNASKED for entity in found)


def _fills(mapping: Mapping[str, Any], parsed: Mapping[str, Any], beside: int) -> bool:
    """Whether it answers the question, with at most ``beside`` words around the answer: in more there may be a story."""
    intent, text = parsed["intent"]["name"], parsed["text"]
    if intent in mapping.get("not_intent", ()):
        return False
    if mapping["type"] == "from_intent":
        return bool(mapping["intent"] == intent)
    answers = [entity for entity in parsed["entities"] if entity["entity"] == mapping.get("entity")]
    return any(_beside(text, answer) <= beside for answer in answers)


def _beside(text: str, answer: Mapping[str, Any]) -> int:
    """How many words stand beside it."""
    return len(plain(f"{text[: answer['start']]} {text[answer['end'] :]}"))
