"""Calls over the channel's real websockets: what is too big or no message at all ends its own call, and no other notices.

The channel's own code holds the sockets; behind it stand a dialogue, an ear and a voice of the tests'.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import websockets.client
from sanic import Sanic
from websockets.exceptions import ConnectionClosed

from channels.phone import Phone
from tests.unit.call.test_call_session import FakePort, FakeStt, FakeTts
from tests.waiting import until
from throughline.call.call_settings import CallSettings
from throughline.domain.key_words import NO_KEYS
from throughline.domain.listening import NO_WORDS
from throughline.domain.phone_wording import PhoneWording
from throughline.settings.server import Settings

pytestmark = pytest.mark.contract

MAX_SIZE = 64 * 1024  # as channels/server.py sets it
START = {
    "streamSid": "MZ1",
    "callSid": "CA1",
    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    "customParameters": {"token": "let-me-in"},
}
TEN_MEGABYTES = 10_000_000
WITHIN_S = 10

Connection = websockets.client.WebSocketClientProtocol


class Line:
    """A server with the phone channel's websocket, and what each call on it has come to."""

    def __init__(self) -> None:
        self.ports: list[FakePort] = []
        self.stt = FakeStt()
        self.sanic = Sanic("line" + secrets.token_hex(4))
        self.sanic.config.update({"WEBSOCKET_MAX_SIZE": MAX_SIZE, "MOTD": False})
        phone: Any = Phone()
        business = SimpleNamespace(phone=SimpleNamespace(listening=NO_WORDS, keys=NO_KEYS))
        app = SimpleNamespace(business=business)
        phone._server = SimpleNamespace(network_address=lambda request: request.ip, app=app, draining=False)
        phone._telephone = phone._answers = None
        phone._settings, phone._calls, phone._on_line = Settings(), set(), set()
        phone._stt, phone._voice = self.stt, SimpleNamespace(tts=FakeTts())
        phone._call_settings, phone._wording = CallSettings(), PhoneWording

        async def media(request: Any, websocket: Any) -> None:
            request.ctx.caller = "telephone"
            await phone._media(request, websocket)

        self.sanic.add_websocket_route(media, "/media")

    def new_port(self, *_: object, **__: object) -> FakePort:
        """The dialogue of the next call."""
        port = FakePort()
        port.page = False
        self.ports.append(port)
        return port

    def reason(self, call: int) -> str | None:
        """Why a call has ended, None while it goes on."""
        ended = self.ports[call].of("ended")
        return str(ended[0][0]) if ended else None


@pytest.fixture
async def line(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Line, str]]:
    """A running line and its address."""
    monkeypatch.setattr(Sanic, "test_mode", True)  # several applications in one process
    held = Line()
    monkeypatch.setattr("channels.phone.PhoneLine", held.new_port)
    listener = socket.create_server(("127.0.0.1", 0))
    server = await held.sanic.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    assert server is not None
    await server.startup()
    await server.before_start()
    await server.start_serving()
    yield held, f"ws://127.0.0.1:{listener.getsockname()[1]}/media"
    server.close()
    await server.wait_closed()


async def dial(address: str) -> Connection:
    """A call that has begun."""
    caller = await websockets.client.connect(address, max_size=None, compression=None)
    await caller.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": START}))
    while json.loads(await asyncio.wait_for(caller.recv(), WITHIN_S))["event"] != "mark":
        pass
    return caller


async def closed(caller: Connection) -> int | None:
    """The code with which the server closes."""
    try:
        while True:
            await asyncio.wait_for(caller.recv(), WITHIN_S)
    except ConnectionClosed:
        return caller.close_code


async def in_one_frame(caller: Connection) -> None:
    await caller.send("x" * TEN_MEGABYTES)


async def in_many_frames(caller: Connection) -> None:
    async def pieces() -> AsyncIterator[str]:
        for _ in range(TEN_MEGABYTES // 10_000):
            yield "x" * 10_000

    await caller.send(pieces())


async def as_bytes(caller: Connection) -> None:
    await caller.send(b"\xff" * TEN_MEGABYTES)


async def as_media(caller: Connection) -> None:
    payload = base64.b64encode(b"\xff" * TEN_MEGABYTES).decode()
    await caller.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}))


@pytest.mark.parametrize("sends", [in_one_frame, in_many_frames, as_bytes, as_media])
async def test_ten_megabytes_close_their_own_connection_with_1009_and_no_other(
    line: tuple[Line, str], sends: Callable[[Connection], Awaitable[None]]
) -> None:
    held, address = line
    good, bad = await dial(address), await dial(address)
    sending = asyncio.ensure_future(sends(bad))
    spoken = b""
    for number in range(50):
        frame = bytes([number]) * 160
        spoken += frame
        payload = base64.b64encode(frame).decode()
        await good.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}))
    assert await closed(bad) == 1009
    await asyncio.gather(sending, return_exceptions=True)
    await until(lambda: held.reason(1))
    assert held.reason(1) == "line_lost"
    await until(lambda: len(held.stt.ears[0].audio) == len(spoken))
    assert held.stt.ears[0].audio == spoken
    assert held.reason(0) is None
    await good.close()
    await until(lambda: held.reason(0))


@pytest.mark.parametrize(
    "message", ["x" * (MAX_SIZE - 1), b"\xff\xfe", "[" * 16_000, ""], ids=["64 KB", "bytes", "deep", "empty"]
)
async def test_what_is_no_message_ends_its_call(line: tuple[Line, str], message: str | bytes) -> None:
    held, address = line
    caller = await dial(address)
    await caller.send(message)
    assert await closed(caller) in (1000, 1001)
    await until(lambda: held.reason(0))
    assert held.reason(0) == "protocol_error"
    assert held.stt.ears[0].closed


async def test_after_a_frame_that_is_no_text_the_call_goes_on_or_ends(line: tuple[Line, str]) -> None:
    """Sanic passes it over, with what came in the same packet."""
    held, address = line
    caller = await dial(address)
    await caller.write_frame(True, 0x1, b'{"event": "\xff\xfe"}')
    payload = base64.b64encode(b"\x11" * 160).decode()
    while not held.reason(0) and not held.stt.ears[0].audio:
        await caller.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}))
        await asyncio.sleep(0.01)
    await caller.close()
    await until(lambda: held.reason(0))


async def test_a_line_that_breaks_off_in_mid_frame_ends_its_call(line: tuple[Line, str]) -> None:
    held, address = line
    caller = await dial(address)
    caller.transport.write(b"\x81\xfe\x40\x00half")
    caller.transport.abort()
    await until(lambda: held.reason(0))
    assert held.reason(0) == "line_lost"
    assert held.stt.ears[0].closed


async def test_nothing_is_unpacked_for_a_caller(line: tuple[Line, str]) -> None:
    """A compressed message may be a thousand times as long as it looks: the server agrees to none."""
    _, address = line
    caller = await websockets.client.connect(address, compression="deflate")
    assert caller.extensions == []
    await caller.close()
