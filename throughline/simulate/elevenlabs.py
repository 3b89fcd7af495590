"""ElevenLabs' text-to-speech over HTTP, on this machine: for tests, for measurements, and for trying the product without a key.

Speaks the part of the protocol that the product uses (elevenlabs.io/docs/api-reference/text-to-speech/stream and .../voices/get),
with the embedded voice behind it, and is as strict as the vendor about key, voice, format and text. It waits as long for its
first byte as it is told to, then goes on faster than real time; it remembers what it was asked, and can be told to misbehave.
The bodies of refusals are those the vendor documents or users have published; tests/contract/payloads/elevenlabs says where.

    async with ElevenLabsServer(key="any") as server:   # or `with in_thread(ElevenLabsServer(...))`
        ...  # server.url, server.asked, server.misbehave("stall")
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.protocol import TextToSpeech

VOICE_ID = "JBFqnCBsd6RMkjVDRZzb"
MODELS = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2", "eleven_v3")
FORMATS = {"ulaw_8000": TELEPHONE, "pcm_16000": WIDEBAND}
"""The vendor has more; these are the ones that telephones and our page need."""
LONGEST_TEXT = 40_000

SLOWEST, FASTEST = 0.7, 1.2

_PIECE_MS = 100


@dataclass(frozen=True)
class Answer:
    """A JSON answer in the place of speech."""

    status: int
    body: Any


def _refusal(status: int, word: str, message: str) -> Answer:
    return Answer(status, {"detail": {"status": word, "message": message}})


KEY_REFUSED = _refusal(401, "invalid_api_key", "Invalid API key")
QUOTA_EXCEEDED = _refusal(401, "quota_exceeded", "This request exceeds your quota. You have 5 credits remaining.")
TOO_MANY = _refusal(429, "too_many_concurrent_requests", "Too many concurrent requests.")
FAILED = _refusal(500, "something_went_wrong", "We are sorry, something went wrong.")

FAULTS = {
    "stall": "takes the request and never answers",
    "drop": "closes the connection without an answer",
    "redirect": "sends the client elsewhere",
    "json": "answers 200 with JSON in the place of audio",
    "empty": "answers 200 with no audio",
    "odd": "leaves out the last byte of the audio",
    "endless": "goes on after the text is over, with noise",
    "stall_midway": "stops in mid-sentence, the line stays open",
    "break_midway": "closes the connection in mid-sentence",
}
"""What the server can be told to do wrong, besides an ``Answer``."""


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


class ElevenLabsServer:
    """A local ElevenLabs, on the loop at hand; ``in_thread`` runs it in a thread of its own."""

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
        self.voices_asked = 0
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

    # Start and stop

    async def __aenter__(self) -> ElevenLabsServer:
        await self._start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _start(self) -> None:
        await self._voice.warm_up()
        application = web.Application()
        application.router.add_post("/v1/text-to-speech/{voice_id}/stream", self._stream)
        application.router.add_get("/v1/voices/{voice_id}", self._get_voice)
        # A client that hangs up ends its request at once, as it does at the vendor's; what is under way is not waited for.
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    # Requests

    async def _get_voice(self, request: web.Request) -> web.StreamResponse:
        self.voices_asked += 1
        refused = await self._refused(request, self._next_fault())
        if refused is not None:
            return refused
        voice = {"voice_id": request.match_info["voice_id"], "name": "espeak-ng", "category": "premade", "labels": {}}
        return web.json_response({**voice, "description": None, "preview_url": None, "settings": None})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            "", request.match_info["voice_id"], "", request.query.get("output_format", "mp3_44100_128"), time.monotonic()
        )
        self.asked.append(asked)
        fault = self._next_fault()
        asked.fault = fault if isinstance(fault, str) else ""
        try:
            refused = await self._refused(request, fault)
            if refused is None:  # not `or`: aiohttp's responses are mappings, and empty ones are false
                refused = await self._asked_wrongly(request, asked)
            if refused is None:
                return await self._speak(request, asked, fault if isinstance(fault, str) else "")
            asked.outcome = "misbehaved" if isinstance(fault, str) else "refused"
            return refused
        except (asyncio.CancelledError, ConnectionError):
            asked.outcome = "misbehaved" if fault in ("drop", "break_midway") else "closed"
            raise

    def _next_fault(self) -> Answer | str | None:
        fault = self._fault
        if fault is not None and self._fault_times is not None:
            self._fault_times -= 1
            if self._fault_times <= 0:
                self._fault = None
        return fault

    async def _refused(self, request: web.Request, fault: Answer | str | None) -> web.StreamResponse | None:
        """The answer that is no speech: what the server was told to answer, or what key and voice earn."""
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername")[1])
        answer = fault if isinstance(fault, Answer) else None
        if answer is None and request.headers.get("xi-api-key") != self._key:
            answer = KEY_REFUSED
        if answer is None and request.match_info["voice_id"] != VOICE_ID:
            answer = _refusal(404, "voice_not_found", "A voice with that voice_id was not found.")
        if answer is not None:
            return web.json_response(answer.body, status=answer.status)
        if fault == "json":
            return web.json_response({"audio": None})
        if fault == "redirect":
            return web.Response(status=307, headers={"Location": self.url + "/elsewhere"})
        if fault == "drop":
            await _hang_up(request)
        if fault == "stall":
            await asyncio.Event().wait()
        return None

    async def _asked_wrongly(self, request: web.Request, asked: Asked) -> web.StreamResponse | None:
        """Fill ``asked`` from the body; the answer to a request that is not well formed."""
        try:
            body = await request.json()
        except json.JSONDecodeError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("text"), str):
            problem = {"type": "missing", "loc": ["body", "text"], "msg": "Field required", "input": None}
            return web.json_response({"detail": [problem]}, status=422)
        asked.text, asked.model = body["text"], body.get("model_id") or "eleven_multilingual_v2"
        asked.speed = (body.get("voice_settings") or {}).get("speed") or 1.0
        answer: Answer | None = None
        if not SLOWEST <= asked.speed <= FASTEST:
            answer = _refusal(400, "invalid_voice_settings", "Invalid setting for speed received.")
        elif asked.output_format not in FORMATS:
            problem = {"type": "enum", "loc": ["query", "output_format"], "msg": "Input should be a known format", "input": ""}
            answer = Answer(422, {"detail": [problem]})
        elif asked.model not in MODELS:
            answer = _refusal(400, "model_not_found", "A model with that model ID does not exist.")
        elif not asked.text.strip():
            answer = _refusal(400, "input_text_empty", "Input text is empty.")
        elif len(asked.text) > LONGEST_TEXT:
            answer = _refusal(400, "max_character_limit_exceeded", "This request's text exceeds the character limit.")
        return web.json_response(answer.body, status=answer.status) if answer else None

    # Speech

    async def _speak(self, request: web.Request, asked: Asked, fault: str) -> web.StreamResponse:
        audio = FORMATS[asked.output_format]
        pieces = await self._pieces(asked, audio, fault)
        spread = self._random.uniform(-self._spread_ms, self._spread_ms)
        await _until(asked.received_s + (self._first_byte_ms + spread) / 1000)
        response = web.StreamResponse(headers={"Content-Type": "audio/basic" if audio == TELEPHONE else "audio/pcm"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        asked.first_byte_s = time.monotonic()
        midway_bytes = self.midway_ms * audio.frame_bytes / 20
        async for piece in self._paced(pieces):
            await response.write(piece)
            asked.sent_bytes += len(piece)
            if fault == "break_midway" and asked.sent_bytes >= midway_bytes:
                await _hang_up(request)
            if fault == "stall_midway" and asked.sent_bytes >= midway_bytes:
                await asyncio.Event().wait()
        await response.write_eof()
        is_midway = fault.endswith("_midway")  # it was over before it came to that
        asked.outcome = "misbehaved" if fault and not is_midway else "whole"
        return response

    async def _pieces(self, asked: Asked, audio: AudioFormat, fault: str) -> list[bytes]:
        speech = b"".join([piece async for piece in self._voice.speak(asked.text, audio, speed=asked.speed)])
        if fault == "empty":
            speech = b""
        elif fault == "odd":
            speech = speech[:-1]
        elif fault == "endless":
            speech += self._random.randbytes(300 * 50 * audio.frame_bytes)
        size = _PIECE_MS * audio.frame_bytes // 20
        return [speech[start : start + size] for start in range(0, len(speech), size)]

    async def _paced(self, pieces: list[bytes]) -> AsyncIterator[bytes]:
        began = time.monotonic()
        for index, piece in enumerate(pieces):
            if self._pace:
                await _until(began + index * _PIECE_MS / 1000 / self._pace)
            yield piece


async def _until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))


async def _hang_up(request: web.Request) -> None:
    """Close the connection as a vendor's fallen machine does: nothing more is sent, not even the end of the body."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()  # a request whose connection is gone is cancelled
