"""A relay of listening engines: who is taken, who rests, and that no word is lost or told twice when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE, AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.speech.stt.protocol import SttStream
from throughline.speech.stt.relay import SttRelay

pytestmark = pytest.mark.unit

LOUD = bytes([0x00, 0x80] * 80)
QUIET = b"\xff" * 160


def loud(number: int) -> bytes:
    """A frame as loud as speech, and unlike any other."""
    return LOUD[:156] + number.to_bytes(4, "big")


class FakeEar:
    """One call's ear, played by the test."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.expected: list[Expectation] = []
        self.flushes = 0
        self.closed = 0
        self.close_error: Exception | None = None
        self._reports: asyncio.Queue[Transcript | Exception | None] = asyncio.Queue()

    def report(self, text: str, *, final: bool = False, until_ms: float | None = None) -> None:
        self._reports.put_nowait(Transcript(text, final, until_ms=until_ms))

    def lose(self, reason: str = "connection_lost") -> None:
        self._reports.put_nowait(Unavailable(reason))

    def stop(self) -> None:
        self._reports.put_nowait(None)

    def send(self, audio: bytes) -> None:
        self.heard.append(audio)

    def expect(self, expectation: Expectation) -> None:
        self.expected.append(expectation)

    def flush(self) -> None:
        self.flushes += 1

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while (report := await self._reports.get()) is not None:
            if isinstance(report, Exception):
                raise report
            yield report

    async def close(self) -> None:
        self.closed += 1
        self.stop()
        if self.close_error:
            raise self.close_error


class FakeEngine:
    """An engine that opens, fails or hangs as told; by default it opens."""

    def __init__(self, name: str, *outcomes: object, demo: bool = False) -> None:
        self.name = name
        self.demo = demo
        self.outcomes = list(outcomes)
        self.ears: list[FakeEar] = []
        self.asked = 0
        self.let_go = asyncio.Event()
        self.warm_error: Exception | None = None
        self.warmed = 0

    async def open(self, _audio: AudioFormat) -> SttStream:
        self.asked += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome == "hangs":
            await self.let_go.wait()
        if isinstance(outcome, Exception):
            raise outcome
        self.ears.append(FakeEar())
        return self.ears[-1]

    async def warm_up(self) -> None:
        self.warmed += 1
        if self.warm_error:
            raise self.warm_error


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def relay(*engines: FakeEngine, clock: Clock | None = None, open_timeout_ms: float = 5000) -> SttRelay:
    return SttRelay(engines, open_timeout_ms=open_timeout_ms, retry_after_s=30, now_s=clock or Clock())


class Listener:
    """Reads a stream's transcripts, as a call does."""

    def __init__(self, stream: SttStream) -> None:
        self.reports: list[Transcript] = []
        self.error: Unavailable | None = None
        self._stream = stream
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for report in self._stream.transcripts():
                self.reports.append(report)
        except Unavailable as error:
            self.error = error


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(50):
        await asyncio.sleep(0)


class TestOpening:
    async def test_the_first_is_taken_and_gives_its_name(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other", demo=True)
        several = relay(best, other)
        await several.open(TELEPHONE)
        assert (several.name, several.demo) == ("best", False)
        assert (best.asked, other.asked) == (1, 0)

    async def test_one_that_fails_is_told_to_the_operator_and_rests(self) -> None:
        best, other = FakeEngine("best", Unavailable("key_refused")), FakeEngine("other", demo=True)
        clock = Clock()
        several = relay(best, other, clock=clock)
        with capture_logs() as logs:
            await several.open(TELEPHONE)
        assert logs == [
            {
                "event": "speech.engine_lost",
                "engine": "best",
                "reason": "key_refused",
                "next": "other",
                "room": "speech",
                "log_level": "warning",
            }
        ]
        assert (several.name, several.demo) == ("other", True)
        clock.now_s += 29
        await several.open(TELEPHONE)
        assert best.asked == 1
        clock.now_s += 1
        assert several.name == "best"
        await several.open(TELEPHONE)
        assert best.asked == 2

    async def test_one_that_takes_too_long_is_not_waited_for(self) -> None:
        best, other = FakeEngine("best", "hangs"), FakeEngine("other")
        with capture_logs() as logs:
            await asyncio.wait_for(relay(best, other, open_timeout_ms=10).open(TELEPHONE), 5)
        assert [(line["engine"], line["reason"]) for line in logs] == [("best", "timed_out")]

    async def test_when_all_fail_the_call_is_told_and_the_next_call_tries_all_again(self) -> None:
        best, other = FakeEngine("best", Unavailable("no_credit")), FakeEngine("other", Unavailable("no_credit"))
        several = relay(best, other)
        with pytest.raises(Unavailable, match="no engine listens"):
            await several.open(TELEPHONE)
        assert several.name == "best"
        await several.open(TELEPHONE)
        assert (best.asked, other.asked) == (2, 1)

    async def test_one_that_is_set_up_wrongly_is_passed_over(self) -> None:
        broken = FakeEngine("broken", ConfigurationError([Problem("endpoints.yml", "no model", "fetch one")]))
        other = FakeEngine("other")
        await relay(broken, other).open(TELEPHONE)
        assert other.asked == 1

    async def test_without_an_engine_there_is_no_relay(self) -> None:
        with pytest.raises(ValueError, match="needs an engine"):
            relay()


class TestWarmingUp:
    async def test_warms_all(self) -> None:
        engines = FakeEngine("best"), FakeEngine("other")
        await relay(*engines).warm_up()
        assert [engine.warmed for engine in engines] == [1, 1]

    async def test_one_that_can_not_be_warmed_up_rests(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        best.warm_error = Unavailable("not installed")
        several = relay(best, other)
        with capture_logs() as logs:
            await several.warm_up()
        assert [(line["event"], line["engine"]) for line in logs] == [("speech.engine_not_ready", "best")]
        assert several.name == "other"

    async def test_one_that_is_set_up_wrongly_is_to_be_mended(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        best.warm_error = ConfigurationError([Problem("endpoints.yml", "no model", "fetch one")])
        with pytest.raises(ConfigurationError, match="fetch one"):
            await relay(best, other).warm_up()

    async def test_if_none_can_that_is_told(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        best.warm_error, other.warm_error = Unavailable("not installed"), Unavailable("nor this")
        with pytest.raises(Unavailable, match="no engine can be warmed up"):
            await relay(best, other).warm_up()


class TestLosing:
    async def test_one_that_had_listened_is_opened_again_and_hears_what_was_not_final(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        stream = await relay(best, other).open(TELEPHONE)
        listener = Listener(stream)
        stream.expect(Expectation("date", slot="day"))
        for number in range(100):
            stream.send(loud(number))
        best.ears[0].report("My washing machine", final=True, until_ms=1000)
        best.ears[0].report("leaks")
        best.ears[0].lose()
        await settle()
        assert (best.asked, other.asked) == (2, 0)
        again = best.ears[1]
        assert again.heard == [loud(number) for number in range(50, 100)]
        assert again.expected == [Expectation("date", slot="day")]
        assert again.flushes == 0
        stream.send(loud(100))
        again.report("leaks.", final=True, until_ms=1020)
        await settle()
        assert again.heard[-1] == loud(100)
        assert [(report.text, report.final) for report in listener.reports] == [
            ("My washing machine", True),
            ("leaks", False),
            ("leaks.", True),
        ]
        await stream.close()
        assert [ear.closed for ear in best.ears] == [1, 1]

    async def test_the_place_of_a_report_is_told_in_the_time_of_the_call(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        listener = Listener(stream)
        for number in range(100):
            stream.send(loud(number))
        best.ears[0].report("One", final=True, until_ms=1200)
        best.ears[0].lose()
        await settle()
        best.ears[1].report("two", final=True, until_ms=700)
        best.ears[1].lose()
        await settle()
        assert [report.until_ms for report in listener.reports] == [1200, 1900]
        assert best.ears[2].heard == [loud(number) for number in range(95, 100)]
        await stream.close()

    async def test_one_that_had_reported_nothing_rests_and_the_next_goes_on(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        several = relay(best, other)
        stream = await several.open(TELEPHONE)
        Listener(stream)
        stream.send(loud(1))
        with capture_logs() as logs:
            best.ears[0].lose("stalled")
            await settle()
        assert other.ears[0].heard == [loud(1)]
        assert several.name == "other"
        assert [(line["event"], line.get("reason"), line.get("next")) for line in logs] == [
            ("speech.engine_lost", "stalled", "other"),
            ("speech.engine_taken", None, None),
        ]
        await stream.close()

    async def test_one_that_does_not_open_again_is_followed_by_the_next(self) -> None:
        refusal = Unavailable("limit_reached")
        best, other = FakeEngine("best", None, refusal, refusal), FakeEngine("other")
        stream = await relay(best, other).open(TELEPHONE)
        Listener(stream)
        stream.send(loud(1))
        best.ears[0].report("My")
        best.ears[0].lose()
        await until(lambda: other.ears)
        await settle()
        assert best.asked == 3
        assert other.ears[0].heard == [loud(1)]
        await stream.close()

    async def test_one_that_fails_twice_on_the_same_words_is_not_asked_a_third_time(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        stream = await relay(best, other).open(TELEPHONE)
        Listener(stream)
        stream.send(loud(1))
        for ear in range(2):
            best.ears[ear].report("My")
            best.ears[ear].lose()
            await settle()
        assert best.asked == 2
        assert other.ears[0].heard == [loud(1)]
        await stream.close()

    async def test_one_that_ends_by_itself_is_lost_too(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        stream = await relay(best, other).open(TELEPHONE)
        Listener(stream)
        best.ears[0].stop()
        await settle()
        assert other.asked == 1
        await stream.close()

    async def test_where_an_engine_does_not_say_how_far_it_got_it_got_to_where_it_reported(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        Listener(stream)
        stream.send(loud(1))
        best.ears[0].report("Yes.", final=True)
        await settle()
        stream.send(loud(2))
        best.ears[0].lose()
        await settle()
        assert best.ears[1].heard == [loud(2)]
        await stream.close()

    async def test_what_is_said_while_nobody_listens_is_heard_by_the_next(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other", "hangs")
        stream = await relay(best, other).open(TELEPHONE)
        Listener(stream)
        stream.send(loud(1))
        best.ears[0].lose()
        await settle()
        stream.send(loud(2))
        stream.expect(Expectation("code", slot="code"))
        stream.flush()
        other.let_go.set()
        await settle()
        stream.send(loud(3))
        assert other.ears[0].heard == [loud(1), loud(2), loud(3)]
        assert other.ears[0].expected == [Expectation("code", slot="code")]
        assert other.ears[0].flushes == 1
        await stream.close()

    async def test_a_flush_that_was_answered_is_not_asked_for_again(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        Listener(stream)
        stream.send(loud(1))
        stream.flush()
        best.ears[0].report("Yes.", final=True)
        best.ears[0].lose()
        await settle()
        assert (best.ears[0].flushes, best.ears[1].flushes) == (1, 0)
        await stream.close()

    async def test_half_a_minute_is_kept_and_no_more(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        Listener(stream)
        for number in range(60 * 50):
            stream.send(loud(number))
        best.ears[0].lose()
        await settle()
        assert best.ears[1].heard == [loud(number) for number in range(30 * 50, 60 * 50)]
        await stream.close()

    async def test_silence_before_the_first_sound_is_not_heard_again(self) -> None:
        """Else the words after it would have to wait for it."""
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        listener = Listener(stream)
        for frame in [QUIET] * 1000 + [loud(1)] + [QUIET] * 10:
            stream.send(frame)
        best.ears[0].lose()
        await settle()
        assert best.ears[1].heard == [QUIET] * 25 + [loud(1)] + [QUIET] * 10
        best.ears[1].report("Yes.", final=True, until_ms=600)
        best.ears[1].lose()
        await settle()
        assert listener.reports[0].until_ms == 20_000 - 500 + 600
        assert best.ears[2].heard == [QUIET] * 6
        await stream.close()

    async def test_audio_in_odd_pieces_is_heard_again_byte_for_byte(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        Listener(stream)
        speech = b"".join(loud(number) for number in range(20)) + b"\x00\x80\x00"
        for start in range(0, len(speech), 37):
            stream.send(speech[start : start + 37])
        best.ears[0].lose()
        await settle()
        assert b"".join(best.ears[1].heard) == speech
        await stream.close()

    async def test_when_every_one_opens_and_none_lasts_the_call_is_told(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other")
        stream = await relay(best, other).open(TELEPHONE)
        listener = Listener(stream)
        for _ in range(10):
            for ear in best.ears + other.ears:
                ear.lose()
            await settle()
        assert isinstance(listener.error, Unavailable)
        assert best.asked + other.asked <= 4
        again = Listener(stream)
        await settle()
        assert isinstance(again.error, Unavailable)
        await stream.close()

    async def test_when_none_opens_the_call_is_told(self) -> None:
        best = FakeEngine("best", None, Unavailable("no_credit"), Unavailable("no_credit"))
        stream = await relay(best).open(TELEPHONE)
        listener = Listener(stream)
        best.ears[0].report("My")
        best.ears[0].lose()
        await until(lambda: listener.error)
        assert isinstance(listener.error, Unavailable)
        stream.send(loud(1))
        await stream.close()


class TestGoingBack:
    async def lost(self, clock: Clock, *outcomes: object) -> tuple[FakeEngine, FakeEngine, SttStream, Listener]:
        """A call that goes on with the second best, because the best has failed as soon as it was listening."""
        best, other = FakeEngine("best", None, *outcomes), FakeEngine("other", demo=True)
        stream = await relay(best, other, clock=clock).open(TELEPHONE)
        listener = Listener(stream)
        best.ears[0].lose()
        await settle()
        assert (best.asked, other.asked) == (1, 1)
        return best, other, stream, listener

    async def test_once_the_best_has_rested_the_call_goes_back_to_it_after_an_utterance(self) -> None:
        clock = Clock()
        best, other, stream, listener = await self.lost(clock)
        clock.now_s += 29
        other.ears[0].report("a real", final=True)
        await settle()
        assert best.asked == 1, "it still rests"
        clock.now_s += 1
        other.ears[0].report("on his")
        await settle()
        assert best.asked == 1, "somebody is in the middle of an utterance"
        for number in range(100):
            stream.send(loud(number))
        other.ears[0].report("on his own", final=True, until_ms=1500)
        await settle()
        assert (best.asked, other.ears[0].closed) == (2, 1)
        assert best.ears[1].heard == [loud(number) for number in range(75, 100)], "from where the last report ended"
        stream.send(loud(100))
        other.ears[0].report("nobody reads this", final=True)
        best.ears[1].report("the built in kind", final=True)
        await settle()
        assert best.ears[1].heard[-1] == loud(100)
        assert [report.text for report in listener.reports] == ["a real", "on his", "on his own", "the built in kind"]
        await stream.close()
        assert [ear.closed for ear in best.ears] == [1, 1]

    async def test_one_that_can_not_be_opened_rests_again_and_the_call_goes_on(self) -> None:
        clock = Clock()
        best, other, stream, listener = await self.lost(clock, Unavailable("no_credit"))
        clock.now_s += 30
        for _ in range(2):
            other.ears[0].report("hello", final=True)
            await settle()
        assert best.asked == 2
        assert [report.text for report in listener.reports] == ["hello", "hello"]
        assert other.ears[0].closed == 0
        await stream.close()

    async def test_one_that_opens_when_the_call_is_over_is_closed(self) -> None:
        clock = Clock()
        best, other, stream, listener = await self.lost(clock, "hangs")
        clock.now_s += 30
        other.ears[0].report("hello", final=True)
        await settle()
        assert best.asked == 2
        await stream.close()
        await settle()
        assert listener.task.done()
        assert len(best.ears) == 1

    async def test_where_the_other_is_lost_meanwhile_the_call_goes_on_with_what_opens(self) -> None:
        clock = Clock()
        best, other, stream, listener = await self.lost(clock, "hangs")
        clock.now_s += 30
        stream.send(loud(1))
        other.ears[0].report("hello", final=True, until_ms=0)
        await settle()
        other.ears[0].lose()
        await settle()
        best.let_go.set()
        await settle()
        heard = [*best.ears[1:], *other.ears[1:]]
        assert sum(not ear.closed for ear in heard) == 1
        assert next(ear for ear in heard if not ear.closed).heard == [loud(1)]
        await stream.close()
        assert all(ear.closed for ear in (*best.ears, *other.ears))
        assert listener.error is None


class TestClosing:
    async def test_ends_the_transcripts_and_may_be_done_twice(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        listener = Listener(stream)
        await settle()
        await stream.close()
        await stream.close()
        await settle()
        assert listener.task.done()
        assert listener.error is None
        assert best.ears[0].closed == 1
        assert best.asked == 1
        stream.send(loud(1))
        assert best.ears[0].heard == []

    async def test_while_another_engine_is_being_opened_waits_for_nobody(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other", "hangs")
        stream = await relay(best, other).open(TELEPHONE)
        listener = Listener(stream)
        best.ears[0].lose()
        await settle()
        assert other.asked == 1
        await stream.close()
        await settle()
        assert listener.task.done()
        assert listener.error is None
        assert other.ears == []

    async def test_a_call_that_is_given_up_is_not_held(self) -> None:
        best, other = FakeEngine("best"), FakeEngine("other", "hangs")
        stream = await relay(best, other).open(TELEPHONE)
        listener = Listener(stream)
        best.ears[0].lose()
        await settle()
        listener.task.cancel()
        await settle()
        assert listener.task.cancelled()
        await stream.close()

    async def test_an_ear_that_can_not_be_closed_is_logged(self) -> None:
        best = FakeEngine("best")
        stream = await relay(best).open(TELEPHONE)
        best.ears[0].close_error = RuntimeError("stuck")
        with capture_logs() as logs:
            await stream.close()
            await settle()
        events: list[tuple[Any, Any]] = [(line["event"], line["error"]) for line in logs]
        assert events == [("speech.close_failed", "RuntimeError")]
