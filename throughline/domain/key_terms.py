"""Words of the company's own that a recogniser is to listen for: names and brands that it would otherwise hear as something else.

They come from data/business: what trainers list in phone.yml, and the names that stand in the other files anyway. How an engine is
told differs (Deepgram's key terms, Whisper's prompt); what is worth telling at a question is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from throughline.domain.company import Business
from throughline.domain.turns import Expectation

ALWAYS = "always"
"""Key of the terms that may be said at any question."""

MOST_TERMS = 100
MOST_TOKENS = 500
"""Deepgram's limits (developers.deepgram.com/docs/keyterm); it refuses a call with more."""
LONGEST_TERM = 50

_TERM = re.compile(r"\w[\w .'&/+-]*")
_LETTERS_PER_TOKEN = 3
"""Few: names are not in a vocabulary, and are cut small. Deepgram's own count can't be had."""


def is_term(text: str) -> bool:
    """True for something that can be said: letters, digits and what stands in names."""
    return len(text) <= LONGEST_TERM and text == text.strip() and _TERM.fullmatch(text) is not None


def tokens(terms: Iterable[str]) -> int:
    """About how many tokens a recogniser makes of ``terms``, rather too many."""
    return sum(-(-len(word) // _LETTERS_PER_TOKEN) for term in terms for word in term.split())


@dataclass(frozen=True)
class KeyTerms:
    """What is listened for: always, and, beyond that, where a slot is asked for."""

    always: tuple[str, ...] = ()
    by_slot: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def all(self) -> tuple[str, ...]:
        """Every term once, those first that are always said."""
        return tuple(dict.fromkeys([*self.always, *(term for terms in self.by_slot.values() for term in terms)]))

    def expected(self, expectation: Expectation) -> tuple[str, ...]:
        """What is worth telling at a question: its own terms and those of always; all, where it has none of its own."""
        own = self.by_slot.get(expectation.slot or "", ())
        return tuple(dict.fromkeys([*own, *self.always])) if own else self.all()


NO_TERMS = KeyTerms()


def key_terms(business: Business) -> KeyTerms:
    """The company's terms: its name, its technicians, where it works, what it repairs, and what phone.yml lists."""
    listed = business.phone.key_terms
    names = [business.company.name, *(who.name for who in business.technicians), *(area.name for area in business.territories)]
    by_slot = {slot: terms for slot, terms in listed.items() if slot != ALWAYS}
    by_slot["appliance"] = tuple(dict.fromkeys([*business.services, *by_slot.get("appliance", ())]))
    return KeyTerms(always=tuple(dict.fromkeys([*names, *listed.get(ALWAYS, ())])), by_slot=by_slot)
