"""ElevenLabs' SDK against its protocol on this machine: what is asked for, and everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import Unavailable
from throughline.simulate.elevenlabs import FAULTS, VOICE_ID, Answer, ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.speech.tts.elevenlabs import ElevenLabsTts
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.relay import TtsRelay

pytestmark = pytest.mark.contract

KEY = "sk_this-is-the-secret-key"
SENTENCE = "Thanks. When would you like us to come?"
PAYLOADS = {file.stem: json.loads(file.read_text()) for file in (Path(__file__).parent / "payloads/elevenlabs").glob("*.json")}


@pytest.fixture
async def server() -> AsyncIterator[ElevenLabsServer]:
    async with ElevenLabsServer(key=KEY, first_byte_ms=1, pace=0) as server:
        yield server


@pytest.fixture
async def tts(server: ElevenLabsServer) -> AsyncIterator[ElevenLabsTts]:
    engine = engine_at(server)
    yield engine
    await engine.close()


def engine_at(server: ElevenLabsServer, *, key: str = KEY, voice_id: str = VOICE_ID, timeout_ms: int = 10_000) -> ElevenLabsTts:
    return ElevenLabsTts(key, url=server.url, voice_id=voice_id, model="eleven_flash_v2_5", first_audio_timeout_ms=timeout_ms)


async def said(tts: ElevenLabsTts, text: str = SENTENCE, audio: AudioFormat = TELEPHONE) -> list[bytes]:
    return [chunk async for chunk in tts.speak(text, audio)]


async def failure(tts: ElevenLabsTts) -> str:
    """How speaking fails."""
    with pytest.raises(Unavailable) as raised:
        await said(tts)
    return str(raised.value)


# What is asked for


@pytest.mark.parametrize(("audio", "output_format"), [(TELEPHONE, "ulaw_8000"), (WIDEBAND, "pcm_16000")])
async def test_asks_for_the_lines_own_format_and_hands_on_frames_of_20_ms(
    tts: ElevenLabsTts, server: ElevenLabsServer, audio: AudioFormat, output_format: str
) -> None:
    chunks = await said(tts, audio=audio)
    (asked,) = server.asked
    assert (asked.output_format, asked.model, asked.voice_id) == (output_format, "eleven_flash_v2_5", VOICE_ID)
    assert asked.text == SENTENCE
    assert {len(chunk) for chunk in chunks[:-1]} == {audio.frame_bytes}
    assert sum(map(len, chunks)) == asked.sent_bytes


async def test_markup_reaches_the_vendor_as_words(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    await said(tts, "[whispers] Hello <break time='3s'/> Dana")
    assert server.asked[0].text == "whispers Hello break time='3s'/ Dana"


async def test_nothing_to_say_costs_no_request(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    assert await said(tts, " \n<>") == []
    assert not server.asked


async def test_one_connection_serves_sentence_after_sentence(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    await tts.warm_up()
    for _ in range(3):
        await said(tts)
    assert len(server.asked) == 3
    assert len(server.connections) == 1


def test_works_on_one_event_loop_after_the_other() -> None:
    with in_thread(ElevenLabsServer(key=KEY, first_byte_ms=1, pace=0)) as server:
        tts = engine_at(server)
        for _ in range(2):

            async def speak() -> list[bytes]:
                await tts.warm_up()
                return await said(tts)

            assert asyncio.run(speak())


# Stopping


async def test_closing_the_speech_ends_the_request_at_once(tts: ElevenLabsTts) -> None:
    async with ElevenLabsServer(key=KEY, pace=1) as server:
        tts = engine_at(server)
        speech = tts.speak(SENTENCE, TELEPHONE)
        await speech.__anext__()
        await speech.aclose()  # type: ignore[attr-defined]
        await until(lambda: server.asked[0].outcome == "closed")
        await tts.close()


async def test_a_cancelled_listener_ends_the_request_at_once(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    server.misbehave("stall", times=1)
    listening = asyncio.create_task(said(tts))
    await until(lambda: len(server.asked) == 1)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await until(lambda: server.asked[0].outcome == "closed")
    assert await said(tts)


async def test_a_listener_may_take_his_time(server: ElevenLabsServer) -> None:
    tts, chunks = engine_at(server, timeout_ms=50), 0
    async for _ in tts.speak(SENTENCE, TELEPHONE):
        chunks += 1
        if chunks == 5:
            await asyncio.sleep(0.1)
    assert chunks > 50
    await tts.close()


# What goes wrong


@pytest.mark.parametrize("name", sorted(PAYLOADS))
async def test_a_refusal_has_one_word_of_ours(tts: ElevenLabsTts, server: ElevenLabsServer, name: str) -> None:
    payload = PAYLOADS[name]
    server.misbehave(Answer(payload["status"], payload["body"]))
    assert await failure(tts) == f"ElevenLabs: {payload['word']}"
    assert len(server.asked) == 1, "the SDK tries again by itself"


async def test_a_wrong_key_and_an_unknown_voice(server: ElevenLabsServer) -> None:
    for engine, word in [
        (engine_at(server, key="wrong"), "key_refused"),
        (engine_at(server, voice_id="none"), "voice_unknown"),
    ]:
        assert await failure(engine) == f"ElevenLabs: {word}"
        with pytest.raises(Unavailable, match=word):
            await engine.warm_up()
        await engine.close()


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("stall", "too_slow"),
        ("drop", "connection_lost"),
        ("json", "not_audio"),
        ("redirect", "redirected"),
        ("empty", "no_audio"),
    ],
)
async def test_an_answer_that_is_no_speech(server: ElevenLabsServer, fault: str, word: str) -> None:
    server.misbehave(fault)
    tts = engine_at(server, timeout_ms=300)
    assert await failure(tts) == f"ElevenLabs: {word}"
    await tts.close()


@pytest.mark.parametrize(("fault", "word"), [("stall_midway", "too_slow"), ("break_midway", "connection_lost")])
async def test_speech_that_breaks_off(server: ElevenLabsServer, fault: str, word: str) -> None:
    """What came before is handed on; nothing is begun anew, or the caller would hear it twice."""
    server.misbehave(fault)
    tts, heard = engine_at(server, timeout_ms=300), 0
    with pytest.raises(Unavailable, match=f"^ElevenLabs: {word}$"):
        async for chunk in tts.speak(SENTENCE, TELEPHONE):
            heard += len(chunk)
    assert 0 < heard <= server.asked[0].sent_bytes
    assert len(server.asked) == 1
    await tts.close()


async def test_a_connection_that_was_closed_meanwhile_is_made_anew(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    await said(tts)
    server.misbehave("drop", times=1)
    assert await said(tts)
    assert len(server.asked) == 3


async def test_half_a_sample_is_left_out(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    server.misbehave("odd")
    chunks = await said(tts, audio=WIDEBAND)
    assert all(len(chunk) % 2 == 0 for chunk in chunks)
    assert sum(map(len, chunks)) == server.asked[0].sent_bytes - 1


async def test_speech_without_end_is_ended(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    server.misbehave("endless")
    with capture_logs() as logs:
        chunks = await said(tts)
    assert 15 < len(chunks) / 50 < 20
    assert [(line["event"], line["reason"]) for line in logs] == [("speech.cut", "too_long")]


async def test_where_nobody_listens_nobody_is_reached() -> None:
    async with ElevenLabsServer(key=KEY) as server:
        tts = engine_at(server)
    assert await failure(tts) == "ElevenLabs: not_reached"
    with pytest.raises(Unavailable, match="not_reached"):
        await tts.warm_up()


@pytest.mark.parametrize("url", ["api.elevenlabs.io", "ftp://127.0.0.1", "http://"])
async def test_an_address_that_is_none(url: str) -> None:
    tts = ElevenLabsTts(KEY, url=url, voice_id=VOICE_ID, model="any", first_audio_timeout_ms=1000)
    assert (await failure(tts)).startswith("ElevenLabs: ")


@pytest.mark.parametrize("fault", [*FAULTS, Answer(401, PAYLOADS["key_refused"]["body"]), Answer(429, {})], ids=str)
async def test_whatever_goes_wrong_the_caller_hears_the_whole_sentence(server: ElevenLabsServer, fault: Answer | str) -> None:
    """The embedded voice goes on where ElevenLabs stops."""
    server.misbehave(fault)
    vendor, embedded = engine_at(server, timeout_ms=300), EspeakTts()
    relay = TtsRelay([vendor, embedded], first_audio_timeout_ms=300, retry_after_s=30)
    alone_ms = sum([len(chunk) // 8 async for chunk in embedded.speak(SENTENCE, TELEPHONE)])
    with capture_logs() as logs:
        heard_ms = sum([len(chunk) // 8 async for chunk in relay.speak(SENTENCE, TELEPHONE)])
    assert heard_ms >= alone_ms - 50
    if fault in ("odd", "endless"):
        assert relay.name == "elevenlabs eleven_flash_v2_5"
    else:
        assert [(line["event"], line["next"]) for line in logs] == [("speech.voice_lost", "espeak-ng")]
        assert heard_ms < alone_ms + 1500
    await vendor.close()


# Warming up


async def test_warming_up_says_nothing_and_costs_nothing(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    await tts.warm_up()
    assert (server.voices_asked, server.asked) == (1, [])


async def test_a_key_that_may_only_speak_is_good_enough(tts: ElevenLabsTts, server: ElevenLabsServer) -> None:
    body = {"detail": {"status": "missing_permissions", "message": "The API key is missing the permission voices_read."}}
    server.misbehave(Answer(401, body), times=1)
    await tts.warm_up()
    assert await said(tts)


@pytest.mark.parametrize("fault", ["stall", "drop", Answer(500, None), Answer(429, {}), Answer(200, "no voice")])
async def test_what_is_not_ready_says_so(server: ElevenLabsServer, fault: Answer | str) -> None:
    server.misbehave(fault)
    tts = engine_at(server, timeout_ms=200)
    with pytest.raises(Unavailable, match=r"^ElevenLabs: \w+$"):
        await tts.warm_up()
    assert server.voices_asked == 1
    await tts.close()


# The key


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that any logger says, the vendor's SDK and its HTTP client included."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        yield lambda: f"{caplog.text} {[record.args for record in caplog.records]} {lines}"


@pytest.mark.parametrize("fault", [*FAULTS, *(Answer(status, {"detail": KEY}) for status in (400, 401, 422, 500))], ids=str)
async def test_the_key_is_in_no_error_and_in_no_log(
    server: ElevenLabsServer, fault: Any, everything_logged: Callable[[], str]
) -> None:
    server.misbehave(fault)
    tts, errors = engine_at(server, timeout_ms=200), ""
    for work in (said(tts), tts.warm_up()):
        try:
            await work
        except Unavailable as error:
            assert error.__context__ is None, "the vendor's error hangs on to ours"
            errors += "".join(traceback.format_exception(error))
    assert KEY not in errors + everything_logged() + repr(tts)
    await tts.close()


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}\x00", f"{KEY}é", f"{KEY} {KEY}", "", " "])
async def test_a_key_that_can_be_none_is_not_sent(
    server: ElevenLabsServer, key: str, everything_logged: Callable[[], str]
) -> None:
    """The HTTP client would refuse it, and log it while it does."""
    tts = engine_at(server, key=key)
    assert await failure(tts) == "ElevenLabs: key_malformed"
    with pytest.raises(Unavailable, match="key_malformed"):
        await tts.warm_up()
    assert KEY not in everything_logged()
    assert not server.connections
    await tts.close()


async def test_a_line_break_copied_with_the_key_does_no_harm(server: ElevenLabsServer) -> None:
    tts = engine_at(server, key=f" {KEY}\n")
    assert await said(tts)
    await tts.close()
