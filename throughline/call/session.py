"""One phone call, from ``start`` to hang-up: the file of this room that does the waiting.

Joins the machine (machine.py) to a socket, a recogniser, a voice and the dialogue. Each has a task of its own, and none of them
can hold up another: what they report goes to the machine at once, what the machine wants is queued.

    socket -> _receive -> codec -> machine -> outbox -> _send -> socket
    socket -> _receive -> recogniser -> _listen -> machine
    machine -> PrepareSpeech, Speak -> _speak, _make (voice) -> machine
    machine -> AskTurn -> _ask (dialogue) -> machine
    machine -> Foresee, Rehearse, Withdraw -> dialogue
    machine -> Heard -> _report -> dialogue
    clock -> _keep_time -> machine

Always holds: ``port.ended`` is called once, last; when ``run`` returns, no task is left and everything opened is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from throughline.call.call_settings import CallSettings
from throughline.call.effects import (
    Ask,
    AskBegin,
    AskTurn,
    Effect,
    Expect,
    FlushListening,
    Foresee,
    HangUp,
    Heard,
    PrepareSpeech,
    Rated,
    Rehearse,
    Speak,
    StopSpeaking,
    TurnTimed,
    Withdraw,
)
from throughline.call.machine import CallMachine
from throughline.call.media_streams import Audio, Clear, Engine, Mark, Media, MediaStream, Message, Start, Stop
from throughline.call.port import Admission, CallPort, Clock, Socket, SocketClosed
from throughline.domain.key_words import NO_KEYS, KeyWords
from throughline.domain.listening import NO_WORDS, ListeningWords
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import FRAME_MS
from throughline.domain.turns import TurnResult
from throughline.errors import ProtocolError, Rejected, ThroughlineError, Unavailable
from throughline.log import get_logger, told
from throughline.speech.stt.protocol import SpeechToText, SttStream
from throughline.speech.tts.ahead import SpeechAhead
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.within import closed_after, next_within, within

__all__ = ["CallSession", "MonotonicClock", "SocketClosed"]

_T = TypeVar("_T")

_log = get_logger("call")

_OUTBOX_MAX = 1000
_EARLY_AUDIO_MAX = 100
"""Messages of audio kept while the recogniser is being opened: two seconds."""


class MonotonicClock:
    """The machine's own clock."""

    def now_ms(self) -> float:
        """Milliseconds since an unknown moment."""
        return time.monotonic() * 1000

    async def sleep_until(self, at_ms: float) -> None:
        """Return at ``at_ms`` or later."""
        await asyncio.sleep(max(0.0, at_ms - self.now_ms()) / 1000)
        # uvloop, on which the server runs, wakes up to a millisecond early.
        while (early_ms := at_ms - self.now_ms()) > 0:  # noqa: ASYNC110 - there is nothing but time to wait for
            await asyncio.sleep(early_ms / 1000)


class CallSession:
    """One call. ``await run()`` once."""

    def __init__(
        self,
        socket: Socket,
        port: CallPort,
        stt: SpeechToText,
        tts: TextToSpeech,
        settings: CallSettings,
        clock: Clock,
        listening: ListeningWords = NO_WORDS,
        keys: KeyWords = NO_KEYS,
        wording: PhoneWording | None = None,
    ) -> None:
        self._socket = socket
        self._port = port
        self._stt = stt
        self._voice = SpeechAhead(tts)
        self._settings = settings
        self._clock = clock
        self._listening = listening
        self._keys = keys
        self._wording = wording
        self._stream = MediaStream()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: asyncio.Task[None] | None = None
        self._foreseeing: asyncio.Task[None] | None = None
        self._to_foresee = ""
        self._outbox: deque[Message | None] = deque()  # None ends it
        self._outbox_most = 0
        self._outbox_filled = asyncio.Event()
        self._sending_since_ms: float | None = None
        self._reports: deque[Heard | None] = deque()  # None ends it
        self._reports_filled = asyncio.Event()
        self._speeches: deque[Speak] = deque()
        self._speeches_filled = asyncio.Event()
        self._speaking: asyncio.Task[None] | None = None
        self._speech_wanted = asyncio.Event()
        self._ear: SttStream | None = None
        self._early_audio: deque[bytes] = deque(maxlen=_EARLY_AUDIO_MAX)
        self._hung_up: HangUp | None = None
        self._over = asyncio.Event()
        self._reason = "failed"

    async def run(self) -> None:
        """Hold the call until it is over. Raises nothing but CancelledError: what goes wrong ends the call, and is logged."""
        try:
            start = await self._started()
            admission = await self._admitted(start)
            await self._hold(start, admission)
        except SocketClosed:
            self._reason = "line_lost"
        except ThroughlineError as error:
            self._reason = {Rejected: "refused", ProtocolError: "protocol_error"}.get(type(error), "failed")
            _log.info("call.not_admitted", reason=self._reason, error=str(error))
        except asyncio.CancelledError:
            self._reason = "cancelled"
            raise
        except Exception:  # noqa: BLE001 -- whatever the port raises, the call ends in order
            _log.exception("call.failed")
        finally:
            await self._quietly(self._socket.close(), "socket.close")
            await self._quietly(self._port.ended(self._reason), "port.ended")
            _log.info(
                "call.ended",
                reason=self._reason,
                ignored=self._stream.ignored,
                late=self._stream.late,
                outbox_most=self._outbox_most,
            )

    async def _started(self) -> Start:
        async def first() -> Start:
            while True:
                event = self._stream.receive(await self._socket.recv())
                if isinstance(event, Start):
                    return event

        try:
            return await within(first(), self._settings.handshake_timeout_ms)
        except asyncio.TimeoutError:
            raise ProtocolError("no_start") from None

    async def _admitted(self, start: Start) -> Admission:
        try:
            admission = await within(self._port.admit(start), self._settings.handshake_timeout_ms)
        except asyncio.TimeoutError:
            raise Unavailable("admitting the call took too long") from None
        self._stream.admit(page=admission.page)
        return admission

    async def _hold(self, start: Start, admission: Admission) -> None:
        """The call itself, once it is admitted."""
        _log.info("call.started", page=admission.page, encoding=start.audio.encoding)
        self._audio = start.audio
        self._machine = CallMachine(
            self._settings,
            start.audio,
            page=admission.page,
            called=admission.called,
            listening=self._listening,
            keys=self._keys,
            wording=self._wording,
        )
        self._post(Engine(self._stt.name, self._stt.demo))
        self._do(self._machine.begin(self._now()))
        sender, reporter = self._begin(self._send()), self._begin(self._report())
        others = [self._begin(work()) for work in (self._receive, self._listen, self._speak, self._keep_time)]
        try:
            await self._over.wait()
        except asyncio.CancelledError:
            self._end("cancelled")
            raise
        finally:
            for task in others:
                task.cancel()
            await self._wind_up(sender, reporter)

    async def _wind_up(self, sender: asyncio.Task[None], reporter: asyncio.Task[None]) -> None:
        """Send what is queued, let the dialogue finish and hear the caller's last words, then leave nothing behind."""
        hung_up = self._hung_up or HangUp("failed")
        self._reason = hung_up.reason
        try:
            self._post(None)
            await asyncio.wait({sender}, timeout=self._settings.send_timeout_ms / 1000)
            await self._quietly(self._port.ending(self._reason), "port.ending")
            await self._quietly(self._socket.close(), "socket.close")
            if self._reason != "cancelled":
                asked = None
                while self._asked is not asked and (asked := self._asked):  # a turn that is taken back is asked once more
                    await asyncio.wait({asked})
                for turn in hung_up.last_turns:
                    await self._ask(turn)
            self._tell(None)
            await asyncio.wait({reporter}, timeout=self._settings.close_timeout_ms / 1000)
        finally:
            left = set(self._tasks)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=self._settings.close_timeout_ms / 1000)
            await self._quietly(self._voice.close(), "tts.close")

    # What the machine wants

    def _now(self) -> float:
        return self._clock.now_ms()

    def _end(self, reason: str) -> None:
        self._do(self._machine.hang_up(reason, self._now()))

    def _do(self, effects: list[Effect]) -> None:
        """Carry out what the machine wants, in its order. Never waits."""
        for effect in effects:
            if isinstance(effect, Ask):
                self._asked = self._begin(self._ask(effect))
            elif isinstance(effect, Speak):
                self._speeches.append(effect)
                self._speeches_filled.set()
            elif isinstance(effect, StopSpeaking):
                self._speeches.clear()
                if self._speaking:
                    self._speaking.cancel()
            elif isinstance(effect, Heard):
                self._tell(effect)
            elif isinstance(effect, (Expect, FlushListening)):
                if self._ear and isinstance(effect, Expect):
                    self._ear.expect(effect.expectation)
                elif self._ear:
                    self._ear.flush()
            elif isinstance(effect, Foresee):
                self._foresee(effect.text)
            elif isinstance(effect, Rehearse):
                self._begin(self._quietly(self._rehearse(effect.text), "port.rehearse"))
            elif isinstance(effect, PrepareSpeech):
                self._voice.prepare(effect.text, self._audio, speed=effect.speed)
            elif isinstance(effect, Withdraw):
                self._begin(self._quietly(self._port.withdraw(), "port.withdraw"))
            elif isinstance(effect, Rated):
                self._begin(self._quietly(self._port.rated(effect.rating), "port.rated"))
            elif isinstance(effect, TurnTimed):
                _log.info("call.turn", source=effect.source, **effect.stages)
                self._begin(self._quietly(self._port.timed(effect), "port.timed"))
            elif isinstance(effect, HangUp):
                self._hung_up = effect
                self._over.set()
            else:
                self._post(effect)

    def _foresee(self, text: str) -> None:
        """Have the dialogue look ahead, at one text at a time, the latest."""
        self._to_foresee = text
        if self._foreseeing is None or self._foreseeing.done():
            self._foreseeing = self._begin(self._quietly(self._look_ahead(), "port.foresee"))

    async def _look_ahead(self) -> None:
        while text := self._to_foresee:
            self._to_foresee = ""
            if await self._port.foresee(text):
                self._do(self._machine.is_whole(text, self._now()))

    async def _rehearse(self, text: str) -> None:
        self._do(self._machine.rehearsed(text, await self._port.rehearse(text), self._now()))

    def _post(self, message: Message | None) -> None:
        if isinstance(message, Clear):  # what is still here has not been sent, and must not be
            kept = [queued for queued in self._outbox if not isinstance(queued, (Audio, Mark))]
            self._outbox.clear()
            self._outbox.extend(kept)
        self._outbox.append(message)
        self._outbox_most = max(self._outbox_most, len(self._outbox))
        self._outbox_filled.set()
        if len(self._outbox) == _OUTBOX_MAX:
            self._end("too_slow")

    def _tell(self, heard: Heard | None) -> None:
        self._reports.append(heard)
        self._reports_filled.set()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("call.task_failed", exc_info=error)
            try:
                self._end("failed")
            finally:
                self._over.set()  # even when it is the machine that fails

    # The tasks

    async def _receive(self) -> None:
        try:
            while True:
                event = self._stream.receive(await self._socket.recv())
                if isinstance(event, Media):
                    if self._ear:
                        self._ear.send(event.audio)
                    else:
                        self._early_audio.append(event.audio)
                if event is not None:
                    self._do(self._machine.event(event, self._now()))
                if isinstance(event, Stop):
                    return
                await asyncio.sleep(0)  # a socket that always has a message ready must not keep the others waiting
        except SocketClosed:
            self._end("line_lost")
        except ProtocolError as error:
            _log.warning("call.protocol_error", error=str(error))
            self._end("protocol_error")

    async def _send(self) -> None:
        try:
            while (message := await _next_of(self._outbox, self._outbox_filled)) is not None:
                text = self._stream.send(message)
                if text is not None:
                    self._sending_since_ms = self._now()  # _keep_time watches it: a timer for each frame would cost too much
                    await self._socket.send(text)
                    self._sending_since_ms = None
        except SocketClosed:
            self._end("line_lost")

    async def _listen(self) -> None:
        for _ in range(2):  # opened again once
            try:
                ear = await within(self._stt.open(self._audio), self._settings.speech_timeout_ms)
                try:
                    await self._listen_with(ear)
                finally:
                    self._ear = None
                    await self._quietly(ear.close(), "stt.close")
            except (Unavailable, asyncio.TimeoutError) as error:
                _log.warning("call.listening_lost", error=str(error))
        self._do(self._machine.listening_lost(self._now()))

    async def _listen_with(self, ear: SttStream) -> None:
        ear.expect(self._machine.expectation)
        while self._early_audio:
            ear.send(self._early_audio.popleft())
        self._ear = ear
        async with closed_after(ear.transcripts()) as transcripts:
            async for transcript in transcripts:
                self._do(self._machine.transcript(transcript, self._now()))
        raise Unavailable("the recogniser has stopped")

    async def _speak(self) -> None:
        while True:
            speech = await _next_of(self._speeches, self._speeches_filled)
            self._speaking = self._begin(self._make(speech))
            await asyncio.wait({self._speaking})
            self._speaking = None

    async def _make(self, speech: Speak) -> None:
        """Make the speech for one sentence; when not even its beginning came, try once more."""
        made = False
        for _ in range(2):
            try:
                async with closed_after(self._voice.speak(speech.text, self._audio, speed=speech.speed)) as chunks:
                    while (chunk := await next_within(chunks, self._settings.speech_timeout_ms)) is not None:
                        made = True
                        self._do(self._machine.audio(speech.speech_id, chunk, self._now()))
                        if not self._machine.wants_speech:
                            self._speech_wanted.clear()
                            await self._speech_wanted.wait()
                self._do(self._machine.audio_end(speech.speech_id, self._now()))
                return
            except (Unavailable, asyncio.TimeoutError) as error:
                _log.warning("call.speaking_lost", error=str(error), again=not made)
            if made:
                break
        self._speeches.clear()
        self._do(self._machine.speaking_lost(self._now()))

    async def _keep_time(self) -> None:
        """Tick every 20 ms, counted from the first, so that small delays do not add up; after a long one count anew."""
        next_ms = self._now()
        while True:
            next_ms += FRAME_MS
            if next_ms < self._now() - self._settings.lead_ms:
                next_ms = self._now()
            await self._clock.sleep_until(next_ms)
            self._do(self._machine.tick(self._now()))
            if self._sending_since_ms is not None and self._now() - self._sending_since_ms >= self._settings.send_timeout_ms:
                self._end("too_slow")
            if self._machine.wants_speech:
                self._speech_wanted.set()

    async def _ask(self, ask: Ask) -> None:
        try:
            result = await within(self._asked_of_port(ask), self._settings.turn_timeout_ms)
        except (ThroughlineError, asyncio.TimeoutError) as error:
            _log.warning("call.turn_failed", error=str(error) or "took too long")
            self._do(self._machine.failed(self._now()))
        except Exception:  # noqa: BLE001 -- a fault in the dialogue is told to the caller, not hidden by hanging up
            _log.exception("call.turn_failed")
            self._do(self._machine.failed(self._now()))
        else:
            self._do(self._machine.result(result, self._now()))

    def _asked_of_port(self, ask: Ask) -> Coroutine[Any, Any, TurnResult]:
        if isinstance(ask, AskBegin):
            return self._port.begin()
        if isinstance(ask, AskTurn):
            return self._port.turn(ask.text, source=ask.source, confidence=ask.confidence)
        return self._port.prompt(ask.name)

    async def _report(self) -> None:
        while (heard := await _next_of(self._reports, self._reports_filled)) is not None:
            report = self._port.heard(heard.event_id, text_heard=heard.text_heard, complete=heard.complete)
            await self._quietly(report, "port.heard")

    async def _quietly(self, work: Awaitable[object], what: str) -> None:
        """Await what must not stop the rest. A failure is logged."""
        try:
            await within(work, self._settings.close_timeout_ms)
        except Exception as error:  # noqa: BLE001 -- see above
            _log.warning("call.step_failed", step=what, error=told(error))


async def _next_of(queue: deque[_T], filled: asyncio.Event) -> _T:
    """Take the next of ``queue``, waiting for it."""
    while not queue:
        filled.clear()
        await filled.wait()
    return queue.popleft()
