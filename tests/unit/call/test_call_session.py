"""A whole call over a socket in memory, with a clock that the test moves: what is sent, what is recorded, what is left behind."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from throughline.call.call_settings import CallSettings
from throughline.call.effects import TurnTimed
from throughline.call.media_streams import Start
from throughline.call.port import Admission
from throughline.call.session import CallSession, MonotonicClock, SocketClosed
from throughline.domain.key_words import NO_KEYS, KeyWords
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import TELEPHONE, AudioFormat, Transcript
from throughline.domain.turns import Expectation, TurnResult, Utterance
from throughline.errors import Rejected, Unavailable

pytestmark = pytest.mark.unit

FRAME = b"\x80" * 160
LOST = object()


async def settle(rounds: int = 40) -> None:
    """Let every task run until it waits for something."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class ManualClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self._now_ms = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now_ms(self) -> float:
        return self._now_ms

    async def sleep_until(self, at_ms: float) -> None:
        if at_ms > self._now_ms:
            woken = asyncio.Event()
            self._sleepers.append((at_ms, woken))
            await woken.wait()
        else:
            await asyncio.sleep(0)

    def stall(self, length_ms: int) -> None:
        """Time passes and nobody gets to run."""
        self._now_ms += length_ms

    async def advance(self, length_ms: int) -> None:
        for _ in range(length_ms // 20):
            self._now_ms += 20
            for sleeper in [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now_ms]:
                self._sleepers.remove(sleeper)
                sleeper[1].set()
            await settle()


class FakeSocket:
    """The other side. ``plays`` makes it send marks back as soon as they come, as if it had played everything."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[object] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self.stuck = False
        self.plays = True

    async def recv(self) -> str:
        message = await self.incoming.get()
        if message is LOST or self.closed:
            raise SocketClosed
        return message if isinstance(message, str) else json.dumps(message)

    async def send(self, message: str) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        if self.closed:
            raise SocketClosed
        body = json.loads(message)
        self.sent.append(body)
        if body["event"] == "mark" and self.plays:
            self.incoming.put_nowait(body)

    async def close(self) -> None:
        self.closed = True
        self.incoming.put_nowait(LOST)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [body for body in self.sent if body["event"] == name]

    def states(self) -> list[str]:
        return [body["state"] for body in self.events("state")]


class FakeEar:
    """A recogniser's stream that reports what the test says."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[Any] = asyncio.Queue()
        self.audio = b""
        self.expectations: list[Expectation] = []
        self.flushes = 0
        self.closed = False

    def send(self, audio: bytes) -> None:
        self.audio += audio

    def expect(self, expectation: Expectation) -> None:
        self.expectations.append(expectation)

    def flush(self) -> None:
        self.flushes += 1

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while True:
            report = await self.reports.get()
            if report is LOST:
                raise Unavailable("the recogniser is gone")
            yield report

    async def close(self) -> None:
        self.closed = True


class FakeStt:
    name = "fake"
    demo = True

    def __init__(self) -> None:
        self.ears: list[FakeEar] = []
        self.failures = 0
        self.formats: list[AudioFormat] = []

    async def open(self, audio: AudioFormat) -> FakeEar:
        if self.failures:
            self.failures -= 1
            raise Unavailable("no recogniser")
        self.formats.append(audio)
        self.ears.append(FakeEar())
        return self.ears[-1]

    async def warm_up(self) -> None:
        """Nothing to load."""


class FakeTts:
    """Speaks two frames for every word. ``failures`` is how many sentences fail, ``after`` that many pieces."""

    name = "fake"

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.speeds: list[float] = []
        self.open = 0
        self.failures = 0
        self.after = 0
        self.pieces_made = 0
        self.stops_after = 0
        """Steps of the loop that it takes to stop when it is given up, as an engine behind other engines does."""

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        self.spoken.append(text)
        self.speeds.append(speed)
        self.open += 1
        try:
            for piece in range(2 * len(text.split())):
                if self.failures and piece == self.after:
                    self.failures -= 1
                    raise Unavailable("no voice")
                self.pieces_made += 1
                yield b"\x80" * audio.frame_bytes
                try:
                    await asyncio.sleep(3600 if self.stops_after else 0)
                except asyncio.CancelledError:
                    for _ in range(self.stops_after):
                        await asyncio.sleep(0)
                    raise
        finally:
            self.open -= 1

    async def warm_up(self) -> None:
        """Nothing to load."""


class FakePort:
    """The dialogue: answers what ``answers`` says and notes what it is told."""

    def __init__(self) -> None:
        self.page = True
        self.calls: list[tuple[Any, ...]] = []
        self.foreseen: list[str] = []
        self.rehearsed: list[str] = []
        self.rehearsal_fails = False
        self.whole: set[str] = set()
        self.timed_turns: list[TurnTimed] = []
        self.answers: dict[str, TurnResult | Exception] = {}
        self.refuses: Exception | None = None
        self.held: asyncio.Event | None = None
        self.socket_closed: Callable[[], bool] = lambda: False
        self.greeting: TurnResult | Exception = said("Good morning.")

    async def admit(self, start: Start) -> Admission:
        self.calls.append(("admit", start.token))
        if self.refuses:
            raise self.refuses
        return Admission(page=self.page)

    async def begin(self) -> TurnResult:
        self.calls.append(("begin",))
        return self._answer(self.greeting)

    async def turn(self, text: str, *, source: str, confidence: float | None) -> TurnResult:
        self.calls.append(("turn", text, source, confidence))
        if self.held:
            await self.held.wait()
        return self._answer(self.answers.get(text, said("I see.")))

    async def foresee(self, text: str) -> bool:
        self.foreseen.append(text)
        if self.held:
            await self.held.wait()
        return text in self.whole

    async def rehearse(self, text: str) -> TurnResult:
        self.rehearsed.append(text)
        if self.rehearsal_fails:
            raise Unavailable("no dialogue")
        return self._answer(self.answers.get(text, said("I see.")))

    async def withdraw(self) -> None:
        self.calls.append(("withdraw",))

    async def rated(self, rating: int) -> None:
        self.calls.append(("rated", rating))

    async def timed(self, timed: TurnTimed) -> None:
        self.timed_turns.append(timed)

    async def prompt(self, name: str) -> TurnResult:
        self.calls.append(("prompt", name))
        return self._answer(self.answers.get(name, said(name)))

    async def heard(self, event_id: str, *, text_heard: str, complete: bool) -> None:
        self.calls.append(("heard", event_id, text_heard, complete))

    async def ending(self, reason: str) -> None:
        self.calls.append(("ending", reason, self.socket_closed()))

    async def ended(self, reason: str) -> None:
        self.calls.append(("ended", reason))

    @staticmethod
    def _answer(answer: TurnResult | Exception) -> TurnResult:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


def said(text: str, *, expects: str = "free", end: bool = False) -> TurnResult:
    return TurnResult("c_1", (Utterance(f"e-{text}", text),), Expectation(expects), end_session=end)


START: dict[str, Any] = {
    "event": "start",
    "streamSid": "MZ1",
    "start": {
        "streamSid": "MZ1",
        "callSid": "CA1",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "let-me-in"},
    },
}


def media(audio: bytes) -> dict[str, Any]:
    return {"event": "media", "streamSid": "MZ1", "media": {"payload": base64.b64encode(audio).decode()}}


PAUSES = {"end_of_turn_ms": 800, "end_of_turn_told_ms": 650, "end_of_turn_whole_ms": 550, "end_of_turn_short_ms": 310}


class Call:
    """A call under test, with everything around it."""

    def __init__(self, **settings: int) -> None:
        self.clock = ManualClock()
        self.socket = FakeSocket()
        self.port = FakePort()
        self.port.socket_closed = lambda: self.socket.closed
        self.stt = FakeStt()
        self.tts = FakeTts()
        self.settings = CallSettings(**PAUSES | settings)
        self.keys = NO_KEYS
        self.wording: PhoneWording | None = None
        self._before = asyncio.all_tasks()

    async def start(self) -> None:
        parts = self.socket, self.port, self.stt, self.tts
        session = CallSession(*parts, self.settings, self.clock, keys=self.keys, wording=self.wording)
        self.running = asyncio.ensure_future(session.run())
        self.socket.incoming.put_nowait({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.socket.incoming.put_nowait(START)
        await settle(500)

    async def greeted(self) -> None:
        """Start, and let the greeting be heard."""
        await self.start()
        await self.clock.advance(400)
        assert self.port.of("heard")

    async def caller(self, message: object) -> None:
        self.socket.incoming.put_nowait(message)
        await settle()

    async def says(self, text: str, *, final: bool = True) -> None:
        self.stt.ears[-1].reports.put_nowait(Transcript(text, final))
        await settle()

    async def over(self) -> str:
        """Wait for the end; returns the reason that was told. Everything must be closed and no task left."""
        await asyncio.wait_for(self.running, 5)
        await settle()
        assert self.socket.closed
        assert self.tts.open == 0
        assert all(ear.closed for ear in self.stt.ears)
        assert asyncio.all_tasks() == self._before
        assert [call[0] for call in self.port.calls].count("ended") == 1
        assert self.port.calls[-1][0] == "ended"
        return str(self.port.of("ended")[0][0])


async def test_what_the_dialogue_understands_as_whole_is_taken_sooner() -> None:
    call = Call(end_of_turn_ms=800, end_of_turn_whole_ms=300)
    call.port.whole = {"how much is a visit"}
    await call.greeted()
    await call.says("how much is a visit")
    await call.clock.advance(320)
    await call.says("it is a bosch")
    await call.clock.advance(320)
    assert [turn[0] for turn in call.port.of("turn")] == ["how much is a visit"]
    await call.clock.advance(600)
    assert [turn[0] for turn in call.port.of("turn")] == ["how much is a visit", "it is a bosch"]
    call.socket.incoming.put_nowait(LOST)
    await call.over()


async def test_of_what_is_said_while_the_dialogue_looks_ahead_it_looks_at_the_latest() -> None:
    call = Call()
    await call.greeted()
    call.port.held = asyncio.Event()
    for text in ("how much", "is a visit", "on sundays"):
        await call.says(text)
        await call.clock.advance(40)
    assert call.port.foreseen == ["how much"]
    call.port.held.set()
    await settle()
    assert call.port.foreseen == ["how much", "how much is a visit on sundays"]
    call.socket.incoming.put_nowait(LOST)
    await call.over()


async def test_the_voice_begins_with_the_answer_before_the_turn_is_over() -> None:
    call = Call()
    call.port.answers["it leaks"] = said("Which brand is it?")
    await call.greeted()
    await call.says("it leaks")
    await call.clock.advance(700)
    assert call.port.rehearsed == ["it leaks"]
    assert call.port.of("turn") == [], "nothing is acted on yet"
    assert call.tts.spoken == ["Good morning.", "Which brand is it?"]
    assert not any(
        body["event"] == "media" for body in call.socket.sent[call.socket.sent.index(call.socket.events("mark")[0]) :]
    )
    await call.clock.advance(400)
    assert call.port.of("turn") == [("it leaks", "speech", None)]
    assert call.tts.spoken == ["Good morning.", "Which brand is it?"], "it is not made a second time"
    assert call.socket.events("caption")[-1]["text"] == "Which brand is it?"
    call.socket.incoming.put_nowait(LOST)
    await call.over()


async def test_who_goes_on_is_answered_otherwise_and_nothing_is_left_of_what_was_begun() -> None:
    call = Call()
    call.port.answers |= {"it leaks": said("Which brand is it?"), "it leaks on Sundays": said("Only then?")}
    await call.greeted()
    await call.says("it leaks")
    await call.clock.advance(700)
    await call.says("on Sundays")
    await call.clock.advance(1200)
    assert call.port.rehearsed == ["it leaks", "it leaks on Sundays"]
    assert call.port.of("turn") == [("it leaks on Sundays", "speech", None)]
    assert call.tts.spoken == ["Good morning.", "Which brand is it?", "Only then?"]
    call.socket.incoming.put_nowait(LOST)
    await call.over()  # looks whether every voice is closed


async def test_a_rehearsal_that_fails_costs_nothing_but_its_answer() -> None:
    call = Call()
    call.port.rehearsal_fails = True
    await call.greeted()
    await call.says("it leaks")
    await call.clock.advance(1200)
    assert call.port.of("turn") == [("it leaks", "speech", None)]
    assert call.tts.spoken == ["Good morning.", "I see."]
    call.socket.incoming.put_nowait(LOST)
    await call.over()


async def test_a_call_from_greeting_to_good_bye() -> None:
    call = Call()
    call.port.greeting = said("Good morning. What can I do for you?")
    call.port.answers = {"it leaks": said("Is it urgent?", expects="yes_no"), "no": said("Good bye.", end=True)}
    await call.start()
    assert call.socket.events("engine") == [{"event": "engine", "stt": "fake", "demo": True}]
    await call.clock.advance(1000)
    await call.caller(media(FRAME))
    await call.says("it leaks")
    await call.clock.advance(2000)
    await call.says("no")
    await call.clock.advance(2000)
    assert await call.over() == "completed"
    assert call.port.of("admit") == [("let-me-in",)]
    assert call.port.of("turn") == [("it leaks", "speech", None), ("no", "speech", None)]
    assert [heard[1:] for heard in call.port.of("heard")] == [
        ("Good morning. What can I do for you?", True),
        ("Is it urgent?", True),
        ("Good bye.", True),
    ]
    assert call.tts.spoken == ["Good morning.", "What can I do for you?", "Is it urgent?", "Good bye."]
    assert [expected.kind for expected in call.stt.ears[0].expectations][-2:] == ["yes_no", "free"]
    assert call.stt.ears[0].audio == FRAME
    assert call.socket.states() == [
        "ringing", "speaking", "listening", "thinking", "speaking", "listening", "thinking", "speaking", "over",
    ]  # fmt: skip
    assert call.socket.sent[-1] == {"event": "state", "state": "over", "reason": "completed"}
    assert call.port.of("ending") == [("completed", False)]  # the socket was still open: what comes after it could be settled


async def test_a_call_passed_to_a_person_ends_when_that_was_said() -> None:
    call = Call()
    passed = said("I'll put you through.", end=True)
    call.port.answers = {"a person": replace(passed, transfer=True)}
    await call.greeted()
    await call.says("a person")
    await call.clock.advance(2000)
    assert await call.over() == "transferred"
    assert call.port.of("heard")[-1][1:] == ("I'll put you through.", True)
    assert call.port.of("ending") == [("transferred", False)]


async def test_a_call_that_was_not_let_in_settles_nothing() -> None:
    call = Call()
    call.port.refuses = Rejected("used_token")
    await call.start()
    assert await call.over() == "refused"
    assert call.port.of("ending") == []


async def test_a_telephone_hears_media_marks_and_clears_only() -> None:
    call = Call()
    call.port.page = False
    await call.greeted()
    await call.caller({"event": "text", "text": "not for telephones"})
    await call.caller({"event": "stop", "streamSid": "MZ1"})
    assert await call.over() == "hung_up"
    assert {body["event"] for body in call.socket.sent} == {"media", "mark"}
    assert call.port.of("turn") == []


async def test_audio_is_sent_at_the_pace_of_real_time() -> None:
    call = Call()
    call.port.greeting = said("one two three four five six seven eight nine ten " * 5)
    await call.start()
    assert len(call.socket.events("media")) == 10
    await call.clock.advance(500)
    assert len(call.socket.events("media")) == 35
    await call.caller(LOST)
    assert await call.over() == "line_lost"


async def test_speech_is_made_only_so_far_ahead() -> None:
    call = Call(speech_ahead_ms=600)
    call.port.greeting = said("one two three four five six seven eight nine ten " * 5)
    await call.start()
    assert call.tts.pieces_made == 10 + 30
    await call.clock.advance(200)
    assert call.tts.pieces_made == 20 + 30
    await call.caller(LOST)
    await call.over()


async def test_an_interruption_while_a_slow_voice_is_waited_for_loses_nothing() -> None:
    call = Call()
    call.tts.stops_after = 10
    call.port.greeting = said("Good morning. What can I do for you?")
    call.port.answers = {"it leaks badly": said("Is it urgent?")}
    await call.start()
    await call.clock.advance(100)
    await call.says("it leaks badly")
    call.tts.stops_after = 0
    await call.clock.advance(2000)
    assert call.port.of("turn") == [("it leaks badly", "speech", None)]
    assert call.tts.spoken[-1] == "Is it urgent?"
    call.socket.incoming.put_nowait(LOST)
    assert await call.over() == "line_lost"


async def test_an_interruption_clears_stops_the_voice_and_becomes_a_turn() -> None:
    call = Call(speech_ahead_ms=600)
    call.port.greeting = said("one two three four five six seven eight nine ten")
    call.socket.plays = False
    await call.start()
    await call.clock.advance(200)
    await call.says("no the dryer")
    cleared = call.socket.sent.index({"event": "clear", "streamSid": "MZ1"})
    assert not [body for body in call.socket.sent[cleared:] if body["event"] == "media"]
    assert call.tts.open == 0
    (event_id, text_heard, complete) = call.port.of("heard")[0]
    assert (event_id, complete) == ("e-one two three four five six seven eight nine ten", False)
    assert text_heard == "one two three four five"  # half of 400 ms
    await call.clock.advance(800)
    assert call.port.of("turn") == [("no the dryer", "speech", None)]
    await call.caller(LOST)
    await call.over()


async def test_a_slow_dialogue_blocks_neither_ears_nor_keypad() -> None:
    call = Call()
    await call.greeted()
    call.port.held = asyncio.Event()
    await call.caller({"event": "text", "text": "it leaks"})
    await call.caller(media(FRAME))
    for digit in "12345678":
        await call.caller({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": digit}})
    assert call.stt.ears[0].audio == FRAME
    assert call.port.of("turn") == [("it leaks", "typed", None)]
    call.port.held.set()
    await call.clock.advance(720)
    assert call.port.of("turn")[1:] == [("12345678", "keypad", None)]
    await call.caller(LOST)
    await call.over()


async def test_a_slow_dialogue_is_bridged_by_a_filler_that_no_record_hears_of() -> None:
    call = Call()
    call.wording = PhoneWording(fillers=("One moment, please.", "Nearly there."))
    await call.greeted()
    call.port.held = asyncio.Event()
    call.port.answers = {"it leaks": replace(said("Which brand?"), speed=0.85)}
    await call.says("it leaks")
    await call.clock.advance(2500)
    assert call.tts.spoken[-1] == "One moment, please."
    call.port.held.set()
    await call.clock.advance(1000)
    assert (call.tts.spoken[-2:], call.tts.speeds[-2:]) == (["One moment, please.", "Which brand?"], [1.0, 0.85])
    assert [heard[0] for heard in call.port.of("heard")] == ["e-Good morning.", "e-Which brand?"]
    assert len(call.port.of("turn")) == 1
    await call.caller({"event": "stop", "streamSid": "MZ1"})
    await call.over()


async def test_the_callers_last_words_reach_the_dialogue_after_hang_up() -> None:
    call = Call()
    await call.greeted()
    await call.says("and it is urgent")
    await call.caller(LOST)
    assert await call.over() == "line_lost"
    assert call.port.of("turn") == [("and it is urgent", "speech", None)]
    assert call.port.of("heard")[-1] == ("e-I see.", "", False)


async def test_a_turn_under_way_at_hang_up_is_waited_for() -> None:
    call = Call()
    await call.greeted()
    call.port.held = asyncio.Event()
    await call.caller({"event": "text", "text": "book it"})
    await call.caller(LOST)
    assert not call.running.done()
    call.port.held.set()
    assert await call.over() == "line_lost"
    assert call.port.of("heard")[-1] == ("e-I see.", "", False)


@pytest.mark.parametrize("message", ["garbage", START, {"event": "dtmf", "dtmf": {"digit": "x"}}])
async def test_a_broken_protocol_ends_the_call(message: object) -> None:
    call = Call()
    await call.greeted()
    await call.caller(message)
    assert await call.over() == "protocol_error"


async def test_a_call_that_does_not_begin_with_start_is_closed() -> None:
    call = Call()
    call.socket.incoming.put_nowait("garbage")
    await call.start()
    assert await call.over() == "protocol_error"
    assert call.socket.sent == []


async def test_a_call_that_never_starts_is_closed() -> None:
    call = Call(handshake_timeout_ms=20)
    session = CallSession(call.socket, call.port, call.stt, call.tts, call.settings, call.clock)
    call.running = asyncio.ensure_future(session.run())
    assert await call.over() == "protocol_error"


async def test_a_refused_token_closes_without_a_word() -> None:
    call = Call()
    call.port.refuses = Rejected("used_token")
    await call.start()
    assert await call.over() == "refused"
    assert call.socket.sent == []
    assert call.stt.ears == []


@pytest.mark.parametrize("error", [Unavailable("the record"), RuntimeError("a fault")])
async def test_a_port_that_fails_to_admit_ends_the_call(error: Exception) -> None:
    call = Call()
    call.port.refuses = error
    await call.start()
    assert await call.over() == "failed"


async def test_admitting_a_call_may_not_take_for_ever() -> None:
    call = Call(handshake_timeout_ms=20)
    held = asyncio.Event()

    async def admit_never(_start: Start) -> Admission:
        await held.wait()
        return Admission(page=True)

    call.port.admit = admit_never  # type: ignore[method-assign]
    await call.start()
    assert await call.over() == "failed"


async def test_the_caller_may_hang_up_before_the_call_starts() -> None:
    call = Call()
    call.socket.incoming.put_nowait(LOST)
    await call.start()
    assert await call.over() == "line_lost"


async def test_a_recogniser_that_is_lost_is_opened_again_once() -> None:
    call = Call()
    await call.greeted()
    call.stt.ears[0].reports.put_nowait(LOST)
    await settle()
    assert call.stt.ears[0].closed
    assert len(call.stt.ears) == 2
    await call.says("it leaks")
    await call.clock.advance(800)
    assert call.port.of("turn") == [("it leaks", "speech", None)]
    call.stt.ears[1].reports.put_nowait(LOST)
    await call.clock.advance(2000)
    assert call.port.of("prompt") == [("utter_apology_person",)]
    assert await call.over() == "listening_lost"


async def test_without_any_recogniser_the_open_question_is_answered_by_keys() -> None:
    call = Call()
    call.keys = KeyWords({"1": "yes"}, {}, (), {})
    call.port.greeting = TurnResult("c_1", (Utterance("e-1", "Is it urgent?"),), Expectation("yes_no", "urgent"))
    call.stt.failures = 2
    await call.start()
    await call.clock.advance(3000)
    assert call.port.of("prompt") == [("utter_keys_alone",), ("utter_keys_yes_no",)]
    await call.caller({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "1"}})
    await call.clock.advance(1000)
    assert call.port.of("turn") == [("yes", "keypad", None)]
    assert not call.running.done()
    call.socket.incoming.put_nowait(LOST)
    assert await call.over() == "line_lost"


async def test_a_recogniser_that_stops_by_itself_is_opened_again() -> None:
    call = Call()
    await call.greeted()

    async def nothing() -> AsyncIterator[Transcript]:
        for transcript in ():
            yield transcript

    call.stt.ears[0].reports.put_nowait(LOST)
    opened = call.stt.open

    async def open_deaf(audio: AudioFormat) -> FakeEar:
        ear = await opened(audio)
        ear.transcripts = nothing  # type: ignore[method-assign]
        return ear

    call.stt.open = open_deaf  # type: ignore[method-assign]
    await call.clock.advance(2000)
    assert await call.over() == "listening_lost"


async def test_a_recogniser_that_never_opens_ends_the_call_with_words() -> None:
    call = Call()
    call.stt.failures = 2
    await call.start()
    await call.clock.advance(1000)
    assert await call.over() == "listening_lost"
    assert "utter_apology_person" in call.tts.spoken


async def test_audio_that_comes_before_the_recogniser_is_open_is_kept() -> None:
    call = Call()
    opened = asyncio.Event()
    open_now = call.stt.open

    async def open_later(audio: AudioFormat) -> FakeEar:
        await opened.wait()
        return await open_now(audio)

    call.stt.open = open_later  # type: ignore[method-assign]
    await call.start()
    await call.caller(media(FRAME))
    opened.set()
    await settle()
    assert call.stt.ears[0].audio == FRAME
    assert call.stt.formats == [TELEPHONE]
    await call.caller(LOST)
    await call.over()


async def test_a_voice_that_fails_before_its_first_sound_is_tried_again() -> None:
    call = Call()
    call.tts.failures = 1
    await call.greeted()
    assert call.tts.spoken == ["Good morning.", "Good morning."]
    assert call.port.of("heard") == [("e-Good morning.", "Good morning.", True)]
    await call.caller(LOST)
    await call.over()


async def test_a_voice_that_fails_in_mid_sentence_leaves_the_rest_to_the_captions() -> None:
    call = Call()
    call.tts.failures = 1
    call.tts.after = 4
    call.port.greeting = said("Good morning to you. What can I do for you?")
    await call.start()
    await call.clock.advance(200)
    assert call.tts.spoken == ["Good morning to you."]
    assert call.port.of("heard") == [("e-Good morning to you. What can I do for you?", "", False)]
    await call.caller(LOST)
    assert await call.over() == "line_lost"


async def test_a_page_without_a_voice_goes_on_in_captions() -> None:
    call = Call()
    call.tts.failures = 2
    await call.start()
    await call.clock.advance(40)
    assert {"event": "caption", "who": "assistant", "text": "Good morning.", "final": True} in call.socket.sent
    assert call.port.of("heard") == [("e-Good morning.", "", False)]
    await call.caller({"event": "text", "text": "it leaks"})
    assert call.port.of("turn") == [("it leaks", "typed", None)]
    await call.caller(LOST)
    await call.over()


async def test_a_telephone_without_a_voice_hangs_up() -> None:
    call = Call()
    call.port.page = False
    call.tts.failures = 4
    await call.start()
    await call.clock.advance(100)
    assert await call.over() == "speaking_lost"
    assert call.port.of("prompt") == [("utter_apology_person",)]


@pytest.mark.parametrize("error", [Unavailable("the record"), RuntimeError("a fault")])
async def test_a_turn_that_fails_is_apologised_for(error: Exception) -> None:
    call = Call()
    await call.greeted()
    call.port.answers = {"it leaks": error}
    await call.caller({"event": "text", "text": "it leaks"})
    assert call.port.of("prompt") == [("utter_apology",)]
    await call.caller(LOST)
    assert await call.over() == "line_lost"


async def test_a_turn_that_takes_too_long_is_apologised_for() -> None:
    call = Call(turn_timeout_ms=20)
    await call.greeted()
    call.port.held = asyncio.Event()
    await call.caller({"event": "text", "text": "it leaks"})
    await asyncio.sleep(0.05)
    assert call.port.of("prompt") == [("utter_apology",)]
    await call.caller(LOST)
    await call.over()


async def test_a_socket_that_takes_nothing_ends_the_call() -> None:
    call = Call(send_timeout_ms=40)
    call.socket.stuck = True
    await call.start()
    await call.clock.advance(40)
    assert await call.over() == "too_slow"


async def test_a_socket_that_closes_while_we_send_ends_the_call() -> None:
    call = Call()
    await call.greeted()
    call.socket.closed = True
    call.stt.ears[0].reports.put_nowait(Transcript("it leaks", final=True))
    await settle()
    assert await call.over() == "line_lost"


async def test_more_messages_than_the_outbox_holds_end_the_call() -> None:
    call = Call(send_timeout_ms=20)
    call.socket.stuck = True
    await call.start()
    for count in range(1000):
        call.stt.ears[0].reports.put_nowait(Transcript(f"word {count}", final=False))
    assert await call.over() == "too_slow"


async def test_a_record_that_cannot_note_what_was_heard_does_not_stop_the_call() -> None:
    call = Call()

    async def fails(_event_id: str, *, text_heard: str, complete: bool) -> None:
        raise Unavailable(f"the record, for {text_heard!r}, {complete}")

    call.port.heard = fails  # type: ignore[method-assign]
    await call.start()
    await call.clock.advance(400)
    await call.caller({"event": "text", "text": "it leaks"})
    assert call.port.of("turn") == [("it leaks", "typed", None)]
    await call.caller(LOST)
    assert await call.over() == "line_lost"


async def test_after_a_long_stall_time_goes_on_from_now() -> None:
    call = Call()
    call.port.greeting = said("one two three four five six seven eight nine ten " * 5)
    await call.start()
    call.clock.stall(5000)
    await call.clock.advance(20)
    assert len(call.socket.events("media")) == 20
    await call.clock.advance(100)
    assert len(call.socket.events("media")) == 25
    await call.caller(LOST)
    await call.over()


async def test_a_stopped_server_ends_the_call() -> None:
    call = Call()
    await call.greeted()
    call.port.held = asyncio.Event()
    await call.caller({"event": "text", "text": "it leaks"})
    call.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.running
    assert call.port.of("ended") == [("cancelled",)]
    assert call.socket.closed
    assert asyncio.all_tasks() == call._before


async def test_silence_ends_the_call() -> None:
    call = Call(silence_ms=1000)
    await call.greeted()
    await call.clock.advance(5000)
    assert await call.over() == "silence"
    assert call.port.of("prompt") == [("utter_silence_1",), ("utter_silence_2",), ("utter_silence_goodbye",)]


async def test_an_engine_that_breaks_ends_the_call_and_is_not_hidden() -> None:
    call = Call()
    await call.greeted()
    call.stt.ears[0].reports.put_nowait("not a transcript")
    await settle()
    assert await call.over() == "failed"


async def test_what_was_heard_is_told_before_the_end_even_when_the_caller_hangs_up_in_mid_sentence() -> None:
    call = Call()
    call.socket.plays = False
    await call.start()
    await call.clock.advance(40)
    await call.caller(LOST)
    assert await call.over() == "line_lost"
    assert [name for name, *_ in call.port.calls] == ["admit", "begin", "heard", "ending", "ended"]


@pytest.mark.parametrize("at", range(12))
async def test_the_socket_may_close_at_any_moment(at: int) -> None:
    call = Call()
    call.port.greeting = said("one two three four five")
    steps: list[Callable[[], Any]] = [
        call.start,
        lambda: call.clock.advance(100),
        lambda: call.says("no", final=False),
        lambda: call.says("no the dryer"),
        lambda: call.clock.advance(720),
        lambda: call.clock.advance(100),
        lambda: call.caller({"event": "text", "text": "typed"}),
        lambda: call.caller({"event": "dtmf", "dtmf": {"digit": "1"}}),
        lambda: call.clock.advance(400),
        lambda: call.says("bye", final=False),
        lambda: call.clock.advance(3000),
    ]
    if at == 0:
        call.socket.incoming.put_nowait(LOST)
    for step in steps[: max(at, 1)]:
        await step()
    await call.caller(LOST)
    assert await call.over() == "line_lost"


async def test_the_machines_clock_keeps_time() -> None:
    clock = MonotonicClock()
    began_ms = clock.now_ms()
    await clock.sleep_until(began_ms + 5)
    assert clock.now_ms() >= began_ms + 5
    await clock.sleep_until(began_ms)


def test_it_keeps_time_on_the_servers_loop_too() -> None:
    async def keep() -> None:
        clock = MonotonicClock()
        for _ in range(20):
            at_ms = clock.now_ms() + 1.3
            await clock.sleep_until(at_ms)
            assert clock.now_ms() >= at_ms

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(keep())
    finally:
        loop.close()
