"""When the caller's turn is over, and when the caller interrupts.

Takes what the recogniser reports and how loud the line is; ``machine.py`` asks it what to do. Times are passed in.

Always holds: every final transcript ends up in exactly one turn. What comes while a turn is thought about, or while the
assistant speaks without being interrupted, is kept and joined to what comes next.
"""

from __future__ import annotations

from dataclasses import dataclass

from throughline.call.call_settings import CallSettings
from throughline.domain.transcripts import Transcript
from throughline.domain.turns import Expectation

SHORT_ANSWERS = frozenset({"yes_no", "choice", "digits", "date", "postcode", "code", "reference"})
"""Expectations whose answers are over after a shorter pause."""

_COMPLETE_AT = {"postcode": 5, "reference": 6, "code": 8}
"""People pause between the groups of a number: only from so many digits on does the shorter pause count."""

_FORGET_LOUDNESS_MS = 1000
"""Recognisers report some time after the words; until then the loudness that came with them must be remembered."""


@dataclass(frozen=True)
class Spoken:
    """A caller's turn by voice. ``heard_ms`` is when its last words were reported."""

    text: str
    confidence: float | None
    heard_ms: float


class TurnTaking:
    """The caller's side of one call."""

    def __init__(self, settings: CallSettings) -> None:
        self._settings = settings
        self.expectation = Expectation()
        self._finals: list[Transcript] = []
        self._interim = ""
        self._interim_ms = 0.0
        self._interim_is_new = False  # reported since the assistant began its current words
        self._flushed = False
        self._heard_ms = 0.0
        self._due_ms: float | None = None
        self._before_reply = 0  # how many of _finals are older than the assistant's current words
        self._loud_ms = 0.0
        self._quiet_ms = 0.0

    @property
    def text(self) -> str:
        """Everything that is not yet part of a turn, the interim words too."""
        return " ".join([transcript.text for transcript in self._finals] + [self._interim]).strip()

    @property
    def pending(self) -> bool:
        """The caller has said something that is not yet part of a turn."""
        return bool(self._finals or self._interim)

    def transcript(self, transcript: Transcript, now_ms: float) -> None:
        """Take what the recogniser reports."""
        text = transcript.text.strip()
        self._flushed = False
        if not transcript.final:
            self._interim, self._interim_ms, self._interim_is_new = text, now_ms, True
        else:
            self._interim = ""
            if text:
                self._finals.append(Transcript(text, True, transcript.end_of_turn, confidence=transcript.confidence))
        if text:
            self._heard_ms = now_ms
        if not self._finals or self._interim:
            self._due_ms = None
        else:
            self._due_ms = now_ms if transcript.end_of_turn else now_ms + max(0, self._pause_ms() - transcript.quiet_ms)

    def _pause_ms(self) -> int:
        kind = self.expectation.kind
        if kind not in SHORT_ANSWERS:
            return self._settings.end_of_turn_ms
        digits = sum(len(word) if word.isdigit() else 1 for word in self.text.split())  # spoken digits are words
        if digits < _COMPLETE_AT.get(kind, 0):
            return self._settings.end_of_turn_ms
        return self._settings.end_of_turn_short_ms

    def wants_flush(self, now_ms: float) -> bool:
        """The interim words are old and no final followed: ask the engine for it. After as long again they count as final."""
        if not self._interim or now_ms - self._interim_ms < self._settings.lost_final_ms:
            return False
        if self._flushed:
            self.transcript(Transcript(self._interim, final=True), now_ms)
            return False
        self._flushed = True
        self._interim_ms = now_ms
        return True

    def due(self, now_ms: float) -> bool:
        """The caller's turn is over."""
        return self._due_ms is not None and now_ms >= self._due_ms

    def take(self) -> Spoken | None:
        """The turn, which ends now; None if nothing was said."""
        text = self.text
        if not text:
            return None
        known = [transcript.confidence for transcript in self._finals if transcript.confidence is not None]
        self._finals, self._interim, self._due_ms, self._before_reply = [], "", None, 0
        return Spoken(text, min(known, default=None), self._heard_ms)

    def reply_begins(self) -> None:
        """The assistant begins to speak."""
        self._before_reply = len(self._finals)
        self._interim_is_new = False
        self._loud_ms = self._quiet_ms = 0.0

    def reply_ends(self, now_ms: float) -> None:
        """The assistant has finished. Words from before its reply wait a pause longer, for the answer they are joined to."""
        if self._before_reply and self._due_ms is not None:
            self._due_ms = max(self._due_ms, now_ms + self._settings.end_of_turn_ms)
        self._before_reply = 0

    def loudness(self, level_dbfs: float, length_ms: float) -> None:
        """How loud the caller's line was for ``length_ms``, while the assistant speaks."""
        if level_dbfs >= self._settings.speech_level_dbfs:
            self._loud_ms += length_ms
            self._quiet_ms = 0.0
        else:
            self._quiet_ms += length_ms
            if self._quiet_ms >= _FORGET_LOUDNESS_MS:
                self._loud_ms = 0.0

    @property
    def interrupts(self) -> bool:
        """What the caller has said since the assistant began is enough to interrupt it."""
        new = [transcript.text for transcript in self._finals[self._before_reply :]]
        new += [self._interim] if self._interim_is_new else []
        words = len(" ".join(new).split())
        if words >= self._settings.barge_in_words:
            return True
        return words > 0 and self._loud_ms >= self._settings.barge_in_speech_ms
