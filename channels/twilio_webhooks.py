"""Twilio's requests about a call: it comes in, or one that we have placed is answered; its stream has ended, a person was rung, a message
was left, it is over.

Stands between Twilio and the record; a call's audio comes in by phone.py. What always holds:

- Nothing is done for a request whose signature isn't right for the public address. What it says of itself (Host) is not looked at.
- A request that comes again has no second effect: calls are known by their id and the step they are at. One that comes again later than
  Twilio would repeat it is refused.
- Every answer is there within the settings' ``twilio.webhook_ms``, whatever is down; where the record doesn't answer, the caller is put
  through to a person or leaves a message with Twilio.

Sources: twilio.com/docs/usage/webhooks, .../voice/twiml (request parameters), .../voice/trusted-calling-with-shakenstir.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from sanic import Blueprint
from sanic.request import Request
from sanic.response import HTTPResponse, empty, raw, text

from channels.line_answers import WEBHOOKS, LineAnswers
from channels.server import Server
from throughline import log
from throughline.bootstrap import Telephone
from throughline.domain.placed_calls import ANSWERED, BUSY, FAILED, NO_ANSWER
from throughline.domain.tel_link import is_e164
from throughline.domain.turns import WEB_CHAT
from throughline.errors import Rejected, ThroughlineError, Unavailable
from throughline.handoff.call_back import promise_call_back
from throughline.handoff.call_me import PLACED
from throughline.record import PhoneCall, PlacedCall
from throughline.telephony.twilio_signature import digests

_log = log.get_logger("channels")

T = TypeVar("T")
Fields = Mapping[str, str]
Answer = Callable[[Request, Fields, float], Awaitable[str]]

SIGNATURE_HEADER = "x-twilio-signature"
_RETRIES_WITHIN = timedelta(seconds=60)  # Twilio waits 15 s and tries once more
_PLACED_ID = re.compile(r"p_[A-Za-z0-9_-]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9-]{1,64}")
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_TALKED = frozenset({"completed", "answered"})

# What the chat is told of a call that did not reach who asked for it, by its outcome.
_NOT_REACHED = {
    NO_ANSWER: "utter_call_unanswered",
    BUSY: "utter_call_busy",
    FAILED: "utter_call_failed",
    ANSWERED: "utter_call_not_confirmed",
}

FINISHED = frozenset({"completed", "silence", "too_long", "hung_up"})
"""Reasons after which a call is simply over."""
_BROKEN = frozenset({"listening_lost", "speaking_lost", "failed", "protocol_error", "too_slow", "refused"})


class TwilioWebhooks:
    """``/webhooks/phone/`` voice, answered, resume, dialled, recorded, status, fallback."""

    def __init__(self, server: Server, telephone: Telephone | None, answers: LineAnswers, is_busy: Callable[[], bool]) -> None:
        self._server = server
        self._settings = server.app.settings
        self._record = server.app.record
        self._telephone = telephone
        self._answers = answers
        self._words = answers.words
        self._is_busy = is_busy
        self._telling: set[asyncio.Task[None]] = set()

    async def voice(self, request: Request) -> HTTPResponse:
        """A call comes in."""
        return await self._twiml(request, "voice", self._voice)

    async def answered(self, request: Request) -> HTTPResponse:
        """Somebody, or something, has picked up a call that we have placed. ``?placed=`` says which."""
        return await self._twiml(request, "answered", self._answered)

    async def resume(self, request: Request) -> HTTPResponse:
        """Its stream has ended: what now? ``?step=`` says which one it was."""
        return await self._twiml(request, "resume", self._resume)

    async def dialled(self, request: Request) -> HTTPResponse:
        """A person's telephone was rung."""
        return await self._twiml(request, "dialled", self._dialled, self._dialled_without_record)

    async def recorded(self, request: Request) -> HTTPResponse:
        """A message was left, or not."""
        return await self._twiml(request, "recorded", self._recorded, self._recorded_without_record)

    async def fallback(self, request: Request) -> HTTPResponse:
        """Another of our webhooks failed."""
        return await self._twiml(request, "fallback", self._fallback)

    async def status(self, request: Request) -> HTTPResponse:
        """The call has ended, or goes on. ``?placed=`` of a call that we have placed."""
        try:
            fields = self._signed(request, "status")
            if fields.get("CallStatus") in _OVER:
                deadline = self._deadline()
                await self._new_or_repeated(request, "status", deadline)
                if PLACED in request.args:
                    await self._placed_is_over(_placed_id(request), fields, deadline)
                else:
                    await self._by(deadline, self._record.call(self._record.end_call, fields["CallSid"], reason="hung_up"))
        except Rejected as refusal:
            return _refused("status", refusal)
        except Unavailable as error:
            _log.error("phone.webhook_failed", kind="status", error=str(error))
            return text("unavailable", status=503)
        return empty()

    async def _twiml(
        self, request: Request, kind: str, answer: Answer, without_record: Callable[[Fields], str] | None = None
    ) -> HTTPResponse:
        try:
            fields = self._signed(request, kind)
        except Rejected as refusal:
            return _refused(kind, refusal)
        deadline = self._deadline()
        try:
            await self._new_or_repeated(request, kind, deadline)
            told = await answer(request, fields, deadline)
        except Rejected as refusal:
            return _refused(kind, refusal)
        except Unavailable as error:
            _log.error("phone.webhook_failed", kind=kind, error=str(error))
            told = (without_record or self._without_record)(fields)
        return raw(told.encode(), content_type="text/xml; charset=utf-8")

    def _signed(self, request: Request, kind: str) -> Fields:
        if self._telephone is None:
            raise Rejected("not_configured")
        url = self._answers.public_url + request.raw_url.decode("ascii", "replace")
        return self._telephone.signature.fields(url, request.body, request.headers.get(SIGNATURE_HEADER, ""))

    async def _new_or_repeated(self, request: Request, kind: str, deadline: float) -> None:
        names = digests(
            request.raw_url.decode("ascii", "replace"),
            request.headers.get(SIGNATURE_HEADER, ""),
            request.headers.get("i-twilio-idempotency-token", ""),
        )
        first = await self._by(deadline, self._record.call(self._record.take_request, names, kind=kind))
        if first is not None and datetime.now(timezone.utc) - first > _RETRIES_WITHIN:
            raise Rejected("replayed_request")
        if first is not None:
            _log.info("phone.webhook_repeated", kind=kind)

    async def _voice(self, _request: Request, fields: Fields, deadline: float) -> str:
        attestation = fields.get("StirVerstat", "")
        announcing = self._record.call(
            self._record.announce_call,
            fields["CallSid"],
            caller=_number(fields),
            attestation=attestation if _WORD.fullmatch(attestation) else "",
            ttl_s=self._settings.codes.call_token_ttl_s,
        )
        return await self._connect(await self._by(deadline, announcing), fields, deadline)

    async def _answered(self, request: Request, fields: Fields, deadline: float) -> str:
        answering = self._record.call(
            self._record.answer_call, _placed_id(request), fields["CallSid"], ttl_s=self._settings.codes.call_token_ttl_s
        )
        return await self._connect(await self._by(deadline, answering), fields, deadline)

    async def _connect(self, token: str, fields: Fields, deadline: float) -> str:
        """Connect a call for the first time. Where this server is to stop, its stream finds another one; if there is none, ``_resume`` sees
        to it that somebody else takes the call."""
        if self._server.draining:
            return self._answers.connect(token, 1)
        if not self._server.ready:
            return await self._person_or_call_back(fields, [self._words.trouble], "starting", deadline)
        if self._is_busy():
            return await self._all_lines_taken(fields, deadline)
        return self._answers.connect(token, 1)

    async def _resume(self, request: Request, fields: Fields, deadline: float) -> str:
        step = request.args.get("step", "")
        if not (step.isascii() and step.isdigit() and len(step) <= 3):
            raise Rejected("bad_step")
        call = await self._by(deadline, self._record.call(self._record.phone_call, fields["CallSid"]))
        what = next_for(call, after_step=int(step), reconnects=self._settings.twilio.reconnects)
        _log.info("phone.resumed", what=what, step=int(step))
        if what == "hang_up":
            return self._answers.hang_up()
        if what == "person":
            return await self._person_or_call_back(fields, [], "asked_for_person", deadline)
        draining = self._server.draining  # another server may take it; how often that is tried is bounded
        is_busy = self._is_busy() and not draining
        if what == "connect" and is_busy and call.session is None:  # others were let in before it
            return await self._all_lines_taken(fields, deadline)
        if what == "connect" and (self._server.ready or draining) and not is_busy:
            reconnecting = self._record.call(
                self._record.reconnect_call,
                fields["CallSid"],
                after_step=int(step),
                ttl_s=self._settings.codes.call_token_ttl_s,
            )
            return self._answers.connect(await self._by(deadline, reconnecting), int(step) + 1)
        return await self._person_or_call_back(fields, [self._words.trouble], "assistant_failed", deadline)

    async def _dialled(self, _request: Request, fields: Fields, deadline: float) -> str:
        if fields.get("DialCallStatus") in _TALKED:
            return self._answers.hang_up()
        return await self._call_back(fields, [self._words.nobody], "nobody_answered", deadline)

    async def _recorded(self, _request: Request, fields: Fields, deadline: float) -> str:
        if not fields.get("RecordingUrl"):
            return self._answers.hang_up()
        try:
            await self._by(deadline, self._promise(fields, "message_left"))
        except (Unavailable, Rejected) as error:  # Twilio keeps the message
            _log.error("phone.message_not_noted", recording=fields.get("RecordingSid", "")[:64], error=str(error))
        return self._answers.message_taken()

    async def _fallback(self, _request: Request, fields: Fields, deadline: float) -> str:
        _log.error("phone.fallback", code=fields.get("ErrorCode", "")[:16])
        return await self._person_or_call_back(fields, [self._words.trouble], "assistant_failed", deadline)

    async def _placed_is_over(self, placed_id: str, fields: Fields, deadline: float) -> None:
        """Note it, and let the chat know where nobody has picked up, or nobody has said that it is them."""
        status = fields["CallStatus"]
        outcome = status if status in (BUSY, NO_ANSWER) else FAILED
        ending = self._record.call(
            self._record.end_placed_call, placed_id, fields["CallSid"], outcome=outcome, reason="hung_up"
        )
        placed = await self._by(deadline, ending)
        if placed is None or placed.confirmed:
            return
        _log.info("phone.not_reached", placed=placed_id, outcome=placed.outcome)
        # It may have to wait for the turn that the chat is taking just now.
        telling = asyncio.create_task(self._tell_chat(placed))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell_chat(self, placed: PlacedCall) -> None:
        told = _NOT_REACHED.get(placed.outcome or FAILED, "utter_call_failed")
        try:
            await self._server.runner.prompt(placed.contact_id, placed.session_id, WEB_CHAT, told)
        except ThroughlineError as error:
            _log.error("phone.chat_not_told", placed=placed.placed_id, error=str(error))

    async def _all_lines_taken(self, fields: Fields, deadline: float) -> str:
        _log.warning("phone.busy")
        return await self._person_or_call_back(fields, [self._words.busy], "busy", deadline)

    async def _person_or_call_back(self, fields: Fields, says: Sequence[str], reason: str, deadline: float) -> str:
        if self._answers.person_answers(datetime.now(timezone.utc)):
            return self._answers.put_through(says)
        return await self._call_back(fields, says, reason, deadline)

    async def _call_back(self, fields: Fields, says: Sequence[str], reason: str, deadline: float) -> str:
        """A call-back that the record has noted; else, and for a caller without a number, a message with Twilio."""
        if not _number(fields):
            return self._answers.take_message(says)
        try:
            await self._by(deadline, self._promise(fields, reason))
        except (Unavailable, Rejected) as error:
            _log.error("phone.call_back_not_noted", error=str(error))
            return self._answers.take_message(says)
        return self._answers.call_back(says)

    async def _promise(self, fields: Fields, reason: str) -> None:
        await promise_call_back(
            self._record,
            self._server.app.business,
            call_sid=fields["CallSid"],
            caller=_number(fields),
            reason=reason,
            now=datetime.now(timezone.utc),
            recording=fields.get("RecordingUrl", "")[:500],
        )

    def _without_record(self, _fields: Fields) -> str:
        """Where the record does not answer: a person, or a message that Twilio keeps."""
        says = [self._words.trouble]
        if self._answers.person_answers(datetime.now(timezone.utc)):
            return self._answers.put_through(says)
        return self._answers.take_message(says)

    def _dialled_without_record(self, fields: Fields) -> str:
        """A person who did not answer is not rung again and again."""
        if fields.get("DialCallStatus") in _TALKED:
            return self._answers.hang_up()
        return self._answers.take_message([self._words.nobody])

    def _recorded_without_record(self, fields: Fields) -> str:
        """Twilio keeps the message; nobody has to leave it twice."""
        return self._answers.message_taken() if fields.get("RecordingUrl") else self._answers.hang_up()

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.twilio.webhook_ms / 1000

    @staticmethod
    async def _by(deadline: float, work: Awaitable[T]) -> T:
        """The outcome of ``work`` before ``deadline``. Raises Unavailable then; what was begun in the record is still finished."""
        try:
            return await asyncio.wait_for(work, max(0.0, deadline - time.monotonic()))
        except asyncio.TimeoutError as error:
            raise Unavailable("the record takes too long") from error


def mount(blueprint: Blueprint, webhooks: Callable[[], TwilioWebhooks]) -> None:
    """Add the webhooks' routes. ``webhooks`` gives them once the channel is mounted."""

    def route(name: str) -> None:
        @blueprint.post(f"/{name}", name=f"twilio_{name}")
        async def handle(request: Request) -> HTTPResponse:
            answer: HTTPResponse = await getattr(webhooks(), name)(request)
            return answer

    for name in WEBHOOKS:
        route(name)


def next_for(call: PhoneCall, *, after_step: int, reconnects: int) -> str:
    """What a call whose ``after_step``-th stream has ended does next: ``hang_up``, ``person``, ``connect``, or ``trouble`` where the
    assistant could not go on. Raises Rejected("replayed_call") for a call that is over."""
    if call.ended_at is not None:
        raise Rejected("replayed_call")
    if call.step > after_step:  # asked before, and connected again
        return "connect"
    reason = call.session.end_reason if call.session is not None and call.connected_step >= after_step else None
    if reason in FINISHED:
        return "hang_up"
    if reason == "transferred":
        return "person"
    if reason in _BROKEN or after_step > reconnects:
        return "trouble"
    return "connect"  # never connected, or its server went away


def _placed_id(request: Request) -> str:
    """Our id of a call that we have placed. Raises Rejected("bad_call")."""
    placed_id = request.args.get(PLACED, "")
    if not _PLACED_ID.fullmatch(placed_id):
        raise Rejected("bad_call")
    return str(placed_id)


def _number(fields: Fields) -> str:
    """The customer's number: the caller's, empty where it is withheld, or the one that we have called."""
    number = fields.get("To" if fields.get("Direction", "").startswith("outbound") else "From", "")
    return number if is_e164(number) else ""


def _refused(kind: str, refusal: Rejected) -> HTTPResponse:
    _log.warning("phone.webhook_refused", kind=kind, reason=refusal.reason)
    return text(refusal.reason, status=403)
