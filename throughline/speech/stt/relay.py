"""A call's ear that stays open: several listening engines, of which one listens, and another goes on where it fails.

Stands between a call and the engines, and is itself a listening engine. Whoever is lost in the middle of an utterance takes nothing
along: the audio since the last final report is kept, half a minute at most, and given to the next one. What had been reported of it
was interim, and is replaced by what the next one reports. So no word is lost, and none is told twice.

An engine that failed rests for a while, for all calls; then a call that has gone on with another goes back to it, between two
utterances: the next best may be a demo's. One that had been listening well is opened once more at once, for the same words once:
networks hiccup. Should the first try not succeed soon, a second is made beside it (``second_try``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from throughline import log
from throughline.domain.transcripts import FRAME_MS, AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ConfigurationError, Unavailable
from throughline.speech.audio import level_dbfs
from throughline.speech.stt.protocol import SpeechToText, SttStream
from throughline.speech.stt.second_try import opened_by_two_tries
from throughline.speech.within import within

_KEPT_MS = 30_000
_PRE_ROLL_MS = 500
_QUIET_DBFS = -50.0
_CLOSE_MS = 2000

_log = log.get_logger("speech")


class SttRelay:
    """Several engines as one, the first the best."""

    def __init__(
        self,
        engines: Sequence[SpeechToText],
        *,
        open_timeout_ms: float,
        retry_after_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``open_timeout_ms``: how long an engine may take to open; ``retry_after_s``: how long one that failed is left alone."""
        if not engines:
            raise ValueError("a relay needs an engine")
        self._engines = tuple(engines)
        self._open_timeout_ms = open_timeout_ms
        self._retry_after_s = retry_after_s
        self._now_s = now_s
        self._rests_until_s: dict[int, float] = {}

    @property
    def name(self) -> str:
        """Name of the engine that would be taken now."""
        return self.in_order()[0].name

    @property
    def demo(self) -> bool:
        """Whether that one is good for a demo only."""
        return self.in_order()[0].demo

    @property
    def engine_count(self) -> int:
        """How many engines there are."""
        return len(self._engines)

    def in_order(self) -> list[SpeechToText]:
        """The engines to try, best first: those that don't rest, or all, if all do."""
        now_s = self._now_s()
        awake = [engine for engine in self._engines if self._rests_until_s.get(id(engine), now_s) <= now_s]
        return awake or list(self._engines)

    def better_than(self, engine: SpeechToText) -> SpeechToText | None:
        """The best that doesn't rest, where that is a better one."""
        best = self.in_order()[0]
        return best if self._engines.index(best) < self._engines.index(engine) else None

    def rest(self, engine: SpeechToText) -> None:
        """Leave ``engine`` alone for a while: it has failed."""
        self._rests_until_s[id(engine)] = self._now_s() + self._retry_after_s

    async def warm_up(self) -> None:
        """Get every engine ready. One that can't be rests, as long as one is left: else raises Unavailable. Raises ConfigurationError
        for any: that is to be mended, not to be got round."""
        failed = 0
        for engine in self._engines:
            try:
                await engine.warm_up()
            except Unavailable as error:
                failed += 1
                _log.warning("speech.engine_not_ready", engine=engine.name, reason=str(error))
                self.rest(engine)
        if failed == len(self._engines):
            raise Unavailable("no engine can be warmed up")

    async def close(self) -> None:
        """Close every engine. One that can't be closed is left behind, and logged."""
        for engine in self._engines:
            try:
                await within(engine.close(), _CLOSE_MS)
            except Exception as error:  # noqa: BLE001 -- see above
                _log.warning("speech.close_failed", engine=engine.name, error=type(error).__name__)

    async def open(self, audio: AudioFormat) -> SttStream:
        """Start listening with the first engine that opens. Raises Unavailable when none does."""
        engine, ear = await self.first_of(self.in_order(), audio)
        return _Stream(self, audio, engine, ear)

    async def first_of(
        self, engines: Sequence[SpeechToText], audio: AudioFormat, *, again: SpeechToText | None = None
    ) -> tuple[SpeechToText, SttStream]:
        """The first of ``engines`` that opens, opened. Those that don't rest. ``again``: the one that is opened once more after it had
        been listening well. Raises Unavailable when none does."""
        for engine, following in zip(engines, [*engines[1:], None], strict=True):
            try:
                opening = opened_by_two_tries(engine, audio) if engine is again else engine.open(audio)
                ear = await within(opening, self._open_timeout_ms)
            except (Unavailable, ConfigurationError) as error:
                reason = str(error)
            except asyncio.TimeoutError:
                reason = "timed_out"
            else:
                self._rests_until_s.pop(id(engine), None)
                return engine, ear
            self.rest(engine)
            self.log_lost(engine, reason, following)
        raise Unavailable("no engine listens")

    @staticmethod
    def log_lost(engine: SpeechToText, reason: str, following: SpeechToText | None) -> None:
        """Tell the operator that ``engine`` failed, and who is asked next."""
        _log.warning("speech.engine_lost", engine=engine.name, reason=reason, next=following.name if following else "none")


class _Kept:
    """The audio that may have to be heard again: what was given since the last final report. Positions are bytes into the call."""

    def __init__(self, audio: AudioFormat) -> None:
        self._audio = audio
        self.bytes_per_ms = audio.frame_bytes // FRAME_MS
        self._bytes = bytearray()
        self._most = _KEPT_MS * self.bytes_per_ms
        self.end = 0

    @property
    def start(self) -> int:
        """Where the audio kept begins."""
        return self.end - len(self._bytes)

    def add(self, audio: bytes) -> None:
        """Keep ``audio`` too; beyond half a minute the oldest goes."""
        self._bytes += audio
        self.end += len(audio)
        self.forget(self.end - self._most)

    def forget(self, until: float) -> None:
        """Everything before ``until`` is done with, in whole frames of the call."""
        frames = int(until) // self._audio.frame_bytes
        del self._bytes[: max(0, frames * self._audio.frame_bytes - self.start)]

    def forget_silence(self) -> None:
        """Forget the quiet before the first sound, but for a moment: nobody wants to wait for it to be heard again."""
        whole = [frame for frame in self.frames() if len(frame) == self._audio.frame_bytes]
        loud = (number for number, frame in enumerate(whole) if level_dbfs(frame, self._audio) >= _QUIET_DBFS)
        quiet = next(loud, len(whole))
        self.forget(self.start + quiet * self._audio.frame_bytes - _PRE_ROLL_MS * self.bytes_per_ms)

    def frames(self) -> list[bytes]:
        """All that is kept; the last one may be cut short."""
        size = self._audio.frame_bytes
        return [bytes(self._bytes[place : place + size]) for place in range(0, len(self._bytes), size)]


class _Stream:
    """One call's ear."""

    def __init__(self, relay: SttRelay, audio: AudioFormat, engine: SpeechToText, ear: SttStream) -> None:
        self._relay = relay
        self._audio = audio
        self._engine = engine
        self._ear: SttStream | None = ear
        self._ear_from = 0  # where in the call the ear's own time began
        self._kept = _Kept(audio)
        self._expectation: Expectation | None = None
        self._flushed = False  # asked for, and no final report since
        self._reported = False  # by this ear
        self._opened_again = False  # for the words since the last final report
        self._fruitless = 0  # ears lost in a row without having reported anything
        self._closed = False
        self._opening: asyncio.Task[tuple[SpeechToText, SttStream]] | None = None
        self._going_back: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def send(self, audio: bytes) -> None:
        """See the protocol."""
        if self._closed:
            return
        self._kept.add(audio)
        if self._ear:
            self._ear.send(audio)

    def expect(self, expectation: Expectation) -> None:
        """See the protocol."""
        self._expectation = expectation
        if self._ear:
            self._ear.expect(expectation)

    def flush(self) -> None:
        """See the protocol."""
        self._flushed = True
        if self._ear:
            self._ear.flush()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """See the protocol. Raises Unavailable when no engine can go on."""
        while not self._closed:
            ear, reason = self._ear, "ended by itself"
            if ear is None:
                raise Unavailable("no engine listens")
            try:
                async with aclosing(cast("AsyncGenerator[Transcript, None]", ear.transcripts())) as reports:
                    async for report in reports:
                        if ear is not self._ear:
                            break
                        yield self._noted(report)
            except Unavailable as error:
                reason = str(error)
            if not self._closed and ear is self._ear:
                await self._open_next(reason)

    async def close(self) -> None:
        """See the protocol."""
        if self._closed:
            return
        self._closed = True
        for opening in (self._opening, self._going_back):
            if opening:
                opening.cancel()
        if self._ear:
            self._close_ear(self._ear)
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_MS / 1000)

    def _noted(self, report: Transcript) -> Transcript:
        """``report`` in the call's own time. The audio of a final one is done with."""
        self._reported = True
        self._fruitless = 0
        until: float = self._kept.end
        if report.until_ms is not None:
            until = min(until, self._ear_from + report.until_ms * self._kept.bytes_per_ms)
            report = replace(report, until_ms=until / self._kept.bytes_per_ms)
        if report.final:
            self._flushed = self._opened_again = False
            self._kept.forget(until)
            if self._going_back is None and (better := self._relay.better_than(self._engine)):
                self._going_back = asyncio.ensure_future(self._go_back(better))
        return report

    async def _open_next(self, reason: str) -> None:
        """The ear is lost: open another, and let it hear what the lost one had not reported as final."""
        lost, engines = self._engine, self._next_engines()
        again = lost if self._opened_again else None
        self._relay.log_lost(self._engine, reason, engines[0] if engines else None)
        if self._ear:
            self._close_ear(self._ear)
            self._ear = None
        if not engines:
            raise Unavailable("no engine listens")
        self._opening = asyncio.ensure_future(self._relay.first_of(engines, self._audio, again=again))
        try:
            self._engine, ear = await self._opening
        except asyncio.CancelledError:
            if self._closed:
                return
            raise
        finally:
            self._opening = None
        if self._closed:
            self._close_ear(ear)
        else:
            self._take_up(ear)

    async def _go_back(self, better: SpeechToText) -> None:
        """Open ``better``, and let it listen from the last final report on: what the other has reported since was interim."""
        try:
            engine, ear = await self._relay.first_of([better], self._audio)
        except Unavailable:
            return  # it rests again, and the operator was told
        finally:
            self._going_back = None
        if self._closed or self._ear is None:  # the other is lost just now, and who goes on is being looked for
            self._close_ear(ear)
            return
        self._close_ear(self._ear)
        self._engine = engine
        self._take_up(ear)

    def _next_engines(self) -> list[SpeechToText]:
        """Who is to go on, in order."""
        lost, is_blip = self._engine, self._reported and not self._opened_again
        if is_blip:
            self._opened_again = True
            return [lost, *(engine for engine in self._relay.in_order() if engine is not lost)]
        self._relay.rest(lost)
        self._fruitless += not self._reported
        if self._fruitless > self._relay.engine_count:  # every one opens, none lasts
            return []
        return self._relay.in_order()

    def _take_up(self, ear: SttStream) -> None:
        """Let ``ear`` hear what is kept, faster than it was said: what it reports of it comes quickly."""
        self._kept.forget_silence()
        self._ear, self._ear_from, self._reported = ear, self._kept.start, False
        if self._expectation:
            ear.expect(self._expectation)
        frames = self._kept.frames()
        for frame in frames:
            ear.send(frame)
        if self._flushed:
            ear.flush()
        _log.info("speech.engine_taken", engine=self._engine.name, replayed_ms=len(frames) * FRAME_MS)

    def _close_ear(self, ear: SttStream) -> None:
        """Close ``ear`` in the background: nothing waits for it."""
        task = asyncio.ensure_future(ear.close())
        self._closing.add(task)
        task.add_done_callback(self._ear_closed)

    def _ear_closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.warning("speech.close_failed", engine=self._engine.name, error=type(error).__name__)
