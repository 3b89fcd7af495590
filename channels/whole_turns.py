"""Whether what a caller has said so far is all of it, as the model understands it.

``throughline/call/completeness.py`` judges by the kind of answer that is asked for, and by the last words. Neither tells anything of "since
around noon I think" or "how much is a visit"; their parsing does: the question that is open has its answer, or it is one of the things
that people say whole (data/business/phone.yml: listening.whole_intents).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from throughline.domain.company import Business
from throughline.domain.listening import ListeningWords, plain, without

_BESIDE, _BESIDE_UNASKED, _BESIDE_IN_A_STORY = 3, 2, 1  # words
_CHOSEN = ("date", "time", "choice")  # kinds of answers of which some are offered
_ANSWERS = ("brand", "since", "date", "time", "part_of_day", "postcode", "reference", "phone_number")
"""Entities that answer a question by themselves."""
_YES_OR_NO = ("affirm", "deny")
_PERSON = "customer_name"


def is_whole(parsed: Mapping[str, Any], slot: str | None, slots: Iterable[Any], business: Business) -> bool:
    """Of Rasa's parse of a text: it answers the question for ``slot``, one of the domain's ``slots``, or needs nothing more."""
    listening, kind = business.phone.listening, business.phone.expects.get(slot or "", "free")
    mappings = [mapping for one in slots if one.name == slot for mapping in one.mappings]
    if slot in listening.explained:
        explained = [mapping for mapping in mappings if mapping.get("value") is True]
        if parsed["intent"]["name"] in (_YES_OR_NO[0], *(mapping.get("intent") for mapping in explained)):
            return False
        mappings = [mapping for mapping in mappings if mapping not in explained]
    if _is_said_whole(parsed, slot, kind, business):
        return True
    if kind in _CHOSEN and set(plain(parsed["text"])) & set(business.dialogue.ordinals):
        return True  # "the earlier one please"
    if any(entity["entity"] == "phone_number" and entity["end"] == len(parsed["text"]) for entity in parsed["entities"]):
        return True  # told without being asked for: it has all its digits
    if _is_an_answer_alone(parsed, business):
        return True
    beside = _BESIDE_IN_A_STORY if kind == "free" else _BESIDE
    return any(_fills(mapping, parsed, beside, slot, listening) for mapping in mappings)


def _is_said_whole(parsed: Mapping[str, Any], slot: str | None, kind: str, business: Business) -> bool:
    """It is one of the things that people say whole. A yes and a no are where one is expected, or where nothing is asked."""
    intent, listening = parsed["intent"], business.phone.listening
    if intent["name"] not in listening.whole_intents or intent["confidence"] < listening.whole_confidence:
        return False
    if intent["name"] in _YES_OR_NO:
        return kind == "yes_no" or slot is None
    begins = intent["name"] in business.dialogue.courtesies and parsed["entities"]  # "thanks, it's about the furnace"
    return not begins


def _is_an_answer_alone(parsed: Mapping[str, Any], business: Business) -> bool:
    """ "It's a Maytag", also where something else is asked; "my Maytag dryer" and "good morning" may go on."""
    found = parsed["entities"]
    if not found or parsed["intent"]["name"] in business.dialogue.courtesies:
        return False
    only_answers = all(entity["entity"] in _ANSWERS or _is_full_name(entity) for entity in found)
    return only_answers and _beside(parsed["text"], found, business.phone.listening) <= _BESIDE_UNASKED


def _is_full_name(entity: Mapping[str, Any]) -> bool:
    """After a first name the last one may come."""
    return entity["entity"] == "person_name" and " " in str(entity["value"]).strip()


def _fills(
    mapping: Mapping[str, Any], parsed: Mapping[str, Any], beside: int, slot: str | None, listening: ListeningWords
) -> bool:
    """Whether it answers the question, with at most ``beside`` words around the answer: in more there may be a story."""
    intent, text = parsed["intent"]["name"], parsed["text"]
    if intent in mapping.get("not_intent", ()):
        return False
    if mapping["type"] == "from_intent":
        return bool(mapping["intent"] == intent)
    answers = [entity for entity in parsed["entities"] if entity["entity"] == mapping.get("entity")]
    if slot == _PERSON:
        answers = [answer for answer in answers if _is_full_name(answer)]
    others = [entity for entity in parsed["entities"] if entity["entity"] in _ANSWERS]
    return bool(answers) and _beside(text, [*answers, *others], listening) <= beside


def _beside(text: str, answers: Iterable[Mapping[str, Any]], listening: ListeningWords) -> int:
    """How many words that say something stand beside them."""
    letters = list(text)
    for answer in answers:
        letters[answer["start"] : answer["end"]] = " " * (answer["end"] - answer["start"])
    return len(without(plain("".join(letters)), listening.hesitations))
