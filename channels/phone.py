"""The phone line: a websocket that speaks Twilio Media Streams, Twilio's webhooks, and the entry by which our own page asks for a call.

The call itself (listening, speaking, whose turn it is) is throughline/call, its way to the dialogue is phone_line.py, the webhooks are
twilio_webhooks.py; this file opens the doors, counts the calls and stops them. What always holds: a websocket is opened only for
Twilio, by its signature, or for one of our pages; no call without a single-use token of the same kind, no speech engine before
it is redeemed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, Sanic
from sanic.exceptions import WebsocketClosed
from sanic.request import Request
from sanic.response import HTTPResponse, json
from websockets.connection import OPEN
from websockets.exceptions import ConnectionClosed

from channels.chat_door import NOTICES, bearer_token
from channels.limits import RateLimit
from channels.line_answers import MEDIA_PATH, LineAnswers
from channels.phone_line import PhoneLine
from channels.server import Mounted, Server
from channels.twilio_webhooks import SIGNATURE_HEADER, TwilioWebhooks, mount
from channels.voice_script import LOOK_EVERY_S, VoiceScript
from channels.wording import sentence
from throughline import bootstrap, log
from throughline.call.call_settings import CallSettings
from throughline.call.port import SocketClosed
from throughline.call.session import CallSession, MonotonicClock
from throughline.domain.company import Phone as CompanysPhone
from throughline.domain.key_terms import key_terms
from throughline.domain.transcripts import WIDEBAND
from throughline.domain.turns import PAGE_CALL, PHONE, TELEPHONE_CALL, WEB_CHAT
from throughline.errors import Rejected, ThroughlineError
from throughline.settings.server import PhoneSettings

_log = log.get_logger("channels")

_STOP_WITHIN_S = 10
_SOCKETS_FOR_EACH_CALL = 4  # that may be open, most of them not yet let in


class Phone(InputChannel):
    """Rasa's input channel for telephone calls."""

    @classmethod
    def name(cls) -> str:
        """As in the domain's ``channel:`` keys."""
        return PHONE

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """``/webhooks/phone/``: media, page-call, and Twilio's webhooks. Rasa's own message handler is not used: the runner
        owns a turn."""
        blueprint = Mounted("phone", self._mount)

        # Sanic puts attributes of its own on a handler, which a bound method does not take.
        @blueprint.websocket("/media")
        async def media(request: Request, websocket: Any) -> None:
            await self._media(request, websocket)

        @blueprint.post("/page-call")
        async def page_call(request: Request) -> HTTPResponse:
            return await self._page_call(request)

        mount(blueprint, lambda: self._webhooks)
        return blueprint

    def _mount(self, sanic: Sanic) -> None:
        self._server = Server.of(sanic)
        self._settings = self._server.app.settings
        self._record = self._server.app.record
        self._calls: set[asyncio.Task[Any]] = set()
        self._on_line: set[asyncio.Task[Any]] = set()  # those of them that were let in
        self._starts = RateLimit(self._settings.phone.calls_per_minute)
        self._upgrades = RateLimit(self._settings.phone.calls_per_minute)
        self._telephone = bootstrap.telephone(self._settings)
        self._answers = LineAnswers(self._server.app)
        self._webhooks = TwilioWebhooks(self._server, self._telephone, self._answers, self._is_busy)
        self._stt = bootstrap.listening(self._settings, terms=key_terms(self._server.app.business))
        self._voice = bootstrap.voice(self._settings)
        self._script = VoiceScript(self._server.app, self._voice, lambda: self._server.domain, lambda: bool(self._on_line))
        self._wording = self._script.wording
        self._call_settings = _call_settings(self._settings.phone, self._server.app.business.phone)
        self._server.before_ready(self._warm_up)
        self._server.once_ready("speech made ahead", self._script.make_ahead, LOOK_EVERY_S)
        sanic.register_middleware(self._only_let_in, "request")
        sanic.register_listener(self._stop, "before_server_stop")

    def _is_busy(self) -> bool:
        """Only calls that were let in count: nobody keeps the line busy by opening sockets. A server that is to stop takes no more."""
        return self._server.draining or len(self._on_line) >= self._settings.phone.max_calls

    def _let_in(self, call: asyncio.Task[Any]) -> None:
        """Count a call whose token was good. Raises Rejected("busy"): of many who come at once, all may have found the line free before."""
        if self._is_busy():
            raise Rejected("busy")
        self._on_line.add(call)

    async def _only_let_in(self, request: Request) -> HTTPResponse | None:
        """Before a websocket is opened: for whom? Twilio signs its upgrade; anybody else must be a page of ours."""
        if request.path != MEDIA_PATH:
            return None
        try:
            request.ctx.caller = self._kind_of(request)
        except Rejected as refusal:
            _log.warning("phone.upgrade_refused", reason=refusal.reason)
            return json({"error": refusal.reason}, status=429 if refusal.reason == "too_many_calls" else 403)
        return None

    def _kind_of(self, request: Request) -> str:
        signature = request.headers.get(SIGNATURE_HEADER)
        if signature is None:
            if not self._server.origin_allowed(request):
                raise Rejected("foreign_origin")
            if not self._upgrades.allow(self._server.network_address(request), time.monotonic()):
                raise Rejected("too_many_calls")
            return PAGE_CALL
        if self._telephone is None:
            raise Rejected("not_configured")
        self._telephone.signature.check_upgrade(self._answers.media_url, signature)
        return TELEPHONE_CALL

    async def _warm_up(self) -> None:
        await asyncio.gather(self._stt.warm_up(), self._voice.tts.warm_up())

    async def _stop(self, _sanic: Sanic, _loop: Any) -> None:
        """Take no more calls, let those under way go on for a while, then end what is left: "cancelled" in the record, upon which the
        telephone company connects a call again, to another server. The turn that such a call is in goes on and is saved
        (TurnRunner.stop waits for it)."""
        self._server.drain()
        if self._calls:
            await self._let_calls_end()
        await asyncio.gather(self._stt.close(), self._voice.tts.close())

    async def _let_calls_end(self) -> None:
        _log.info("phone.draining", calls=len(self._calls), drain_s=self._settings.phone.drain_s)
        deadline = time.monotonic() + self._settings.phone.drain_s
        # Those too whose token was just being looked at.
        while self._calls and (left_s := deadline - time.monotonic()) > 0:
            await asyncio.wait(set(self._calls), timeout=left_s)
        _log.info("phone.drained", left=len(self._calls))
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=_STOP_WITHIN_S)

    async def _page_call(self, request: Request) -> HTTPResponse:
        """A page of ours asks for a call: gives it a token, bound to its chat if it has one.

        Body ``{"session_id": chat token or null}``, and of a logged-in visitor the website's token as ``Authorization: Bearer``.
        200 ``{"token", "media_url", "format"}``; else ``{"error", "message"}``.
        """
        if not self._server.origin_allowed(request):
            return self._refusal("foreign_origin", 403, "utter_apology")
        if not self._starts.allow(self._server.network_address(request), time.monotonic()):
            return self._refusal("too_many_calls", 429, "utter_too_fast")
        if self._is_busy():
            return self._refusal("busy", 503, "utter_busy")
        body = request.json
        if not isinstance(body, dict):
            return self._refusal("bad_request", 400, "utter_apology")
        try:
            address = self._server.network_address(request)
            chat = await self._server.chat_door.session_for_call(body.get("session_id"), bearer_token(request), address)
            token = await self._record.call(
                self._record.issue_call_token,
                contact_id=chat.contact_id if chat else None,
                chat_session_id=chat.session_id if chat else None,
                origin=PAGE_CALL,
                ttl_s=self._settings.codes.call_token_ttl_s,
            )
        except Rejected as error:
            status = 401 if error.reason in ("bad_login", "expired_login") else 403
            return self._refusal(error.reason, status, NOTICES.get(error.reason, "utter_apology"))
        except ThroughlineError as error:
            _log.error("phone.page_call_failed", error=str(error))
            return self._refusal("unavailable", 503, "utter_apology")
        audio = {"encoding": f"audio/{WIDEBAND.encoding}", "sampleRate": WIDEBAND.sample_rate_hz}
        return json({"token": token, "media_url": MEDIA_PATH, "format": audio})

    def _refusal(self, reason: str, status: int, response: str) -> HTTPResponse:
        _log.info("phone.page_call_refused", reason=reason)
        return json({"error": reason, "message": sentence(self._server.domain, response, WEB_CHAT)}, status=status)

    async def _media(self, request: Request, websocket: Any) -> None:
        """One call, from its first message to hang-up."""
        if self._is_busy() or len(self._calls) >= _SOCKETS_FOR_EACH_CALL * self._settings.phone.max_calls:
            _log.warning("phone.busy", calls=len(self._on_line), sockets=len(self._calls))
            await websocket.close(code=1013, reason="busy")
            return

        socket = SanicSocket(websocket)
        line = PhoneLine(
            self._server,
            request.ctx.caller,
            self._telephone,
            self._answers,
            let_in=lambda: self._let_in(call),
            address=self._server.network_address(request),
        )
        session = CallSession(
            socket=socket,
            port=line,
            stt=self._stt,
            tts=self._voice.tts,
            settings=self._call_settings,
            clock=MonotonicClock(),
            listening=self._server.app.business.phone.listening,
            keys=self._server.app.business.phone.keys,
            wording=self._wording(),
        )
        # A task of its own: Sanic cancels this one as soon as the connection is gone, and the caller's last words would go with it.
        call = asyncio.ensure_future(session.run())
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(self._on_line.discard)
        try:
            await asyncio.shield(call)
        finally:
            socket.lose()


class SanicSocket:
    """Sanic's websocket as a call's socket (throughline.call.port.Socket)."""

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._lost = False
        self._receiving: asyncio.Task[Any] | None = None

    def lose(self) -> None:
        """The connection is gone: whoever waits for a message is told."""
        self._lost = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def recv(self) -> str:
        """The next message; bytes are taken as UTF-8. Raises SocketClosed."""
        if self._lost:
            raise SocketClosed
        self._receiving = asyncio.current_task()
        try:
            message = await self._websocket.recv()
        except (ConnectionClosed, WebsocketClosed) as error:
            raise SocketClosed from error
        except asyncio.CancelledError as error:
            if self._lost or self._websocket.connection.state is not OPEN:  # Sanic cancels who waits on a socket that closes
                raise SocketClosed from error
            raise
        finally:
            self._receiving = None
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


def _call_settings(phone: PhoneSettings, company: CompanysPhone) -> CallSettings:
    """The operator's settings of the phone line, and the company's, as a call's."""
    return CallSettings(
        end_of_turn_ms=phone.end_of_turn_ms,
        end_of_turn_told_ms=phone.end_of_turn_told_ms,
        end_of_turn_whole_ms=phone.end_of_turn_whole_ms,
        end_of_turn_short_ms=phone.end_of_turn_short_ms,
        end_of_turn_long_ms=phone.end_of_turn_long_ms,
        barge_in_words=phone.barge_in_words,
        barge_in_hold_ms=phone.barge_in_hold_ms,
        silence_ms=phone.silence_ms,
        keypad_pause_ms=phone.keypad_pause_ms,
        max_call_ms=phone.max_call_minutes * 60_000,
        turn_timeout_ms=phone.turn_timeout_ms,
        asks_rating=company.asks_rating,
        filler_after_ms=company.filler_after_ms,
        filler_again_ms=company.filler_again_ms,
    )
