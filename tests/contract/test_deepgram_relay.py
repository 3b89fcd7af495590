"""A call goes on when Deepgram is lost in the middle of an utterance: all its words are there, once, whoever hears the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from tests.contract.deepgram_calls import KEY, SENTENCE, final_words, flux, nova, reports_until, said, silence, voice
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.simulate.deepgram import DeepgramServer
from throughline.speech.stt.protocol import SpeechToText, SttStream
from throughline.speech.stt.relay import SttRelay

pytestmark = pytest.mark.contract

Engine = Callable[..., SpeechToText]


@pytest.fixture
async def server() -> AsyncIterator[DeepgramServer]:
    async with DeepgramServer(key=KEY) as server:
        yield server


@pytest.fixture(params=[TELEPHONE, WIDEBAND], ids=["mulaw", "l16"])
def audio(request: pytest.FixtureRequest) -> AudioFormat:
    audio_format: AudioFormat = request.param
    return audio_format


def relay(*engines: SpeechToText) -> SttRelay:
    return SttRelay(engines, open_timeout_ms=5000, retry_after_s=30)


async def speak(stream: SttStream, speech: bytes, audio: AudioFormat = TELEPHONE) -> None:
    """Ten times as fast as a person, but as evenly."""
    for start in range(0, len(speech), audio.frame_bytes):
        stream.send(speech[start : start + audio.frame_bytes])
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("engine", [nova, flux], ids=["nova", "flux"])
@pytest.mark.parametrize("fault", ["drop", "error", "close"])
@pytest.mark.parametrize("words", [1, 3, 5])
async def test_by_the_same_engine(server: DeepgramServer, audio: AudioFormat, engine: Engine, fault: str, words: int) -> None:
    server.misbehave(fault, after=words, times=1)
    stream = await relay(engine(server)).open(audio)
    speaking = asyncio.create_task(speak(stream, said(SENTENCE, server, audio), audio))
    reports = await reports_until(stream, "yesterday.")
    assert final_words(reports) == SENTENCE
    assert server.connections == 2
    await speaking
    await stream.close()


@pytest.mark.parametrize(("first", "second"), [(nova, flux), (flux, nova)], ids=["nova-flux", "flux-nova"])
async def test_by_another_engine(server: DeepgramServer, first: Engine, second: Engine) -> None:
    server.misbehave("drop", after=3, times=1)
    server.misbehave(503, times=2)
    stream = await relay(first(server), second(server)).open(TELEPHONE)
    with capture_logs() as logs:
        speaking = asyncio.create_task(speak(stream, said(SENTENCE, server)))
        reports = await reports_until(stream, "yesterday.")
    assert final_words(reports) == SENTENCE
    assert [line["event"] for line in logs] == ["speech.engine_lost", "speech.engine_lost", "speech.engine_taken"]
    assert [visit.path for visit in server.visits].count("/v1/listen" if first is nova else "/v2/listen") == 3
    assert logs[1]["reason"].endswith("out_of_order (HTTP 503)")
    await speaking
    await stream.close()


@pytest.mark.parametrize("engine", [nova, flux], ids=["nova", "flux"])
@pytest.mark.parametrize("then", [503, "silent"])
async def test_by_the_same_engine_at_a_second_try(server: DeepgramServer, engine: Engine, then: int | str) -> None:
    server.misbehave("drop", after=3, times=1)
    server.misbehave(then, times=1)
    stream = await relay(engine(server)).open(TELEPHONE)
    speaking = asyncio.create_task(speak(stream, said(SENTENCE, server)))
    reports = await reports_until(stream, "yesterday.")
    assert final_words(reports) == SENTENCE
    assert len(server.visits) == 3
    await speaking
    await stream.close()


async def test_a_stall_in_the_middle_of_a_turn_is_noticed_by_the_updates_that_are_missing(server: DeepgramServer) -> None:
    """Long before the half minute that this line's speech may wait for an answer."""
    recording = server.teach(SENTENCE, TELEPHONE, voice(SENTENCE))
    loss = server.lose(recording, "stall", after=3)
    stream = await relay(flux(server, stall_timeout_ms=30_000)).open(TELEPHONE)
    speaking = asyncio.create_task(speak(stream, said(SENTENCE, server)))
    reports = await reports_until(stream, "yesterday.")
    assert loss.happened
    assert final_words(reports) == SENTENCE
    assert server.connections == 2
    await speaking
    await stream.close()


async def test_by_another_engine_when_one_stalls(server: DeepgramServer) -> None:
    server.misbehave("stall", after=2, times=1)
    stream = await relay(nova(server, stall_timeout_ms=200), flux(server)).open(TELEPHONE)
    first = "Good morning."
    speaking = asyncio.create_task(speak(stream, said(first, server) + said(SENTENCE, server)))
    reports = await reports_until(stream, "yesterday.")
    assert final_words(reports) == f"{first} {SENTENCE}"
    await speaking
    await stream.close()


@pytest.mark.parametrize("engine", [nova, flux], ids=["nova", "flux"])
async def test_words_that_are_final_are_not_told_again(server: DeepgramServer, engine: Engine) -> None:
    """Two utterances, the line lost in the second; and a long one of which the beginning was final already."""
    long = "The machine in the kitchen makes a loud noise and then the water runs out over the floor since yesterday."
    stream = await relay(engine(server)).open(TELEPHONE)
    speaking = asyncio.create_task(speak(stream, said("Good morning.", server)))
    reports = await reports_until(stream, "morning.")
    await speaking
    await stream.close()

    server.misbehave("drop", after=18, times=1)
    stream = await relay(engine(server)).open(TELEPHONE)
    server.teach(long, TELEPHONE, voice(long))
    speaking = asyncio.create_task(speak(stream, said("Good morning.", server) + voice(long) + silence(1000)))
    reports = await reports_until(stream, "yesterday.")
    assert final_words(reports) == f"Good morning. {long}"
    assert server.connections == 3
    assert len([report for report in reports if report.final and report.text]) == (3 if engine is nova else 2)
    await speaking
    await stream.close()


async def test_a_line_lost_again_and_again(server: DeepgramServer) -> None:
    """Each utterance loses the line once: the same engine goes on each time."""
    for words in (2, 3, 7):
        server.misbehave("drop", after=words, times=1)
    stream = await relay(nova(server), flux(server)).open(TELEPHONE)
    for sentence in ("Good morning.", SENTENCE, "It's a Bosch that I bought last year."):
        speaking = asyncio.create_task(speak(stream, said(sentence, server)))
        reports = await reports_until(stream, sentence.split()[-1])
        assert final_words(reports) == sentence
        await speaking
    await stream.close()
    assert [visit.path for visit in server.visits] == ["/v1/listen"] * 4
