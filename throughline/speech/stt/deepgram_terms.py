"""What one Deepgram stream was told to listen for. Logic without I/O.

All key terms go with the request; where a question has some of its own, ``Configure`` puts these in their place, from the audio behind it
on. Fewer terms weigh more. Sources: developers.deepgram.com/docs/keyterm, .../docs/configure (Nova-3, since October 2026, on the global
address only), .../docs/flux/configure. A list with too many tokens is no error there: the stream falls silent. So lists are bounded before
they get here (``domain.key_terms``).
"""

from __future__ import annotations

from throughline import log
from throughline.domain.key_terms import KeyTerms
from throughline.domain.turns import Expectation

_log = log.get_logger("speech")


class TermsTold:
    """The terms of one stream."""

    def __init__(self, terms: KeyTerms, *, changes: bool, engine: str) -> None:
        """``changes``: whether the stream can be told others later."""
        self._terms = terms
        self._changes = changes
        self._engine = engine
        self._told = self._wanted = terms.all()
        self._unanswered = False

    def expect(self, expectation: Expectation) -> bool:
        """Note what is expected. True if the stream is to be told."""
        self._wanted = self._terms.expected(expectation)
        return self._changes and self._wanted != self._told

    def to_tell(self) -> list[str] | None:
        """The terms to be told now; None if they are known meanwhile."""
        if not self._changes or self._wanted == self._told:
            return None
        self._told, self._unanswered = self._wanted, True
        return list(self._told)

    def answered(self) -> None:
        """The stream has taken them."""
        self._unanswered = False

    def refused(self, code: str) -> bool:
        """The stream has refused something. True if that may have been the terms: it goes on with those it had, and is told no others."""
        if not self._unanswered:
            return False
        self._unanswered = self._changes = False
        _log.warning("speech.key_terms_refused", engine=self._engine, code=code)
        return True
