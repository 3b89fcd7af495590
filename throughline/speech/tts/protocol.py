"""What a speaking engine must do. Contract tests in tests/contract/test_tts.py hold every engine to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from throughline.domain.transcripts import AudioFormat


class TextToSpeech(Protocol):
    """A speaking engine."""

    @property
    def name(self) -> str:
        """Shown to operators. Of several engines as one, the one at work."""

    def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text`` as it is made, in chunks of any length in format ``audio``. Closing the iterator stops the
        engine. Raises Unavailable. ``text`` is spoken as it stands: markup in it is read as words, never obeyed.
        ``speed``: how many times as fast as usual, as far as the engine can."""

    async def warm_up(self) -> None:
        """Load what has to be loaded. Raises Unavailable or ConfigurationError."""

    async def close(self) -> None:
        """Close what is kept open between texts. The next one opens it again."""
