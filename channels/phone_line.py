"""One call's way to the dialogue: who is calling, the runner behind it, and what becomes of the line when the call is over.

Stands between a call (throughline/call) and the runner. What always holds: a caller we can't place starts on a contact of their own; a
number alone, whoever vouches for it, opens nothing of anybody's: it lets us ask for a code or a fact. So does who picks up when we have
called: nothing of whom we meant is theirs before they have said that it is them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from channels.line_answers import LineAnswers
from channels.server import Server
from channels.twilio_webhooks import FINISHED
from channels.web_messages import plain_words
from throughline import log
from throughline.bootstrap import Telephone
from throughline.call.effects import TurnTimed
from throughline.call.media_streams import MAX_TOKEN_CHARS, Start
from throughline.call.port import Admission
from throughline.call.rating import MOST
from throughline.domain.assurance import ATTESTED, CALLER_ID, FALSE_NUMBER, FULL_ATTESTATION, PROVEN_NUMBER, Assurance
from throughline.domain.turns import PAGE_CALL, PHONE, Expectation, Turn, TurnResult
from throughline.errors import Rejected, ThroughlineError, Unavailable
from throughline.record import CallToken, PhoneCall, Session
from throughline.record.tries import FIRST_PART

_log = log.get_logger("channels")

# The caller's own end; and where the call goes on: with another stream, with another server.
_STAYS_OPEN = ("hung_up", "line_lost", "cancelled")


class PhoneLine:
    """What one call needs from outside (throughline.call.port.CallPort). ``kind`` is who opened its socket: PAGE_CALL or TELEPHONE_CALL,
    from which network ``address``; ``let_in`` is called once its token was found good, and raises Rejected where the line takes no more
    calls."""

    def __init__(
        self,
        server: Server,
        kind: str,
        telephone: Telephone | None,
        answers: LineAnswers,
        let_in: Callable[[], None],
        address: str,
    ) -> None:
        self._server = server
        self._record = server.app.record
        self._kind = kind
        self._telephone = telephone
        self._answers = answers
        self._let_in = let_in
        self._address = address
        self._call_sid = ""
        self._claimed = False
        self._called = False
        self._session: Session | None = None
        self._expects = Expectation()
        self._message_id = ""  # of the latest turn
        # The contact that the call began with, also after a code has led it to another: it leads there, until that is taken back.
        self._contact_id = ""

    async def admit(self, start: Start) -> Admission:
        """Redeem the call's token and open its session. Raises Rejected or Unavailable."""
        if not start.token or len(start.token) > MAX_TOKEN_CHARS:
            raise Rejected("unknown_token")
        token = await self._record.call(self._record.redeem_call_token, start.token, call_sid=start.call_sid)
        if token.origin != self._kind:
            raise Rejected("other_door")
        self._let_in()
        if self._kind == PAGE_CALL:
            await self._admit_page(token, start)
        else:
            await self._admit_telephone(token, await self._record.call(self._record.phone_call, start.call_sid))
        return Admission(page=self._kind == PAGE_CALL, called=self._called)

    async def _admit_page(self, token: CallToken, start: Start) -> None:
        # Only the page that holds the chat's secret gets a token with a contact in it.
        assurance = Assurance.POSSESSED if token.contact_id else Assurance.ANONYMOUS
        if token.chat_session_id is not None:
            chat = await self._record.call(self._record.session, token.chat_session_id)
            if chat.assurance is Assurance.CLAIMED:  # what it proved has lapsed: a call from it proves no more
                assurance = Assurance.CLAIMED
        detail = {"origin": token.origin, "chat_session_id": token.chat_session_id, "call_sid": start.call_sid}
        known = token.contact_id is not None
        contact_id = token.contact_id if token.contact_id else await self._record.call(self._record.create_contact)
        await self._open(contact_id, assurance, detail, known=known, caller=self._address)

    async def _admit_telephone(self, token: CallToken, call: PhoneCall) -> None:
        self._call_sid = call.call_sid
        detail: dict[str, object] = {"origin": token.origin, "call_sid": call.call_sid, "caller": call.caller}
        detail["attestation"] = call.attestation
        vouched = call.attestation.startswith(FULL_ATTESTATION)
        if call.session is not None:  # its server went away: the same call goes on
            await self._record.call(self._record.end_session, call.session.session_id, "cancelled")
            before = {FIRST_PART: call.session.session_id, **call.session.detail}
            detail, level = {**before, **detail}, call.session.assurance
            self._called = bool(detail.get("placed")) and level < Assurance.POSSESSED
            await self._open(call.session.contact_id, level, detail, known=True, caller=call.caller, vouched=vouched)
        elif token.contact_id is not None:  # we have called, and somebody has picked up
            self._called = True
            contact_id = await self._record.call(self._record.create_contact)
            await self._record.call(self._record.add_address, contact_id, "phone", call.caller, proof=CALLER_ID)
            detail |= {"claims": [token.contact_id], "chat_session_id": token.chat_session_id, "placed": True}
            await self._open(contact_id, Assurance.CLAIMED, detail, known=True, caller=call.caller)
        else:
            may_claim = call.caller and not call.attestation.startswith(FALSE_NUMBER)
            claims = await self._claims(call.caller) if may_claim else []
            self._claimed = bool(claims)
            contact_id = await self._record.call(self._record.create_contact)
            if call.caller:
                proof = ATTESTED if vouched else CALLER_ID
                await self._record.call(self._record.add_address, contact_id, "phone", call.caller, proof=proof)
            level, detail = Assurance.CLAIMED if claims else Assurance.ANONYMOUS, {**detail, "claims": claims}
            await self._open(contact_id, level, detail, known=False, caller=call.caller, vouched=vouched)
        await self._record.call(self._record.note_call_session, call.call_sid, self._session_id)

    async def _claims(self, caller: str) -> list[str]:
        """The contacts whose number this is by a proof that is not too old, and who were in touch with us lately."""
        app, now = self._server.app, datetime.now(timezone.utc)
        since = now - timedelta(days=app.business.phone.recent_days)
        proved_since = now - timedelta(days=app.settings.identity.number_days)
        return await self._record.call(
            self._record.callers_known, caller, proofs=PROVEN_NUMBER, since=since, proved_since=proved_since
        )

    async def _open(
        self,
        contact_id: str,
        assurance: Assurance,
        detail: Mapping[str, object],
        *,
        known: bool,
        caller: str,
        vouched: bool = False,
    ) -> None:
        opening = self._record.call(
            self._record.open_session,
            contact_id,
            PHONE,
            assurance=assurance,
            detail=detail,
            caller=caller,
            vouched=vouched,
        )
        self._session, self._contact_id = await opening, contact_id
        _log.info(
            "phone.admitted",
            session=self._session_id,
            origin=self._kind,
            known=known,
            assurance=assurance.word,
            attestation=detail.get("attestation"),
        )

    async def begin(self) -> TurnResult:
        """Greet: resume what is known, welcome a caller we can't place, or ask whom we have called whether it is them."""
        resume = self._server.runner.resume
        result = await resume(self._contact_id, self._session_id, PHONE, claimed=self._claimed, called=self._called)
        self._expects = result.expects
        return result

    async def turn(self, text: str, *, source: str, confidence: float | None) -> TurnResult:
        """One turn of the caller."""
        words = plain_words(text)
        if not words:
            return TurnResult(self._contact_id, ())
        self._message_id = f"{self._session_id}:{uuid.uuid4().hex}"
        result = await self._server.runner.take(self._turn(words, self._message_id, source, confidence))
        if not result.withdrawn:
            self._expects = result.expects
        return result

    def _turn(self, words: str, message_id: str, source: str, confidence: float | None = None) -> Turn:
        return Turn(
            contact_id=self._contact_id,
            session_id=self._session_id,
            channel=PHONE,
            text=words,
            message_id=message_id,
            source=source,
            confidence=confidence,
        )

    async def foresee(self, text: str) -> bool:
        """Have it understood ahead."""
        words = plain_words(text)
        return bool(words) and await self._server.runner.foresee(words, self._expects.slot)

    async def rehearse(self, text: str) -> TurnResult:
        """Have it answered without any effect. What is so answered is no message, and has no id."""
        words = plain_words(text)
        if not words:
            return TurnResult(self._contact_id, ())
        return await self._server.runner.rehearse(self._turn(words, "", "speech"))

    async def withdraw(self) -> None:
        """Take the turn back that is under way."""
        await self._server.runner.withdraw(self._message_id)

    async def rated(self, rating: int) -> None:
        """Keep it as an outcome of the call."""
        await self._record.call(
            self._record.record_outcome,
            self._contact_id,
            self._session_id,
            kind="rating",
            data={"rating": rating, "of": MOST},
            idempotency_key=f"{self._session_id}:rating",
        )

    async def timed(self, timed: TurnTimed) -> None:
        """Keep it with the turn's message."""
        if timed.message_id:
            await self._record.call(self._record.note_timing, timed.message_id, timed.stages)

    async def prompt(self, name: str) -> TurnResult:
        """Say one response of the domain."""
        return await self._server.runner.prompt(self._contact_id, self._session_id, PHONE, name)

    async def heard(self, event_id: str, *, text_heard: str, complete: bool) -> None:
        """Record how much of an utterance the caller heard."""
        await self._record.call(
            self._record.record_heard, event_id, session_id=self._session_id, text_heard=text_heard, complete=complete
        )

    async def ending(self, reason: str) -> None:
        """Say in the record why, so that the telephone company's next question finds it, and ask the company to act. Where it can't be
        reached, it asks us what to do as soon as the socket is closed (twilio_webhooks.py), and is told the same."""
        if self._kind == PAGE_CALL or reason in _STAYS_OPEN:
            return
        try:
            await self._record.call(self._record.end_session, self._session_id, reason)
        except ThroughlineError as error:
            _log.error("phone.end_not_recorded", reason=reason, error=str(error))
        assert self._telephone is not None  # noqa: S101 - its call was let in by its signature
        control = self._telephone.control
        try:
            if reason == "transferred" and self._answers.person_answers(datetime.now(timezone.utc)):
                await control.follow(self._call_sid, self._answers.put_through())
            elif reason in FINISHED:
                await control.hang_up(self._call_sid)
        except (Unavailable, Rejected) as error:
            _log.warning("phone.control_failed", reason=reason, error=str(error))

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
