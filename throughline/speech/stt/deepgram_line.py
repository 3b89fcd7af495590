"""One call's line to Deepgram, whichever of its models listens: opening, sending, receiving, losing and closing it.

The models speak different dialects (``deepgram_nova``, ``deepgram_flux``); all else is the same and is here. deepgram-sdk makes the
connection and reads its messages; it is imported when it is first needed, off the event loop, since that takes a second.

    send -> AudioQueue -> _send_all -> Deepgram -> _receive_all -> Dialect -> transcripts
                                     _watch: keeps a quiet line alive, gives up one that has stalled

Always holds: ``send`` never waits; what is not understood is ignored and counted; whatever ends the line before ``close`` is asked
for comes out of ``transcripts`` as Unavailable, once everything heard before has been read. What the SDK raises is never passed
on or logged: its errors carry the headers of the request, and with them the key.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from throughline import log
from throughline.domain.transcripts import AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ProtocolError, Unavailable
from throughline.speech import vendor_sdks
from throughline.speech.stt.deepgram_audio import Allowance, AudioQueue, Control, Patience
from throughline.speech.within import within

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient

ENCODINGS = {"mulaw": "mulaw", "l16": "linear16"}

_REFUSALS = {401: "key_refused", 402: "no_credit", 403: "key_refused", 429: "limit_reached"}
_WORD = re.compile(r"[\w-]{1,40}", re.ASCII)
_MOST_TEXT = 4000  # characters: some four minutes of talk without a pause
_MOST_MESSAGE_BYTES = 1 << 17  # the longest real ones have some 20 KB; for the very first the SDK's megabyte holds
_MOST_REPORTS = 256
_MOST_PIECE_MS = 200
_WATCH_S = 0.1
_LOOKS_IN_TIME = 2
_GOODBYE_MS = 500
_CLOSE_MS = 1000

_log = log.get_logger("speech")


class Socket(Protocol):
    """What both of the SDK's sockets can do."""

    _websocket: Any

    async def recv(self) -> object: ...

    async def send_media(self, message: bytes) -> None: ...

    async def send_close_stream(self) -> None: ...


S = TypeVar("S", bound=Socket)
_S_in = TypeVar("_S_in", bound=Socket, contravariant=True)


class Dialect(Protocol[_S_in]):
    """What the models differ in. One for each stream: it may remember."""

    least_ms: int
    """The shortest piece of audio worth sending."""
    idle_ms: int
    """For how long audio may be missing before ``idle`` is sent."""
    idle: Control
    updates_ms: float | None
    """So much audio brings an update at the latest while a turn lasts; None where none is promised."""
    in_turn: bool
    """A turn is under way, by the last message taken."""

    def take(self, message: Any) -> Transcript | None:
        """What a message reports. Raises Unavailable where it says that all is over, ProtocolError where it makes no sense."""

    def expect(self, expectation: Expectation) -> bool:
        """Note what is expected. True if the model can be told, by ``Control.CONFIGURE``, and has not been told yet."""

    async def send(self, socket: _S_in, control: Control) -> None:
        """Send a control message."""


class Account:
    """A key, the address it is good for, and the SDK's client for both."""

    def __init__(self, key: str, url: str) -> None:
        """``url`` begins with ``wss://`` (or ``https://``, which means the same here)."""
        self._key = key.strip()
        self._url = re.sub(r"^http", "ws", url.rstrip("/"))
        self._client: AsyncDeepgramClient | None = None

    async def client(self) -> AsyncDeepgramClient:
        """The client, made and its modules imported at the first call. Raises Unavailable."""
        if self._client is None:
            self._client = await asyncio.get_running_loop().run_in_executor(None, self._made)
        return self._client

    def _made(self) -> AsyncDeepgramClient:
        vendor_sdks.prepare()
        try:
            from deepgram import AsyncDeepgramClient
            from deepgram.environment import DeepgramClientEnvironment
            from deepgram.listen.v1 import client as nova_client
            from deepgram.listen.v2 import client as flux_client
        except ImportError as error:
            raise Unavailable("deepgram-sdk is not installed: install the package deepgram-sdk.") from error
        rest = re.sub(r"^ws", "http", self._url)
        environment = DeepgramClientEnvironment(base=rest, production=self._url, agent=self._url, agent_rest=rest)
        client = AsyncDeepgramClient(api_key=self._key, environment=environment)
        for module in (nova_client, flux_client):
            connect: Any = getattr(module, _SDK_CONNECT)
            setattr(module, _SDK_CONNECT, _connecting(connect))
        client.listen.v1, client.listen.v2  # noqa: B018 -- the SDK imports them when they are first looked at
        return client


_SDK_CONNECT = "websockets_client_connect"


def _connecting(connect: Any) -> Any:
    """``connect`` of websockets, with certificates that are read once. Left to itself it reads them for every connection, on the loop
    that carries the other calls' audio: 80 ms on a small machine. The SDK has no setting for it."""
    if isinstance(connect, functools.partial):
        return connect  # done before, for another engine
    certificates = ssl.create_default_context()

    def with_certificates(url: str, **options: Any) -> Any:
        return connect(url, **options, **({"ssl": certificates} if url.startswith("wss:") else {}))

    return functools.partial(with_certificates)


class Connection(Generic[S]):
    """An open connection."""

    def __init__(self, socket: S, opened: AbstractAsyncContextManager[S]) -> None:
        self.socket = socket
        self._opened = opened
        # The SDK passes on neither a bound for messages nor one for closing, nor a way to end a connection at once.
        self._websocket = socket._websocket
        self._websocket.max_size = _MOST_MESSAGE_BYTES
        self._websocket.close_timeout = _CLOSE_MS / 1000  # also that after which a broken line is told to be broken

    @classmethod
    async def open(cls, opening: AbstractAsyncContextManager[S], *, engine: str, timeout_ms: float) -> Connection[S]:
        """Open the SDK's connection. Raises Unavailable with a reason that is safe to log."""
        from deepgram.core.api_error import ApiError

        try:
            return cls(await within(opening.__aenter__(), timeout_ms), opening)
        except ApiError as error:
            status = error.status_code or 0
            reason = _REFUSALS.get(status, "out_of_order" if status >= 500 else "refused") + f" (HTTP {status})"
        except asyncio.TimeoutError:
            reason = "timed_out"
        except (OSError, WebSocketException, ValueError) as error:  # ValueError: an address that is none
            reason = f"unreachable ({type(error).__name__})"
        raise Unavailable(f"{engine}: {reason}")

    async def close(self, *, politely: bool) -> None:
        """End it, within a second and a half. ``politely``: say goodbye first, else there is nobody left to say it to."""
        try:
            if politely:
                await within(self.socket.send_close_stream(), _GOODBYE_MS)
            else:
                self._websocket.transport.abort()
            await within(self._opened.__aexit__(None, None, None), _CLOSE_MS)
        except (OSError, WebSocketException, asyncio.TimeoutError) as error:
            _log.info("speech.line_cut", reason=type(error).__name__)
        finally:
            self._websocket.transport.abort()


class Line(Generic[S]):
    """One call's ear at Deepgram (an SttStream)."""

    def __init__(
        self,
        connection: Connection[S],
        dialect: Dialect[S],
        audio: AudioFormat,
        *,
        engine: str,
        stall_timeout_ms: float,
        allowance: Allowance | None = None,
    ) -> None:
        self._connection = connection
        self._socket = connection.socket
        self._dialect = dialect
        self._engine = engine
        self._queue = AudioQueue(audio, least_ms=dialect.least_ms, most_ms=_MOST_PIECE_MS, silence_ms=dialect.idle_ms)
        self._allowance = allowance
        self._patience = Patience(audio, stall_timeout_ms, updates_ms=dialect.updates_ms, allowance=allowance)
        self._given_at_ms = _now_ms()
        self._wake = asyncio.Event()
        self._reports: asyncio.Queue[Transcript | Unavailable | None] = asyncio.Queue(_MOST_REPORTS)
        self._over = False
        self._closed = False
        self._dropped = False
        self._ignored = 0
        self._tasks = [asyncio.create_task(work()) for work in (self._send_all, self._receive_all, self._watch)]
        for task in self._tasks:
            task.add_done_callback(self._task_done)

    def send(self, audio: bytes) -> None:
        """See the protocol."""
        if self._over:
            return
        self._given_at_ms = _now_ms()
        self._patience.spoken(audio, self._given_at_ms)
        if not self._queue.give(audio) and not self._dropped:
            self._dropped = True
            _log.warning("speech.audio_dropped", engine=self._engine)
        self._wake.set()

    def expect(self, expectation: Expectation) -> None:
        """See the protocol. Models differ in what they can be told while they listen. It is told in the order of the audio."""
        if self._dialect.expect(expectation):
            self._queue.ask(Control.CONFIGURE)
            self._wake.set()

    def flush(self) -> None:
        """See the protocol."""
        self._queue.ask(Control.FLUSH)
        self._wake.set()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """See the protocol."""
        while True:
            report = await self._reports.get()
            if isinstance(report, Transcript):
                yield report
                continue
            self._reports.put_nowait(report)  # the end stays the end, however often it is read
            if report is None:
                return
            raise report

    async def close(self) -> None:
        """See the protocol."""
        if self._closed:
            return
        self._closed = True
        was_open, self._over = not self._over, True
        for task in self._tasks:
            task.cancel()
        while not self._reports.empty():
            self._reports.get_nowait()
        self._reports.put_nowait(None)
        if self._ignored:
            _log.warning("speech.messages_ignored", engine=self._engine, count=self._ignored)
        await self._connection.close(politely=was_open)

    def _lose(self, reason: str) -> None:
        """The line is gone: stop everything, and tell whoever reads the transcripts."""
        if self._over:
            return
        self._over = True
        for task in self._tasks:
            task.cancel()
        if self._reports.full():  # nobody has read them for minutes
            self._reports.get_nowait()
        self._reports.put_nowait(Unavailable(f"{self._engine}: {reason}"))

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, ConnectionClosed):
            self._lose(_why_closed(error))
        elif isinstance(error, Unavailable):
            self._lose(str(error))
        else:
            _log.error("speech.line_failed", engine=self._engine, exc_info=error)
            self._lose(f"failed ({type(error).__name__})")

    async def _send_all(self) -> None:
        # That the line is closed is told by _receive_all, once it has read what came before.
        with suppress(ConnectionClosed):
            while True:
                piece = self._queue.take()
                if piece is None:
                    self._wake.clear()
                    await self._wake.wait()
                elif isinstance(piece, Control):
                    await self._dialect.send(self._socket, piece)
                else:
                    await self._socket.send_media(piece)

    async def _receive_all(self) -> None:
        while True:
            try:
                report = self._dialect.take(await self._socket.recv())
            except (ProtocolError, ValueError, RecursionError):  # the latter two: not JSON, or JSON of a thousand levels
                self._ignored += 1
                report = None
            self._patience.answered(in_turn=self._dialect.in_turn)
            if report is not None:
                if report.until_ms is not None:
                    report = replace(report, until_ms=self._queue.given_ms(report.until_ms))
                await self._reports.put(report)

    async def _watch(self) -> None:
        looked_ms, was_over = _now_ms(), False
        while True:
            await asyncio.sleep(_WATCH_S)
            now_ms = _now_ms()
            # A loop that was held up has the answers still to read: only two looks in a row, both in time, are believed.
            is_over = self._patience.over(now_ms) and now_ms - looked_ms < _LOOKS_IN_TIME * _WATCH_S * 1000
            if is_over and was_over:
                if self._allowance and self._patience.update_missed(now_ms):
                    self._allowance.missed()
                self._lose("stalled")
            looked_ms, was_over = now_ms, is_over
            if now_ms - self._given_at_ms >= self._dialect.idle_ms:
                self._given_at_ms = now_ms
                self._queue.ask(self._dialect.idle)
                self._wake.set()


def words(value: object) -> str:
    """A text of Deepgram's, cut to what anybody says in one go. Raises ProtocolError if it is none."""
    if not isinstance(value, str):
        raise ProtocolError("no text")
    return " ".join(value[:_MOST_TEXT].split())


def number(value: object, most: float) -> float | None:
    """A number of Deepgram's between 0 and ``most``; None for anything else, such as NaN."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most:
        return float(value)
    return None


def milliseconds(*seconds: object) -> float | None:
    """The sum of some of Deepgram's seconds, None if one of them is none."""
    known = [number(value, 86_400) for value in seconds]
    return None if None in known else 1000 * sum(value for value in known if value is not None)


def word(value: object) -> str:
    """A code of Deepgram's that is safe to log."""
    found = _WORD.match(value) if isinstance(value, str) else None
    return found.group() if found else "unknown"


def _why_closed(error: ConnectionClosed) -> str:
    what = "closed_by_deepgram" if isinstance(error, ConnectionClosedOK) else "connection_lost"
    frame = error.rcvd or error.sent  # ours, where they broke the protocol of websockets
    code = frame.code if frame else 1006
    return f"{what} ({code} {word(frame.reason)})" if frame and frame.reason else f"{what} ({code})"


def _now_ms() -> float:
    return time.monotonic() * 1000
