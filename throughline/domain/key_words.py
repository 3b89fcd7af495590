"""What single keys of a telephone say where no number is asked for: data/business/phone.yml has the words."""

from __future__ import annotations

from dataclasses import dataclass, field

from throughline.domain.documented import doc
from throughline.domain.turns import Expectation

_NUMBERS = ("postcode", "reference", "code", "phone_number", "digits")


@dataclass(frozen=True)
class KeyWords:
    """By key, what it says: the words are taken as if they had been said."""

    yes_no: dict[str, str] = field(metadata=doc("Where a yes or a no is expected."))
    offered: dict[str, str] = field(metadata=doc("Where one of what the question names is expected: by its place."))
    offered_for: tuple[str, ...] = field(metadata=doc("The slots whose questions name what can be chosen."))
    always: dict[str, str] = field(metadata=doc("At any time."))

    def said_by(self, digits: str, expectation: Expectation) -> str:
        """What ``digits``, keyed as one number, say; the digits themselves where they say nothing else."""
        return {**self.always, **self._of(expectation)}.get(digits, digits)

    def hint(self, expectation: Expectation) -> str | None:
        """The response that tells how to answer by keys; None where nobody can."""
        if expectation.kind in _NUMBERS:
            return "utter_keys_number"
        if expectation.kind == "yes_no":
            return "utter_keys_yes_no"
        if expectation.slot in self.offered_for:
            return "utter_keys_offered"
        return None

    def _of(self, expectation: Expectation) -> dict[str, str]:
        if expectation.kind == "yes_no":
            return self.yes_no
        return self.offered if expectation.slot in self.offered_for else {}


NO_KEYS = KeyWords({}, {}, (), {})
"""Keys are digits and nothing else."""
KEYS_ALONE, KEYS_ELSE = "utter_keys_alone", "utter_keys_else"
"""What is said once where only keys can be heard any more, and where nothing is asked."""
HINTS = ("utter_keys_number", "utter_keys_yes_no", "utter_keys_offered", KEYS_ELSE)
