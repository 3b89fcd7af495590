"""A caller on the phone line, as Twilio Media Streams carries one: 20 ms frames in real time both ways, marks when audio has played.

Protocol: twilio.com/docs/voice/media-streams/websocket-messages. Audio is mu-law at 8 kHz, or linear at 16 kHz as our own page sends it.
The caller is strict: what the server sends and Twilio would not take is passed over, as Twilio does, and noted in ``violations``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import websockets.client
from websockets.exceptions import ConnectionClosed

from throughline.domain.transcripts import FRAME_MS, TELEPHONE, AudioFormat
from throughline.errors import Unavailable
from throughline.simulate.media_messages import fault_of

_SILENCE = {"mulaw": b"\xff", "l16": b"\x00"}
_FED_MAX = 25
"""Frames of a live source that may wait: half a second, should its clock be faster than ours."""


class Caller:
    """One call. Audio said is sent frame by frame on a 20 ms clock, silence between; what comes is played on the same clock.

    ``heard`` is the audio really played; ``captions`` and ``states`` what a page is told beside it; ``violations`` what the server
    sent and Twilio does not take; ``ended`` is set when the line is closed.
    """

    def __init__(
        self,
        media_url: str,
        token: str = "",
        *,
        audio: AudioFormat = TELEPHONE,
        origin: str | None = None,
        page: bool = True,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        connect_to: tuple[str, int] | None = None,
        account_sid: str = "AC" + "0" * 32,
        call_sid: str = "",
        stream_sid: str = "",
    ) -> None:
        """``media_url`` is the ``ws://`` or ``wss://`` address of the media endpoint, ``connect_to`` host and port where it really is.

        ``page=False`` is a telephone: what only our page is told counts as a violation. ``parameters`` are custom parameters beside
        the token, ``headers`` go with the websocket's upgrade.
        """
        self._url, self._audio, self._origin, self._page = media_url, audio, origin, page
        self._parameters = {**({"token": token} if token else {}), **(parameters or {})}
        self._headers, self._connect_to = dict(headers or {}), connect_to
        self._account = account_sid
        self._stream = stream_sid or "MZ" + secrets.token_hex(16)
        self._call = call_sid or "CA" + self._stream[2:]
        self._to_say: deque[bytes] = deque()
        self._to_play: deque[bytes | str] = deque()
        self._sequence = 0
        self._chunk = 0
        self._said = asyncio.Event()
        self._answered = asyncio.Event()
        self.heard = bytearray()
        self.clears = 0
        self.violations: list[str] = []
        self.captions: list[dict[str, Any]] = []
        self.states: list[str] = []
        self.engine: dict[str, Any] = {}
        self.ended = asyncio.Event()
        self.listeners: list[Callable[[bytes], None]] = []
        """Each is called every 20 ms with the frame that is played, silence too."""
        self.last_audible_at = 0.0
        """``time.monotonic()`` of the last frame of the assistant's that was played."""
        self.came: list[tuple[float, bool]] = []
        """``time.monotonic()`` at which each piece of the assistant's audio came, and whether it is the first after a mark or a clear."""
        self._begins = True
        self.first_frame_at = 0.0
        """``time.monotonic()`` at which the first frame of the answer to what was said last came."""

    async def __aenter__(self) -> Caller:
        await self.dial()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def dial(self) -> None:
        """Connect and start the stream."""
        url, at = self._url, dict[str, Any]()
        if self._connect_to:  # behind what ends TLS
            url = url.replace("wss://", "ws://", 1)
            at = {"host": self._connect_to[0], "port": self._connect_to[1]}
        self._socket = await websockets.client.connect(
            url,
            origin=self._origin,  # type: ignore[arg-type]  # a string all the same
            extra_headers=self._headers,
            max_size=1 << 20,
            **at,
        )
        await self._socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        start = {
            "accountSid": self._account,
            "streamSid": self._stream,
            "callSid": self._call,
            "tracks": ["inbound"],
            "customParameters": self._parameters,
            "mediaFormat": {
                "encoding": "audio/x-mulaw" if self._audio.encoding == "mulaw" else "audio/l16",
                "sampleRate": self._audio.sample_rate_hz,
                "channels": 1,
            },
        }
        await self.send({"event": "start", "start": start})
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._clock())]

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message with the next sequence number."""
        self._sequence += 1
        await self._socket.send(json.dumps({"sequenceNumber": str(self._sequence), "streamSid": self._stream, **message}))

    async def say(self, speech: bytes) -> None:
        """Speak ``speech`` (audio in the call's format); returns when its last frame has been sent, or the line is closed."""
        if self.ended.is_set():
            return
        self._answered.clear()
        size = self._audio.frame_bytes
        for start in range(0, len(speech), size):
            self._to_say.append(speech[start : start + size].ljust(size, _SILENCE[self._audio.encoding]))
        self._said.clear()
        await self._said.wait()

    def feed(self, frame: bytes) -> None:
        """Speak one frame of a live source, such as a microphone, as soon as those before it are out."""
        if len(self._to_say) >= _FED_MAX:
            self._to_say.popleft()
        self._to_say.append(frame)

    async def key(self, digits: str) -> None:
        """Press keys."""
        self._answered.clear()
        for digit in digits:
            await self.send({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}})
            await asyncio.sleep(0.05)

    async def type(self, text: str) -> None:
        """Type what one would say (our page only)."""
        self._answered.clear()
        await self.send({"event": "text", "text": text})

    async def wait_quiet(self, quiet_s: float = 0.6, within_s: float = 60) -> None:
        """Return once the assistant has said something and has then been quiet for ``quiet_s``, or the line is closed."""
        deadline = time.monotonic() + within_s
        while not self.ended.is_set():
            now = time.monotonic()
            if self.last_audible_at and not self._to_play and now - self.last_audible_at >= quiet_s:
                return
            if now > deadline:
                raise Unavailable(f"the assistant was not quiet within {within_s:g} s")
            await asyncio.sleep(0.02)

    async def wait_answer(self, within_s: float = 20) -> None:
        """Return once the assistant has answered what was said last, and is quiet again. Raises Unavailable.

        What it was still saying when it was interrupted is no answer, even where the interruption came after the last word said:
        a recogniser that is still starting hears the first words late.
        """
        while True:
            await self.first_frame(within_s)
            await self.wait_quiet()
            if self._answered.is_set():
                return

    async def first_frame(self, within_s: float = 20) -> float:
        """``first_frame_at``, once that has come. Raises Unavailable."""
        try:
            await asyncio.wait_for(self._answered.wait(), within_s)
        except asyncio.TimeoutError as error:
            raise Unavailable(f"no answer within {within_s:g} s") from error
        return self.first_frame_at

    async def hang_up(self) -> None:
        """End the call, as Twilio does when the caller hangs up."""
        try:
            await self.send({"event": "stop", "stop": {"accountSid": self._account, "callSid": self._call}})
            await self._socket.close()
        except ConnectionClosed:
            pass
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """The network breaks: the connection is gone, and nobody has said good-bye."""
        self._socket.transport.abort()

    async def _clock(self) -> None:
        """Every 20 ms one frame out and one frame played."""
        began = time.monotonic()
        silence = _SILENCE[self._audio.encoding] * self._audio.frame_bytes
        try:
            while True:
                frame = self._to_say.popleft() if self._to_say else silence
                self._chunk += 1
                payload = base64.b64encode(frame).decode()
                timestamp = str((self._chunk - 1) * FRAME_MS)
                media = {"track": "inbound", "chunk": str(self._chunk), "timestamp": timestamp, "payload": payload}
                await self.send({"event": "media", "media": media})
                if not self._to_say:
                    self._said.set()
                await self._play_one()
                await asyncio.sleep(max(0.0, began + self._chunk * FRAME_MS / 1000 - time.monotonic()))
        except ConnectionClosed:
            self._closed()

    async def _play_one(self) -> None:
        while self._to_play and isinstance(self._to_play[0], str):
            await self._return_mark(str(self._to_play.popleft()))
        frame = _SILENCE[self._audio.encoding] * self._audio.frame_bytes
        if self._to_play:
            speech = self._to_play.popleft()
            assert isinstance(speech, bytes)  # noqa: S101 - marks were taken above
            self.heard += speech
            self.last_audible_at = time.monotonic()
            frame = speech + frame[len(speech) :]
        for listener in self.listeners:
            listener(frame)

    async def _return_mark(self, name: str) -> None:
        await self.send({"event": "mark", "mark": {"name": name}})

    async def _read(self) -> None:
        try:
            while True:
                await self._receive(await self._socket.recv())
        except ConnectionClosed:
            self._closed()

    def _closed(self) -> None:
        self.ended.set()
        self._said.set()
        self._answered.set()

    async def _receive(self, message: str | bytes) -> None:
        fault = fault_of(message, stream_sid=self._stream, page=self._page)
        if fault:
            self.violations.append(fault)
        else:
            await self._take(json.loads(message))

    async def _take(self, message: dict[str, Any]) -> None:
        event = message["event"]
        if event == "media":
            if not self._answered.is_set():
                self.first_frame_at = time.monotonic()
                self._answered.set()
            self.came.append((time.monotonic(), self._begins))
            self._begins = False
            speech, size = base64.b64decode(message["media"]["payload"]), self._audio.frame_bytes
            self._to_play.extend(speech[start : start + size] for start in range(0, len(speech), size))
        elif event == "mark":
            self._begins = True
            self._to_play.append(message["mark"]["name"])
        elif event == "clear":
            self.clears += 1
            self._begins = True
            self._answered.clear()  # what came before was no answer: it was interrupted
            marks = [item for item in self._to_play if isinstance(item, str)]
            self._to_play.clear()
            for name in marks:
                await self._return_mark(name)
        elif event == "caption":
            self.captions.append(message)
        elif event == "state":
            self.states.append(message["state"])
        elif event == "engine":
            self.engine = message
