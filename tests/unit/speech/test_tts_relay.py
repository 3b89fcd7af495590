"""A call's voice kept alive over several engines (throughline/speech/tts/relay.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from throughline.domain.transcripts import TELEPHONE, AudioFormat
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.tts.relay import TtsRelay, unsaid

pytestmark = pytest.mark.unit

SENTENCE = "Your visit is booked for Thursday at half past nine, and it is not more than eighty dollars."
CHUNK = b"\x00" * TELEPHONE.frame_bytes


class Voice:
    """Speaks at a steady pace, in chunks of 20 ms, and can be told when to fail."""

    def __init__(self, name: str, *, ms_per_char: int = 65) -> None:
        self.name = name
        self.asked: list[str] = []
        self.stopped = 0
        self.warmed = 0
        self.error: Exception | None = None
        self.stalls = False
        self.after_ms = 0
        self.ms_per_char = ms_per_char

    def fail(self, error: Exception | None = None, *, after_ms: int = 0) -> None:
        """Raise ``error`` after so much speech; without one, fall silent."""
        self.error, self.stalls, self.after_ms = error, error is None, after_ms

    def recover(self) -> None:
        self.error, self.stalls = None, False

    async def warm_up(self) -> None:
        self.warmed += 1
        if self.error:
            raise self.error

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        self.asked.append(text)
        try:
            for at_ms in range(0, len(text) * self.ms_per_char, 20):
                if at_ms >= self.after_ms:
                    if self.error:
                        raise self.error
                    if self.stalls:
                        await asyncio.Event().wait()
                yield CHUNK
        finally:
            self.stopped += 1

    def words_said(self, text: str, ms: int) -> int:
        """How many words of ``text`` are wholly said after ``ms``."""
        return len(f"{text} "[: ms // self.ms_per_char].split(" ")) - 1


class Clock:
    """Time, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def relay_of(*voices: TextToSpeech, clock: Clock | None = None, timeout_ms: float = 2000) -> TtsRelay:
    return TtsRelay(voices, first_audio_timeout_ms=timeout_ms, retry_after_s=30, now_s=clock or Clock())


async def said(tts: TextToSpeech, text: str = SENTENCE) -> int:
    """How many milliseconds it says."""
    return sum([len(chunk) // 8 async for chunk in tts.speak(text, TELEPHONE)])


async def test_the_first_voice_speaks_as_long_as_it_is_well(logs: list[Any]) -> None:
    first, second = Voice("first"), Voice("second")
    relay = relay_of(first, second)
    assert relay.name == "first"
    assert await said(relay) == await said(Voice("alone"))
    assert not second.asked
    assert not logs


class BreaksOff:
    """A voice that breaks off after ``after_share`` of what it would say."""

    name = "breaking"

    def __init__(self, voice: TextToSpeech, after_share: float) -> None:
        self._voice = voice
        self._share = after_share

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        whole = b"".join([chunk async for chunk in self._voice.speak(text, audio, speed=speed)])
        yield whole[: int(len(whole) * self._share)]
        raise Unavailable("broke off")


class Asked:
    """A voice that remembers what it was asked, and how fast."""

    name = "asked"

    def __init__(self, voice: TextToSpeech) -> None:
        self._voice = voice
        self.asked: list[tuple[str, float]] = []

    async def warm_up(self) -> None:
        """Nothing to load."""

    def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        self.asked.append((text, speed))
        return self._voice.speak(text, audio, speed=speed)


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.2])
async def test_a_slower_voice_that_breaks_off_is_followed_at_the_same_word(speed: float) -> None:
    """What was said is judged by the time it takes at the usual speed."""
    first, second = EspeakTts(), EspeakTts()
    relay = relay_of(BreaksOff(first, after_share=0.5), asked := Asked(second))
    async for _ in relay.speak(SENTENCE, TELEPHONE, speed=speed):
        pass
    ((rest, second_speed),) = asked.asked
    assert second_speed == speed
    assert SENTENCE.endswith(rest)
    assert 0.35 < len(rest) / len(SENTENCE) < 0.85


async def test_the_next_says_all_of_it_where_the_first_says_nothing(logs: list[Any]) -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(Unavailable("First: key_refused"))
    relay = relay_of(first, second)
    await said(relay)
    assert second.asked == [SENTENCE]
    assert [(line["event"], line["engine"], line["reason"], line["next"]) for line in logs] == [
        ("speech.voice_lost", "first", "First: key_refused", "second")
    ]
    assert relay.name == "second"


@pytest.mark.parametrize("ms_per_char", [45, 65, 85])
@pytest.mark.parametrize("after_ms", range(20, len(SENTENCE) * 45, 180))
async def test_a_sentence_whose_voice_breaks_off_is_finished(ms_per_char: int, after_ms: int) -> None:
    """What the first voice said in whole words and what the second is asked to say are together every word."""
    first, second = Voice("first", ms_per_char=ms_per_char), Voice("second")
    relay = relay_of(first, second)
    await said(relay)  # now it is known how fast the first one speaks
    first.fail(Unavailable("gone"), after_ms=after_ms)
    await said(relay)
    words, (rest,) = SENTENCE.split(), second.asked
    begins, whole = len(words) - len(rest.split()), first.words_said(SENTENCE, after_ms)
    assert words[begins:] == rest.split()
    assert begins <= whole, "a word is missing"


async def test_a_third_voice_finishes_what_the_second_did_not() -> None:
    first, second, third = Voice("first"), Voice("second"), Voice("third")
    first.fail(Unavailable("gone"), after_ms=2000)
    second.fail(Unavailable("gone"), after_ms=2000)
    await said(relay_of(first, second, third))
    assert SENTENCE.endswith(second.asked[0])
    assert second.asked[0].endswith(third.asked[0])
    assert len(third.asked[0]) < len(second.asked[0]) < len(SENTENCE)


async def test_a_voice_that_fails_after_the_last_word_is_not_followed_by_another() -> None:
    first, second = Voice("first", ms_per_char=200), Voice("second")
    first.fail(Unavailable("gone"), after_ms=4300)
    await said(relay_of(first, second), "Yes, on Thursday at 9.")
    assert not second.asked


@pytest.mark.parametrize("after_ms", [0, 1000])
async def test_a_voice_that_falls_silent_is_followed_by_the_next_and_stopped(after_ms: int, logs: list[Any]) -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(after_ms=after_ms)
    await said(relay_of(first, second, timeout_ms=30))
    assert len(second.asked) == 1
    assert first.stopped == 1
    assert logs[0]["reason"] == "too_slow"


async def test_a_listener_who_takes_his_time_costs_no_voice_its_place() -> None:
    first, second = Voice("first"), Voice("second")
    async for _ in relay_of(first, second, timeout_ms=10).speak("Yes.", TELEPHONE):
        await asyncio.sleep(0.02)
    assert not second.asked


async def test_a_voice_that_failed_rests_and_is_taken_again() -> None:
    clock, first, second = Clock(), Voice("first"), Voice("second")
    relay = relay_of(first, second, clock=clock)
    first.fail(Unavailable("gone"))
    await said(relay)
    first.recover()
    clock.now += 29
    await said(relay)
    assert (len(first.asked), relay.name) == (1, "second")
    clock.now += 2
    assert relay.name == "first"
    await said(relay)
    assert (len(first.asked), len(second.asked)) == (2, 2)


async def test_where_all_rest_all_are_tried() -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(Unavailable("gone"))
    second.fail(Unavailable("gone too"))
    relay = relay_of(first, second)
    with pytest.raises(Unavailable, match="no voice is left"):
        await said(relay)
    second.recover()
    assert await said(relay)
    assert relay.name == "second"


async def test_a_resting_voice_is_tried_when_the_others_fail() -> None:
    first, second = Voice("first"), Voice("second")
    relay = relay_of(first, second)
    first.fail(Unavailable("gone"))
    await said(relay)
    first.recover()
    second.fail(Unavailable("gone too"))
    assert await said(relay)
    assert len(first.asked) == 2


async def test_whatever_a_voice_dies_of_the_caller_hears_the_next_and_the_operator_the_fault(logs: list[Any]) -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(ZeroDivisionError("a fault of ours"))
    await said(relay_of(first, second))
    assert second.asked == [SENTENCE]
    assert logs[0]["reason"] == "ZeroDivisionError"
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)


async def test_no_word_that_is_said_is_logged(logs: list[Any]) -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(Unavailable("gone"), after_ms=500)
    second.fail(Unavailable("gone"))
    with pytest.raises(Unavailable) as raised:
        await said(relay_of(first, second))
    everything = f"{logs} {raised.value}"
    assert not any(word in everything for word in ("Thursday", "eighty", "booked"))


async def test_closing_the_speech_stops_the_voice() -> None:
    first = Voice("first")
    speech = relay_of(first).speak(SENTENCE, TELEPHONE)
    await speech.__anext__()
    await speech.aclose()  # type: ignore[attr-defined]
    assert first.stopped == 1


@pytest.mark.parametrize("after_ms", [0, 200])
async def test_a_cancelled_listener_stops_the_voice(after_ms: int) -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(after_ms=after_ms)  # waiting for it is what is cancelled
    listening = asyncio.create_task(said(relay_of(first, second)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert first.asked
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert (first.stopped, second.asked) == (1, [])


async def test_several_calls_speak_at_once() -> None:
    first, second = Voice("first"), Voice("second")
    relay = relay_of(first, second)
    alone = await said(relay)
    assert await asyncio.gather(*(said(relay) for _ in range(5))) == [alone] * 5


async def test_a_voice_that_is_not_ready_rests_at_start(logs: list[Any]) -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(Unavailable("First: key_refused"))
    relay = relay_of(first, second)
    await relay.warm_up()
    assert (first.warmed, second.warmed, relay.name) == (1, 1, "second")
    assert logs == [
        {
            "event": "speech.voice_not_ready",
            "engine": "first",
            "reason": "First: key_refused",
            "log_level": "warning",
            "room": "speech",
        }
    ]


async def test_without_a_voice_that_is_ready_there_is_no_start() -> None:
    first = Voice("first")
    first.fail(Unavailable("not there"))
    with pytest.raises(Unavailable):
        await relay_of(first).warm_up()


async def test_a_wrong_setting_is_not_got_round() -> None:
    first, second = Voice("first"), Voice("second")
    first.fail(ConfigurationError([Problem("endpoints.yml", "no such voice.", "Name another.")]))
    with pytest.raises(ConfigurationError):
        await relay_of(first, second).warm_up()


def test_without_an_engine_there_is_no_relay() -> None:
    with pytest.raises(ValueError, match="engine"):
        TtsRelay([], first_audio_timeout_ms=1, retry_after_s=1)


@pytest.mark.parametrize("said_ms", [0, 100, 299])
def test_of_what_was_hardly_begun_all_is_unsaid(said_ms: float) -> None:
    assert unsaid(SENTENCE, said_ms) == SENTENCE


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_of_nothing_nothing_is_unsaid(text: str) -> None:
    assert unsaid(text, 0) == ""


def test_numbers_take_longer_than_they_are_written() -> None:
    assert unsaid("Your number is 97201 for today.", 2500).startswith("97201")
    assert "known" not in unsaid("Your number is known for today.", 2500)


SPOKEN = (
    "Thanks. When would you like us to come?",
    "I have Thursday at nine, Friday at two, or Monday at half past ten.",
    "A visit costs $89.50, VAT included.",
    "Your code is 4 8 2 1 3 3 7 7.",
    "The dishwasher won't drain, and it is a Bosch: is that right?",
    "Okay, I will pass you on to a colleague. Please stay on the line, this takes a moment.",
    "We are open from 8 AM to 6 PM, but not on Sundays.",
)


async def test_no_word_of_a_real_voice_is_lost_at_the_seam_and_few_are_said_twice() -> None:
    """Where the words of a real voice end is measured by letting it say the beginning of the sentence alone."""
    voice, second, clock, repeated = Breaking(EspeakTts(rate_wpm=165)), Voice("second"), Clock(), []
    relay = relay_of(voice, second, clock=clock)
    ends_of: dict[str, list[int]] = {}
    for text in SPOKEN:
        words = text.split()
        ends_of[text] = [await said(voice, " ".join(words[: count + 1]).rstrip(".,:?")) for count in range(len(words))]
        await said(relay, text)
    for text, ends_ms in ends_of.items():
        for cut_ms in range(100, ends_ms[-1], 250):
            voice.after_ms = cut_ms
            clock.now += 60
            await said(relay, text)
            begins = len(text.split()) - len(second.asked.pop().split())
            whole = sum(end_ms <= cut_ms for end_ms in ends_ms)
            assert begins <= whole, f"a word is missing of {text!r} at {cut_ms} ms"
            repeated.append(whole - begins)
    assert sum(repeated) / len(repeated) < 2


async def test_of_a_voice_whose_pace_is_known_fewer_words_are_said_twice() -> None:
    repeated = []
    for spoken_before in (0, 4):
        first, second = Voice("fast", ms_per_char=40), Voice("second")
        relay = relay_of(first, second)
        for _ in range(spoken_before):
            await said(relay)
        first.fail(Unavailable("gone"), after_ms=2500)
        await said(relay)
        repeated.append(len(second.asked[0].split()))
    assert repeated[1] < repeated[0]


async def test_a_voice_that_once_said_nonsense_is_not_taken_for_slow_for_ever() -> None:
    first, second, clock = Voice("first", ms_per_char=2000), Voice("second"), Clock()
    relay = relay_of(first, second, clock=clock)
    await said(relay)
    first.ms_per_char = 65
    for _ in range(8):
        await said(relay)
    first.fail(Unavailable("gone"), after_ms=5000)
    await said(relay)
    assert len(second.asked[0].split()) < len(SENTENCE.split()) / 2


class Breaking:
    """A voice that is lost after so much speech, once that is set."""

    def __init__(self, voice: TextToSpeech) -> None:
        self.name, self._voice, self.after_ms = voice.name, voice, 1_000_000

    async def warm_up(self) -> None:
        await self._voice.warm_up()

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        left = self.after_ms * 8
        async for chunk in self._voice.speak(text, audio, speed=speed):
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise Unavailable("gone")
