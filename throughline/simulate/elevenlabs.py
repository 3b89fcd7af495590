"""ElevenLabs' text-to-speech over HTTP and over its websocket, on this machine: for tests, for measurements, and for trying the product
without a key.

Speaks the part of the protocols that the product uses (elevenlabs.io/docs/api-reference/text-to-speech: stream and
v-1-text-to-speech-voice-id-stream-input; .../voices/get), with the embedded voice behind them, and is as strict as the vendor about key,
voice, format and text. It waits as long for its first byte as it is told to, then goes on faster than real time; it remembers what it was
asked, and can be told to misbehave. The bodies of refusals are those the vendor documents or users have published;
tests/contract/payloads/elevenlabs says where.

    async with ElevenLabsServer(key="any") as server:   # or `with in_thread(ElevenLabsServer(...))`
        ...  # server.url, server.asked, server.misbehave("stall")
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

from aiohttp import web

from throughline.domain.transcripts import TELEPHONE, WIDEBAND
from throughline.simulate.voice_server import FAULTS, Answer, Asked, VoiceServer, hang_up, send_frames

__all__ = ["FAULTS", "Answer", "Asked", "ElevenLabsServer"]

VOICE_ID = "JBFqnCBsd6RMkjVDRZzb"
MODELS = ("eleven_flash_v2_5", "eleven_turbo_v2_5", "eleven_multilingual_v2", "eleven_v3")
FORMATS = {"ulaw_8000": TELEPHONE, "pcm_16000": WIDEBAND}
"""The vendor has more; these are the ones that telephones and our page need."""
LONGEST_TEXT = 40_000

SLOWEST, FASTEST = 0.7, 1.2


def _refusal(status: int, word: str, message: str) -> Answer:
    return Answer(status, {"detail": {"status": word, "message": message}})


def _speed(told: dict[str, Any]) -> float:
    """The speed that a request, or a websocket's first message, asks for."""
    return float((told.get("voice_settings") or {}).get("speed") or 1.0)


KEY_REFUSED = _refusal(401, "invalid_api_key", "Invalid API key")
QUOTA_EXCEEDED = _refusal(401, "quota_exceeded", "This request exceeds your quota. You have 5 credits remaining.")
TOO_MANY = _refusal(429, "too_many_concurrent_requests", "Too many concurrent requests.")
FAILED = _refusal(500, "something_went_wrong", "We are sorry, something went wrong.")


class ElevenLabsServer(VoiceServer):
    """A local ElevenLabs."""

    def __init__(self, **settings: Any) -> None:
        """``settings`` are those of every voice."""
        super().__init__(**settings)
        self.voices_asked = 0
        self.told: list[dict[str, Any]] = []
        """Every message that came over a websocket."""
        self.instead: list[str | bytes | tuple[int, str]] = []
        """Frames to send in the place of the next speech over a websocket; a code and a reason close it."""

    def routes(self, router: web.UrlDispatcher) -> None:
        """What of the vendor's is served."""
        router.add_post("/v1/text-to-speech/{voice_id}/stream", self._stream)
        router.add_get("/v1/text-to-speech/{voice_id}/stream-input", self._stream_input)
        router.add_get("/v1/voices/{voice_id}", self._get_voice)

    # Requests

    async def _get_voice(self, request: web.Request) -> web.StreamResponse:
        self.voices_asked += 1
        refused = await self._refused(request, self.next_fault())
        if refused is not None:
            return refused
        voice = {"voice_id": request.match_info["voice_id"], "name": "espeak-ng", "category": "premade", "labels": {}}
        return web.json_response({**voice, "description": None, "preview_url": None, "settings": None})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            "", request.match_info["voice_id"], "", request.query.get("output_format", "mp3_44100_128"), time.monotonic()
        )
        self.asked.append(asked)
        fault = self.next_fault()
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

    async def _refused(self, request: web.Request, fault: Answer | str | None) -> web.StreamResponse | None:
        """The answer that is no speech: what the server was told to answer, or what key and voice earn."""
        self.note_connection(request)
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
            await hang_up(request)
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
        asked.speed = _speed(body)
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

    async def _speak(self, request: web.Request, asked: Asked, fault: str) -> web.StreamResponse:
        audio = FORMATS[asked.output_format]
        pieces = await self.pieces(asked.text, audio, fault, speed=asked.speed)
        await self.wait_for_first_byte(asked)
        response = web.StreamResponse(headers={"Content-Type": "audio/basic" if audio == TELEPHONE else "audio/pcm"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for piece in self.paced(pieces):
            await response.write(piece)
            asked.sent_bytes += len(piece)
            await self.after_piece(request, asked, audio, fault)
        await response.write_eof()
        is_midway = fault.endswith("_midway")  # it was over before it came to that
        asked.outcome = "misbehaved" if fault and not is_midway else "whole"
        return response

    # The websocket

    async def _stream_input(self, request: web.Request) -> web.StreamResponse:
        self.note_connection(request)
        if self._fault == "redirect":
            return web.Response(status=307, headers={"Location": self.url + "/elsewhere"})
        socket = web.WebSocketResponse(timeout=0.2)
        await socket.prepare(request)
        refused = self._refused_over_websocket(request)
        if refused:
            await self._refuse(socket, refused)
            return socket
        text, speed, begun = "", 1.0, False
        async for message in socket:
            told = json.loads(message.data)
            self.told.append(told)
            if not begun and told.get("text") != " ":
                await self._refuse(socket, "invalid_initial_message")
                break
            speed = speed if begun else _speed(told)
            if not SLOWEST <= speed <= FASTEST:
                await self._refuse(socket, "invalid_voice_settings")
                break
            if begun and told.get("text") == "":
                await self._say(request, socket, text, speed)
                await socket.close()
                break
            text, begun = text + (told["text"] if begun else ""), True
        return socket

    def _refused_over_websocket(self, request: web.Request) -> str:
        """The code of what is wrong with a connection, empty if nothing is."""
        if request.headers.get("xi-api-key") != self._key:
            return "invalid_api_key"
        if request.match_info["voice_id"] != VOICE_ID:
            return "voice_id_does_not_exist"
        if request.query.get("model_id") not in MODELS or request.query.get("output_format") not in FORMATS:
            return "model_id_does_not_exist"
        return "ssml_is_on" if request.query.get("enable_ssml_parsing") != "false" else ""

    @staticmethod
    async def _refuse(socket: web.WebSocketResponse, code: str) -> None:
        await socket.send_json({"message": f"Refused: {code}.", "error": code, "code": 1008})
        await socket.close(code=1008, message=code.encode())

    async def _say(self, request: web.Request, socket: web.WebSocketResponse, text: str, speed: float) -> None:
        output_format = f"ws {request.query['output_format']}"
        asked = Asked(text.strip(), VOICE_ID, request.query["model_id"], output_format, time.monotonic(), speed)
        self.asked.append(asked)
        fault = self.next_fault()
        try:
            if self.instead:
                frames, self.instead = self.instead, []
                await send_frames(socket, frames)
                asked.outcome = "misbehaved"
            elif isinstance(fault, Answer):
                asked.outcome = "refused"
                detail = fault.body.get("detail") if isinstance(fault.body, dict) else None
                code = detail.get("status") if isinstance(detail, dict) else None
                await self._refuse(socket, code or "something_went_wrong")
            else:
                await self._say_rightly(request, socket, asked, fault or "")
        except (asyncio.CancelledError, ConnectionError):
            asked.outcome = "misbehaved" if fault in ("drop", "break_midway") else "closed"
            raise

    async def _say_rightly(self, request: web.Request, socket: web.WebSocketResponse, asked: Asked, fault: str) -> None:
        if fault == "drop":
            await hang_up(request)
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "json":
            await socket.send_json({"audio": "no audio!"})
            return
        audio = FORMATS[request.query["output_format"]]
        pieces = await self.pieces(asked.text, audio, fault, speed=asked.speed)
        await self.wait_for_first_byte(asked)
        async for piece in self.paced(pieces):
            encoded = base64.b64encode(piece).decode()
            await socket.send_json({"audio": encoded, "isFinal": None, "normalizedAlignment": None, "alignment": None})
            asked.sent_bytes += len(piece)
            await self.after_piece(request, asked, audio, fault)
        await socket.send_json({"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None})
        asked.outcome = "misbehaved" if fault else "whole"
