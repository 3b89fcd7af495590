"""The voice of the tests' customers."""

from __future__ import annotations

import io
import wave

from throughline.domain.transcripts import WIDEBAND, AudioFormat
from throughline.speech.tts.espeak import EspeakTts


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
