"""One call's ear for an engine that takes whole utterances: cuts them out of the audio and has them transcribed, one after the other.

    audio -> 16 kHz -> Segmenter -> utterances that wait -> transcribe -> reports

While an utterance is going on and the engine has nothing else to do, what there is of it may be transcribed for an interim report; finals
come before interims. Everything that waits is bounded: an engine that cannot keep up loses the oldest utterances, and the log says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from throughline import log
from throughline.domain.transcripts import FRAME_MS, WIDEBAND, AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import Unavailable
from throughline.speech.audio import Converter, Framer
from throughline.speech.stt.segmenter import Segmenter, SpeechEnded, SpeechStarted

_MOST_WAITING = 4  # utterances
_INTERIM_BYTES = WIDEBAND.frame_bytes * 30  # 600 ms of new speech are worth another look

_log = log.get_logger("speech")


@dataclass(frozen=True)
class Utterance:
    """What somebody said, or has said so far: 16 kHz linear PCM. ``until_ms`` is how far into the call's audio it reaches."""

    audio: bytes
    expectation: Expectation
    final: bool
    until_ms: float


class UtteranceStream:
    """An SttStream."""

    def __init__(
        self, transcribe: Callable[[Utterance], Awaitable[Transcript]], audio: AudioFormat, *, engine: str, interims: bool
    ) -> None:
        """``transcribe`` gives an utterance's words, an empty text where there are none, and raises Unavailable. ``interims``: whether
        utterances are also looked at while they grow."""
        self._transcribe = transcribe
        self._engine = engine
        self._interims = interims
        self._converter = Converter(audio, WIDEBAND)
        self._framer = Framer(WIDEBAND.frame_bytes)
        self._segmenter = Segmenter(WIDEBAND.sample_rate_hz)
        self._next = self._expectation = Expectation()
        self._heard_ms = 0.0
        self._utterance = bytearray()
        self._looked_at_bytes = 0
        self._waiting: deque[Utterance] = deque()
        self._overflowed = False
        self._wake = asyncio.Event()
        self._reports: asyncio.Queue[Transcript | Unavailable | None] = asyncio.Queue()
        self._closed = False
        self._task = asyncio.create_task(self._transcribe_all())

    def send(self, audio: bytes) -> None:
        """See the protocol."""
        if self._closed:
            return
        for frame in self._framer.push(self._converter.process(audio)):
            self._heard_ms += FRAME_MS
            for event in self._segmenter.push(frame):
                if isinstance(event, SpeechEnded):
                    self._finish_utterance()
                    continue
                if isinstance(event, SpeechStarted):
                    self._expectation = self._next
                self._utterance += event.audio
        self._wake.set()

    def expect(self, expectation: Expectation) -> None:
        """See the protocol."""
        self._next = expectation

    def flush(self) -> None:
        """See the protocol."""
        if self._segmenter.flush():
            self._finish_utterance()
            self._wake.set()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """See the protocol."""
        while (report := await self._reports.get()) is not None:
            if isinstance(report, Unavailable):
                raise report
            yield report

    async def close(self) -> None:
        """See the protocol. What the engine is at work on is finished unheard."""
        if self._closed:
            return
        self._closed = True
        self._task.cancel()
        self._waiting.clear()
        self._utterance.clear()
        self._reports.put_nowait(None)

    def _so_far(self, *, final: bool) -> Utterance:
        return Utterance(bytes(self._utterance), self._expectation, final, self._heard_ms)

    def _finish_utterance(self) -> None:
        self._waiting.append(self._so_far(final=True))
        self._utterance.clear()
        self._looked_at_bytes = 0
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            if not self._overflowed:
                self._overflowed = True
                _log.warning("speech.audio_dropped", engine=self._engine)

    def _next_utterance(self) -> Utterance | None:
        if self._waiting:
            return self._waiting.popleft()
        if not self._interims or len(self._utterance) - self._looked_at_bytes < _INTERIM_BYTES:
            return None
        self._looked_at_bytes = len(self._utterance)
        return self._so_far(final=False)

    async def _transcribe_all(self) -> None:
        last_interim = ""
        while True:
            utterance = self._next_utterance()
            if utterance is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                report = await self._transcribe(utterance)
            except Unavailable as error:
                self._reports.put_nowait(error)
                return
            is_late = not utterance.final and self._waiting  # the utterance is over: its final report is next
            if report.text and not is_late and (utterance.final or report.text != last_interim):
                self._reports.put_nowait(replace(report, until_ms=utterance.until_ms))
            last_interim = "" if utterance.final else report.text
