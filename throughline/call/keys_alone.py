"""A call whose caller can't be heard any more, because every recogniser has failed: it goes on by keys, as far as keys can answer.

``machine.py`` asks what to say after each reply. Pure.
"""

from __future__ import annotations

from throughline.domain.key_words import HINTS, KEYS_ALONE, KEYS_ELSE, KeyWords
from throughline.domain.turns import Expectation


class KeysAlone:
    """One call's."""

    def __init__(self, keys: KeyWords) -> None:
        self._keys = keys
        self._begun = False

    def begin(self, expectation: Expectation) -> str | None:
        """Nobody listens any more. The response that tells the caller; None where keys can't answer what is asked, or nothing is."""
        self._begun = self._keys.hint(expectation) is not None
        return KEYS_ALONE if self._begun else None

    def is_over(self, expectation: Expectation) -> bool:
        """The call goes on by keys, and they can't answer what is asked now."""
        return self._begun and expectation.slot is not None and self._keys.hint(expectation) is None

    def hint(self, expectation: Expectation, *, after: str = "") -> str | None:
        """How to answer by keys, to be said behind a reply or behind the prompt ``after``; None where keys are not alone, or it was just
        said."""
        if not self._begun or after in HINTS:
            return None
        return self._keys.hint(expectation) or (KEYS_ELSE if expectation.slot is None else None)
