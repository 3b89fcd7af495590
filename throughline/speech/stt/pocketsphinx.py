"""Listening with pocketsphinx: no key, no network, nothing to fetch. A demo: good for the sentences of the training data, spoken
clearly, and no more (benchmarks/speech.py has the figures).

Each call gets a worker process of its own (``pocketsphinx_worker``): the decoder keeps Python's lock while it thinks, which in
the server would hold up the audio of every call. A process that dies takes one call's ear with it and nothing else.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

import throughline
from throughline import log
from throughline.domain.transcripts import AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import Unavailable
from throughline.speech.stt import pocketsphinx_models
from throughline.speech.stt.pocketsphinx_worker import Message, packed
from throughline.speech.stt.protocol import SttStream

CACHE = Path("var/cache/speech")
_MOST_CALLS = 8
_QUEUED_S = 10
_PATIENCE_S = 2.0  # for a worker to end by itself

_log = log.get_logger("speech")


class PocketsphinxStt:
    """The embedded listening engine. ``prepare`` gives the folder with its models and may take some seconds."""

    name = "pocketsphinx"
    demo = True

    def __init__(self, prepare: Callable[[], Path], *, most_calls: int = _MOST_CALLS) -> None:
        self._prepare = prepare
        self._most_calls = most_calls
        self._folder: Path | None = None
        self._calls: set[_Stream] = set()

    @classmethod
    def from_training_data(cls, training_data: Path, *, cache: Path = CACHE) -> PocketsphinxStt:
        """An engine that knows the sentences under ``training_data`` (data/nlu) and keeps its models in ``cache``."""
        return cls(functools.partial(pocketsphinx_models.prepare, training_data, cache))

    async def warm_up(self) -> None:
        """Make the models, if they aren't in the cache. Raises Unavailable or ConfigurationError."""
        if self._folder is None:
            self._folder = await asyncio.get_running_loop().run_in_executor(None, self._prepare)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def open(self, audio: AudioFormat) -> SttStream:
        """Start a worker for one call. Raises Unavailable when too many are at work or none can be started."""
        await self.warm_up()
        if len(self._calls) >= self._most_calls:
            raise Unavailable(f"pocketsphinx listens to {self._most_calls} calls at most")
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "throughline.speech.stt.pocketsphinx_worker", str(self._folder)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(Path(throughline.__file__).parent.parent)},
            )
        except OSError as error:
            raise Unavailable(f"the listening process does not start: {error}") from error
        stream = _Stream(process, audio, self._calls.discard)
        self._calls.add(stream)
        return stream


class _Stream:
    """One call's ear: messages are queued here and pumped into the worker as fast as it takes them."""

    def __init__(self, process: asyncio.subprocess.Process, audio: AudioFormat, on_close: Callable[[_Stream], None]) -> None:
        self._process = process
        self._on_close = on_close
        self._queue: deque[tuple[Message, bytes]] = deque([(Message.OPEN, json.dumps(asdict(audio)).encode())])
        self._queued_bytes = 0
        self._most_bytes = audio.frame_bytes * 50 * _QUEUED_S
        self._overflowed = False
        self._closing = False
        self._wake = asyncio.Event()
        self._pump = asyncio.create_task(self._pump_out())

    def send(self, audio: bytes) -> None:
        """See the protocol."""
        if self._closing:
            return
        self._queue.append((Message.AUDIO, audio))
        self._queued_bytes += len(audio)
        while self._queued_bytes > self._most_bytes:
            self._drop_oldest()
        self._wake.set()

    def expect(self, expectation: Expectation) -> None:
        """See the protocol."""
        self._queue.append((Message.EXPECT, expectation.kind.encode()))
        self._wake.set()

    def flush(self) -> None:
        """See the protocol."""
        self._queue.append((Message.FLUSH, b""))
        self._wake.set()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """See the protocol."""
        assert self._process.stdout is not None  # noqa: S101 - opened with a pipe
        while line := await self._process.stdout.readline():
            yield Transcript(**json.loads(line))
        if not self._closing:
            raise Unavailable(f"the listening process ended by itself (code {await self._process.wait()})")

    async def close(self) -> None:
        """See the protocol."""
        if self._closing:
            return
        self._closing = True
        self._pump.cancel()
        assert self._process.stdin is not None  # noqa: S101 - opened with a pipe
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()
        finally:
            self._on_close(self)

    def _drop_oldest(self) -> None:
        """Drop the oldest audio in the queue; what is asked of the worker stays in it."""
        for position, (message, content) in enumerate(self._queue):
            if message is Message.AUDIO:
                del self._queue[position]
                self._queued_bytes -= len(content)
                break
        if not self._overflowed:
            self._overflowed = True
            _log.warning("speech.audio_dropped", engine=PocketsphinxStt.name)

    async def _pump_out(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened with a pipe
        try:
            while True:
                while self._queue:
                    message, content = self._queue.popleft()
                    if message is Message.AUDIO:
                        self._queued_bytes -= len(content)
                    self._process.stdin.write(packed(message, content))
                    await self._process.stdin.drain()
                self._wake.clear()
                await self._wake.wait()
        except (BrokenPipeError, ConnectionResetError):
            _log.warning("speech.worker_gone", engine=PocketsphinxStt.name)  # transcripts() tells the call
