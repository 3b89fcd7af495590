"""Rime's text-to-speech on this machine, over HTTP and over the websocket ``/ws3``: for tests, for measurements, and for trying the
product without a key.

Speaks the part of the protocols that the product uses (docs.rime.ai/api-reference/mistv3/http and .../websockets-json), with the
embedded voice behind them, and is stricter than the vendor: the vendor lets unknown voices, formats and fields pass where it can.
Refusals are plain text with a status, as docs.rime.ai/docs/errors says; tests/contract/payloads/rime has examples.

    async with RimeServer(key="any") as server:   # or `with in_thread(RimeServer(...))`
        ...  # server.url, server.ws_url, server.asked, server.misbehave("stall")
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

from aiohttp import WSMsgType, web

from throughline.domain.transcripts import AudioFormat
from throughline.simulate.voice_server import FAULTS, Answer, Asked, VoiceServer, hang_up, send_frames

__all__ = ["FAULTS", "Answer", "Asked", "RimeServer"]

VOICE = "celeste"
MODELS = ("mistv3", "mistv2", "coda", "arcana")
LONGEST_TEXT = 500
SLOWEST, FASTEST = 0.4, 2.5
"""The vendor names no bounds."""
_ACCEPTED = {"audio/PCMU": "mulaw", "audio/L16": "l16"}
_WS_FORMATS = {"mulaw": "mulaw", "pcmu": "mulaw", "pcm": "l16", "l16": "l16"}
_LEAST_HZ, _MOST_HZ = 4000, 96_000

KEY_REFUSED = Answer(401, "Unauthorized")
NO_SUBSCRIPTION = Answer(401, "invalid subscription")
TOO_MANY = Answer(429, "Too many requests")
FAILED = Answer(500, "Internal Server Error")
NO_SPEAKER = Answer(400, "Speaker not found")


class RimeServer(VoiceServer):
    """A local Rime. ``asked`` has ``http`` or ``ws3`` before each format; ``refuse_upgrades`` has websockets refused with an ``Answer``
    to the upgrade, else they are opened and closed with 1011, as the vendor may do either."""

    def __init__(self, *, refuse_upgrades: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.refuse_upgrades = refuse_upgrades
        self.told: list[dict[str, Any]] = []
        """Every message that came over a websocket."""
        self.instead: list[str | bytes | tuple[int, str]] = []
        """Frames to send in the place of the next speech over a websocket; a code and a reason close it."""

    def routes(self, router: web.UrlDispatcher) -> None:
        """What of the vendor's is served."""
        router.add_post("/v1/rime-tts", self._post)
        router.add_get("/ws3", self._upgrade)

    # HTTP

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.note_connection(request)
        asked = Asked("", "", "", f"http {request.headers.get('Accept', '')}", time.monotonic())
        self.asked.append(asked)
        fault = self.next_fault()
        try:
            refusal = fault if isinstance(fault, Answer) else await self._asked_wrongly(request, asked)
            if refusal is not None:
                asked.outcome = "refused"
                return web.Response(text=str(refusal.body), status=refusal.status)
            return await self._speak(request, asked, fault if isinstance(fault, str) else "")
        except (asyncio.CancelledError, ConnectionError):
            asked.outcome = "misbehaved" if fault in ("drop", "break_midway") else "closed"
            raise

    async def _asked_wrongly(self, request: web.Request, asked: Asked) -> Answer | None:
        """Fill ``asked`` from the request; the answer to one that is not well formed."""
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return KEY_REFUSED
        try:
            body = await request.json()
        except json.JSONDecodeError:
            return Answer(400, "Invalid JSON")
        if request.headers.get("Accept") not in _ACCEPTED or not isinstance(body, dict):
            return Answer(400, "Unsupported audio format")
        return self._filled(asked, body, body.get("text"))

    def _filled(self, asked: Asked, settings: dict[str, Any], text: object) -> Answer | None:
        asked.voice_id, asked.model = str(settings.get("speaker")), str(settings.get("modelId"))
        try:
            rate_hz = int(settings.get("samplingRate", ""))
        except ValueError:
            rate_hz = 0
        if asked.voice_id != VOICE:
            return NO_SPEAKER
        if asked.model not in MODELS:
            return Answer(400, "Invalid modelId")
        if not _LEAST_HZ <= rate_hz <= _MOST_HZ or settings.get("lang") not in ("eng", "en"):
            return Answer(400, "Invalid request")
        try:
            alpha = float(settings.get("speedAlpha", 1.0))
        except ValueError:
            alpha = 0.0
        if not SLOWEST <= alpha <= FASTEST:
            return Answer(400, "Invalid speedAlpha")
        asked.speed = 1 / alpha if asked.model == "mistv2" else alpha
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT:
            return Answer(400, f"Text must have 1 to {LONGEST_TEXT} characters")
        asked.text = text
        asked.output_format += f" {rate_hz}"
        return None

    async def _speak(self, request: web.Request, asked: Asked, fault: str) -> web.StreamResponse:
        if fault == "json":
            return web.json_response({"audioContent": None})
        if fault == "redirect":
            return web.Response(status=307, headers={"Location": self.url + "/elsewhere"})
        if fault == "drop":
            await hang_up(request)
        if fault == "stall":
            await asyncio.Event().wait()
        accepted = request.headers["Accept"]
        audio = AudioFormat(_ACCEPTED[accepted], int(asked.output_format.split()[-1]))
        pieces = await self.pieces(asked.text, audio, fault, speed=asked.speed)
        await self.wait_for_first_byte(asked)
        response = web.StreamResponse(headers={"Content-Type": accepted})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for piece in self.paced(pieces):
            await response.write(piece)
            asked.sent_bytes += len(piece)
            await self.after_piece(request, asked, audio, fault)
        await response.write_eof()
        asked.outcome = "misbehaved" if fault else "whole"
        return response

    # The websocket

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        self.note_connection(request)
        fault = self._fault
        if fault == "redirect":
            return web.Response(status=307, headers={"Location": self.url + "/elsewhere"})
        refusal = fault if isinstance(fault, Answer) else self._refused(request)
        if refusal is not None:
            self.next_fault()
            if self.refuse_upgrades:
                return web.Response(text=str(refusal.body), status=refusal.status)
        socket = web.WebSocketResponse(timeout=0.2)
        await socket.prepare(request)
        if refusal is not None:
            await socket.close(code=1011, message=f"{refusal.status} {refusal.body}".encode())
            return socket
        waiting, context = "", None
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            told = json.loads(message.data)
            self.told.append(told)
            if "text" in told:
                waiting, context = waiting + told["text"], told.get("contextId")
            elif told.get("operation") == "clear":
                waiting = ""
            elif told.get("operation") in ("flush", "eos"):
                await self._say(request, socket, waiting, context)
                waiting = ""
                if told["operation"] == "eos":
                    await socket.close()
            else:
                await socket.send_json({"type": "error", "message": "Malformed message"})
        return socket

    def _refused(self, request: web.Request) -> Answer | None:
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return KEY_REFUSED
        if request.query.get("audioFormat") not in _WS_FORMATS or request.query.get("segment") != "never":
            return Answer(400, "Invalid request")
        return None

    async def _say(self, request: web.Request, socket: web.WebSocketResponse, text: str, context: str | None) -> None:
        query = dict(request.query)
        asked = Asked(text, "", "", f"ws3 {query['audioFormat']}", time.monotonic())
        self.asked.append(asked)
        fault = self.next_fault()
        if self.instead:
            asked.outcome = "misbehaved"
            frames, self.instead = self.instead, []
            await send_frames(socket, frames)
            return
        if (refusal := self._filled(asked, query, text)) is not None:
            asked.outcome = "refused"
            await socket.send_json({"type": "error", "message": refusal.body})
            return
        try:
            await self._say_rightly(request, socket, asked, context, fault if isinstance(fault, str) else "")
        except (asyncio.CancelledError, ConnectionError):
            asked.outcome = "misbehaved" if fault in ("drop", "break_midway") else "closed"
            raise

    async def _say_rightly(
        self, request: web.Request, socket: web.WebSocketResponse, asked: Asked, context: str | None, fault: str
    ) -> None:
        if fault == "drop":
            await hang_up(request)
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "json":
            await socket.send_json({"type": "chunk", "data": "no audio!", "contextId": context})
            return
        audio = AudioFormat(_WS_FORMATS[request.query["audioFormat"]], int(request.query["samplingRate"]))
        pieces = await self.pieces(asked.text, audio, fault, speed=asked.speed)
        await self.wait_for_first_byte(asked)
        async for piece in self.paced(pieces):
            await socket.send_json({"type": "chunk", "data": base64.b64encode(piece).decode(), "contextId": context})
            asked.sent_bytes += len(piece)
            await self.after_piece(request, asked, audio, fault)
        words = {"words": asked.text.split()[:1], "start": [0.0], "end": [0.3]}
        await socket.send_json({"type": "timestamps", "word_timestamps": words, "contextId": context})
        await socket.send_json({"type": "done", "contextId": context})
        asked.outcome = "misbehaved" if fault else "whole"
