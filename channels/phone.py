"""The phone line: a websocket that speaks Twilio Media Streams, and the entry by which our own page asks for a call.

Stands between a call's socket and the runner. The call itself (listening, speaking, whose turn it is) is throughline/call;
this file lets calls
in, counts them, and carries a call's questions to the runner. What always holds: no call without a single-use token, no
speech engine
before it is redeemed, and a caller we can't place starts on a contact of its own.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, Sanic
from sanic.exceptions import WebsocketClosed
from sanic.request import Request
from sanic.response import HTTPResponse, json
from websockets.exceptions import ConnectionClosed

from channels.limits import RateLimit
from channels.server import Mounted, Server
from channels.web_messages import plain_words
from channels.wording import sentence
from throughline import bootstrap, log
from throughline.call.call_settings import CallSettings
from throughline.call.media_streams import Start
from throughline.call.port import Admission, SocketClosed
from throughline.call.session import CallSession, MonotonicClock
from throughline.domain.assurance import Assurance
from throughline.domain.transcripts import WIDEBAND
from throughline.domain.turns import PHONE, WEB_CHAT, Turn, TurnResult
from throughline.errors import Rejected, ThroughlineError
from throughline.record import Session

_log = log.get_logger("channels")

MEDIA_PATH = "/webhooks/phone/media"
_PAGE = "page"
_MAX_TOKEN_CHARS = 128
_STOP_WITHIN_S = 10


class Phone(InputChannel):
    """Rasa's input channel for telephone calls."""

    @classmethod
    def name(cls) -> str:
        """As in the domain's ``channel:`` keys."""
        return PHONE

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """``/webhooks/phone/media`` and ``/webhooks/phone/page-call``. Rasa's own message handler is not used: the runner
        owns a turn."""
        blueprint = Mounted("phone", self._mount)

        # Sanic puts attributes of its own on a handler, which a bound method does not take.
        @blueprint.websocket("/media")
        async def media(_request: Request, websocket: Any) -> None:
            await self._media(websocket)

        @blueprint.post("/page-call")
        async def page_call(request: Request) -> HTTPResponse:
            return await self._page_call(request)

        return blueprint

    def _mount(self, sanic: Sanic) -> None:
        self._server = Server.of(sanic)
        self._settings = self._server.app.settings
        self._record = self._server.app.record
        self._calls: set[asyncio.Task[Any]] = set()
        self._starts = RateLimit(self._settings.phone.calls_per_minute)
        self._stt = bootstrap.listening(self._settings)
        self._tts = bootstrap.speaking(self._settings)
        self._server.before_ready(self._warm_up)
        sanic.register_listener(self._stop, "before_server_stop")

    async def _warm_up(self) -> None:
        await asyncio.gather(self._stt.warm_up(), self._tts.warm_up())

    async def _stop(self, _sanic: Sanic, _loop: Any) -> None:
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=_STOP_WITHIN_S)

    async def _page_call(self, request: Request) -> HTTPResponse:
        """A page of ours asks for a call: gives it a token, bound to its chat if it has one.

        Body ``{"session_id": chat token or null}``. 200 ``{"token", "media_url", "format"}``; else ``{"error", "message"}``.
        """
        if not self._server.origin_allowed(request):
            return self._refusal("foreign_origin", 403, "utter_apology")
        if not self._starts.allow(self._server.network_address(request), time.monotonic()):
            return self._refusal("too_many_calls", 429, "utter_too_fast")
        if len(self._calls) >= self._settings.phone.max_calls:
            return self._refusal("busy", 503, "utter_busy")
        body = request.json
        if not isinstance(body, dict):
            return self._refusal("bad_request", 400, "utter_apology")
        try:
            chat = await self._chat_session(body.get("session_id"))
            token = await self._record.call(
                self._record.issue_call_token,
                contact_id=chat.contact_id if chat else None,
                chat_session_id=chat.session_id if chat else None,
                origin=_PAGE,
                ttl_s=self._settings.codes.call_token_ttl_s,
            )
        except Rejected as error:
            return self._refusal(error.reason, 403, "utter_apology")
        except ThroughlineError as error:
            _log.error("phone.page_call_failed", error=str(error))
            return self._refusal("unavailable", 503, "utter_apology")
        audio = {"encoding": f"audio/{WIDEBAND.encoding}", "sampleRate": WIDEBAND.sample_rate_hz}
        return json({"token": token, "media_url": MEDIA_PATH, "format": audio})

    async def _chat_session(self, token: Any) -> Session | None:
        if token is None:
            return None
        if not isinstance(token, str) or not 0 < len(token) <= _MAX_TOKEN_CHARS:
            raise Rejected("unknown_session")
        return await self._record.call(self._record.chat_session, token)

    def _refusal(self, reason: str, status: int, response: str) -> HTTPResponse:
        _log.info("phone.page_call_refused", reason=reason)
        return json({"error": reason, "message": sentence(self._server.domain, response, WEB_CHAT)}, status=status)

    async def _media(self, websocket: Any) -> None:
        """One call, from its first message to hang-up."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task
        if len(self._calls) >= self._settings.phone.max_calls:
            _log.warning("phone.busy", calls=len(self._calls))
            await websocket.close(code=1013, reason="busy")
            return
        self._calls.add(task)
        try:
            await CallSession(
                socket=SanicSocket(websocket),
                port=PhoneLine(self._server),
                stt=self._stt,
                tts=self._tts,
                settings=_call_settings(self._settings.phone),
                clock=MonotonicClock(),
            ).run()
        finally:
            self._calls.discard(task)


class PhoneLine:
    """What one call needs from outside (throughline.call.port.CallPort): who is calling, and the runner behind it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._record = server.app.record
        self._session: Session | None = None
        self._contact_id = ""

    async def admit(self, start: Start) -> Admission:
        """Redeem the call's token and open its session. Raises Rejected or Unavailable."""
        if not start.token or len(start.token) > _MAX_TOKEN_CHARS:
            raise Rejected("unknown_token")
        token = await self._record.call(self._record.redeem_call_token, str(start.token))
        contact_id = token.contact_id
        if contact_id is None:
            contact_id = await self._record.call(self._record.create_contact)
        # Only the page that holds the chat's secret gets a token with a contact in it.
        assurance = Assurance.POSSESSED if token.contact_id else Assurance.ANONYMOUS
        detail = {"origin": token.origin, "chat_session_id": token.chat_session_id, "call_sid": start.call_sid}
        session = await self._record.call(self._record.open_session, contact_id, PHONE, assurance=assurance, detail=detail)
        self._session, self._contact_id = session, contact_id
        _log.info("phone.admitted", session=session.session_id, origin=token.origin, known=token.contact_id is not None)
        return Admission(page=token.origin == _PAGE)

    async def begin(self) -> TurnResult:
        """Greet: resume what is known, or welcome a caller we can't place."""
        return self._noted(await self._server.runner.resume(self._contact_id, self._session_id, PHONE))

    async def turn(self, text: str, *, source: str, confidence: float | None) -> TurnResult:
        """One turn of the caller."""
        words = plain_words(text)
        if not words:
            return TurnResult(self._contact_id, ())
        turn = Turn(
            contact_id=self._contact_id,
            session_id=self._session_id,
            channel=PHONE,
            text=words,
            message_id=f"{self._session_id}:{uuid.uuid4().hex}",
            source=source,
            confidence=confidence,
        )
        return self._noted(await self._server.runner.take(turn))

    async def prompt(self, name: str) -> TurnResult:
        """Say one response of the domain."""
        return self._noted(await self._server.runner.prompt(self._contact_id, self._session_id, PHONE, name))

    async def heard(self, event_id: str, *, text_heard: str, complete: bool) -> None:
        """Record how much of an utterance the caller heard."""
        await self._record.call(
            self._record.record_heard, event_id, session_id=self._session_id, text_heard=text_heard, complete=complete
        )

    async def ended(self, reason: str) -> None:
        """The call is over."""
        if self._session is not None:
            await self._record.call(self._record.end_session, self._session_id, reason)
        _log.info("phone.ended", session=self._session and self._session.session_id, reason=reason)

    @property
    def _session_id(self) -> str:
        if self._session is None:
            raise Rejected("not_admitted")
        return self._session.session_id

    def _noted(self, result: TurnResult) -> TurnResult:
        self._contact_id = result.contact_id  # a code may have led the call to the contact of a chat
        return result


class SanicSocket:
    """Sanic's websocket as a call's socket (throughline.call.port.Socket)."""

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket

    async def recv(self) -> str:
        """The next message; bytes are taken as UTF-8. Raises SocketClosed."""
        try:
            message = await self._websocket.recv()
        except (ConnectionClosed, WebsocketClosed) as error:
            raise SocketClosed from error
        if message is None:
            raise SocketClosed
        return message if isinstance(message, str) else message.decode("utf-8", "replace")

    async def send(self, message: str) -> None:
        """Send one message. Raises SocketClosed."""
        try:
            await self._websocket.send(message)
        except (ConnectionClosed, WebsocketClosed) as error:
            raise SocketClosed from error

    async def close(self) -> None:
        """Close; may be called twice."""
        try:
            await self._websocket.close()
        except (ConnectionClosed, WebsocketClosed):
            return


def _call_settings(phone: Any) -> CallSettings:
    """The operator's settings of the phone line as a call's."""
    return CallSettings(
        end_of_turn_ms=phone.end_of_turn_ms,
        end_of_turn_short_ms=phone.end_of_turn_short_ms,
        barge_in_words=phone.barge_in_words,
        silence_ms=phone.silence_ms,
        keypad_pause_ms=phone.keypad_pause_ms,
        max_call_ms=phone.max_call_minutes * 60_000,
        turn_timeout_ms=phone.turn_timeout_ms,
    )
