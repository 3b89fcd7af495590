"""Rime's two protocols on this machine: what is asked for, and everything that can go wrong on the way."""

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
from throughline.simulate.elevenlabs import VOICE_ID, ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.rime import FAULTS, KEY_REFUSED, TOO_MANY, VOICE, Answer, RimeServer
from throughline.speech.tts.elevenlabs import ElevenLabsTts
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.relay import TtsRelay
from throughline.speech.tts.rime_account import Account, as_words
from throughline.speech.tts.rime_http import RimeHttpTts
from throughline.speech.tts.rime_socket import RimeSocketTts

pytestmark = pytest.mark.contract

KEY = "rime_this-is-the-secret-key"
SENTENCE = "Thanks. When would you like us to come?"
FOLDER = Path(__file__).parent / "payloads/rime"
REFUSALS = json.loads((FOLDER / "refusals.json").read_text())
MESSAGES = {name: json.dumps(message) for name, message in json.loads((FOLDER / "ws3.json").read_text()).items()}
Rime = RimeHttpTts | RimeSocketTts


@pytest.fixture
async def server() -> AsyncIterator[RimeServer]:
    async with RimeServer(key=KEY, first_byte_ms=1, pace=0) as server:
        yield server


@pytest.fixture(params=["http", "websocket"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def engine_at(server: RimeServer, way: str, *, key: str = KEY, voice: str = VOICE, timeout_ms: int = 10_000) -> Rime:
    account = Account(key, model="mistv3", voice=voice, language="eng")
    if way == "http":
        return RimeHttpTts(account, url=server.url, first_audio_timeout_ms=timeout_ms)
    return RimeSocketTts(account, url=server.ws_url, first_audio_timeout_ms=timeout_ms)


@pytest.fixture
async def tts(server: RimeServer, way: str) -> AsyncIterator[Rime]:
    engine = engine_at(server, way)
    yield engine
    await engine.close()


@pytest.fixture
async def socket_tts(server: RimeServer) -> AsyncIterator[RimeSocketTts]:
    engine = engine_at(server, "websocket")
    assert isinstance(engine, RimeSocketTts)
    yield engine
    await engine.close()


async def said(tts: Rime, text: str = SENTENCE, audio: AudioFormat = TELEPHONE) -> list[bytes]:
    return [chunk async for chunk in tts.speak(text, audio)]


async def failure(tts: Rime) -> str:
    """How speaking fails."""
    with pytest.raises(Unavailable) as raised:
        await said(tts)
    await tts.close()
    return str(raised.value)


# What is asked for


@pytest.mark.parametrize(
    ("audio", "formats"),
    [
        (TELEPHONE, {"http": "http audio/PCMU 8000", "websocket": "ws3 mulaw 8000"}),
        (WIDEBAND, {"http": "http audio/L16 16000", "websocket": "ws3 pcm 16000"}),
    ],
)
async def test_asks_for_the_lines_own_format_and_hands_on_frames_of_20_ms(
    tts: Rime, server: RimeServer, way: str, audio: AudioFormat, formats: dict[str, str]
) -> None:
    chunks = await said(tts, audio=audio)
    (asked,) = server.asked
    assert (asked.output_format, asked.model, asked.voice_id, asked.text) == (formats[way], "mistv3", VOICE, SENTENCE)
    assert {len(chunk) for chunk in chunks[:-1]} == {audio.frame_bytes}
    assert sum(map(len, chunks)) == asked.sent_bytes


async def test_a_long_text_goes_in_passages_that_rime_takes(tts: Rime, server: RimeServer) -> None:
    text = "We repair washers, dryers and ovens. " * 30
    chunks = await said(tts, text)
    assert len(server.asked) > 2
    assert max(len(asked.text) for asked in server.asked) <= 500
    assert " ".join(asked.text for asked in server.asked).split() == text.split()
    assert sum(map(len, chunks)) == sum(asked.sent_bytes for asked in server.asked)


@pytest.mark.parametrize(
    ("model", "speed", "alpha", "asked_for"),
    [
        ("mistv3", 0.85, 0.85, 0.85),
        ("coda", 1.15, 1.15, 1.15),
        ("arcana", 0.01, 0.5, 0.5),
        ("mistv2", 0.8, 1.25, 0.8),
        ("mistv2", 9.0, 0.5, 2.0),
        ("mistv3", 1.0, None, 1.0),
    ],
)
async def test_slower_is_slower_whichever_way_the_model_counts(
    server: RimeServer, way: str, model: str, speed: float, alpha: float | None, asked_for: float
) -> None:
    account = Account(KEY, model=model, voice=VOICE, language="eng")
    assert account.asked(TELEPHONE, asked_for).get("speedAlpha") == alpha
    tts: Rime = RimeSocketTts(account, url=server.ws_url, first_audio_timeout_ms=10_000)
    if way == "http":
        tts = RimeHttpTts(account, url=server.url, first_audio_timeout_ms=10_000)
    await tts.warm_up()
    assert [chunk async for chunk in tts.speak(SENTENCE, TELEPHONE, speed=speed)]
    assert await said(tts)
    assert [asked.speed for asked in server.asked] == [pytest.approx(asked_for), 1.0]
    await tts.close()


async def test_markup_reaches_the_vendor_as_words(tts: Rime, server: RimeServer) -> None:
    await said(tts, "Hello <5000> {k1Ast0xm} [slow] spell(Dana)")
    assert server.asked[0].text == "Hello 5000 k1Ast0xm slow spell Dana)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("See you at 9:30 (or so), Dana!", "See you at 9:30 (or so), Dana!"),
        ("SPELL  (x)", "SPELL x)"),
        ("＜500＞ ｛x｝", "500 x"),
        ("two\nlines\x00", "two lines"),
        ("<> {}", ""),
        ("…", ""),
    ],
)
def test_marks_that_would_be_obeyed_go_and_the_words_stay(text: str, words: str) -> None:
    assert as_words(text) == words


async def test_nothing_to_say_costs_no_request(tts: Rime, server: RimeServer) -> None:
    assert await said(tts, " \n<>") == []
    assert not server.asked
    assert not server.connections


async def test_one_connection_serves_sentence_after_sentence(tts: Rime, server: RimeServer) -> None:
    await tts.warm_up()
    for _ in range(3):
        await said(tts)
    assert len(server.asked) == 3
    assert len(server.connections) == 1


def test_works_on_one_event_loop_after_the_other(way: str) -> None:
    with in_thread(RimeServer(key=KEY, first_byte_ms=1, pace=0)) as server:
        tts = engine_at(server, way)
        for _ in range(2):

            async def speak() -> list[bytes]:
                await tts.warm_up()
                return await said(tts)

            assert asyncio.run(speak())


# Stopping


async def test_closing_the_speech_ends_the_request(way: str) -> None:
    async with RimeServer(key=KEY, pace=1) as server:
        tts = engine_at(server, way)
        speech = tts.speak(SENTENCE, TELEPHONE)
        await speech.__anext__()
        await speech.aclose()  # type: ignore[attr-defined]
        await until(lambda: server.asked[0].outcome == "closed")
        await tts.close()


async def test_a_cancelled_listener_ends_the_request(tts: Rime, server: RimeServer) -> None:
    server.misbehave("stall", times=1)
    listening = asyncio.create_task(said(tts))
    await until(lambda: len(server.asked) == 1)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await until(lambda: server.asked[0].outcome == "closed")
    assert await said(tts)


async def test_a_sentence_that_was_broken_off_is_not_heard_in_the_next(tts: Rime, server: RimeServer) -> None:
    alone = await said(tts, "Yes.")
    speech = tts.speak(SENTENCE * 3, TELEPHONE)
    await speech.__anext__()
    await speech.aclose()  # type: ignore[attr-defined]
    after = await said(tts, "Yes.")
    assert abs(len(after) - len(alone)) <= 2
    assert server.asked[-1].text == "Yes."


# What goes wrong


@pytest.mark.parametrize("refusal", REFUSALS["http"], ids=lambda refusal: f"{refusal['status']}-{refusal['word']}")
async def test_a_refusal_has_one_word_of_ours(server: RimeServer, refusal: dict[str, Any]) -> None:
    server.misbehave(Answer(refusal["status"], refusal["text"]))
    assert await failure(engine_at(server, "http")) == f"Rime: {refusal['word']}"
    assert len(server.asked) == 1


@pytest.mark.parametrize("refusal", REFUSALS["closed"], ids=lambda refusal: f"{refusal['code']}-{refusal['reason']}")
async def test_a_websocket_that_is_closed_has_one_too(
    socket_tts: RimeSocketTts, server: RimeServer, refusal: dict[str, Any]
) -> None:
    server.instead = [(refusal["code"], refusal["reason"])]
    if refusal["word"] == "connection_lost":  # it may have been kept open too long: tried once more
        assert await said(socket_tts)
        assert len(server.asked) == 2
    else:
        assert await failure(socket_tts) == f"Rime: {refusal['word']}"
        assert len(server.asked) == 1


@pytest.mark.parametrize("refuse_upgrades", [True, False])
async def test_a_wrong_key_and_an_unknown_voice(server: RimeServer, way: str, refuse_upgrades: bool) -> None:
    server.refuse_upgrades = refuse_upgrades
    assert await failure(engine_at(server, way, key="wrong")) == "Rime: key_refused"
    assert await failure(engine_at(server, way, voice="none")) == "Rime: voice_unknown"


async def test_a_websocket_tells_of_a_refused_key_when_warmed_up(server: RimeServer) -> None:
    tts = engine_at(server, "websocket", key="wrong")
    with pytest.raises(Unavailable, match="key_refused"):
        await tts.warm_up()
    await tts.close()


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
async def test_an_answer_that_is_no_speech(server: RimeServer, way: str, fault: str, word: str) -> None:
    server.misbehave(fault)
    assert await failure(engine_at(server, way, timeout_ms=300)) == f"Rime: {word}"


@pytest.mark.parametrize(("fault", "word"), [("stall_midway", "too_slow"), ("break_midway", "connection_lost")])
async def test_speech_that_breaks_off(server: RimeServer, way: str, fault: str, word: str) -> None:
    """What came before is handed on; nothing is begun anew, or the caller would hear it twice."""
    server.misbehave(fault)
    tts, heard = engine_at(server, way, timeout_ms=300), 0
    with pytest.raises(Unavailable, match=f"^Rime: {word}$"):
        async for chunk in tts.speak(SENTENCE, TELEPHONE):
            heard += len(chunk)
    assert 0 < heard <= server.asked[0].sent_bytes
    assert len(server.asked) == 1
    await tts.close()


async def test_a_connection_that_was_closed_meanwhile_is_made_anew(tts: Rime, server: RimeServer) -> None:
    await said(tts)
    server.misbehave("drop", times=1)
    assert await said(tts)
    assert len(server.asked) == 3


async def test_half_a_sample_is_left_out(tts: Rime, server: RimeServer) -> None:
    server.misbehave("odd")
    chunks = await said(tts, audio=WIDEBAND)
    assert all(len(chunk) % 2 == 0 for chunk in chunks)
    assert sum(map(len, chunks)) == server.asked[0].sent_bytes - 1


async def test_speech_without_end_is_ended(tts: Rime, server: RimeServer) -> None:
    server.misbehave("endless")
    with capture_logs() as logs:
        chunks = await said(tts)
    assert 15 < len(chunks) / 50 < 20
    assert [(line["event"], line["reason"]) for line in logs] == [("speech.cut", "too_long")]


async def test_where_nobody_listens_nobody_is_reached(way: str) -> None:
    async with RimeServer(key=KEY) as server:
        tts = engine_at(server, way)
    assert await failure(tts) == "Rime: not_reached"
    with pytest.raises(Unavailable, match="not_reached"):
        await tts.warm_up()
    await tts.close()


@pytest.mark.parametrize("url", ["users.rime.ai", "ftp://127.0.0.1", "http://", "ws://", "http://x:port", "ws://x:99999"])
async def test_an_address_that_is_none(way: str, url: str) -> None:
    account = Account(KEY, model="any", voice="any", language="eng")
    make = RimeHttpTts if way == "http" else RimeSocketTts
    assert await failure(make(account, url=url, first_audio_timeout_ms=1000)) == "Rime: address_malformed"


@pytest.mark.parametrize("fault", [*FAULTS, KEY_REFUSED, TOO_MANY], ids=str)
async def test_whatever_goes_wrong_the_caller_hears_the_whole_sentence(
    server: RimeServer, way: str, fault: Answer | str
) -> None:
    """The embedded voice goes on where Rime stops."""
    server.misbehave(fault)
    vendor, embedded = engine_at(server, way, timeout_ms=300), EspeakTts()
    relay = TtsRelay([vendor, embedded], first_audio_timeout_ms=300, retry_after_s=30)
    alone_ms = sum([len(chunk) // 8 async for chunk in embedded.speak(SENTENCE, TELEPHONE)])
    with capture_logs() as logs:
        heard_ms = sum([len(chunk) // 8 async for chunk in relay.speak(SENTENCE, TELEPHONE)])
    assert heard_ms >= alone_ms - 50
    if fault in ("odd", "endless"):
        assert relay.name == "rime mistv3"
    else:
        assert [(line["event"], line["next"]) for line in logs] == [("speech.voice_lost", "espeak-ng")]
        assert heard_ms < alone_ms + 1500
    await vendor.close()


async def test_where_one_vendor_breaks_off_the_other_says_the_rest(server: RimeServer, way: str) -> None:
    async with ElevenLabsServer(key=KEY, first_byte_ms=1, pace=0, midway_ms=1500) as other:
        other.misbehave("break_midway")
        first = ElevenLabsTts(KEY, url=other.url, voice_id=VOICE_ID, model="eleven_flash_v2_5", first_audio_timeout_ms=300)
        relay = TtsRelay([first, engine_at(server, way)], first_audio_timeout_ms=3000, retry_after_s=30)
        heard_bytes = sum([len(chunk) async for chunk in relay.speak(SENTENCE, TELEPHONE)])
        assert other.asked[0].text == SENTENCE
        assert SENTENCE.endswith(server.asked[0].text) and server.asked[0].text != SENTENCE
        assert heard_bytes == other.asked[0].sent_bytes + server.asked[0].sent_bytes
        again = [chunk async for chunk in relay.speak("Yes.", TELEPHONE)]
        assert again and server.asked[-1].text == "Yes.", "the one that failed rests"
        await relay.close()


# The websocket's messages


def instead(*names: str) -> list[str | bytes | tuple[int, str]]:
    return [MESSAGES[name] for name in names]


async def test_other_contexts_and_unknown_kinds_are_passed_over(socket_tts: RimeSocketTts, server: RimeServer) -> None:
    server.instead = instead(
        "kind of later", "chunk of another context", "chunk", "timestamps", "done of another context", "chunk", "done"
    )
    assert b"".join(await said(socket_tts)) == b"\x7f" * 28


async def test_an_error_message_is_a_refusal(socket_tts: RimeSocketTts, server: RimeServer) -> None:
    server.instead = instead("chunk", "error")
    with pytest.raises(Unavailable, match="Rime: voice_unknown"):
        await said(socket_tts)


@pytest.mark.parametrize("frame", ["[]", "no JSON", "[" * 5000, b"\x00"], ids=["list", "words", "deep", "binary"])
async def test_what_makes_no_sense_ends_the_speech(socket_tts: RimeSocketTts, server: RimeServer, frame: str | bytes) -> None:
    server.instead = [frame]
    with pytest.raises(Unavailable, match="Rime: not_understood"):
        await said(socket_tts)


async def test_a_websocket_that_rime_closes_between_sentences_is_noticed(socket_tts: RimeSocketTts, server: RimeServer) -> None:
    server.instead = [*instead("chunk", "done"), (1000, "bye")]
    await said(socket_tts)
    await until(lambda: not socket_tts._sockets._idle)
    assert await said(socket_tts)
    assert len(server.asked) == 2


async def test_several_at_once_have_a_websocket_each_and_share_them_later(
    socket_tts: RimeSocketTts, server: RimeServer
) -> None:
    await asyncio.gather(*(said(socket_tts) for _ in range(3)))
    assert len(server.connections) == 3
    await asyncio.gather(*(said(socket_tts) for _ in range(3)))
    assert len(server.connections) == 3


# The key


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that any logger says, the HTTP client included."""
    caplog.set_level(logging.DEBUG)
    with capture_logs() as lines:
        yield lambda: f"{caplog.text} {[record.args for record in caplog.records]} {lines}"


@pytest.mark.parametrize("fault", [*FAULTS, *(Answer(status, KEY) for status in (400, 401, 500))], ids=str)
async def test_the_key_is_in_no_error_and_in_no_log(
    server: RimeServer, way: str, fault: Any, everything_logged: Callable[[], str]
) -> None:
    server.misbehave(fault)
    tts, errors = engine_at(server, way, timeout_ms=200), ""
    for work in (said(tts), tts.warm_up()):
        try:
            await work
        except Unavailable as error:
            assert error.__context__ is None, "the client's error hangs on to ours"
            errors += "".join(traceback.format_exception(error))
    assert KEY not in errors + everything_logged() + repr(tts) + repr(tts._account)
    await tts.close()


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}\x00", f"{KEY}é", f"{KEY} {KEY}", "", " "])
async def test_a_key_that_can_be_none_is_not_sent(
    server: RimeServer, way: str, key: str, everything_logged: Callable[[], str]
) -> None:
    tts = engine_at(server, way, key=key)
    with pytest.raises(Unavailable, match="key_malformed"):
        await tts.warm_up()
    assert await failure(tts) == "Rime: key_malformed"
    assert KEY not in everything_logged()
    assert not server.connections


async def test_a_line_break_copied_with_the_key_does_no_harm(server: RimeServer, way: str) -> None:
    tts = engine_at(server, way, key=f" {KEY}\n")
    assert await said(tts)
    await tts.close()
