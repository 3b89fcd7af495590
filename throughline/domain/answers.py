"""Reads what was said as the answer to the form's open question. Pure: words in, a value out.

The understanding (intent, entities) comes from Rasa; here stands only what it can't know, because it does not see the question: that "yes"
after "is it urgent?" is about urgency, that "the second one" chooses from what was offered, that free words after "what's your name?"
are a name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from throughline.domain import descriptions
from throughline.domain.company import Business
from throughline.domain.facts import TIMES
from throughline.domain.journeys import Journey

ANY = "any"  # the customer leaves the choice to us
_FREE = ("problem", "since", "brand")
_NAMED_ANY = ("visit_day", "visit_time", "call_day", "call_time")  # of these one may be left to us
_CAN_BE_UNKNOWN = ("problem", "since", "brand", "invoice")
_YES, _NO = ("affirm", "urgent"), ("deny", "not_urgent")
_NEARLY = 0.85  # of the letters in order: one or two slips in a name, not another word
_CHOICE_WORDS = 5  # a choice from what was offered takes no more words than that
_NO_ANSWER = ("rather_not", "affirm", "deny", "correct", "any_time", "urgent", "not_urgent")
_FIGURES = ("number", "time", "postcode", "phone_number", "code")  # "Dan Brown, 97201": no part of a name, also as words
_BRAND_WORDS = 3
_INVOICE_DIGITS = (4, 9)  # ten are a telephone number
_REFERENCE_DIGITS = 6
_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?")

# The entity that carries each fact. Of those that one entity carries, a journey asks for one.
ENTITY_OF = {
    "appliance": "appliance",
    "problem": "problem",
    "brand": "brand",
    "since": "since",
    "customer_name": "person_name",
    "postcode": "postcode",
    "phone_number": "phone_number",
    "visit_reference": "reference",
    "visit_postcode": "postcode",
    "visit_day": "date",
    "visit_time": "time",
    "call_day": "date",
    "call_time": "time",
    "pay_day": "date",
    "product": "appliance",
    "invoice": "bill_number",
}


@dataclass(frozen=True)
class Said:
    """A message as Rasa understood it. ``entities`` are Rasa's dicts, with ``entity``, ``value``, ``start``, ``end``, ``role``."""

    text: str
    intent: str
    entities: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def values(self, entity: str) -> list[Any]:
        """The values of one kind of entity, in the order they were said."""
        return [item["value"] for item in self.entities if item["entity"] == entity and not item.get("role")]

    def without(self, kinds: Sequence[str]) -> str:
        """The text without the spans of entities of these kinds."""
        kept, position = [], 0
        for item in sorted((item for item in self.entities if item["entity"] in kinds), key=lambda item: int(item["start"])):
            kept.append(self.text[position : item["start"]])
            position = max(position, int(item["end"]))
        return "".join([*kept, self.text[position:]])


def volunteered(said: Said, previous: Mapping[str, Any], business: Business, journey: Journey) -> dict[str, Any]:
    """The facts of ``journey`` that the message carries, whatever was asked. Where one kind was said twice ("not Thursday, Friday") the
    one we did not know yet counts, the last of them."""
    if "problem" in journey.slots:
        said = _parts_as_problem(said, previous, business)
    found: dict[str, Any] = {}
    for slot, entity in ENTITY_OF.items():
        if slot not in journey.slots:
            continue
        values = [value for value in said.values(entity) if value is not None]
        if slot in _FREE:  # learned from examples, so at times from too little: "i think" is no problem
            values = [value for value in values if not descriptions.says_nothing(str(value), business.dialogue)]
        if values:
            news = [value for value in values if value != previous.get(slot)]
            found[slot] = (news or values)[-1]
    if "problem" in found and len(said.values("problem")) > 1 and said.intent != "correct":
        found["problem"] = _from_first_to_last(said, "problem")
    for slot in journey.slots.intersection(TIMES):
        if slot not in found and said.values("part_of_day"):
            found[slot] = said.values("part_of_day")[-1]
    if "appliance" in journey.slots and "appliance" not in found and said.intent in business.dialogue.tell_appliance:
        meant = _misspelt_appliance(said.text, business)
        if meant:
            found["appliance"] = meant
    if "problem" in journey.slots and said.intent in business.dialogue.describe_problem:
        found.update(_described(said, found, previous, business))
    if "wish" in journey.slots and said.intent in journey.begins:
        found.pop("customer_name", None)  # "tell Bea that ..." names somebody else
    introduced = _introduced_name(said, str(found.get("customer_name") or ""), business)
    if introduced:
        found["customer_name"] = introduced
    if "wish" in journey.slots and said.intent in journey.begins and _tells(said, business):
        found["wish"] = said.text.strip()[: business.thresholds.answer_chars]
    return found


def answer(slot: str, said: Said, business: Business) -> Any:
    """The value that ``said`` gives to the open question ``slot``; None if it gives none."""
    if slot == "urgent":
        return _urgent(said, business)
    if slot == "sure":
        return _yes_or_no(said, business)
    if slot in _CAN_BE_UNKNOWN and said.intent in ("dont_know", "rather_not"):
        return business.words.unknown
    if slot == "wish":
        return _wish(said, business)
    if slot in _FREE:
        return _free(slot, said, business)
    if slot == "invoice":
        return _invoice(said.text)
    if slot == "which_visit":
        named = [*said.values("appliance"), *said.values("date"), *said.values("reference")]
        return next(iter(named), None) or _reference(said.text)
    if slot == "visit_reference":
        return _reference(said.text)
    if slot == "pay_parts":
        return _number(said, business)
    if slot == "customer_name":
        return None if said.intent in _NO_ANSWER else name(said.without(_FIGURES), business)
    if slot in ("postcode", "visit_postcode"):
        digits = re.sub(r"[\s-]", "", said.text)
        return digits if re.fullmatch(r"\d{5}", digits) else None
    if slot in _NAMED_ANY:
        return _any(said, business)
    return None


def choice(said: Said, business: Business) -> str | None:
    """The ordinal by which a short answer chooses from what was offered ("the second one"); None if it is no such answer."""
    words = re.findall(r"[\w']+", said.text.lower())
    if len(words) > _CHOICE_WORDS or said.intent == "correct":
        return None
    return next((word for word in words if word in business.dialogue.ordinals), None)


def name(text: str, business: Business) -> str | None:
    """A person's name in ``text``, capitalised; None where it does not look like one."""
    words = _WORD.findall(bare(text, business))
    if not 0 < len(words) <= business.thresholds.name_words:
        return None
    if any(word.lower() in business.dialogue.not_a_name for word in words):
        return None
    return " ".join(word if any(letter.isupper() for letter in word[1:]) else word.capitalize() for word in words)


def bare(text: str, business: Business) -> str:
    """``text`` without the ways in which answers begin and end ("my name is", "please")."""
    rest = text.strip().strip(".,!?").strip()
    changed = True
    while changed:
        changed = False
        for opening in sorted(business.dialogue.openings, key=len, reverse=True):
            if re.match(rf"{re.escape(opening)}\b[\s,:]*", rest, re.IGNORECASE):
                rest = re.sub(rf"^{re.escape(opening)}\b[\s,:]*", "", rest, count=1, flags=re.IGNORECASE)
                changed = True
                break
        for closing in business.dialogue.closings:
            shorter = re.sub(rf"[\s,]+{re.escape(closing)}$", "", rest, flags=re.IGNORECASE)
            changed = changed or shorter != rest
            rest = shorter
    return rest.strip(" .,!?")


def chosen(value: Any, offered: int, business: Business) -> int | None:
    """The position (from 0) that ``value``, one of the ordinals, chooses among ``offered`` things; None if it is no such choice."""
    position = business.dialogue.ordinals.get(str(value))
    if position is None or not offered:
        return None
    return offered - 1 if position < 0 else min(position, offered) - 1


def about_gas(text: str, business: Business) -> bool:
    """Whether the message is about gas, whatever the understanding made of it."""
    plain = " ".join(re.findall(r"[\w']+", text.lower()))
    return any(re.search(rf"\b{re.escape(words)}\b", plain) for words in business.dialogue.gas_words)


def _parts_as_problem(said: Said, previous: Mapping[str, Any], business: Business) -> Said:
    """Beside a problem, an appliance that we don't repair is a part of the one we know: "the burner won't light"."""
    if said.intent == "correct" or business.service_named(previous.get("appliance")) is None or not said.values("problem"):
        return said
    entities = [
        {**item, "entity": "problem"}
        if item["entity"] == "appliance" and business.service_named(item["value"]) is None
        else item
        for item in said.entities
    ]
    return Said(said.text, said.intent, entities)


def _from_first_to_last(said: Said, kind: str) -> str:
    """The words from the first entity of this kind to the last: "not working and it's freezing" was said of one fault."""
    spans = [(int(item["start"]), int(item["end"])) for item in said.entities if item["entity"] == kind]
    return said.text[min(start for start, _ in spans) : max(end for _, end in spans)]


def _described(said: Said, found: Mapping[str, Any], previous: Mapping[str, Any], business: Business) -> dict[str, Any]:
    """What a message that reports a fault tells in words of the customer's own."""
    told: dict[str, Any] = {}
    if "problem" not in found and previous.get("problem") is None:
        told["problem"] = descriptions.problem(
            said.text, said.entities, business.dialogue, before=said.intent in business.dialogue.describe_before
        )
    told["urgent"] = descriptions.urgent(said.text, business.dialogue)
    return {slot: value for slot, value in told.items() if value is not None}


def _misspelt_appliance(text: str, business: Business) -> str | None:
    """The appliance whose name is nearly in ``text`` ("washing mashine"); None where none is."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    for name_ in business.services:
        size = len(name_.split())
        spans = (" ".join(words[start : start + size]) for start in range(len(words) - size + 1))
        if any(difflib.SequenceMatcher(None, span, name_).ratio() >= _NEARLY for span in spans):
            return name_
    return None


def _introduced_name(said: Said, part: str, business: Business) -> str | None:
    """The name that follows "my name is", or "I'm" where ``part`` of it was found: all of it, also what was not recognised as a name."""
    openings = business.dialogue.name_openings + (business.dialogue.name_openings_perhaps if part else ())
    for opening in openings:
        for match in re.finditer(rf"\b{re.escape(opening)}\s+", said.text, re.IGNORECASE):
            words = _leading_name(said.text[match.end() :], business)
            if words and part.lower() in " ".join(words).lower():
                return name(" ".join(words), business)
    return None


def _leading_name(text: str, business: Business) -> list[str]:
    """The words at the beginning of ``text`` that may be a name, up to a comma, a digit, or a word that no name contains."""
    words = []
    for word in text.split():
        bare_word = word.rstrip(",.;!?")
        if not _WORD.fullmatch(bare_word) or bare_word.lower() in business.dialogue.not_a_name:
            break
        words.append(bare_word)
        if bare_word != word:
            break
    return words if len(words) <= business.thresholds.name_words else []


def _tells(said: Said, business: Business) -> bool:
    """Whether a message tells more than what somebody comes for, when, and who they are."""
    dialogue = business.dialogue
    nothing = {*dialogue.filler_words, *dialogue.no_wish_words}
    rest = said.without(("date", "time", "part_of_day", "number", "postcode", "phone_number", "person_name"))
    return any(word not in nothing for word in re.findall(r"[\w']+", rest.lower().replace("’", "'")))


def _wish(said: Said, business: Business) -> str | None:
    rest = said.text.strip()[: business.thresholds.answer_chars]
    return rest if said.intent not in _NO_ANSWER and _tells(said, business) else None


def _invoice(text: str) -> str | None:
    """The number of a bill: the longest run of digits, however it was grouped; it may have letters before it."""
    runs = [re.sub(r"\D", "", run) for run in re.findall(r"\d(?:[\s.-]*\d)*", text)]
    longest = max(runs, key=len, default="")
    return longest if _INVOICE_DIGITS[0] <= len(longest) <= _INVOICE_DIGITS[1] else None


def _reference(text: str) -> str | None:
    """A visit's reference: six digits, however they were grouped."""
    digits = re.sub(r"\D", "", text)
    return digits if len(digits) == _REFERENCE_DIGITS else None


def _number(said: Said, business: Business) -> int | None:
    values = [value for value in said.values("number") if str(value).isdigit()]
    if values:
        return int(values[-1])
    words = re.findall(r"[\w']+", said.text.lower())
    return next((business.words.numbers[word] for word in words if word in business.words.numbers), None)


def _urgent(said: Said, business: Business) -> bool | None:
    # "No, the dryer" is about the appliance, not about urgency.
    if said.intent in _NO and said.entities:
        return False if said.intent == "not_urgent" else None
    return _yes_or_no(said, business)


def _yes_or_no(said: Said, business: Business) -> bool | None:
    if said.intent in (*_YES, *_NO):
        return said.intent in _YES
    if said.entities or said.intent == "correct":
        return None
    plain = " ".join(re.findall(r"[\w']+", said.text.lower())) + " "
    for openings, urgent in ((business.dialogue.yes_openings, True), (business.dialogue.no_openings, False)):
        if any(plain.startswith(f"{opening} ") for opening in openings):  # "yes of course, there are kids in the house"
            return urgent
    return None


def _free(slot: str, said: Said, business: Business) -> str | None:
    # "It's not cooling" sounds like a correction, but corrects nothing.
    corrects_nothing = slot == "problem" and said.intent == "correct" and not said.entities
    if said.intent in _NO_ANSWER and not corrects_nothing:
        return None
    others = [entity for other, entity in ENTITY_OF.items() if other != slot] + ["part_of_day", "code", "phone_number"]
    rest = bare(said.without(others), business)[: business.thresholds.answer_chars]
    words = _WORD.findall(rest)
    nothing = {*business.dialogue.filler_words, *business.dialogue.no_problem_words}
    if said.entities and all(word.lower() in nothing for word in words):
        return None  # "Thursday would be good", "my television is broken": what is left beside the fact answers nothing
    if slot == "brand":
        return " ".join(words).title() if 0 < len(words) <= _BRAND_WORDS else None
    return rest if words else None


def _any(said: Said, business: Business) -> str | None:
    plain = " ".join(re.findall(r"[\w']+", said.text.lower()))
    free = any(re.search(rf"\b{re.escape(either)}\b", plain) for either in business.dialogue.either)
    return ANY if free or said.intent in ("any_time", "urgent") else None
