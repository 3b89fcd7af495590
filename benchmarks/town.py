"""The customers whose conversations a stranger tries to get at (strangers.py), and what they can do with what is theirs: where that does
not work, it proves nothing that a stranger's attempts fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from tests.unit.channels.small_server import SmallServer
from tests.website import login_token
from throughline.domain.assurance import CODE, PROVEN_NUMBER, Assurance, TryLimits
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.domain.visits import VisitSlot
from throughline.errors import Rejected

UNLIMITED = TryLimits(10**9, 10**9, 10**9, timedelta(minutes=10), timedelta(minutes=30))
NOW = datetime.now(timezone.utc)
LONG_AGO = NOW - timedelta(days=365)
ZIP_CODE = "97201"


@dataclass
class Customer:
    """What there is of one. The website knows them as ``subject`` if they have an ``account``. Lists hold whatever of that kind leads, or
    has led, to them."""

    contact_id: str
    number: str
    account: str | None
    subject: str
    sessions: list[str] = field(default_factory=list)
    chat_tokens: list[str] = field(default_factory=list)
    dead_codes: list[str] = field(default_factory=list)
    account_codes: list[str] = field(default_factory=list)
    call_tokens: list[tuple[str, str]] = field(default_factory=list)  # with the telephone call they are for
    messages: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    reference: str = ""  # of the technician's visit that they have booked


class Town:
    """The customers, and everything that is kept of them before the stranger comes."""

    def __init__(self, server: SmallServer, customers: int) -> None:
        self.server, self.record = server, server.record
        self.people = [self._customer(number) for number in range(customers)]
        self.aliases, self.parted = self._merged(), self._parted()
        self.mine = self.record.create_contact()

    def _customer(self, number: int) -> Customer:
        record, door_account, subject = self.record, None, f"customer-{number}"
        if number % 3 == 0:
            login = self.server.chat_door.login_of(login_token(subject))
            assert login is not None
            door_account = login.account
        contact = record.create_contact() if door_account is None else record.contact_of_account(door_account, proof="login")
        one = Customer(contact, f"+1503555{number:04d}", door_account, subject)
        detail = {} if door_account is None else {"account": door_account}
        level = Assurance.ANONYMOUS if door_account is None else Assurance.AUTHENTICATED
        chat = record.open_session(contact, WEB_CHAT, assurance=level, detail=detail).session_id
        call_sid = f"CA{number:032d}"
        used = record.announce_call(call_sid, caller=one.number, attestation="", ttl_s=60)
        record.redeem_call_token(used, call_sid=call_sid)
        call = record.open_session(contact, PHONE, detail={"caller": one.number, "call_sid": call_sid}).session_id
        record.note_call_session(call_sid, call)
        record.add_address(contact, "phone", one.number, proof=CODE)
        one.sessions = [chat, call]
        over = record.open_session(contact, WEB_CHAT).session_id
        ended = record.issue_chat_token(over)
        record.end_session(over, "left")
        late = record.issue_chat_token(chat, ttl_s=60, now=LONG_AGO)
        one.chat_tokens = [ended, late] + ([record.issue_chat_token(chat)] if door_account else [])
        self._codes(one, chat)
        unused = record.reconnect_call(call_sid, after_step=1, ttl_s=3600)
        expired = record.issue_call_token(contact_id=contact, chat_session_id=chat, origin="page", ttl_s=60, now=LONG_AGO)
        one.call_tokens = [(used, call_sid), (unused, ""), (unused, f"CA{number + 1:032d}"), (expired, "")]
        self._talk(one, chat)
        self._visit(one, number, chat)
        return one

    def _visit(self, one: Customer, number: int, chat: str) -> None:
        """Each at a technician of their own, for nobody's visit is to depend on another's."""
        begins = NOW + timedelta(days=1)
        slot = VisitSlot(begins, begins + timedelta(hours=2), f"t-{number}", "Portland")
        details = {"appliance": "dryer", "postcode": ZIP_CODE, "session": chat}
        visit = self.record.calendar.book(slot, one.contact_id, details, idempotency_key=f"visit {number}")
        one.reference = visit.reference

    def _codes(self, one: Customer, chat: str) -> None:
        record = self.record
        expired = record.issue_code(one.contact_id, chat, ttl_s=60, now=LONG_AGO)
        voided = record.issue_code(one.contact_id, chat, ttl_s=3600)
        used = record.issue_code(one.contact_id, chat, ttl_s=3600)
        elsewhere = record.open_session(one.contact_id, PHONE).session_id
        record.redeem_code(used, session_id=elsewhere, limits=UNLIMITED)
        one.dead_codes = [expired, voided, used]
        live = record.issue_code(one.contact_id, chat, ttl_s=3600)
        if one.account is not None:  # to another account it is unknown
            one.account_codes = [live]

    def _talk(self, one: Customer, chat: str) -> None:
        for number in range(3):
            data = {"event": "user", "text": f"my secret {one.contact_id}", "message_id": f"{chat}:m{number}"}
            self.server.runner.say(one.contact_id, chat, data)
            self.server.runner.say(one.contact_id, chat, {"event": "bot", "text": f"your secret {one.contact_id}"})
            one.messages += [f"{chat}:m{number}", f"m{number}"]
        self.server.runner.say(one.contact_id, chat, {"event": "slot", "name": "postcode", "value": ZIP_CODE})
        one.events = [event.event_id for event in self.record.conversation(one.contact_id)]

    def _merged(self) -> list[str]:
        """Ids that lead to a customer now."""
        found = []
        for one in self.people[1::3]:
            caller = self.record.create_contact()
            self.record.merge(caller, one.contact_id, reason=CODE, session_id=None)
            found.append(caller)
        return found

    def _parted(self) -> list[tuple[str, str, list[str], str]]:
        """People who were merged into a customer by mistake: their contact, session, codes from then, and the secret of their page."""
        found = []
        for one in self.people[2::3]:
            visitor = self.record.create_contact()
            session = self.record.open_session(visitor, WEB_CHAT).session_id
            token = self.record.issue_chat_token(session)
            self.record.merge(visitor, one.contact_id, reason=CODE, session_id=session)
            code = self.record.issue_code(one.contact_id, session, ttl_s=3600)
            self.record.unmerge(visitor, reason="by mistake")
            found.append((visitor, session, [code], token))
        return found


class Owners:
    """The customers themselves, each with what is theirs. Every way leads to a contact, which has to be their own."""

    def __init__(self, town: Town) -> None:
        self._people, self._record, self._door = town.people, town.record, town.server.chat_door
        self._addresses = itertools.count(1)

    async def failures(self) -> dict[str, list[str]]:
        """For each way the customers whom it does not lead to what is theirs."""
        ways: dict[str, Callable[[Customer], Awaitable[str]]] = {
            "the secret of their chat": self._takes_up,
            "a message of theirs sent again": self._sends_again,
            "the history of their chat": self._looks_back,
            "a call token": self._calls,
            "a code said in a call": self._says_code,
            "their ZIP code from their number": self._says_fact,
            "their visit by its reference": self._finds_visit,
        }
        failed: dict[str, list[str]] = {}
        for way, leads in ways.items():
            failed[way] = [one.contact_id for one in self._people if not await self._is_theirs(leads, one)]
        return failed

    async def _is_theirs(self, leads: Callable[[Customer], Awaitable[str]], one: Customer) -> bool:
        try:
            return await leads(one) == one.contact_id
        except Rejected:
            return False

    async def _takes_up(self, one: Customer) -> str:
        session = await self._door.logged_in_session(self._secret(one), self._login(one))
        return session.contact_id

    async def _sends_again(self, one: Customer) -> str:
        visit = await self._door.open(
            self._secret(one), self._door.login_of(self._login(one)), f"192.0.2.{next(self._addresses)}"
        )
        for _ in range(2):
            message_id = await self._door.take(visit, {"message": "hello", "message_id": "mine"})
        said = await self._record.call(self._record.reply_to, str(message_id))
        return said[0].contact_id if said else "nobody's"

    async def _looks_back(self, one: Customer) -> str:
        session = await self._door.logged_in_session(self._secret(one), self._login(one))
        told = await self._record.call(self._record.conversation, session.contact_id)
        return one.contact_id if any(one.contact_id in str(event.data.get("text")) for event in told) else "nobody's"

    async def _calls(self, one: Customer) -> str:
        issue, redeem = self._record.issue_call_token, self._record.redeem_call_token
        token = await self._record.call(
            issue, contact_id=one.contact_id, chat_session_id=one.sessions[0], origin="page", ttl_s=60
        )
        return str((await self._record.call(redeem, token, call_sid="")).contact_id)

    async def _says_code(self, one: Customer) -> str:
        chat = await self._record.call(self._record.open_session, one.contact_id, WEB_CHAT)
        code = await self._record.call(self._record.issue_code, one.contact_id, chat.session_id, ttl_s=60)
        return await self._record.call(self._record.redeem_code, code, session_id=await self._call(), limits=UNLIMITED)

    async def _says_fact(self, one: Customer) -> str:
        known, matching = self._record.callers_known, self._record.match_fact
        among = await self._record.call(known, one.number, proofs=PROVEN_NUMBER, since=LONG_AGO)
        return await self._record.call(matching, await self._call(), among, slot="postcode", value=ZIP_CODE, limits=UNLIMITED)

    async def _finds_visit(self, one: Customer) -> str:
        """In a call of nobody's yet."""
        visit, call = await self._record.call(self._record.calendar.find, one.reference), await self._call()
        match = self._record.match_visit
        await self._record.call(match, call, visit, postcode=ZIP_CODE, limits=UNLIMITED, lasts=None)
        found = await self._record.call(self._record.found_visits, call, together=timedelta(0))
        return one.contact_id if visit is not None and found == [one.reference] else "nobody's"

    async def _call(self) -> str:
        contact = await self._record.call(self._record.create_contact)
        return (await self._record.call(self._record.open_session, contact, PHONE)).session_id

    def _secret(self, one: Customer) -> str:
        return self._record.issue_chat_token(one.sessions[0])

    def _login(self, one: Customer) -> str | None:
        return login_token(one.subject) if one.account else None
