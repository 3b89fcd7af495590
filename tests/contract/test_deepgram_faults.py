"""Deepgram refuses, stalls, or is gone: what the call is told, how soon it can go on, and that the key is nobody's business."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import traceback
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from tests.contract.deepgram_calls import (
    KEY,
    SENTENCE,
    final_words,
    flux,
    nova,
    reports_until,
    reports_until_lost,
    said,
    silence,
    voice,
)
from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE, Transcript
from throughline.errors import Unavailable
from throughline.simulate.deepgram import DeepgramServer
from throughline.speech.stt.protocol import SpeechToText

pytestmark = pytest.mark.contract

Engine = Callable[..., SpeechToText]


@pytest.fixture
async def server() -> AsyncIterator[DeepgramServer]:
    async with DeepgramServer(key=KEY) as server:
        yield server


@pytest.fixture(params=[nova, flux], ids=["nova", "flux"])
def engine(request: pytest.FixtureRequest) -> Engine:
    make: Engine = request.param
    return make


class TestOpening:
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (400, "refused"),
            (401, "key_refused"),
            (402, "no_credit"),
            (403, "key_refused"),
            (429, "limit_reached"),
            (503, "out_of_order"),
        ],
    )
    async def test_a_refusal_has_a_reason(self, server: DeepgramServer, engine: Engine, status: int, reason: str) -> None:
        server.misbehave(status)
        with pytest.raises(Unavailable, match=rf": {reason} \(HTTP {status}\)$"):
            await engine(server).open(TELEPHONE)
        assert server.connections == 0

    async def test_a_key_that_is_none_is_refused(self, server: DeepgramServer, engine: Engine) -> None:
        with pytest.raises(Unavailable, match="key_refused"):
            await engine(server, key="wrong").open(TELEPHONE)

    async def test_a_key_may_have_been_read_from_a_file(self, server: DeepgramServer, engine: Engine) -> None:
        stream = await engine(server, key=f"{KEY}\n").open(TELEPHONE)
        await stream.close()

    async def test_a_model_that_is_none_is_refused(self, server: DeepgramServer, engine: Engine) -> None:
        with pytest.raises(Unavailable, match=r"refused \(HTTP 400\)"):
            await engine(server, model="nova-99").open(TELEPHONE)

    async def test_no_answer_is_not_waited_for(self, server: DeepgramServer, engine: Engine) -> None:
        server.misbehave("silent")
        await engine(server).warm_up()
        with pytest.raises(Unavailable, match="timed_out"):
            await asyncio.wait_for(engine(server, open_timeout_ms=100).open(TELEPHONE), 5)

    @pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "ws://127.0.0.1:99999", "nonsense", "wss://"])
    async def test_nobody_there(self, server: DeepgramServer, engine: Engine, url: str) -> None:
        with pytest.raises(Unavailable, match="unreachable"):
            await engine(server, url=url).open(TELEPHONE)

    async def test_warming_up_asks_nobody(self, server: DeepgramServer, engine: Engine) -> None:
        await engine(server, url="ws://127.0.0.1:1").warm_up()
        assert server.visits == []


class TestListening:
    @pytest.mark.parametrize(
        ("fault", "reason"), [("drop", "connection_lost"), ("close", "closed_by_deepgram"), ("error", "error_message")]
    )
    async def test_a_line_that_is_lost_says_so_after_its_words(
        self, server: DeepgramServer, engine: Engine, fault: str, reason: str
    ) -> None:
        server.misbehave(fault, after=3)
        stream = await engine(server).open(TELEPHONE)
        stream.send(said(SENTENCE, server))
        reports: list[Transcript] = []
        with pytest.raises(Unavailable, match=reason):
            await reports_until_lost(stream, reports)
        assert SENTENCE.startswith(reports[-1].text)
        assert not any(report.final for report in reports)
        stream.send(silence(20))
        await stream.close()

    async def test_speech_without_any_answer_is_a_stall(self, server: DeepgramServer, engine: Engine) -> None:
        server.misbehave("stall", after=0)
        stream = await engine(server, stall_timeout_ms=200).open(TELEPHONE)
        stream.send(said(SENTENCE, server))
        with pytest.raises(Unavailable, match="stalled"):
            await reports_until_lost(stream, [])
        await stream.close()

    async def test_silence_without_any_answer_is_not(self, server: DeepgramServer, engine: Engine) -> None:
        server.misbehave("stall", after=0)
        stream = await engine(server, stall_timeout_ms=100).open(TELEPHONE)
        stream.send(silence(5000))
        lost = asyncio.create_task(reports_until_lost(stream, []))
        await asyncio.sleep(0.5)
        assert not lost.done()
        await stream.close()
        await lost

    async def test_without_audio_the_line_is_kept(self, engine: Engine) -> None:
        often = {"keep_alive_ms": 100} if engine is nova else {"silence_after_ms": 100}
        async with DeepgramServer(key=KEY, idle_timeout_s=1) as server:
            stream = await engine(server, **often).open(TELEPHONE)
            await asyncio.sleep(1.5)
            stream.send(said(SENTENCE, server))
            reports = await reports_until(stream, "yesterday.")
            assert final_words(reports) == SENTENCE
            assert all(report.until_ms is not None and report.until_ms <= 3000 for report in reports)
            await stream.close()
            visit = server.visits[0]
            assert ("KeepAlive" in visit.controls) == (engine is nova)

    async def test_without_keeping_it_deepgram_hangs_up(self, engine: Engine) -> None:
        never = {"keep_alive_ms": 60_000} if engine is nova else {"silence_after_ms": 60_000}
        async with DeepgramServer(key=KEY, idle_timeout_s=0.1) as server:
            stream = await engine(server, **never).open(TELEPHONE)
            with pytest.raises(Unavailable, match=r"connection_lost \(1011 NET-0001\)"):
                await reports_until_lost(stream, [])
            await stream.close()

    async def test_flux_gets_audio_in_the_pieces_it_likes(self, server: DeepgramServer) -> None:
        stream = await flux(server).open(TELEPHONE)
        for _ in range(10):
            stream.send(silence(20))
            await asyncio.sleep(0)
        await until(lambda: server.visits[0].pieces)
        assert server.visits[0].pieces[0] >= 640
        await stream.close()

    async def test_more_than_can_be_held_is_said_once(self, server: DeepgramServer, engine: Engine) -> None:
        stream = await engine(server).open(TELEPHONE)
        with capture_logs() as logs:
            for _ in range(100):
                stream.send(silence(1000))
        assert [line["event"] for line in logs] == ["speech.audio_dropped"]
        await stream.close()


class TestClosing:
    async def test_says_goodbye(self, server: DeepgramServer, engine: Engine) -> None:
        stream = await engine(server).open(TELEPHONE)
        await stream.close()
        await until(lambda: server.visits[0].state == "closed")
        assert server.visits[0].controls == ["CloseStream"]

    async def test_does_not_wait_for_somebody_who_has_stopped_listening(self, engine: Engine) -> None:
        """A server that shakes hands and then does nothing any more."""

        async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            given = next(line.split(": ")[1] for line in asked if line.lower().startswith("sec-websocket-key"))
            taken = hashlib.sha1(f"{given}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # noqa: S324 - RFC 6455
            answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
            answer += [f"Sec-WebSocket-Accept: {base64.b64encode(taken).decode()}", "", ""]
            writer.write("\r\n".join(answer).encode())

        mute = await asyncio.start_server(shake_hands, "127.0.0.1", 0)
        async with DeepgramServer(key=KEY) as server:
            server.url = f"ws://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
            stream = await engine(server).open(TELEPHONE)
            stream.send(silence(1000))
            await asyncio.wait_for(stream.close(), 4)
        mute.close()


async def test_the_key_is_in_no_log_line_and_in_no_error(
    engine: Engine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong, at whatever level is logged."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with capture_logs() as logs:
        async with DeepgramServer(key=KEY) as server:
            for fault in (401, 402, 429, 500, "silent", "drop", "error", "close", "stall", ["no json", "{}"]):
                server.misbehave(fault, after=0 if fault == "stall" else 1, times=1)
                try:
                    stream = await engine(server, open_timeout_ms=300, stall_timeout_ms=200).open(TELEPHONE)
                    stream.send(said(SENTENCE, server))
                    await reports_until(stream, "yesterday.")
                    await stream.close()
                except Unavailable as error:
                    told += traceback.format_exception(error)
                    assert error.__cause__ is None
                    assert error.__context__ is None
            told.append(repr(vars(engine(server))))
    assert len(told) > 8
    assert "Authorization" in caplog.text  # websockets does log it: masked
    for text in (*told, repr(logs), caplog.text, *capsys.readouterr()):
        assert KEY not in text


async def test_two_calls_at_once(server: DeepgramServer, engine: Engine) -> None:
    shared = engine(server)
    one, other = await shared.open(TELEPHONE), await shared.open(TELEPHONE)
    server.teach("Good morning.", TELEPHONE, voice("Good morning."))
    one.send(said(SENTENCE, server))
    other.send(voice("Good morning.") + silence(800))
    assert final_words(await reports_until(one, "yesterday.")) == SENTENCE
    assert final_words(await reports_until(other, "morning.")) == "Good morning."
    await one.close()
    await other.close()
