"""One call's voice, which begins to make what will probably be said next while the caller may still go on.

Stands between a call and its voice. What a voice takes to its first sound then passes in the caller's own pause. At most one text is begun
ahead, and no more than its first piece is taken from the engine before it is wanted. What is not wanted is closed, and logged: a voice that
is paid for by the character has made it all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from throughline.domain.transcripts import AudioFormat
from throughline.log import get_logger
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.within import closed_after

_log = get_logger("speech")

_Key = tuple[str, AudioFormat, float]


@dataclass(frozen=True)
class _Begun:
    key: _Key
    chunks: AsyncIterator[bytes]
    first: asyncio.Task[bytes | None]
    """The first piece, None where there is none."""


class SpeechAhead:
    """``voice`` for one call, of which one listener at a time takes speech."""

    def __init__(self, voice: TextToSpeech) -> None:
        self._voice = voice
        self._begun: _Begun | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def prepare(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> None:
        """Begin with the speech for ``text``, in the place of what was begun before. Never waits, and raises nothing."""
        key = (text, audio, speed)
        if self._begun is not None and self._begun.key == key:
            return
        self._give_up()
        chunks = self._voice.speak(text, audio, speed=speed)
        self._begun = _Begun(key, chunks, asyncio.create_task(_first(chunks)))

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``, from where it was begun ahead; see the protocol. What has failed ahead is raised here, once."""
        begun = self._wanted((text, audio, speed))
        chunks = self._voice.speak(text, audio, speed=speed) if begun is None else begun.chunks
        try:
            if begun is not None and (piece := await begun.first) is not None:
                yield piece
            async for piece in chunks:
                yield piece
        finally:
            await _closed(chunks, begun)

    async def close(self) -> None:
        """Close what was begun and is not wanted."""
        self._give_up()
        await asyncio.gather(*self._closing)

    def _wanted(self, key: _Key) -> _Begun | None:
        """What was begun, where it is this; what is something else is given up."""
        begun = self._begun
        if begun is None or begun.key != key:
            self._give_up()
            return None
        self._begun = None
        return begun

    def _give_up(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            _log.info("speech.begun_in_vain", engine=self._voice.name, characters=len(begun.key[0]))
            closing = asyncio.create_task(_closed(begun.chunks, begun))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


async def _first(chunks: AsyncIterator[bytes]) -> bytes | None:
    async for chunk in chunks:
        return chunk
    return None


async def _closed(chunks: AsyncIterator[bytes], begun: _Begun | None) -> None:
    if begun is not None:
        begun.first.cancel()
        await asyncio.wait({begun.first})  # an asynchronous generator that still runs can't be closed
        if not begun.first.cancelled():
            begun.first.exception()  # nobody else will look at it
    async with closed_after(chunks):
        pass
