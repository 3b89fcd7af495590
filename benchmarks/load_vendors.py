"""The simulated vendors of a load trial, each in a process of its own: what they compute is not the server's, nor the callers'.

Times and shares are those of benchmarks/listening.py: what the vendors publish.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from benchmarks.listening import (
    END_OF_TURN_MS,
    END_OF_TURN_SPREAD_MS,
    FIRST_BYTE_MS,
    FIRST_BYTE_SPREAD_MS,
)
from throughline.domain.transcripts import TELEPHONE
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import ElevenLabsServer

KEY = "benchmark"
_READY_WITHIN_S = 60


@contextlib.contextmanager
def vendor(make: Callable[..., AbstractAsyncContextManager[Any]], *arguments: Any) -> Iterator[tuple[str, int]]:
    """Run the server that ``make(*arguments)`` gives in a process of its own. Its address and its process id."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(_READY_WITHIN_S):
            raise RuntimeError(f"{make.__name__} does not start")
        yield ours.recv(), child.pid or 0
    finally:
        ours.close()  # it ends by that
        child.join(10)


def deepgram(speech: Mapping[str, bytes], mistaken: float) -> DeepgramServer:
    """Deepgram's Flux, which understands every line of ``speech``."""
    server = DeepgramServer(
        key=KEY, end_of_turn_ms=END_OF_TURN_MS, end_of_turn_spread_ms=END_OF_TURN_SPREAD_MS, mistaken=mistaken
    )
    for line, audio in speech.items():
        server.teach(line, TELEPHONE, audio)
    return server


def elevenlabs() -> ElevenLabsServer:
    """ElevenLabs, with the embedded voice behind it."""
    return ElevenLabsServer(key=KEY, first_byte_ms=FIRST_BYTE_MS, first_byte_spread_ms=FIRST_BYTE_SPREAD_MS)


def _serve(pipe: Connection, make: Callable[..., AbstractAsyncContextManager[Any]], arguments: tuple[Any, ...]) -> None:
    async def run() -> None:
        async with make(*arguments) as server:
            pipe.send(server.url)
            with contextlib.suppress(EOFError):
                await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    uvloop.install()
    asyncio.run(run())
