"""Websockets to a voice that are kept open from sentence to sentence, because opening one costs more than the voice's own first byte.

A socket carries one sentence at a time, in the format and at the speed that it was opened for. Whoever speaks takes one, and puts it
back or has the next one prepared; a sentence that was broken off drops its own. While a socket waits it is read: so pings are answered,
and one that the other side closes is found out before somebody speaks into it.
"""

from __future__ import annotations

import asyncio
import binascii
import json
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from throughline.domain.transcripts import AudioFormat
from throughline.log import get_logger
from throughline.speech.http_client import Failed, what_failed
from throughline.speech.within import within

Socket = aiohttp.ClientWebSocketResponse

_GOODBYE_MS = 200
MOST_MESSAGE_BYTES = 1 << 20
_MOST_IDLE = 8  # for each sound
_CLOSINGS = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)

_log = get_logger("speech")


@dataclass(frozen=True)
class Sound:
    """What a socket is opened for."""

    audio: AudioFormat
    speed: float = 1.0


@dataclass(frozen=True)
class _Idle:
    socket: Socket
    sound: Sound
    since_s: float
    reader: asyncio.Task[None]


class OpenSockets:
    """The sockets that wait. Each belongs to the event loop that opened it."""

    def __init__(self, connect: Callable[[Sound], Awaitable[Socket]], *, engine: str, idle_s: float) -> None:
        """``connect`` opens one; ``idle_s``: how long one may wait."""
        self._connect = connect
        self._engine = engine
        self._idle_s = idle_s
        self._idle: list[_Idle] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, sound: Sound) -> Socket:
        """An open one for ``sound``. Raises what ``connect`` raises."""
        loop = asyncio.get_running_loop()
        self._idle = [idle for idle in self._idle if idle.reader.get_loop() is loop]  # another loop's can't be used, nor closed
        for idle in reversed(self._idle):
            if idle.sound == sound:
                self._idle.remove(idle)
                idle.reader.cancel()
                await asyncio.wait({idle.reader})
                if not idle.socket.closed and time.monotonic() - idle.since_s < self._idle_s:
                    return idle.socket
                self.drop(idle.socket)
        return await self._connect(sound)

    def put(self, socket: Socket, sound: Sound) -> None:
        """Keep ``socket`` for the next sentence."""
        if socket.closed:
            return
        alike = [idle for idle in self._idle if idle.sound == sound]
        for oldest in alike[: len(alike) - _MOST_IDLE + 1] if len(alike) >= _MOST_IDLE else []:
            self._forget(oldest)
        reader = self._work(self._read(socket))
        self._idle.append(_Idle(socket, sound, time.monotonic(), reader))

    def prepare(self, sound: Sound) -> None:
        """Open one in the background, so that the next sentence finds it open. If that fails, the next sentence finds out."""
        if not any(idle.sound == sound for idle in self._idle):
            self._work(self._prepare(sound))

    def drop(self, socket: Socket) -> None:
        """Close ``socket`` in the background: nobody waits for it."""
        self._work(self._goodbye(socket))

    async def close(self) -> None:
        """Close all that wait."""
        loop = asyncio.get_running_loop()
        idle, self._idle = [one for one in self._idle if one.reader.get_loop() is loop], []
        tasks = [task for task in self._tasks if task.get_loop() is loop]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self._goodbye(one.socket) for one in idle))

    def _work(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, idle: _Idle) -> None:
        self._idle.remove(idle)
        idle.reader.cancel()
        self.drop(idle.socket)

    async def _read(self, socket: Socket) -> None:
        """Nothing is to come while nobody speaks: whatever does, and the end of the connection, makes the socket useless."""
        try:
            await socket.receive()
        except asyncio.CancelledError:
            if not any(idle.socket is socket for idle in self._idle):
                raise  # it is taken
        self._idle = [idle for idle in self._idle if idle.socket is not socket]
        await self._goodbye(socket)  # also where the event loop is coming to its end

    async def _prepare(self, sound: Sound) -> None:
        try:
            socket = await self._connect(sound)
        except Exception as error:  # noqa: BLE001 -- see prepare
            _log.info("speech.not_prepared", engine=self._engine, reason=what_failed(error))
            return
        self.put(socket, sound)

    @staticmethod
    async def _goodbye(socket: Socket) -> None:
        """Close it, if need be without the other side's: one that goes on sending would never be done."""
        with suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError):  # it is gone in any case
            await within(socket.close(), _GOODBYE_MS)


async def next_message(socket: Socket, *, timeout_s: float, why_closed: Callable[[int, str], str]) -> dict[str, Any]:
    """The next JSON object. Raises Failed: nothing comes within ``timeout_s``, what comes is none, or the socket is closed, for which
    ``why_closed`` finds a word by the code and the reason."""
    message = await socket.receive(timeout_s)
    if message.type in _CLOSINGS:
        code = message.data if isinstance(message.data, int) else socket.close_code
        raise Failed(why_closed(code or 1006, str(message.extra or "")))
    if message.type is aiohttp.WSMsgType.ERROR:
        raise Failed("connection_lost")
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise Failed("not_understood")
    try:
        told = json.loads(message.data)
    except (ValueError, RecursionError):
        raise Failed("not_understood") from None
    if not isinstance(told, dict):
        raise Failed("not_understood")
    return told


def audio_of(encoded: object) -> bytes:
    """The audio that stands base64-coded in a message. Raises Failed if it is none."""
    try:
        return b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except binascii.Error:
        raise Failed("not_audio") from None
