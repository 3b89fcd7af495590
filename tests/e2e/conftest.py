"""One running product for all end-to-end tests, and the voice of their customers."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack
from throughline import record as record_room
from throughline.domain.transcripts import WIDEBAND, AudioFormat
from throughline.record import Record
from throughline.speech.tts.espeak import EspeakTts


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running product."""
    running = Stack(tmp_path_factory.mktemp("stack"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def record(stack: Stack) -> Record:
    """The running product's record."""
    return record_room.open(stack.database_url, secret=stack.secret)


class Voice:
    """Speaks a customer's words, with another voice than the assistant's."""

    def __init__(self) -> None:
        self._tts = EspeakTts(voice="en-us+m3", rate_wpm=150)

    async def audio(self, text: str, audio: AudioFormat) -> bytes:
        """The words as raw audio."""
        return b"".join([chunk async for chunk in self._tts.speak(text, audio)])

    async def wav(self, text: str) -> bytes:
        """The words as a WAV file of 16 kHz."""
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(WIDEBAND.sample_rate_hz)
            out.writeframes(await self.audio(text, WIDEBAND))
        return file.getvalue()


@pytest.fixture(scope="session")
def voice() -> Voice:
    """A customer's voice."""
    return Voice()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go."""
    return Path("var/pictures")
