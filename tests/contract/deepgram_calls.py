"""What the tests of Deepgram share: engines that listen at a simulated one, and a voice for it to hear."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any, TypeVar

from throughline.domain.transcripts import TELEPHONE, AudioFormat, Transcript
from throughline.simulate.deepgram import DeepgramServer
from throughline.speech.stt.deepgram_flux import DeepgramFlux
from throughline.speech.stt.deepgram_nova import DeepgramNova
from throughline.speech.stt.protocol import SttStream

KEY = "dg-5ecret-0f-the-tests"
SENTENCE = "My washing machine leaks since yesterday."
WORD_MS = 240
_PATIENCE_S = 20
_T = TypeVar("_T")


def nova(server: DeepgramServer, **settings: Any) -> DeepgramNova:
    return DeepgramNova(
        settings.pop("key", KEY),
        **{
            "url": server.url,
            "model": "nova-3",
            "language": "en-US",
            "endpointing_ms": 300,
            "utterance_end_ms": 1000,
            "open_timeout_ms": 5000,
            "stall_timeout_ms": 30_000,
            **settings,
        },
    )


def flux(server: DeepgramServer, **settings: Any) -> DeepgramFlux:
    return DeepgramFlux(
        settings.pop("key", KEY),
        **{
            "url": server.url,
            "model": "flux-general-en",
            "eot_threshold": 0.7,
            "eot_timeout_ms": 5000,
            "open_timeout_ms": 5000,
            "stall_timeout_ms": 30_000,
            **settings,
        },
    )


def silence(ms: int, audio: AudioFormat = TELEPHONE) -> bytes:
    return (b"\xff" if audio.encoding == "mulaw" else b"\x00") * (audio.frame_bytes * ms // 20)


def voice(text: str, audio: AudioFormat = TELEPHONE) -> bytes:
    """Somebody saying ``text``: a noise of its own for each word, always the same."""
    length = audio.frame_bytes * WORD_MS // 20
    return b"".join(random.Random(f"{text}{n}").randbytes(length) for n in range(len(text.split())))  # noqa: S311 - no secret


def said(text: str, server: DeepgramServer, audio: AudioFormat = TELEPHONE) -> bytes:
    """``text`` between silences, as ``server`` was taught to understand it."""
    server.teach(text, audio, voice(text, audio))
    return silence(300, audio) + voice(text, audio) + silence(800, audio)


async def soon(result: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(result, _PATIENCE_S)


async def reports_until(stream: SttStream, last_words: str) -> list[Transcript]:
    """Everything reported up to the final words that end so."""

    async def collect() -> list[Transcript]:
        reports = []
        async for report in stream.transcripts():
            reports.append(report)
            if report.final and report.text.endswith(last_words):
                break
        return reports

    return await soon(collect())


async def reports_until_lost(stream: SttStream, reports: list[Transcript]) -> None:
    """Put everything reported into ``reports``; raises when the engine is lost."""

    async def collect() -> None:
        async for report in stream.transcripts():
            reports.append(report)

    await soon(collect())


def final_words(reports: list[Transcript]) -> str:
    return " ".join(report.text for report in reports if report.final and report.text)
