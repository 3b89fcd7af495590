"""ElevenLabs' websocket on this machine: what is asked for, and everything that can go wrong on the way."""

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
from throughline.simulate.elevenlabs import FAULTS, KEY_REFUSED, QUOTA_EXCEEDED, VOICE_ID, Answer, ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.speech.tts.elevenlabs_socket import ElevenLabsSocketTts
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.relay import TtsRelay

pytestmark = pytest.mark.contract

KEY = "sk_this-is-the-secret-key"
SENTENCE = "Thanks. When would you like us to come?"
FOLDER = Path(__file__).parent / "payloads/elevenlabs_socket"
MESSAGES = {name: json.dumps(message) for name, message in json.loads((FOLDER / "messages.json").read_text()).items()}
REFUSALS = json.loads((FOLDER / "refusals.json").read_text())


@pytest.fixture
async def server() -> AsyncIterator[ElevenLabsServer]:
    async with ElevenLabsServer(key=KEY, first_byte_ms=1, pace=0) as server:
        yield server


def engine_at(
    server: ElevenLabsServer, *, key: str = KEY, voice_id: str = VOICE_ID, timeout_ms: int = 10_000
) -> ElevenLabsSocketTts:
    return ElevenLabsSocketTts(
        key, url=server.url, voice_id=voice_id, model="eleven_flash_v2_5", first_audio_timeout_ms=timeout_ms
    )


@pytest.fixture
async def tts(server: ElevenLabsServer) -> AsyncIterator[ElevenLabsSocketTts]:
    engine = engine_at(server)
    yield engine
    await engine.close()


async def said(tts: ElevenLabsSocketTts, text: str = SENTENCE, audio: AudioFormat = TELEPHONE) -> list[bytes]:
    return [chunk async for chunk in tts.speak(text, audio)]


async def failure(tts: ElevenLabsSocketTts) -> str:
    """How speaking fails."""
    with pytest.raises(Unavailable) as raised:
        await said(tts)
    await tts.close()
    return str(raised.value)


def instead(*names: str) -> list[str | bytes | tuple[int, str]]:
    return [MESSAGES[name] for name in names]


# What is asked for


@pytest.mark.parametrize(("audio", "output_format"), [(TELEPHONE, "ulaw_8000"), (WIDEBAND, "pcm_16000")])
async def test_asks_for_the_lines_own_format_and_hands_on_frames_of_20_ms(
    tts: ElevenLabsSocketTts, server: ElevenLabsServer, audio: AudioFormat, output_format: str
) -> None:
    chunks = await said(tts, audio=audio)
    (asked,) = server.asked
    assert (asked.output_format, asked.model, asked.text) == (f"ws {output_format}", "eleven_flash_v2_5", SENTENCE)
    assert {len(chunk) for chunk in chunks[:-1]} == {audio.frame_bytes}
    assert sum(map(len, chunks)) == asked.sent_bytes
    assert [told for told in server.told if told != {"text": " "}] == [{"text": f"{SENTENCE} "}, {"text": ""}]


@pytest.mark.parametrize(("speed", "asked_for"), [(0.85, 0.85), (0.1, 0.7), (3.0, 1.2)])
async def test_the_speed_stands_in_the_first_message_within_the_vendors_bounds(
    tts: ElevenLabsSocketTts, server: ElevenLabsServer, speed: float, asked_for: float
) -> None:
    await tts.warm_up()
    for _ in range(2):
        assert [chunk async for chunk in tts.speak(SENTENCE, TELEPHONE, speed=speed)]
    assert {"text": " ", "voice_settings": {"speed": asked_for}} in server.told
    assert await said(tts)
    assert [asked.speed for asked in server.asked] == [asked_for, asked_for, 1.0]


async def test_markup_reaches_the_vendor_as_words(tts: ElevenLabsSocketTts, server: ElevenLabsServer) -> None:
    await said(tts, "[whispers] Hello <break time='3s'/> Dana")
    assert server.asked[0].text == "whispers Hello break time='3s'/ Dana"


async def test_nothing_to_say_costs_no_connection(tts: ElevenLabsSocketTts, server: ElevenLabsServer) -> None:
    assert await said(tts, " \n<>") == []
    assert not server.connections


async def test_the_next_sentence_finds_its_connection_open(tts: ElevenLabsSocketTts, server: ElevenLabsServer) -> None:
    await tts.warm_up()
    for _ in range(3):
        before = len(server.connections)
        assert before, "it was opened beforehand"
        await said(tts)
        await until(lambda before=before: len(server.connections) == before + 1)  # type: ignore[misc]
        await until(lambda: len(tts._sockets._idle) == 1)
    assert len(server.asked) == 3


def test_works_on_one_event_loop_after_the_other() -> None:
    with in_thread(ElevenLabsServer(key=KEY, first_byte_ms=1, pace=0)) as server:
        tts = engine_at(server)
        for _ in range(2):

            async def speak() -> list[bytes]:
                await tts.warm_up()
                return await said(tts)

            assert asyncio.run(speak())


# Stopping


async def test_closing_the_speech_ends_the_request() -> None:
    async with ElevenLabsServer(key=KEY, pace=1) as server:
        tts = engine_at(server)
        speech = tts.speak(SENTENCE, TELEPHONE)
        await speech.__anext__()
        await speech.aclose()  # type: ignore[attr-defined]
        await until(lambda: server.asked[0].outcome == "closed")
        await tts.close()


async def test_a_cancelled_listener_ends_the_request(tts: ElevenLabsSocketTts, server: ElevenLabsServer) -> None:
    server.misbehave("stall", times=1)
    listening = asyncio.create_task(said(tts))
    await until(lambda: len(server.asked) == 1)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await until(lambda: server.asked[0].outcome == "closed")
    assert await said(tts)


# What comes back


@pytest.mark.parametrize(
    "names",
    [
        ("audio", "audio", "final"),
        ("audio alone", "kind of later", "audio", "final alone"),
        ("audio null", "audio", "audio null", "audio", "final"),
    ],
    ids=str,
)
async def test_its_messages_are_understood(tts: ElevenLabsSocketTts, server: ElevenLabsServer, names: tuple[str, ...]) -> None:
    server.instead = instead(*names)
    assert b"".join(await said(tts)) == b"\x7f" * 28


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal["message"]["error"]))
async def test_a_refusal_has_one_word_of_ours(server: ElevenLabsServer, refusal: dict[str, Any]) -> None:
    server.instead = [json.dumps(refusal["message"]), (1008, "refused")]
    assert await failure(engine_at(server)) == f"ElevenLabs: {refusal['word']}"
    assert len(server.asked) == 1


@pytest.mark.parametrize(("code", "word"), [(1008, "request_refused"), (1011, "broken_down")])
async def test_a_websocket_that_is_closed_without_a_word(server: ElevenLabsServer, code: int, word: str) -> None:
    server.instead = [(code, "")]
    assert await failure(engine_at(server)) == f"ElevenLabs: {word}"


async def test_a_connection_that_waited_too_long_is_made_anew(tts: ElevenLabsSocketTts, server: ElevenLabsServer) -> None:
    server.instead = [(1000, "input_timeout_exceeded")]
    assert await said(tts)
    assert len(server.asked) == 2


async def test_a_wrong_key_and_an_unknown_voice(server: ElevenLabsServer) -> None:
    assert await failure(engine_at(server, key="wrong")) == "ElevenLabs: key_refused"
    assert await failure(engine_at(server, voice_id="no/body")) == "ElevenLabs: voice_unknown"


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
    assert await failure(engine_at(server, timeout_ms=300)) == f"ElevenLabs: {word}"


@pytest.mark.parametrize("frame", ["[]", "no JSON", b"\x00"], ids=["list", "words", "binary"])
async def test_what_makes_no_sense_ends_the_speech(server: ElevenLabsServer, frame: str | bytes) -> None:
    server.instead = [frame]
    assert await failure(engine_at(server)) == "ElevenLabs: not_understood"


@pytest.mark.parametrize(("fault", "word"), [("stall_midway", "too_slow"), ("break_midway", "connection_lost")])
async def test_speech_that_breaks_off(server: ElevenLabsServer, fault: str, word: str) -> None:
    server.misbehave(fault)
    tts, heard = engine_at(server, timeout_ms=300), 0
    with pytest.raises(Unavailable, match=f"ElevenLabs: {word}"):
        async for chunk in tts.speak(SENTENCE, TELEPHONE):
            heard += len(chunk)
    assert 0 < heard <= server.asked[0].sent_bytes
    assert len(server.asked) == 1
    await tts.close()


async def test_speech_without_end_is_ended(tts: ElevenLabsSocketTts, server: ElevenLabsServer) -> None:
    server.misbehave("endless")
    with capture_logs() as logs:
        chunks = await said(tts)
    assert 15 < len(chunks) / 50 < 20
    assert [(line["event"], line["reason"]) for line in logs] == [("speech.cut", "too_long")]


async def test_where_nobody_listens_nobody_is_reached() -> None:
    async with ElevenLabsServer(key=KEY) as server:
        tts = engine_at(server)
    with pytest.raises(Unavailable, match="not_reached"):
        await tts.warm_up()
    assert await failure(tts) == "ElevenLabs: not_reached"


@pytest.mark.parametrize("fault", [*FAULTS, KEY_REFUSED, QUOTA_EXCEEDED], ids=str)
async def test_whatever_goes_wrong_the_caller_hears_the_whole_sentence(server: ElevenLabsServer, fault: Answer | str) -> None:
    """The embedded voice goes on where ElevenLabs stops."""
    server.misbehave(fault)
    vendor, embedded = engine_at(server, timeout_ms=300), EspeakTts()
    relay = TtsRelay([vendor, embedded], first_audio_timeout_ms=300, retry_after_s=30)
    alone_ms = sum([len(chunk) // 8 async for chunk in embedded.speak(SENTENCE, TELEPHONE)])
    with capture_logs() as logs:
        heard_ms = sum([len(chunk) // 8 async for chunk in relay.speak(SENTENCE, TELEPHONE)])
    assert heard_ms >= alone_ms - 50
    lost = [(line["event"], line["next"]) for line in logs if line["event"] == "speech.voice_lost"]
    if fault in ("odd", "endless"):
        assert lost == []
    else:
        assert lost == [("speech.voice_lost", "espeak-ng")]
        assert heard_ms < alone_ms + 1500
    await relay.close()


# The key


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that any logger says, the HTTP client included."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        yield lambda: f"{caplog.text} {[record.args for record in caplog.records]} {lines}"


@pytest.mark.parametrize("fault", [*FAULTS, Answer(401, {"detail": {"status": KEY}})], ids=str)
async def test_the_key_is_in_no_error_and_in_no_log(
    server: ElevenLabsServer, fault: Any, everything_logged: Callable[[], str]
) -> None:
    server.misbehave(fault)
    tts, errors = engine_at(server, timeout_ms=200), ""
    for work in (said(tts), tts.warm_up()):
        try:
            await work
        except Unavailable as error:
            assert error.__context__ is None
            errors += "".join(traceback.format_exception(error))
    assert KEY not in errors + everything_logged() + repr(tts)
    await tts.close()


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}é", "", " "])
async def test_a_key_that_can_be_none_is_not_sent(
    server: ElevenLabsServer, key: str, everything_logged: Callable[[], str]
) -> None:
    assert await failure(engine_at(server, key=key)) == "ElevenLabs: key_malformed"
    assert KEY not in everything_logged()
    assert not server.connections
