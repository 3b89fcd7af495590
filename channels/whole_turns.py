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

_CHOSEN = ("date", "time", "choice")  # kinds of answers of which some are offered


def is_whole(parsed: Mapping[str, Any], slot: str | None, slots: Iterable[Any], business: Business) -> bool:
    """Of Rasa's parse of a text: it answers the question for ``slot``, one of the domain's ``slots``, or needs nothing more."""
    intent, listening = parsed["intent"], business.phone.listening
    if intent["name"] in listening.whole_intents and intent["confidence"] >= listening.whole_confidence:
        return True
    kind = business.phone.expects.get(slot or "", "free")
    if kind in _CHOSEN and set(plain(parsed["text"])) & set(business.dialogue.ordinals):
        return True  # "the earlier one please"
    if any(entity["entity"] == "phone_number" and entity["end"] == len(parsed["text"]) for entity in parsed["entities"]):
        return True  # told without being asked for: it has all its digits
    if kind == "free":
        return False  # a story: it may go on
    asked = (one for one in slots if one.name == slot)
    return any(_fills(mapping, intent["name"], parsed["entities"]) for one in asked for mapping in one.mappings)


def _fills(mapping: Mapping[str, Any], intent: str, entities: Iterable[Mapping[str, Any]]) -> bool:
    if intent in mapping.get("not_intent", ()):
        return False
    if mapping["type"] == "from_intent":
        return bool(mapping["intent"] == intent)
    return mapping["type"] == "from_entity" and any(entity["entity"] == mapping["entity"] for entity in entities)
