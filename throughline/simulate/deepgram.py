"""Deepgram's live listening on this machine: for tests, for measurements, and for trying the product without a key.

Speaks both protocols, Nova's and Flux's, on one port (``deepgram_dialects``), checks key and parameters as strictly as the vendor or
stricter, and understands the recordings that it was taught (``deepgram_hearing``); anything else is noise to it. It remembers what
it was sent, and can be told to misbehave.

    async with DeepgramServer(key="any") as server:   # or `with in_thread(DeepgramServer(...))`
        server.teach("It's a Bosch.", TELEPHONE, audio)
        ...  # server.url, server.visits, server.misbehave("drop", after=2, times=1), server.lose(recording, "drop", after=2)
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.legacy.server import WebSocketServer, WebSocketServerProtocol, serve

from throughline.domain.transcripts import AudioFormat
from throughline.simulate.deepgram_dialects import (
    QUERIES,
    Dialect,
    Flux,
    Message,
    Nova,
    audio_format,
    fault_in,
    fault_in_keyterms,
)
from throughline.simulate.deepgram_hearing import Recording, Recordings

FAULTS = {
    "silent": "never answers the request for a connection",
    "stall": "after so many messages sends nothing more, and keeps listening",
    "drop": "once so many words are heard, the connection is gone without a word",
    "error": "once so many words are heard, reports an error and closes",
    "close": "once so many words are heard, closes the connection in order",
}
"""What the server can be told to do wrong, besides an HTTP status and frames of its own."""

_REFUSALS = {
    400: ("Bad Request", "Bad Request"),
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits for an ASR request."),
    403: ("INSUFFICIENT_PERMISSIONS", "User does not have sufficient permissions."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
}
_MIDWAY = ("drop", "error", "close", "stall")
_LAST_WORDS_S = 0.05  # what was said before the connection drops is given time to arrive

Refusal = tuple[HTTPStatus, Headers, bytes]
Fault = str | int | tuple[str | bytes, ...] | None


@dataclass
class Loss:
    """A connection to be lost in the middle of a recording, once."""

    fault: str
    after: int
    then: Fault
    happened: bool = False


@dataclass
class Visit:
    """One connection, from its request on."""

    path: str
    query: dict[str, str]
    keyterms: list[str] = field(default_factory=list)
    """What the client has it listen for; of Flux the latest."""
    fault: Fault = None
    after: int = 0
    controls: list[str] = field(default_factory=list)
    """Types of the control messages that came, in order."""
    audio_ms: float = 0.0
    audio: bytearray | None = None
    """All of it, where the server keeps it."""
    pieces: list[int] = field(default_factory=list)
    """Sizes of the pieces of audio that came, in bytes."""
    sent: int = 0
    """Messages sent."""
    state: str = "refused"
    """Then ``open``, then ``closed``."""


class DeepgramServer:
    """A local Deepgram, on the loop at hand; ``in_thread`` runs it in a thread of its own."""

    def __init__(
        self,
        *,
        key: str,
        end_of_turn_ms: float = 260,
        end_of_turn_spread_ms: float = 0,
        mistaken: float = 1.0,
        latency_ms: float = 0,
        idle_timeout_s: float = 10,
        seed: int = 0,
        keeps_audio: bool = False,
    ) -> None:
        """``key``: the only one taken. A speaker is taken to be done after ``end_of_turn_ms`` of silence and up to
        ``end_of_turn_spread_ms`` more, by ``seed`` (with Nova not before the ``endpointing`` that the client asks for). ``mistaken``:
        the share of pauses within a recording that Flux takes for its end, after such a silence; 1 judges by silence alone. Every
        message is sent ``latency_ms`` after its cause. Without audio a connection is closed after ``idle_timeout_s``.
        ``keeps_audio``: for whoever wants to compare what came with what was said."""
        self.visits: list[Visit] = []
        """Every connection asked for, refused ones too."""
        self.url = ""
        self._key = key
        self._end_of_turn_ms = end_of_turn_ms
        self._spread_ms = end_of_turn_spread_ms
        self._mistaken = mistaken
        self._latency_s = latency_ms / 1000
        self._idle_timeout_s = idle_timeout_s
        self._random = random.Random(seed)  # noqa: S311 -- a delay, not a secret
        self._keeps_audio = keeps_audio
        self._recordings = Recordings()
        self._faults: deque[tuple[Fault, int, int | None]] = deque()
        self._losses: dict[int, Loss] = {}  # by the recording's identity
        self._server: WebSocketServer | None = None
        self._stopping: asyncio.Event
        self._thread: threading.Thread

    # What it can be told

    def teach(self, text: str, audio: AudioFormat, recording: bytes) -> Recording:
        """Learn that ``recording`` says ``text``, in which ``[600]`` is a silence of 600 ms: whoever sends its frames of 20 ms, byte for
        byte, has said that. (espeak never says a thing twice in quite the same way: keep what it made.)"""
        return self._recordings.teach(text, audio, recording)

    def lose(self, recording: Recording, fault: str, *, after: int, then: str | int | None = None) -> Loss:
        """Lose the connection that next hears ``after`` words of ``recording``: by ``drop``, ``error``, ``close`` or ``stall``. ``then``:
        what is done wrong to the next connection that is asked for. ``happened`` of what is returned tells whether it came to that."""
        if fault not in _MIDWAY:
            raise ValueError(f"no fault in the middle of something: {fault}")
        loss = self._losses[id(recording)] = Loss(fault, after, then)
        return loss

    def misbehave(self, fault: str | int | Sequence[str | bytes], *, after: int = 0, times: int | None = None) -> None:
        """Do wrong to the next ``times`` connections (None: to all from now on). Said twice, one comes after the other.

        ``fault``: a word of ``FAULTS``, with ``after`` how many messages or words; or an HTTP status; or frames to send as they are,
        before anything else.
        """
        if isinstance(fault, str) and fault not in FAULTS:
            raise ValueError(f"no such fault: {fault}")
        self._faults.append((fault if isinstance(fault, (str, int)) else tuple(fault), after, times))

    def behave(self) -> None:
        """Forget every fault."""
        self._faults.clear()
        self._losses.clear()

    @property
    def audio_s(self) -> float:
        """How much audio has come, over all connections: what the vendor would charge for."""
        return sum(visit.audio_ms for visit in self.visits) / 1000

    @property
    def connections(self) -> int:
        """Connections that were opened, now closed or not."""
        return sum(visit.state != "refused" for visit in self.visits)

    # Coming and going

    async def __aenter__(self) -> DeepgramServer:
        self._stopping = asyncio.Event()
        protocol = functools.partial(_Protocol, self)
        self._server = await serve(self._serve, "127.0.0.1", 0, create_protocol=protocol, compression=None, close_timeout=1)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered
        self._stopping.set()
        self._server.close()
        await self._server.wait_closed()

    # Connections

    async def let_in(self, visit: Visit, headers: Headers) -> Refusal | None:
        """Let a client in, or say why not."""
        self.visits.append(visit)
        visit.audio = bytearray() if self._keeps_audio else None
        visit.fault, visit.after = self._next_fault()
        if visit.fault == "silent":
            await self._stopping.wait()
        if headers.get("Authorization") != f"Token {self._key}":
            return _refusal(401)
        if isinstance(visit.fault, int):
            return _refusal(visit.fault)
        if visit.path not in QUERIES:
            return _refusal(404)
        if wrong := fault_in(visit.path, visit.query) or fault_in_keyterms(visit.query.get("model", ""), visit.keyterms):
            return _refusal(400, f"Bad Request: {wrong}")
        return None

    def _next_fault(self) -> tuple[Fault, int]:
        if not self._faults:
            return None, 0
        fault, after, times = self._faults.popleft()
        if times is None or times > 1:
            self._faults.appendleft((fault, after, None if times is None else times - 1))
        return fault, after

    async def _serve(self, socket: WebSocketServerProtocol) -> None:
        assert isinstance(socket, _Protocol)  # noqa: S101 - see __aenter__
        visit = socket.visit
        dialect: Dialect
        if visit.path == "/v1/listen":
            dialect = Nova(self._recordings, visit.query, self._endpoint_ms)
        else:
            dialect = Flux(self._recordings, visit.query, self._endpoint_ms, self._is_mistaken)
        visit.state = "open"
        try:
            await _Connection(socket, visit, dialect, self._latency_s, self._idle_timeout_s, self._lose_if_due).run()
        finally:
            visit.state = "closed"

    def _lose_if_due(self, visit: Visit, dialect: Dialect) -> None:
        loss = self._losses.get(id(dialect.hearing.recording))
        if loss is None or len(dialect.hearing.words) < loss.after:
            return
        del self._losses[id(dialect.hearing.recording)]
        loss.happened = True
        visit.fault, visit.after = loss.fault, 0 if loss.fault == "stall" else loss.after
        if loss.then is not None:
            self._faults.appendleft((loss.then, 0, 1))

    def _is_mistaken(self) -> bool:
        return self._random.random() < self._mistaken

    def _endpoint_ms(self) -> float:
        return self._end_of_turn_ms + self._random.uniform(0, self._spread_ms)


def _refusal(status: int, message: str = "") -> Refusal:
    known = HTTPStatus(status)
    code, usual = _REFUSALS.get(status, (known.phrase, known.phrase))
    body = json.dumps({"err_code": code, "err_msg": message or usual, "request_id": "00000000-0000-4000-8000-000000000000"})
    headers = Headers({"Content-Type": "application/json", "dg-error": message or usual})
    return known, headers, body.encode()


class _Protocol(WebSocketServerProtocol):
    """websockets' own, which remembers its visit."""

    def __init__(self, owner: DeepgramServer, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._owner = owner
        self.visit: Visit

    async def process_request(self, path: str, request_headers: Headers) -> Refusal | None:
        """Called before a connection is opened."""
        parts = urlsplit(path)
        asked = parse_qsl(parts.query, keep_blank_values=True)
        query = {name: value for name, value in asked if name != "keyterm"}
        self.visit = Visit(parts.path, query, [value for name, value in asked if name == "keyterm"])
        return await self._owner.let_in(self.visit, request_headers)


class _Connection:
    """One client, let in."""

    def __init__(
        self,
        socket: WebSocketServerProtocol,
        visit: Visit,
        dialect: Dialect,
        latency_s: float,
        idle_timeout_s: float,
        lose_if_due: Callable[[Visit, Dialect], None],
    ) -> None:
        self._socket = socket
        self._visit = visit
        self._dialect = dialect
        self._latency_s = latency_s
        self._idle_timeout_s = idle_timeout_s
        self._lose_if_due = lose_if_due
        self._frame_ms = audio_format(visit.query).frame_bytes / 20
        self._outbox: asyncio.Queue[tuple[float, str | bytes | None]] = asyncio.Queue()

    async def run(self) -> None:
        """Serve the client until one of the two hangs up."""
        sending = asyncio.create_task(self._send_all())
        try:
            if isinstance(self._visit.fault, tuple):
                self._say_raw(self._visit.fault)
            self._say(self._dialect.opened())
            while not sending.done():
                try:
                    came = await asyncio.wait_for(self._socket.recv(), self._idle_timeout_s)
                except asyncio.TimeoutError:
                    await self._socket.close(1011, "NET-0001")
                    break
                if not self._take(came):
                    self._outbox.put_nowait((0.0, None))
                    await sending
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()

    def _take(self, came: str | bytes) -> bool:
        """Answer what came. False if it was the last."""
        if isinstance(came, bytes):
            self._visit.pieces.append(len(came))
            if self._visit.audio is not None:
                self._visit.audio += came
            self._visit.audio_ms += len(came) / self._frame_ms
            for message in self._dialect.heard(came):
                self._say([message])
                if self._enough_words():
                    return False
                self._lose_if_due(self._visit, self._dialect)
            self._lose_if_due(self._visit, self._dialect)
            return not self._enough_words()
        told: Message = json.loads(came)
        kind = str(told.get("type"))
        self._visit.controls.append(kind)
        if kind == "Configure" and isinstance(told.get("keyterms"), list):
            self._visit.keyterms = told["keyterms"]
        self._say(self._dialect.told(told))
        return kind != "CloseStream"

    def _enough_words(self) -> bool:
        fault = self._visit.fault
        return fault in ("drop", "error", "close") and len(self._dialect.hearing.words) >= self._visit.after

    def _say(self, messages: Iterable[Message]) -> None:
        self._say_raw(json.dumps(message) for message in messages)

    def _say_raw(self, frames: Iterable[str | bytes]) -> None:
        due = asyncio.get_running_loop().time() + self._latency_s
        for frame in frames:
            self._outbox.put_nowait((due, frame))

    async def _send_all(self) -> None:
        """Send what is due, in order, until the end."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionClosed):
            while True:
                due, frame = await self._outbox.get()
                if frame is None:
                    break
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                if self._visit.fault == "stall" and self._visit.sent >= self._visit.after:
                    continue
                await self._socket.send(frame)
                self._visit.sent += 1
            await self._end()

    async def _end(self) -> None:
        if self._visit.fault == "error":
            await self._socket.send(json.dumps(self._dialect.error()))
        await asyncio.sleep(_LAST_WORDS_S if self._visit.fault == "drop" else 0)
        if self._visit.fault == "drop" and self._enough_words():
            self._socket.transport.abort()
        else:
            await self._socket.close()
