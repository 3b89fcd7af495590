"""Twilio's REST API, as far as a phone line of ours uses it: the account, its numbers, placing a call, changing one that is on, text
messages, and recordings.

Listens on 127.0.0.1 with basic auth, notes what it was sent, and can be told to misbehave. Sources: twilio.com
/docs/voice/api/call-resource, /docs/phone-numbers/api/incomingphonenumber-resource, /docs/iam/api/account, /docs/voice/api/recording,
/docs/messaging/api/message-resource, /docs/api/errors, /docs/usage/twilios-response.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from aiohttp import web

from throughline.domain.tel_link import is_e164
from throughline.errors import ProtocolError

FAULTS = ("", "refuse_key", "stall", "error", "limit")
"""What ``fault`` may be: well; every key is wrong; no answer; 500; 429."""

LONGEST_TWIML_CHARS = 4000
LONGEST_TEXT_CHARS = 1600
_VERSION = "2010-04-01"
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LiveCall(Protocol):
    """A call that is on the line."""

    @property
    def resource(self) -> Mapping[str, str | None]:
        """The call as Twilio describes it; ``status`` is among it."""

    def update(self, twiml: str) -> None:
        """Drop what is being done and follow ``twiml``. From any thread. Raises ProtocolError for what is no TwiML."""

    def end(self) -> None:
        """Hang up. From any thread."""


class RingingCall(LiveCall, Protocol):
    """A call that was placed."""

    async def ring(self) -> None:
        """Ring until somebody picks up, or nobody does, and tell the server in that case."""


class Line(Protocol):
    """An account's calls, by their SIDs."""

    account_sid: str
    auth_token: str

    @property
    def calls(self) -> Mapping[str, LiveCall]:
        """Every call since the beginning."""

    def place(self, asked: Mapping[str, str]) -> RingingCall:
        """A call as ``asked`` for in Twilio's fields. From any thread."""


@dataclass(frozen=True)
class ApiRequest:
    """One request that came with the right key. ``path`` is below the account."""

    method: str
    path: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class SentText:
    """One text message that was taken."""

    sender: str
    to: str
    body: str


@dataclass
class TwilioApi:
    """``async with TwilioApi(line) as api``; then ``api.url`` stands for ``https://api.twilio.com``.

    ``numbers`` are the account's telephone numbers with what is configured for each (``voice_url``, ``voice_method``,
    ``voice_fallback_url``, ``status_callback`` ...); they can send text messages, but for those in ``voice_only``. ``texts`` are the text
    messages that were taken; a number in ``not_textable`` gets none, by the error code that stands there (21610, 21614 ...).
    ``recordings`` are those it keeps, each with the call it is of. ``fault`` is one of FAULTS and may be changed at any time. ``refused``
    counts requests with a wrong key. ``not_called`` are numbers that this account may not call.
    """

    line: Line
    numbers: dict[str, dict[str, str]] = field(default_factory=dict)
    voice_only: set[str] = field(default_factory=set)
    texts: list[SentText] = field(default_factory=list)
    not_textable: dict[str, int] = field(default_factory=dict)
    recordings: dict[str, str] = field(default_factory=dict)
    not_called: set[str] = field(default_factory=set)
    fault: str = ""
    requests: list[ApiRequest] = field(default_factory=list)
    refused: int = 0
    url: str = ""
    _ringing: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> TwilioApi:
        application = web.Application(middlewares=[self._guarded])
        account = f"/{_VERSION}/Accounts/{self.line.account_sid}"
        application.router.add_get(f"{account}.json", self._account)
        application.router.add_get(f"{account}/IncomingPhoneNumbers.json", self._numbers)
        application.router.add_post(f"{account}/Calls.json", self._place_call)
        application.router.add_get(f"{account}/Calls/{{sid}}.json", self._call)
        application.router.add_post(f"{account}/Calls/{{sid}}.json", self._change_call)
        application.router.add_post(f"{account}/Messages.json", self._send_text)
        application.router.add_get(f"{account}/Recordings.json", self._recordings)
        application.router.add_delete(f"{account}/Recordings/{{sid}}.json", self._delete_recording)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for ringing in self._ringing:
            ringing.cancel()
        await asyncio.gather(*self._ringing, return_exceptions=True)
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Whatever comes before an answer: faults, the key, unknown addresses."""
        if self.fault == "stall":
            await asyncio.Event().wait()
        if self.fault == "error":
            return _error(500, 20500, "Internal Server Error")
        if self.fault == "limit":
            return _error(429, 20429, "Too Many Requests")
        key = base64.b64encode(f"{self.line.account_sid}:{self.line.auth_token}".encode()).decode()
        given = request.headers.get("Authorization", "")
        if self.fault == "refuse_key" or not hmac.compare_digest(given.encode(), f"Basic {key}".encode()):
            self.refused += 1
            return _error(401, 20003, "Authenticate")
        sent = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        below = request.path.removeprefix(f"/{_VERSION}/Accounts/{self.line.account_sid}")
        self.requests.append(ApiRequest(request.method, below, sent))
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return _missing(request)

    async def _account(self, _request: web.Request) -> web.Response:
        name = "Simulated account"
        return web.json_response({"sid": self.line.account_sid, "status": "active", "type": "Full", "friendly_name": name})

    async def _numbers(self, request: web.Request) -> web.Response:
        wanted = request.query.get("PhoneNumber", "")
        found = [
            {
                "sid": f"PN{index:032x}",
                "account_sid": self.line.account_sid,
                "phone_number": number,
                "capabilities": {"voice": True, "sms": number not in self.voice_only, "mms": False, "fax": False},
                **configured,
            }
            for index, (number, configured) in enumerate(self.numbers.items())
            if wanted in number
        ]
        return web.json_response({"incoming_phone_numbers": found, "page": 0, "page_size": 50, "next_page_uri": None})

    async def _send_text(self, request: web.Request) -> web.Response:
        sent = {name: str(value) for name, value in (await request.post()).items()}
        sender, to, body = (sent.get(name, "") for name in ("From", "To", "Body"))
        if not _NUMBER.fullmatch(to):
            return _error(400, 21211, f"Invalid 'To' Phone Number: {to}")
        if sender not in self.numbers:
            return _error(400, 21660, f"Mismatch between the 'From' number {sender} and the account")
        if sender in self.voice_only:
            return _error(400, 21606, f"The 'From' phone number provided ({sender}) is not a valid message-capable number")
        if to in self.not_textable:
            return _error(400, self.not_textable[to], f"{to} gets no messages from {sender}")
        if not 0 < len(body) <= LONGEST_TEXT_CHARS:
            return _error(400, 21617 if body else 21602, "The message body is too long, or missing")
        self.texts.append(SentText(sender, to, body))
        message = {
            "sid": f"SM{len(self.texts):032x}",
            "account_sid": self.line.account_sid,
            "from": sender,
            "to": to,
            "body": body,
        }
        return web.json_response({**message, "status": "queued", "error_code": None, "direction": "outbound-api"}, status=201)

    async def _recordings(self, request: web.Request) -> web.Response:
        call_sid = request.query.get("CallSid")
        found = [
            {"sid": sid, "account_sid": self.line.account_sid, "call_sid": call, "status": "completed"}
            for sid, call in self.recordings.items()
            if call_sid in (None, call)
        ]
        return web.json_response({"recordings": found, "page": 0, "page_size": 50, "next_page_uri": None})

    async def _delete_recording(self, request: web.Request) -> web.Response:
        sid = request.match_info["sid"]
        if sid not in self.recordings:
            return _missing(request)
        del self.recordings[sid]
        return web.Response(status=204)

    async def _place_call(self, request: web.Request) -> web.Response:
        sent = {name: str(value) for name, value in (await request.post()).items()}
        if not is_e164(sent.get("To", "")):
            return _error(400, 21211, "The 'To' number is not a valid phone number")
        if self.numbers and sent.get("From") not in self.numbers:
            return _error(400, 21210, "The source phone number provided is not yet verified for your account")
        if sent["To"] in self.not_called:
            return _error(400, 21215, "Account not authorized to call this number")
        if not sent.get("Url", "").startswith(("http://", "https://")):
            return _error(400, 21205, "Url is not a valid URL")
        call = self.line.place(sent)
        told = {**call.resource, "status": "queued"}
        ringing = asyncio.create_task(call.ring())
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)
        return web.json_response(told, status=201)

    async def _call(self, request: web.Request) -> web.Response:
        call = self.line.calls.get(request.match_info["sid"])
        return _missing(request) if call is None else web.json_response(dict(call.resource))

    async def _change_call(self, request: web.Request) -> web.Response:
        call = self.line.calls.get(request.match_info["sid"])
        if call is None:
            return _missing(request)
        sent = await request.post()
        if call.resource["status"] not in ("ringing", "in-progress"):
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        twiml, status = sent.get("Twiml"), sent.get("Status")
        if isinstance(twiml, str):
            if len(twiml) > LONGEST_TWIML_CHARS:
                return _error(400, 20001, "Twiml is too long")
            try:
                call.update(twiml)
            except ProtocolError as error:
                return _error(400, 12100, f"Document parse failure: {error}")
        elif status == "completed":
            call.end()
        else:
            return _error(400, 20001, "Neither Twiml nor Status=completed")
        return web.json_response(dict(call.resource))


def _missing(request: web.Request) -> web.Response:
    return _error(404, 20404, f"The requested resource {request.path} was not found")


def _error(status: int, code: int, message: str) -> web.Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return web.json_response({"code": code, "message": message, "more_info": more, "status": status}, status=status)
