"""What a customer has told us, read back to them: each fact as a phrase, all of them in one breath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from throughline.domain import said_digits, speakable
from throughline.domain.company import local_time
from throughline.domain.facts import DAYS, FACTS, TIMES
from throughline.domain.words import Said, Words


def told(slots: Mapping[str, Any]) -> dict[str, Any]:
    """The facts among ``slots`` that are known, in their order."""
    return {name: slots[name] for name in FACTS if slots.get(name) is not None}


def phrase(name: str, value: Any, words: Words, today: date) -> Said | None:
    """One fact as a phrase: ``ZIP code 97201``. None for one that is not worth saying: an unknown brand, and what the company has no words
    for (words.yml, ``facts``)."""
    if value == words.unknown:
        return None
    if name == "urgent":
        return words.facts["urgent" if value else "not_urgent"]
    # Until a window is chosen, the time may be a part of the day.
    form = words.facts.get("part_of_day" if name in TIMES and value in words.parts_of_day else name)
    if form is None:
        return None
    said = _value(name, value, words, today)
    return Said(form.shown.format(value=said.shown), form.spoken.format(value=said.spoken))


def in_one_breath(facts: Mapping[str, Any], words: Words, today: date, *, without: Sequence[str] = ()) -> Said | None:
    """All ``facts`` but those ``without`` as one phrase; None if there is nothing to say."""
    phrases = [phrase(name, value, words, today) for name, value in facts.items() if name not in without]
    said = [one for one in phrases if one is not None]
    return speakable.joined(said, words.conjunction) if said else None


def _value(name: str, value: Any, words: Words, today: date) -> Said:
    if name in ("postcode", "invoice"):
        return said_digits.digits(str(value))
    if name == "phone_number":
        return said_digits.phone_number(str(value))
    if name in TIMES and value not in words.parts_of_day:
        try:
            return speakable.clock(local_time(str(value)), words)
        except ValueError:  # in the customer's own words
            return Said(str(value), str(value))
    if name in DAYS:
        try:
            return speakable.day(date.fromisoformat(str(value)), words, today)
        except ValueError:  # in the customer's own words
            return Said(str(value), str(value))
    return Said(str(value), str(value))
