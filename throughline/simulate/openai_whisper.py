"""A server on this machine that transcribes by OpenAI's protocol: for tests, for measurements, and for trying the product without one.

Speaks ``POST /v1/audio/transcriptions`` and ``GET /v1/models`` (platform.openai.com/docs/api-reference/audio) and is strict about the form.
It listens to nothing: what it hears in the next utterance with any sound in it, it has to be told. It remembers what it was asked, and can
be told to misbehave.

    async with TranscriptionServer(key="any") as server:   # or `with in_thread(TranscriptionServer(...))`
        server.say("It's a Bosch.", "Since yesterday.")
        ...  # server.url, server.asked, server.misbehave("stall")
"""

from __future__ import annotations

import asyncio
import io
import wave
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web

from throughline.domain.transcripts import WIDEBAND
from throughline.speech.audio import level_dbfs

MODELS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
FAULTS = {
    "stall": "takes the request and never answers",
    "drop": "closes the connection without an answer",
    "redirect": "sends the client elsewhere",
    "words": "answers with a page in the place of JSON",
    "no text": "answers with JSON that has no text",
    "break": "closes the connection in the middle of its answer",
}
"""What the server can be told to do wrong, besides an ``Answer``."""

_SPEECH_DBFS = -45.0
_FIELDS = frozenset({"file", "model", "language", "prompt", "response_format", "temperature"})


@dataclass(frozen=True)
class Answer:
    """A refusal."""

    status: int
    body: Any


KEY_REFUSED = Answer(
    401,
    {
        "error": {
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    },
)


@dataclass
class Asked:
    """One request."""

    fields: dict[str, str]
    audio: bytes
    """16 kHz linear PCM, without its header."""
    outcome: str = ""


class TranscriptionServer:
    """A local server, on the loop at hand; ``in_thread`` runs it in a thread of its own."""

    def __init__(self, *, key: str = "", latency_ms: float = 0) -> None:
        """``key``: the only one taken; empty: none is asked for. Every answer comes after ``latency_ms``."""
        self.asked: list[Asked] = []
        self.connections: set[int] = set()
        self.has_models = True
        self.url = ""
        self._key = key
        self._latency_s = latency_ms / 1000
        self._sentences: deque[str] = deque()
        self._fault: Answer | str | None = None
        self._fault_times: int | None = None

    def say(self, *sentences: str) -> None:
        """What is heard in the next utterances that hold any sound; after them, ``words N``."""
        self._sentences.extend(sentences)

    def misbehave(self, fault: Answer | str, *, times: int | None = None) -> None:
        """Do wrong from the next request on, always or ``times`` times. ``fault``: an ``Answer``, or a word of ``FAULTS``."""
        if isinstance(fault, str) and fault not in FAULTS:
            raise ValueError(f"no such fault: {fault}")
        self._fault, self._fault_times = fault, times

    def behave(self) -> None:
        """Do everything right again."""
        self._fault = None

    async def __aenter__(self) -> TranscriptionServer:
        application = web.Application()
        application.router.add_post("/v1/audio/transcriptions", self._transcribe)
        application.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    # Requests

    def _refused(self, request: web.Request) -> Answer | None:
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername")[1])
        wrong = self._key and request.headers.get("Authorization") != f"Bearer {self._key}"
        return KEY_REFUSED if wrong else None

    async def _models(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "drop":
            await _hang_up(request)
        refused = fault if isinstance(fault, Answer) else self._refused(request)
        if refused is not None:
            return web.json_response(refused.body, status=refused.status)
        if not self.has_models:
            raise web.HTTPNotFound
        return web.json_response({"object": "list", "data": [{"id": model, "object": "model"} for model in MODELS]})

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        fault = self._next_fault()
        asked = Asked({}, b"")
        self.asked.append(asked)
        try:
            wrong = await self._asked_wrongly(request, asked)
            refused = fault if isinstance(fault, Answer) else self._refused(request) or wrong
            if refused is not None:
                asked.outcome = "refused"
                return web.json_response(refused.body, status=refused.status)
            await asyncio.sleep(self._latency_s)
            answer = await self._answer(request, asked, fault if isinstance(fault, str) else "")
        except (asyncio.CancelledError, ConnectionError):
            asked.outcome = "misbehaved" if fault else "closed"
            raise
        asked.outcome = "misbehaved" if fault else "whole"
        return answer

    async def _answer(self, request: web.Request, asked: Asked, fault: str) -> web.StreamResponse:
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "drop":
            await _hang_up(request)
        if fault == "redirect":
            return web.Response(status=307, headers={"Location": self.url + "/elsewhere"})
        if fault == "words":
            return web.Response(text="<html>It works!</html>", content_type="text/html")
        if fault == "no text":
            return web.json_response({"segments": []})
        if fault == "break":
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
            await response.prepare(request)
            await response.write(b'{"text": "It')
            await _hang_up(request)
        return web.json_response({"text": self._heard(asked)})

    def _heard(self, asked: Asked) -> str:
        if level_dbfs(asked.audio, WIDEBAND) < _SPEECH_DBFS:
            return ""
        return self._sentences.popleft() if self._sentences else f"words {len(self.asked)}"

    def _next_fault(self) -> Answer | str | None:
        fault = self._fault
        if fault is not None and self._fault_times is not None:
            self._fault_times -= 1
            if self._fault_times <= 0:
                self._fault = None
        return fault

    async def _asked_wrongly(self, request: web.Request, asked: Asked) -> Answer | None:
        """Fill ``asked`` from the form; the answer to one that is not well formed."""
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField) or set(form) - _FIELDS:
            return _bad("unknown or missing fields")
        asked.fields = {name: str(value) for name, value in form.items() if name != "file"}
        if asked.fields.get("model") not in MODELS:
            return _bad("The model does not exist.", "model_not_found")
        if asked.fields.get("response_format") != "json" or len(asked.fields.get("language", "")) != 2:
            return _bad("response_format or language")
        try:
            with wave.open(io.BytesIO(file.file.read())) as sound:
                shape = sound.getnchannels(), sound.getsampwidth(), sound.getframerate()
                asked.audio = sound.readframes(sound.getnframes())
        except (wave.Error, EOFError):
            return _bad("Invalid file format.")
        return None if shape == (1, 2, WIDEBAND.sample_rate_hz) else _bad("Invalid file format.")


def _bad(message: str, code: str | None = None) -> Answer:
    return Answer(400, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})


async def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()  # a request whose connection is gone is cancelled
