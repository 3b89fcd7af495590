"""Speaking with espeak-ng, in this process: no key, no network, no model to fetch.

The text is cut into passages; each is made in one worker thread, resampled there to the line's format, and handed across to the
asker's event loop in pieces as it comes. A call that stops listening stops the engine within one piece. Making a passage takes
a few milliseconds, so one worker serves many calls, and no call waits longer than for the passages before it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from throughline.domain.transcripts import AudioFormat
from throughline.speech import espeak_library
from throughline.speech.audio import Converter
from throughline.speech.tts.passages import passages

_PASSAGE_CHARACTERS = 300

_SLOWEST_WPM, _FASTEST_WPM = 80, 450  # what the library takes

_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="espeak")


class EspeakTts:
    """The embedded speaking engine. Parameters are those of ``espeak_library.Voice``."""

    name = "espeak-ng"

    def __init__(
        self, voice: str = "en-us", *, rate_wpm: int = 160, pitch: int = 45, pitch_range: int = 60, volume: int = 100
    ) -> None:
        self._voice = espeak_library.Voice(voice, rate_wpm, pitch, pitch_range, volume)

    async def warm_up(self) -> None:
        """Load the library and check the voice. Raises Unavailable (not installed) or ConfigurationError (no such voice)."""
        library = await asyncio.get_running_loop().run_in_executor(_worker, espeak_library.load)
        library.check(self._voice)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Control characters are read as spaces."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[bytes] = asyncio.Queue()  # bounded by what one passage can sound like
        stopped = threading.Event()
        parts = list(passages(text, _PASSAGE_CHARACTERS))
        rate_wpm = min(_FASTEST_WPM, max(_SLOWEST_WPM, round(self._voice.rate_wpm * speed)))
        voice = replace(self._voice, rate_wpm=rate_wpm)
        try:
            for index, passage in enumerate(parts):
                making = loop.run_in_executor(
                    _worker, self._make, passage, voice, index < len(parts) - 1, audio, loop, pieces, stopped
                )
                while piece := await pieces.get():
                    yield piece
                await making
        finally:
            stopped.set()

    def _make(
        self,
        passage: str,
        voice: espeak_library.Voice,
        end_pause: bool,
        audio: AudioFormat,
        loop: asyncio.AbstractEventLoop,
        pieces: asyncio.Queue[bytes],
        stopped: threading.Event,
    ) -> None:
        """Make one passage (in the worker): its pieces go into ``pieces``, then an empty one, however it ends."""

        def hand_over(piece: bytes) -> None:
            if not stopped.is_set():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        try:
            library = espeak_library.load()
            converter = Converter(AudioFormat("l16", library.sample_rate_hz), audio)

            def take(pcm: bytes) -> bool:
                if piece := converter.process(pcm):
                    hand_over(piece)
                return not stopped.is_set()

            if not stopped.is_set():
                library.synthesize(passage, voice, take, end_pause=end_pause)
            if piece := converter.flush():
                hand_over(piece)
        finally:
            hand_over(b"")
