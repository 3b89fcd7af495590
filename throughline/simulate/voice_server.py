"""What the simulated voices (``elevenlabs``, ``rime``) have alike: the embedded voice behind the vendor's protocol, how quickly it
answers, and what it can be told to do wrong. They remember what they were asked."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import web

from throughline.domain.transcripts import AudioFormat
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.protocol import TextToSpeech

_PIECE_MS = 100

_Self = TypeVar("_Self", bound="VoiceServer")

FAULTS = {
    "stall": "takes the request and never answers",
    "drop": "closes the connection without an answer",
    "redirect": "sends the client elsewhere",
    "json": "answers with JSON in the place of audio",
    "empty": "answers with no audio",
    "odd": "leaves out the last byte of the audio",
    "endless": "goes on after the text is over, with noise",
    "stall_midway": "stops in mid-sentence, the line stays open",
    "break_midway": "closes the connection in mid-sentence",
}
"""What a voice can be told to do wrong, besides an ``Answer``."""


@dataclass(frozen=True)
class Answer:
    """A refusal in the place of speech: ``body`` as JSON, or as it stands where it is a text and the vendor's refusals are."""

    status: int
    body: Any


@dataclass
class Asked:
    """One request for speech. Times are ``time.monotonic()``, comparable between the processes of one machine."""

    text: str
    voice_id: str
    model: str
    output_format: str
    received_s: float
    speed: float = 1.0
    first_byte_s: float = 0.0
    sent_bytes: int = 0
    fault: str = ""
    """What it was told to do wrong to this one."""
    outcome: str = ""
    """Empty while under way, then ``whole``, ``refused``, ``misbehaved``, or ``closed`` when the client hung up."""


class VoiceServer(ABC):
    """A local voice, on the loop at hand; ``in_thread`` runs it in a thread of its own."""

    def __init__(
        self,
        *,
        key: str,
        first_byte_ms: float = 75,
        first_byte_spread_ms: float = 0,
        pace: float = 20,
        midway_ms: float = 600,
        seed: int = 0,
        voice: TextToSpeech | None = None,
    ) -> None:
        """``key``: the only one taken. The first byte comes after ``first_byte_ms``, give or take ``first_byte_spread_ms``; the
        rest at ``pace`` times real time (0: at once). Faults in mid-sentence come after ``midway_ms`` of speech. ``voice``: who
        speaks, else the embedded one."""
        self.asked: list[Asked] = []
        self.connections: set[int] = set()
        """The client's port of every connection on which something was asked."""
        self.midway_ms = midway_ms
        self.url = ""
        self._key = key
        self._first_byte_ms = first_byte_ms
        self._spread_ms = first_byte_spread_ms
        self._pace = pace
        self._random = random.Random(seed)  # noqa: S311 -- a delay, not a secret
        self._voice = voice or EspeakTts()
        self._fault: Answer | str | None = None
        self._fault_times: int | None = None

    # What it can be told

    def misbehave(self, fault: Answer | str, *, times: int | None = None) -> None:
        """Do wrong from the next request on, always or ``times`` times. ``fault``: an ``Answer``, or a word of ``FAULTS``."""
        if isinstance(fault, str) and fault not in FAULTS:
            raise ValueError(f"no such fault: {fault}")
        self._fault, self._fault_times = fault, times

    def behave(self) -> None:
        """Do everything right again."""
        self._fault = None

    def change_key(self, key: str) -> None:
        """Take only ``key`` from now on."""
        self._key = key

    def next_fault(self) -> Answer | str | None:
        """What to do wrong with the next request."""
        fault = self._fault
        if fault is not None and self._fault_times is not None:
            self._fault_times -= 1
            if self._fault_times <= 0:
                self._fault = None
        return fault

    # Start and stop

    @abstractmethod
    def routes(self, router: web.UrlDispatcher) -> None:
        """Add what the vendor serves."""

    async def __aenter__(self: _Self) -> _Self:
        await self._voice.warm_up()
        application = web.Application()
        self.routes(application.router)
        # A client that hangs up ends its request at once, as it does at the vendor's; what is under way is not waited for.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def ws_url(self) -> str:
        """The same for websockets."""
        return self.url.replace("http", "ws", 1)

    def note_connection(self, request: web.Request) -> None:
        """Remember who asks."""
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername")[1])

    # Speech

    async def wait_for_first_byte(self, asked: Asked) -> None:
        """Come back when the first byte is due."""
        spread = self._random.uniform(-self._spread_ms, self._spread_ms)
        await _until(asked.received_s + (self._first_byte_ms + spread) / 1000)
        asked.first_byte_s = time.monotonic()

    async def pieces(self, text: str, audio: AudioFormat, fault: str, *, speed: float = 1.0) -> list[bytes]:
        """The speech for ``text``, made wrong by ``fault``."""
        speech = b"".join([piece async for piece in self._voice.speak(text, audio, speed=speed)])
        if fault == "empty":
            speech = b""
        elif fault == "odd":
            speech = speech[:-1]
        elif fault == "endless":
            speech += self._random.randbytes(300 * 50 * audio.frame_bytes)
        size = _PIECE_MS * audio.frame_bytes // 20
        return [speech[start : start + size] for start in range(0, len(speech), size)]

    async def paced(self, pieces: list[bytes]) -> AsyncIterator[bytes]:
        """Each of ``pieces`` when it is due."""
        began = time.monotonic()
        for index, piece in enumerate(pieces):
            if self._pace:
                await _until(began + index * _PIECE_MS / 1000 / self._pace)
            yield piece

    async def after_piece(self, request: web.Request, asked: Asked, audio: AudioFormat, fault: str) -> None:
        """Do wrong what ``fault`` says in mid-sentence, once enough of it was sent."""
        if asked.sent_bytes < self.midway_ms * audio.frame_bytes / 20:
            return
        if fault == "break_midway":
            await hang_up(request)
        if fault == "stall_midway":
            await asyncio.Event().wait()


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))


async def hang_up(request: web.Request) -> None:
    """Close the connection as a vendor's fallen machine does: nothing more is sent, not even the end of the body."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()  # a request whose connection is gone is cancelled


async def send_frames(socket: web.WebSocketResponse, frames: Sequence[str | bytes | tuple[int, str]]) -> None:
    """Send ``frames`` as they are; a code and a reason close the websocket."""
    for frame in frames:
        if isinstance(frame, tuple):
            await socket.close(code=frame[0], message=frame[1].encode())
        elif isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)
