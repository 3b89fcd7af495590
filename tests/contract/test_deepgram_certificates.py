"""A connection to Deepgram reads no certificates: that would hold up the audio of every other call (deepgram_line.py)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import pytest

from throughline.domain.transcripts import TELEPHONE
from throughline.errors import Unavailable
from throughline.speech.stt.deepgram_flux import DeepgramFlux
from throughline.speech.stt.deepgram_nova import DeepgramNova
from throughline.speech.stt.protocol import SpeechToText

pytestmark = pytest.mark.contract

TIMES = {"open_timeout_ms": 2000, "stall_timeout_ms": 2000}


def nova(url: str) -> SpeechToText:
    return DeepgramNova("none", url=url, model="nova-3", language="en-US", endpointing_ms=300, utterance_end_ms=1000, **TIMES)


def flux(url: str) -> SpeechToText:
    return DeepgramFlux("none", url=url, model="flux-general-en", eot_threshold=0.7, eot_timeout_ms=5000, **TIMES)


@pytest.mark.parametrize("make", [nova, flux])
async def test_certificates_are_read_when_the_engine_warms_up(
    make: Callable[[str], SpeechToText], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.close()

    connections: list[asyncio.StreamWriter] = []
    read: list[object] = []
    create = ssl.create_default_context

    def reading(*arguments: object, **options: object) -> ssl.SSLContext:
        read.append(arguments)
        return create(*arguments, **options)  # type: ignore[arg-type]

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        engine = make(f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await engine.warm_up()
        monkeypatch.setattr(ssl, "create_default_context", reading)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await engine.open(TELEPHONE)
    assert len(connections) == 3
    assert read == []
