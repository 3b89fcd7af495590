"""What a listening engine must do. Contract tests in tests/contract/test_stt.py hold every engine to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from throughline.domain.transcripts import AudioFormat, Transcript
from throughline.domain.turns import Expectation


class SttStream(Protocol):
    """One call's ear."""

    def send(self, audio: bytes) -> None:
        """Take audio in the format the stream was opened with, any length. Never blocks: beyond the engine's bound the oldest
        audio is dropped and the loss is logged once."""

    def expect(self, expectation: Expectation) -> None:
        """Say what the dialogue expects to hear from the next utterance on."""

    def flush(self) -> None:
        """End the utterance now: the engine reports what it has as final (nothing, if it heard nothing)."""

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Interim and final transcripts until ``close``. Raises Unavailable when the engine is lost."""

    async def close(self) -> None:
        """Stop and free everything. May be called twice."""


class SpeechToText(Protocol):
    """A listening engine."""

    @property
    def name(self) -> str:
        """As operators and the page are shown it."""

    @property
    def demo(self) -> bool:
        """True where accuracy is only good enough for a demo."""

    async def open(self, audio: AudioFormat) -> SttStream:
        """Start listening to one call. Raises Unavailable."""

    async def warm_up(self) -> None:
        """Load what has to be loaded, so that the first call does not wait. Raises Unavailable or ConfigurationError."""

    async def close(self) -> None:
        """Close what is kept open between calls. The next one opens it again."""
