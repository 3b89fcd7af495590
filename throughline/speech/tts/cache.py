"""A voice that keeps what it has said: fixed pieces come from disk at once, everything else is made as before.

Stands between the relay and its first engine, so what is kept was made by that voice alone, and while it rests the next one says
everything: callers don't hear two voices by turns. Only texts that it was told to keep (``keep``) are: the company's own, with nothing of
a customer's in them. Only whole speech is kept, and only if it can be that text.

The key is everything that the sound depends on: the engine's name, its settings, the format, the speed and the text as the voice is given
it. So a change in one of them, or in the lexicon for that text, makes that speech anew, and what isn't used any more goes in its time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable

from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.log import get_logger
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.tts.speech_store import SpeechStore
from throughline.speech.within import closed_after

_log = get_logger("speech")

_PIECE_FRAMES = 10
_FASTEST_MS_PER_CHAR, _SLOWEST_MS_PER_CHAR, _SLOWEST_MS = 15, 150, 3000
"""Speech shorter or longer than this for its text was cut off, or went on after it."""


class CachedTts:
    """One speaking engine with what it has said. ``voice``: its settings, in any words that change when its sound does."""

    def __init__(self, engine: TextToSpeech, store: SpeechStore, *, voice: str) -> None:
        self._engine = engine
        self._store = store
        self._voice = voice
        self._keeps: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The engine's."""
        return self._engine.name

    async def warm_up(self) -> None:
        """Warm the engine up. Raises as it does."""
        await self._engine.warm_up()

    async def close(self) -> None:
        """Close what the engine keeps open."""
        await self._engine.close()

    def keep(self, texts: Iterable[str]) -> None:
        """Keep the speech for these texts, and for no others."""
        self._keeps = frozenset(texts)

    async def missing(self, texts: Iterable[str], audio: AudioFormat) -> list[str]:
        """Those of ``texts`` for which no speech is kept."""
        return [text for text in texts if await self._store.get(self._key(text, audio, 1.0)) is None]

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol."""
        if text not in self._keeps:
            async with closed_after(self._engine.speak(text, audio, speed=speed)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        key = self._key(text, audio, speed)
        kept = await self._store.get(key)
        if kept is not None:
            size = _PIECE_FRAMES * audio.frame_bytes
            for start in range(0, len(kept), size):
                yield kept[start : start + size]
                await asyncio.sleep(0)  # nobody else on this loop waits for all of it
            return
        made = bytearray()
        async with closed_after(self._engine.speak(text, audio, speed=speed)) as chunks:
            async for chunk in chunks:
                made += chunk
                yield chunk
        if _can_be(text, len(made) / audio.frame_bytes * FRAME_MS * speed):
            self._store.put(key, bytes(made))
        else:
            _log.warning("speech.not_kept", engine=self.name, characters=len(text), audio_bytes=len(made))

    async def make(self, text: str, audio: AudioFormat) -> None:
        """Have the speech for ``text`` made and kept, if it isn't. Raises Unavailable."""
        async with closed_after(self.speak(text, audio)) as chunks:
            async for _ in chunks:
                pass

    async def written(self) -> None:
        """Return once all that was made is on disk, as far as the disk takes it."""
        await self._store.written()

    def _key(self, text: str, audio: AudioFormat, speed: float) -> str:
        made_of = (self.name, self._voice, audio.encoding, str(audio.sample_rate_hz), f"{speed:.2f}", text)
        return hashlib.sha256("\0".join(made_of).encode()).hexdigest()


def _can_be(text: str, length_ms: float) -> bool:
    """Whether speech of ``length_ms``, at the usual speed, may be the whole of ``text`` and nothing else."""
    return _FASTEST_MS_PER_CHAR * len(text) < length_ms < _SLOWEST_MS + _SLOWEST_MS_PER_CHAR * len(text)
