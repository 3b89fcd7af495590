"""A Whisper server by OpenAI's protocol, on this machine: what it is sent, and everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from tests.contract.tiny_whisper import make_tiny_whisper
from tests.waiting import until
from throughline.domain.key_terms import KeyTerms
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import Unavailable
from throughline.simulate.in_thread import in_thread
from throughline.simulate.openai_whisper import FAULTS, Answer, TranscriptionServer
from throughline.speech.stt.openai_whisper import OpenAiWhisper
from throughline.speech.stt.protocol import SpeechToText, SttStream
from throughline.speech.stt.relay import SttRelay
from throughline.speech.stt.whisper import WhisperStt
from throughline.speech.tts.espeak import EspeakTts

pytestmark = pytest.mark.contract

KEY = "sk-this-is-the-secret-key"
ANSWERS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "payloads/openai/transcriptions.json").read_text())
_T = TypeVar("_T")


@pytest.fixture
async def server() -> AsyncIterator[TranscriptionServer]:
    async with TranscriptionServer(key=KEY) as server:
        yield server


def engine_at(server: TranscriptionServer, *, key: str = KEY, timeout_ms: int = 10_000, **more: Any) -> OpenAiWhisper:
    return OpenAiWhisper(more.pop("url", server.url), key=key, model="whisper-1", timeout_ms=timeout_ms, **more)


@pytest.fixture
async def stt(server: TranscriptionServer) -> AsyncIterator[OpenAiWhisper]:
    engine = engine_at(server)
    yield engine
    await engine.close()


def silence(ms: int, audio: AudioFormat = TELEPHONE) -> bytes:
    return (b"\xff" if audio.encoding == "mulaw" else b"\x00") * (audio.frame_bytes * ms // 20)


async def said(text: str, audio: AudioFormat = TELEPHONE) -> bytes:
    speech = b"".join([chunk async for chunk in EspeakTts().speak(text, audio)])
    return silence(300, audio) + speech + silence(1000, audio)


async def soon(result: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(result, 20)


async def next_report(stream: SttStream) -> Transcript:
    return await soon(stream.transcripts().__anext__())  # type: ignore[attr-defined]


async def failure(engine: OpenAiWhisper) -> str:
    """How listening fails."""
    stream = await engine.open(TELEPHONE)
    stream.send(await said("It's a Bosch."))
    with pytest.raises(Unavailable) as raised:
        await next_report(stream)
    await stream.close()
    await engine.close()
    return str(raised.value)


# What is sent


@pytest.mark.parametrize("audio", [TELEPHONE, WIDEBAND], ids=["mulaw", "l16"])
async def test_an_utterance_is_sent_whole_and_its_words_are_final(
    stt: OpenAiWhisper, server: TranscriptionServer, audio: AudioFormat
) -> None:
    server.say("It's a Bosch.")
    stream = await stt.open(audio)
    speech = await said("It's a Bosch.", audio)
    stream.send(speech)
    report = await next_report(stream)
    assert (report.text, report.final, report.confidence) == ("It's a Bosch.", True, None)
    assert report.until_ms is not None and 500 < report.until_ms <= 20 * len(speech) / audio.frame_bytes
    (asked,) = server.asked
    assert asked.fields == {"model": "whisper-1", "language": "en", "response_format": "json", "temperature": "0"}
    spoken_s = len(speech) / audio.frame_bytes / 50 - 1.3
    assert spoken_s - 0.3 < len(asked.audio) / 32000 < spoken_s + 0.8, "the speech, a little before it and after it"
    await stream.close()


async def test_what_is_expected_and_the_companys_words_stand_in_the_prompt(server: TranscriptionServer) -> None:
    terms = KeyTerms(always=("Harbor",), by_slot={"postcode": ("Salem",)})
    stt = engine_at(server, terms=terms)
    stream = await stt.open(TELEPHONE)
    for expectation in (Expectation("postcode", "postcode"), Expectation()):
        stream.expect(expectation)
        stream.send(await said("nine seven two oh one"))
        await next_report(stream)
    assert [asked.fields["prompt"] for asked in server.asked] == ["Salem, Harbor. My ZIP code is 97201.", "Harbor, Salem."]
    await stream.close()
    await stt.close()


async def test_silence_costs_no_request(stt: OpenAiWhisper, server: TranscriptionServer) -> None:
    stream = await stt.open(TELEPHONE)
    stream.send(silence(3000))
    stream.flush()
    stream.send(await said("Yes."))
    await next_report(stream)
    assert len(server.asked) == 1
    await stream.close()


async def test_an_utterance_without_words_is_not_reported(stt: OpenAiWhisper, server: TranscriptionServer) -> None:
    server.say("", "Yes.")
    stream = await stt.open(TELEPHONE)
    stream.send(await said("hm") + await said("Yes."))
    assert (await next_report(stream)).text == "Yes."
    assert len(server.asked) == 2
    await stream.close()


async def test_a_server_of_ones_own_needs_no_key() -> None:
    async with TranscriptionServer() as server:
        stt = engine_at(server, key="")
        await stt.warm_up()
        stream = await stt.open(TELEPHONE)
        stream.send(await said("Yes."))
        assert await next_report(stream)
        await stream.close()
        await stt.close()


async def test_one_connection_serves_utterance_after_utterance(stt: OpenAiWhisper, server: TranscriptionServer) -> None:
    await stt.warm_up()
    stream = await stt.open(TELEPHONE)
    for _ in range(3):
        stream.send(await said("Yes."))
        await next_report(stream)
    assert len(server.connections) == 1
    await stream.close()


def test_works_on_one_event_loop_after_the_other() -> None:
    with in_thread(TranscriptionServer(key=KEY)) as server:
        stt = engine_at(server)
        for _ in range(2):

            async def listen() -> Transcript:
                await stt.warm_up()
                stream = await stt.open(TELEPHONE)
                stream.send(await said("Yes."))
                return await next_report(stream)

            assert asyncio.run(listen()).final


async def test_more_than_can_wait_is_dropped_and_told() -> None:
    async with TranscriptionServer(key=KEY) as server:
        server.misbehave("stall")
        stt = engine_at(server)
        stream = await stt.open(TELEPHONE)
        with capture_logs() as logs:
            for _ in range(8):
                stream.send(await said("Yes."))
        assert [line["event"] for line in logs] == ["speech.audio_dropped"]
        assert len(stream._waiting) == 4  # type: ignore[attr-defined]
        await stream.close()
        await stt.close()


async def test_closing_ends_the_request(stt: OpenAiWhisper, server: TranscriptionServer) -> None:
    server.misbehave("stall")
    stream = await stt.open(TELEPHONE)
    stream.send(await said("Yes."))
    await until(lambda: len(server.asked) == 1)
    await stream.close()
    await until(lambda: bool(server.asked[0].outcome))


# What goes wrong


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_every_answer_has_its_text_or_one_word_of_ours(server: TranscriptionServer, name: str) -> None:
    answer = ANSWERS[name]
    server.misbehave(Answer(answer["status"], answer["body"]), times=1)
    if "word" in answer:
        assert await failure(engine_at(server)) == f"openai whisper-1: {answer['word']}"
        assert len(server.asked) == 1
        return
    server.say("That is all.")
    stt = engine_at(server)
    stream = await stt.open(TELEPHONE)
    stream.send(await said("It's a Bosch.") + await said("That is all."))
    assert (await next_report(stream)).text == (answer["text"] or "That is all.")
    await stream.close()
    await stt.close()


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("stall", "too_slow"),
        ("drop", "connection_lost"),
        ("break", "connection_lost"),
        ("redirect", "redirected"),
        ("words", "not_understood"),
        ("no text", "not_understood"),
    ],
)
async def test_an_answer_that_is_none(server: TranscriptionServer, fault: str, word: str) -> None:
    server.misbehave(fault)
    assert await failure(engine_at(server, timeout_ms=300)) == f"openai whisper-1: {word}"


async def test_a_connection_that_was_closed_meanwhile_is_made_anew(stt: OpenAiWhisper, server: TranscriptionServer) -> None:
    stream = await stt.open(TELEPHONE)
    server.misbehave("drop", times=1)
    stream.send(await said("Yes."))
    assert (await next_report(stream)).final
    assert len(server.asked) == 2
    await stream.close()


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://127.0.0.1", "http://", "http://x:port"])
async def test_an_address_that_is_none(server: TranscriptionServer, url: str) -> None:
    assert await failure(engine_at(server, url=url)) == "openai whisper-1: address_malformed"


async def test_where_nobody_listens_nobody_is_reached() -> None:
    async with TranscriptionServer(key=KEY) as server:
        stt = engine_at(server)
    with pytest.raises(Unavailable, match="not_reached"):
        await stt.warm_up()
    assert await failure(stt) == "openai whisper-1: not_reached"


@pytest.mark.parametrize(("status", "word"), [(401, "key_refused"), (403, "key_not_permitted"), (500, "broken_down")])
async def test_what_is_not_ready_says_so(stt: OpenAiWhisper, server: TranscriptionServer, status: int, word: str) -> None:
    server.misbehave(Answer(status, {}))
    with pytest.raises(Unavailable, match=word):
        await stt.warm_up()
    assert not server.asked


async def test_a_server_without_a_list_of_models_is_ready(stt: OpenAiWhisper, server: TranscriptionServer) -> None:
    server.has_models = False
    await stt.warm_up()


# Lost in a call


@pytest.mark.parametrize("fault", [*FAULTS, Answer(500, None), Answer(429, {})], ids=str)
async def test_whatever_goes_wrong_the_next_engine_hears_the_same_words(
    server: TranscriptionServer, tmp_path: Path, fault: Answer | str
) -> None:
    """The second one is another server: what it is sent is the utterance that the first one lost, whole."""
    async with TranscriptionServer() as other:
        server.misbehave(fault)
        other.say("My washing machine leaks.")
        engines: list[SpeechToText] = [engine_at(server, timeout_ms=300), engine_at(other, key="")]
        relay = SttRelay(engines, open_timeout_ms=5000, retry_after_s=30)
        stream = await relay.open(TELEPHONE)
        speech = await said("My washing machine leaks.")
        with capture_logs() as logs:
            stream.send(speech)
            report = await next_report(stream)
        assert (report.text, report.final) == ("My washing machine leaks.", True)
        assert [line["event"] for line in logs] == ["speech.engine_lost", "speech.engine_taken"]
        assert abs(len(other.asked[-1].audio) - len(server.asked[0].audio)) <= 32000 // 4
        await stream.close()
        await relay.close()


async def test_lost_in_mid_utterance_nothing_is_lost_and_nothing_told_twice(
    server: TranscriptionServer, tmp_path: Path
) -> None:
    """It fails at the first utterance while the caller says the second: the model on this machine hears both."""
    server.misbehave("drop")
    local = WhisperStt(make_tiny_whisper(tmp_path / "tiny"))
    relay = SttRelay([engine_at(server), local], open_timeout_ms=20_000, retry_after_s=30)
    await local.warm_up()
    stream = await relay.open(TELEPHONE)
    speech = await said("My washing machine leaks.") + (await said("It's a Bosch."))[:-8000]
    stream.send(speech)
    await until(lambda: len(server.asked) == 2)
    stream.send(silence(1000))
    finals = []
    async for report in stream.transcripts():
        if report.final:
            finals.append(report)
            if len(finals) == 2:
                break
    assert finals[0].until_ms is not None and finals[1].until_ms is not None
    assert finals[0].until_ms < finals[1].until_ms
    await stream.close()
    await relay.close()


# The key


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that any logger says, the HTTP client included."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        yield lambda: f"{caplog.text} {[record.args for record in caplog.records]} {lines}"


@pytest.mark.parametrize("fault", [*FAULTS, *(Answer(status, {"error": KEY}) for status in (400, 401, 500))], ids=str)
async def test_the_key_is_in_no_error_and_in_no_log(
    server: TranscriptionServer, fault: Any, everything_logged: Callable[[], str]
) -> None:
    server.misbehave(fault)
    stt, errors = engine_at(server, timeout_ms=200), ""
    stream = await stt.open(TELEPHONE)
    stream.send(await said("Yes."))
    for work in (next_report(stream), stt.warm_up()):
        try:
            await work
        except Unavailable as error:
            errors += "".join(traceback.format_exception(error))
    assert KEY not in errors + everything_logged() + repr(stt)
    await stream.close()
    await stt.close()


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}é", f"{KEY} {KEY}"])
async def test_a_key_that_can_be_none_is_not_sent(
    server: TranscriptionServer, key: str, everything_logged: Callable[[], str]
) -> None:
    assert await failure(engine_at(server, key=key)) == "openai whisper-1: key_malformed"
    assert KEY not in everything_logged()
    assert not server.connections
