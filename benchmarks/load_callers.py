"""Callers that cost next to nothing: for holding many calls at real time beside the server that is measured, on the same two cores.

A ``LightCaller`` stands in for throughline.simulate.call.Caller in a TwilioLine. It speaks Media Streams as Twilio does (20 ms frames on a
clock of its own, numbered, marks when audio has played), over a websocket that it writes itself: whole frames, a mask of zeros, no
compression. What it does not do is look at what the server sends with Twilio's eyes: tests/e2e does.

What it keeps is when each frame of the assistant's came. Times are ``time.monotonic()`` in seconds.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import struct
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import InvalidHandshake

from throughline.domain.transcripts import FRAME_MS, TELEPHONE
from throughline.speech.audio import level_dbfs

AUDIBLE_DBFS = -50.0
FRAME_S = FRAME_MS / 1000
_SILENCE = base64.b64encode(b"\xff" * TELEPHONE.frame_bytes)
_ANSWERED_WITHIN_S = 15.0
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_LEAD_FRAMES = 10
"""What the server sends ahead (200 ms) comes at once; the clock is that of the frames behind it."""
_LEAST_FRAMES = 15
_EARLY = 0.1


def frames_of(audio: bytes) -> list[bytes]:
    """``audio`` in frames as they are sent."""
    size = TELEPHONE.frame_bytes
    pieces = (audio[start : start + size].ljust(size, b"\xff") for start in range(0, len(audio), size))
    return [base64.b64encode(piece) for piece in pieces]


@dataclass
class Heard:
    """What all callers of a trial have noticed. Since ``since``: what came before is not counted."""

    since: float = 0.0
    lateness_ms: list[float] = field(default_factory=list)
    """Of the assistant's frames, each against the 20 ms clock of its stretch of speech (see ``lateness_of``)."""
    breaks_ms: list[float] = field(default_factory=list)
    """Silences in the middle of a sentence: everything sent so far had been played, and no mark had come."""
    own_lateness_ms: list[float] = field(default_factory=list)
    """Of the callers' own clocks: what of the above may be theirs."""
    spoken_s: float = 0.0
    """How long callers spoke."""
    listened_s: float = 0.0
    """How long the assistant spoke to them."""

    def counts(self) -> bool:
        """Whether what happens now counts."""
        return bool(self.since) and time.monotonic() >= self.since


def lateness_of(arrivals: list[float]) -> list[float]:
    """How late, in milliseconds, each frame of a stretch of speech was against a clock of 20 ms.

    ``arrivals`` are seconds, of frames sent without a pause; what the server sends ahead at the beginning is left out. The clock's zero is
    the earliest tenth of the frames, which left as soon as they might. A frame that has to wait for the next tick of the call's own clock,
    at most 20 ms, is not late: what is counted is what comes on top. [] for a stretch too short to have a clock.
    """
    paced = [arrival - place * FRAME_S for place, arrival in enumerate(arrivals)][_LEAD_FRAMES:]
    if len(paced) < _LEAST_FRAMES:
        return []
    zero = sorted(paced)[int(len(paced) * _EARLY)]
    return [max(0.0, at - zero - FRAME_S) * 1000 for at in paced]


class LightCaller(asyncio.Protocol):
    """One stream. Made as a Caller is by a TwilioLine, which dials it, waits until it has ``ended`` and hangs up."""

    def __init__(
        self,
        url: str,
        *,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        connect_to: tuple[str, int] | None,
        account_sid: str,
        call_sid: str,
        heard: Heard,
        page: bool = False,
    ) -> None:
        self._url = urlsplit(url)
        self._parameters, self._headers, self._connect_to = dict(parameters), dict(headers), connect_to
        self._account, self._call = account_sid, call_sid
        self._stream = "MZ" + secrets.token_hex(16)
        self._heard = heard
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None]
        self._came = bytearray()
        self._sequence = self._chunk = 0
        self._to_say: deque[bytes] = deque()
        self._said = asyncio.Event()
        self._marks: deque[tuple[float, str]] = deque()
        self._arrivals: list[float] = []
        self._played_out = 0.0
        self._in_sentence = False
        self._answered: asyncio.Future[float] | None = None
        self._began = 0.0
        self.violations: list[str] = []
        self.ended = asyncio.Event()
        self.has_spoken = False
        """The assistant has said something."""

    # What a caller does

    async def dial(self) -> None:
        """Connect and start the stream. Raises OSError, or InvalidHandshake where it is refused."""
        loop = asyncio.get_running_loop()
        self._loop, self._opened = loop, loop.create_future()
        host, port = self._connect_to or (str(self._url.hostname), self._url.port or 80)
        transport, _ = await loop.create_connection(lambda: self, host, port)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        lines = [f"{name}: {value}" for name, value in {"Host": self._url.netloc, **upgrade, **self._headers}.items()]
        transport.write("\r\n".join([f"GET {self._url.path} HTTP/1.1", *lines, "\r\n"]).encode())
        await self._opened
        self._tell({"event": "connected", "protocol": "Call", "version": "1.0.0"}, numbered=False)
        start = {"accountSid": self._account, "streamSid": self._stream, "callSid": self._call, "tracks": ["inbound"]}
        media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        self._tell({"event": "start", "start": {**start, "customParameters": self._parameters, "mediaFormat": media_format}})
        self._began = time.monotonic()
        loop.call_soon(self._tick)

    async def say(self, frames: Iterable[bytes]) -> float | None:
        """Speak; the milliseconds from the last frame to the first audible one of the answer, below 0 for a cut-in. None: the stream has
        ended. Raises TimeoutError where there is no answer."""
        if self.ended.is_set():
            return None
        self._to_say.extend(frames)
        self._said.clear()
        self._answered = self._loop.create_future()
        await self._said.wait()
        ended = time.monotonic()
        over = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait({self._answered, over}, timeout=_ANSWERED_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            if self._answered.done():
                return (self._answered.result() - ended) * 1000
            if self.ended.is_set():
                return None
            raise TimeoutError("not answered")
        finally:
            over.cancel()
            self._answered = None

    async def quiet(self, quiet_s: float, within_s: float = 60.0) -> None:
        """Return once the assistant has spoken and then been quiet for so long, or the stream has ended. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while not self.ended.is_set():
            now = time.monotonic()
            if self.has_spoken and now - self._played_out >= quiet_s:
                return
            if now > deadline:
                raise TimeoutError("never quiet")
            await asyncio.sleep(0.05)

    async def hang_up(self) -> None:
        """End the stream as Twilio does when the caller hangs up."""
        if self._transport is not None and not self._transport.is_closing():
            self._tell({"event": "stop", "stop": {"accountSid": self._account, "callSid": self._call}})
            self._write(_CLOSE, struct.pack("!H", 1000))
            self._transport.close()
        self._end()

    # The clock

    def _tick(self) -> None:
        """One frame out, and the marks of what has been played; then again 20 ms after the last."""
        if self.ended.is_set() or self._transport is None:
            return
        now, counts = time.monotonic(), self._heard.counts()
        speaks = bool(self._to_say)
        frame = self._to_say.popleft() if speaks else _SILENCE
        self._sequence += 1
        self._chunk += 1
        self._write(
            _TEXT,
            b'{"event":"media","sequenceNumber":"%d","streamSid":"%b","media":{"track":"inbound","chunk":"%d","timestamp":"%d",'
            b'"payload":"%b"}}' % (self._sequence, self._stream.encode(), self._chunk, (self._chunk - 1) * FRAME_MS, frame),
        )
        while self._marks and self._marks[0][0] <= now:
            self._tell({"event": "mark", "mark": {"name": self._marks.popleft()[1]}})
        if counts:
            self._heard.own_lateness_ms.append(max(0.0, now - self._began - (self._chunk - 1) * FRAME_S) * 1000)
            self._heard.spoken_s += FRAME_S * speaks
            self._heard.listened_s += FRAME_S * (now < self._played_out)
        if not self._to_say:
            self._said.set()
        self._loop.call_later(max(0.0, self._began + self._chunk * FRAME_S - time.monotonic()), self._tick)

    # What comes

    def connection_made(self, transport: Any) -> None:
        """Called by asyncio."""
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        """Called by asyncio."""
        self._end()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._came += data
        if not self._opened.done():
            head, end, rest = self._came.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._opened.set_exception(InvalidHandshake(head[:60].decode("ascii", "replace")))
                return
            self._came = rest
            self._opened.set_result(None)
        now, place, came = time.monotonic(), 0, self._came
        while len(came) - place >= 2:
            length, begin = came[place + 1] & 0x7F, place + 2
            if length == 126:
                if len(came) < place + 4:
                    break
                length, begin = int.from_bytes(came[place + 2 : place + 4], "big"), place + 4
            elif length == 127:
                self._end()  # nothing of a call is so long
                return
            if len(came) < begin + length:
                break
            self._take(came[place] & 0x0F, bytes(came[begin : begin + length]), now)
            place = begin + length
        del came[:place]

    def _take(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == _PING:
            self._write(_PONG, payload)
        elif opcode == _CLOSE:
            self._end()
        elif opcode == _TEXT:
            message = json.loads(payload)
            if message["event"] == "media":
                self._take_audio(message["media"]["payload"], now)
            elif message["event"] == "mark":
                self._in_sentence = False
                self._marks.append((max(now, self._played_out), message["mark"]["name"]))
            elif message["event"] == "clear":
                self._count_stretch()
                self._played_out, self._in_sentence = now, False
                self._marks = deque((now, name) for _, name in self._marks)
            else:
                self.violations.append(f"unsupported event {message['event']!r}")

    def _take_audio(self, payload: str, now: float) -> None:
        if now > self._played_out:
            if self._in_sentence and self._heard.counts():
                self._heard.breaks_ms.append((now - self._played_out) * 1000)
            self._count_stretch()
            self._played_out = now
        self._arrivals.append(now)
        self._in_sentence = self.has_spoken = True
        awaited = self._answered is not None and not self._answered.done()
        if awaited and self._answered and level_dbfs(base64.b64decode(payload), TELEPHONE) >= AUDIBLE_DBFS:
            self._answered.set_result(self._played_out)
        self._played_out += FRAME_S

    def _count_stretch(self) -> None:
        if self._arrivals and self._heard.since and self._arrivals[0] >= self._heard.since:
            self._heard.lateness_ms += lateness_of(self._arrivals)
        self._arrivals = []

    def _end(self) -> None:
        if not self.ended.is_set():
            self._count_stretch()
        if not self._opened.done():
            self._opened.set_exception(ConnectionResetError("closed before it was open"))
        self.ended.set()
        self._said.set()
        if self._transport is not None:
            self._transport.close()

    # What goes

    def _tell(self, message: dict[str, Any], *, numbered: bool = True) -> None:
        if numbered:
            self._sequence += 1
            message = {"sequenceNumber": str(self._sequence), "streamSid": self._stream, **message}
        self._write(_TEXT, json.dumps(message).encode())

    def _write(self, opcode: int, payload: bytes) -> None:
        """One frame: whole, and masked with zeros."""
        length = len(payload)
        head = (
            struct.pack("!BB", 0x80 | opcode, 0x80 | length)
            if length < 126
            else struct.pack("!BBH", 0x80 | opcode, 0xFE, length)
        )
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(head + b"\0\0\0\0" + payload)
