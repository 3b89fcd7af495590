"""A telephone number at Twilio, simulated: it calls a running line exactly as Twilio would, and does what the line answers.

    async with TwilioLine("https://voice.example", account_sid=..., auth_token=...).call(from_=..., to=...) as call:
        caller = await call.stream()        # a throughline.simulate.call.Caller
        await caller.say(audio)
    assert call.verbs == ["Connect", "Redirect", "Hangup"]

A call posts the voice webhook, follows the TwiML verb by verb, opens the media stream, goes on when the server closes it, follows what
the REST API (``TwilioApi``) changes, and posts the status at its end. ``<Say>``, ``<Play>`` and ``<Pause>`` take no time.

A call that the server places by the REST API rings until a test picks it up, and then does the same from the address it was given:

    async with line.pick_up("+15035550100") as call:
        caller = await call.stream()

``parties`` may say that the number is busy or never answers; where nobody picks up it rings for as long as it was asked to.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

from websockets.exceptions import WebSocketException

from throughline.errors import ProtocolError, Unavailable
from throughline.simulate.call import Caller
from throughline.simulate.twilio_api import SentText, TwilioApi
from throughline.simulate.twilio_webhooks import NOT_XML, TOTAL_S, Webhook, WebhookFailed, WebhookSender, signature
from throughline.simulate.twiml import VERBS, Verb, parse

__all__ = ["Party", "PlacedCall", "SentText", "TwilioApi", "TwilioLine", "signature"]

_STREAM_CONNECTS_S = 5.0
_LOOKS_EVERY_S = 0.02
_MOST_DOCUMENTS = 50
_NO_STREAM, _STREAM_REFUSED, _UNKNOWN_VERB = "31901", "31920", "12200"

_Document = list[Verb]
_Doer = Callable[[Verb], Awaitable["_Document | None"]]


@dataclass(frozen=True)
class Addresses:
    """What a call asks of the server: first, when that fails, and at its end."""

    first: str
    fallback: str
    status: str


@dataclass(frozen=True)
class Party:
    """Who is at a number that is dialled: ``outcome`` is ``completed``, ``busy``, ``no-answer`` or ``failed``. A call that the server
    places is picked up by a test alone: ``completed`` rings like a number of which nothing is said.

    ``rings_s`` is measured against the timeout and takes no time; ``talks_s`` takes it.
    """

    outcome: str = "completed"
    rings_s: float = 2.0
    talks_s: float = 0.0


class TwilioLine:
    """An account, its number's webhooks, and every call placed. ``parties`` are the numbers that somebody answers."""

    def __init__(
        self,
        public_url: str,
        *,
        account_sid: str,
        auth_token: str,
        connect_to: str | None = None,
        webhook_s: float = TOTAL_S,
        path: str = "/webhooks/phone",
        caller: Callable[..., Any] = Caller,
    ) -> None:
        """``connect_to`` is the server's real ``http://host:port`` where ``public_url`` ends at a tunnel or a proxy in front of it.

        ``webhook_s`` is how long an answer to a webhook may take, tries together. ``caller`` makes what holds a stream: Caller, or what is
        made, dialled, waited for and hung up as it is.
        """
        self.caller = caller
        self.public_url = public_url.rstrip("/")
        self.account_sid, self.auth_token = account_sid, auth_token
        self.connect_to = connect_to or (self.public_url if self.public_url.startswith("http://") else None)
        self.webhook_s = webhook_s
        addresses = (f"{self.public_url}{path}/{name}" for name in ("voice", "fallback", "status"))
        self.addresses = Addresses(*addresses)
        self.parties: dict[str, Party] = {}
        self.leaves_message = True
        """Whether a caller who is asked for a message leaves one."""
        self.calls: dict[str, PlacedCall] = {}

    def call(self, *, from_: str, to: str, stir: str | None = None) -> PlacedCall:
        """A call to be entered with ``async with``. ``stir`` is the carrier's attestation, such as ``TN-Validation-Passed-A``."""
        call = PlacedCall(self, from_=from_, to=to, stir=stir)
        self.calls[call.sid] = call
        return call

    def place(self, asked: Mapping[str, str]) -> PlacedCall:
        """A call of the server's to a customer, as the REST API was asked for it. From any thread."""
        addresses = Addresses(asked["Url"], asked.get("FallbackUrl", ""), asked.get("StatusCallback", ""))
        call = PlacedCall(
            self, from_=asked["From"], to=asked["To"], addresses=addresses, rings_s=float(asked.get("Timeout", "60"))
        )
        self.calls[call.sid] = call
        return call

    @asynccontextmanager
    async def pick_up(self, number: str, within_s: float = 20) -> AsyncIterator[PlacedCall]:
        """Pick up the telephone of ``number`` once it rings. Raises Unavailable."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for call in list(self.calls.values()):
                if call.to == number and call.picked_up():
                    async with call:
                        yield call
                    return
            await asyncio.sleep(_LOOKS_EVERY_S)
        raise Unavailable(f"{number} did not ring within {within_s:g} s")

    def sender(self) -> WebhookSender:
        """What makes signed requests to the number's server."""
        return WebhookSender(self.public_url, self.auth_token, self.connect_to, self.webhook_s)


class PlacedCall:
    """One call. ``verbs`` is what was done in its order, ``said`` the texts of ``<Say>``, ``dialled`` the numbers of ``<Dial>``,
    ``recorded`` the messages left, ``errors`` what Twilio's debugger would show (``code address``), ``streams`` every stream opened.
    """

    def __init__(
        self,
        line: TwilioLine,
        *,
        from_: str,
        to: str,
        stir: str | None = None,
        addresses: Addresses | None = None,
        rings_s: float | None = None,
    ) -> None:
        """``addresses``: its own, of a call that the server places, which rings for ``rings_s``."""
        self._line = line
        self._addresses = addresses or line.addresses
        self._direction = "inbound" if rings_s is None else "outbound-api"
        self._rings_s = rings_s
        self._picking_up = threading.Lock()
        self.sid = "CA" + secrets.token_hex(16)
        self.from_, self.to = from_, to
        self.status = "ringing"
        self.verbs: list[str] = []
        self.said: list[str] = []
        self.dialled: list[str] = []
        self.recorded = 0
        self.errors: list[str] = []
        self.streams: list[Caller] = []
        self._sender = line.sender()
        self._stir = stir
        self._document_url = self._addresses.first
        self._documents = 0
        self._fetched = False
        self._answered_at: float | None = None
        self._first = asyncio.Event()
        self._changes: asyncio.Queue[_Document] = asyncio.Queue()
        self._doers: Mapping[str, _Doer] = {name: getattr(self, f"_{name.lower()}") for name in VERBS}

    @property
    def webhooks(self) -> list[Webhook]:
        """Every request made to the server, tries counted."""
        return self._sender.made

    @property
    def violations(self) -> list[str]:
        """What the server sent into the streams and Twilio does not take."""
        return [fault for caller in self.streams for fault in caller.violations]

    @property
    def resource(self) -> Mapping[str, str | None]:
        """The call as the REST API shows it."""
        uri = f"/2010-04-01/Accounts/{self._line.account_sid}/Calls/{self.sid}.json"
        sids = {"sid": self.sid, "account_sid": self._line.account_sid}
        return {**sids, "from": self.from_, "to": self.to, "direction": self._direction, "status": self.status, "uri": uri}

    async def ring(self) -> None:
        """Ring, of a call that the server places, until a test picks up or nobody does; then its end is told."""
        outcome = self._line.parties.get(self.to, Party()).outcome
        rings_s = self._rings_s or 0.0 if outcome == "completed" else 0.0
        deadline = time.monotonic() + rings_s
        while self.status == "ringing" and time.monotonic() < deadline:  # noqa: ASYNC110 - who picks up is in another thread
            await asyncio.sleep(_LOOKS_EVERY_S)
        self._leaves_ringing("no-answer" if outcome == "completed" else outcome)
        if self.status != "in-progress":
            await self._post_status()

    def picked_up(self) -> bool:
        """Pick up, where it is ringing and the server has placed it."""
        return self._rings_s is not None and self._leaves_ringing("in-progress")

    def _leaves_ringing(self, status: str) -> bool:
        """Whether it was ringing. The API rings in a thread of its own."""
        with self._picking_up:
            if self.status != "ringing":
                return False
            self.status = status
            return True

    async def __aenter__(self) -> PlacedCall:
        """Call, and wait until the server has answered the voice webhook, or the call is over."""
        self._loop = asyncio.get_running_loop()
        self._running = asyncio.create_task(self._run())
        first = asyncio.create_task(self._first.wait())
        await asyncio.wait({self._running, first}, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.hang_up()
        await self._running

    def hang_up(self) -> None:
        """The caller hangs up. ``over`` tells when everything has been done about it."""
        self._changes.put_nowait([])

    def update(self, twiml: str) -> None:
        """Do this instead of what is being done, as the REST API asks. From any thread. Raises ProtocolError."""
        self._loop.call_soon_threadsafe(self._changes.put_nowait, parse(twiml))

    def end(self) -> None:
        """Hang up, as the REST API asks. From any thread."""
        if self._rings_s is not None and self._leaves_ringing("canceled"):
            return
        self._loop.call_soon_threadsafe(self._changes.put_nowait, [])

    async def stream(self, number: int = 1, within_s: float = 20) -> Caller:
        """The call's first (second, ...) media stream, once it is open. Raises Unavailable."""
        deadline = time.monotonic() + within_s
        while len(self.streams) < number:
            if self._running.done() or time.monotonic() > deadline:
                raise Unavailable(f"no stream {number}; what happened: {self.verbs}, {self.errors}")
            await asyncio.sleep(0.01)
        return self.streams[number - 1]

    async def over(self, within_s: float = 30) -> None:
        """Return once the call is over and its status posted. Raises Unavailable."""
        done, _ = await asyncio.wait({self._running}, timeout=within_s)
        if not done:
            raise Unavailable(f"the call was not over within {within_s:g} s; what happened: {self.verbs}")
        await self._running

    # What happens in a call

    async def _run(self) -> None:
        if self._rings_s is not None:
            self._answered_at = time.monotonic()
        document = await self._unless_changed(self._fetch(self._addresses.first))
        if self._answered_at is not None:
            pass  # we have rung them
        elif not self._fetched and not self.errors:
            self.status = "no-answer"  # the caller has hung up while it rang
        elif not document or document[0].name != "Reject":
            self.status, self._answered_at = "in-progress", time.monotonic()
        self._first.set()
        while document:
            document = await self._unless_changed(self._perform(document))
        if self._answered_at is not None:
            self.status = "completed"
        await self._post_status()

    async def _unless_changed(self, work: Coroutine[Any, Any, _Document]) -> _Document:
        """What ``work`` leads to, or what the caller or the REST API wants in the meantime."""
        working, changed = asyncio.create_task(work), asyncio.create_task(self._changes.get())
        try:
            await asyncio.wait({working, changed}, return_when=asyncio.FIRST_COMPLETED)
            return changed.result() if changed.done() else working.result()
        finally:
            working.cancel()
            changed.cancel()
            await asyncio.gather(working, changed, return_exceptions=True)

    async def _fetch(self, url: str, **more: str) -> _Document:
        """The document at ``url``, else the fallback's. Empty: the call ends."""
        self._documents += 1
        if self._documents > _MOST_DOCUMENTS:
            self.errors.append(f"{NOT_XML} too many documents")
            return []
        failed = await self._try_fetch(url, more)
        if isinstance(failed, list):
            return failed
        self.errors.append(f"{failed} {url}")
        fallen_back = await self._try_fetch(self._addresses.fallback, {**more, "ErrorCode": failed, "ErrorUrl": url})
        if isinstance(fallen_back, list):
            return fallen_back
        self.errors.append(f"{fallen_back} {self._addresses.fallback}")
        self.verbs.append("ApplicationError")  # Twilio says that an application error has occurred, and hangs up
        return []

    async def _try_fetch(self, url: str, more: Mapping[str, str]) -> _Document | str:
        """The document, or Twilio's error code."""
        try:
            document = parse(await self._sender.twiml(url, self._fields(**more)))
        except WebhookFailed as error:
            return error.code
        except ProtocolError:
            return NOT_XML
        self._document_url, self._fetched = url, True
        return document

    def _fields(self, **more: str) -> dict[str, str]:
        ends = {"From": self.from_, "To": self.to, "Caller": self.from_, "Called": self.to}
        stir = {"StirVerstat": self._stir} if self._stir else {}
        sids = {"CallSid": self.sid, "AccountSid": self._line.account_sid}
        return {
            **sids,
            **ends,
            "Direction": self._direction,
            "CallStatus": self.status,
            "ApiVersion": "2010-04-01",
            **stir,
            **more,
        }

    async def _perform(self, document: _Document) -> _Document:
        """Do one verb after the other. The document that follows; empty at the end, where Twilio hangs up."""
        for verb in document:
            self.verbs.append(verb.name)
            if verb.name not in self._doers:
                self.errors.append(f"{_UNKNOWN_VERB} <{verb.name}>")
                continue
            following = await self._doers[verb.name](verb)
            if following is not None:
                return following
        return []

    async def _say(self, verb: Verb) -> None:
        self.said.append(verb.text)

    async def _play(self, _verb: Verb) -> None: ...

    async def _pause(self, _verb: Verb) -> None: ...

    async def _hangup(self, _verb: Verb) -> _Document:
        return []

    async def _reject(self, verb: Verb) -> _Document:
        self.status = "busy" if verb.attributes.get("reason") == "busy" else "no-answer"
        return []

    async def _redirect(self, verb: Verb) -> _Document:
        return await self._fetch(urljoin(self._document_url, verb.text))

    async def _connect(self, verb: Verb) -> _Document | None:
        if verb.stream is None:
            self.errors.append(f"{_UNKNOWN_VERB} <Connect> without <Stream>")
            return None
        url = verb.stream.url
        real = urlsplit(self._line.connect_to or "")
        caller = self._line.caller(
            url,
            page=False,
            parameters=verb.stream.parameters,
            headers={"X-Twilio-Signature": signature(self._line.auth_token, url), "User-Agent": "Twilio.TmeWs/1.0"},
            connect_to=(real.hostname, real.port or 80) if real.hostname else None,
            account_sid=self._line.account_sid,
            call_sid=self.sid,
        )
        try:
            await asyncio.wait_for(caller.dial(), _STREAM_CONNECTS_S)
        except (WebSocketException, OSError, asyncio.TimeoutError) as error:
            code = _STREAM_REFUSED if isinstance(error, WebSocketException) else _NO_STREAM
            self.errors.append(f"{code} {url}")
            return None
        self.streams.append(caller)
        try:
            await caller.ended.wait()
        finally:
            await caller.hang_up()
        action = verb.attributes.get("action")
        return await self._fetch(urljoin(self._document_url, action)) if action else None

    async def _dial(self, verb: Verb) -> _Document | None:
        self.dialled.append(verb.text)
        party = self._line.parties.get(verb.text, Party("no-answer"))
        outcome = party.outcome
        if outcome == "completed" and party.rings_s > float(verb.attributes.get("timeout", "30")):
            outcome = "no-answer"
        if outcome == "completed":
            await asyncio.sleep(party.talks_s)
        action = verb.attributes.get("action")
        if not action:
            return None
        told = {"DialCallStatus": outcome, "DialCallSid": "CA" + secrets.token_hex(16)}
        if outcome == "completed":
            told["DialCallDuration"] = str(math.ceil(party.talks_s))
        return await self._fetch(urljoin(self._document_url, action), **told)

    async def _record(self, verb: Verb) -> _Document | None:
        if not self._line.leaves_message:
            return None
        self.recorded += 1
        recording = "RE" + secrets.token_hex(16)
        url = f"https://api.twilio.com/2010-04-01/Accounts/{self._line.account_sid}/Recordings/{recording}"
        told = {"RecordingSid": recording, "RecordingUrl": url, "RecordingDuration": "5", "Digits": "#"}
        return await self._fetch(urljoin(self._document_url, verb.attributes.get("action", "")), **told)

    async def _post_status(self) -> None:
        lasted_s = 0 if self._answered_at is None else math.ceil(time.monotonic() - self._answered_at)
        told = {"CallDuration": str(lasted_s), "Duration": str(math.ceil(lasted_s / 60)), "SequenceNumber": "0"}
        source = {"CallbackSource": "call-progress-events", "Timestamp": formatdate(usegmt=False)}
        try:
            await self._sender.post(self._addresses.status, self._fields(**told, **source))
        except WebhookFailed as error:
            self.errors.append(f"{error.code} {self._addresses.status}")
