"""A network between a caller and the media endpoint that delays, loses, doubles and mixes up what it carries.

A websocket goes over TCP, which loses nothing and keeps the order: what is lost there comes late, and all behind it with it
(``tcp``). Messages can only be missing or mixed up where somebody before the socket has done so, such as a carrier
(``carrier``): then of the media messages alone.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import websockets.client
from websockets.exceptions import ConnectionClosed
from websockets.legacy.server import WebSocketServer, WebSocketServerProtocol, serve

_SENT_AGAIN_MS = 300
"""What a lost packet is late by: it is sent once more after the way there and back and some 200 ms."""
_HELD_BACK = 3
"""A message that is mixed up comes after so many later ones, at most."""


@dataclass
class Counts:
    """What was done to the messages."""

    carried: int = 0
    lost: int = 0
    doubled: int = 0
    moved: int = 0


class PoorNetwork:
    """Listens on this machine, and carries each connection on to ``host:port``."""

    def __init__(self, host: str, port: int, *, jitter_ms: float, loss: float, is_carrier: bool, seed: int = 0) -> None:
        self._to = (host, port)
        self._jitter_s, self._loss, self._is_carrier = jitter_ms / 1000, loss, is_carrier
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._server: WebSocketServer
        self.counts = Counts()
        self.at = ("127.0.0.1", 0)

    async def __aenter__(self) -> PoorNetwork:
        self._server = await serve(self._carry, "127.0.0.1", 0, max_size=None, compression=None, close_timeout=1)
        self.at = ("127.0.0.1", next(iter(self._server.sockets)).getsockname()[1])
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _carry(self, near: WebSocketServerProtocol, path: str) -> None:
        host, port = self._to
        origin: Any = near.request_headers.get("Origin")
        far = await websockets.client.connect(f"ws://{host}:{port}{path}", origin=origin, max_size=None, compression=None)
        ways = [asyncio.ensure_future(self._one_way(*ends)) for ends in ((near, far), (far, near))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await asyncio.gather(near.close(), far.close())

    async def _one_way(self, source: Any, target: Any) -> None:
        on_the_way: asyncio.Queue[tuple[float, Any]] = asyncio.Queue()
        delivering = asyncio.ensure_future(_deliver(on_the_way, target))
        held: list[tuple[int, Any]] = []  # after how many more messages each goes on
        loop = asyncio.get_running_loop()
        arrives_s = 0.0
        try:
            with suppress(ConnectionClosed):
                while not delivering.done():
                    message = await source.recv()
                    self.counts.carried += 1
                    delay_s = self._random.uniform(0, self._jitter_s)
                    if not self._is_carrier and self._random.random() < self._loss:
                        self.counts.lost += 1
                        delay_s += _SENT_AGAIN_MS / 1000
                    arrives_s = max(arrives_s, loop.time() + delay_s)
                    for each in self._mixed_up(message, held) if self._is_carrier else [message]:
                        on_the_way.put_nowait((arrives_s, each))
        finally:
            await asyncio.wait({delivering}, timeout=0.5)
            delivering.cancel()

    def _mixed_up(self, message: Any, held: list[tuple[int, Any]]) -> list[Any]:
        """What a carrier passes on when ``message`` comes."""
        passed: list[Any] = []
        for left, each in [*held]:
            held.remove((left, each))
            if left > 1:
                held.append((left - 1, each))
            else:
                passed.append(each)
        if json.loads(message).get("event") != "media":
            return [message, *passed]
        chance = self._random.random()
        if chance < self._loss:
            self.counts.lost += 1
            return passed
        if chance < 1.5 * self._loss:
            self.counts.doubled += 1
            return [message, message, *passed]
        if chance < 2 * self._loss:
            self.counts.moved += 1
            held.append((self._random.randint(1, _HELD_BACK), message))
            return passed
        return [message, *passed]


async def _deliver(on_the_way: asyncio.Queue[tuple[float, Any]], target: Any) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionClosed):
        while True:
            arrives_s, message = await on_the_way.get()
            await asyncio.sleep(max(0.0, arrives_s - loop.time()))
            await target.send(message)
