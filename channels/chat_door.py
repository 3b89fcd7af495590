"""The chat's door, the same for every form of it: which session a client may use, and whether its message is taken.

Stands between the forms (socket.io in web_chat.py, REST in chat_rest.py), the page's phone, and the runner. What always holds:

- A session id is issued here, unguessable; one that is foreign, unknown or over is never taken up.
- A session opened with the website's login belongs to that login's account: its id alone opens nothing, and no other account does.
- A login that can't be believed is refused; it never becomes an anonymous visit that the customer takes for their own.
- A link that we sent opens its conversation in a visit in which nobody has said anything; it takes along nothing that is in this browser.
- What was said in another visit is shown to whoever may be told it: data/business/privacy.yml, ``other_visits``.
- What a customer types is words: bounded in size and rate, never a command.

Why it is so: docs/decisions/0009-website-login.md, 0017-links.md.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from channels import web_messages
from channels.limits import RateLimit
from channels.wording import sentence
from throughline import log
from throughline.domain.assurance import LEVELS, LINK, Assurance
from throughline.domain.links import is_secret
from throughline.domain.privacy import Standing
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.errors import Postponed, Rejected, ThroughlineError
from throughline.record import Session, StoredEvent
from throughline.record.entries import Window
from throughline.website_login import Login

if TYPE_CHECKING:
    from sanic.request import Request

    from channels.server import Server  # it imports us

_log = log.get_logger("channels")

_MAX_ID_CHARS = 128
_MAX_MESSAGE_ID_CHARS = 64
_ACCOUNT = "account"  # in a session's detail: whose login opened it

# What a customer is told for each reason to refuse.
NOTICES: Mapping[str, str] = {
    "answer_late": "utter_answer_late",
    "bad_login": "utter_login_invalid",
    "expired_login": "utter_login_expired",
    "account_link": "utter_link_account",
    "expired_link": "utter_link_expired",
    "link_unavailable": "utter_link_unavailable",
    "unknown_link": "utter_link_unknown",
    "used_link": "utter_link_used",
    "postponed": "utter_postponed",
    "too_fast": "utter_too_fast",
    "too_large": "utter_too_long",
    "too_long": "utter_too_long",
    "unavailable": "utter_not_stored",
}


@dataclass(frozen=True)
class Visit:
    """A session that a client may use. ``session_id`` is the secret by which the client names it; ``login`` whose it is, None for an
    anonymous one; ``is_new`` that it was opened just now."""

    session: Session
    session_id: str
    login: Login | None
    is_new: bool = False


class ChatDoor:
    """One for all channels of a server: its limits count over all forms of the chat."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._record = server.app.record
        self._settings = server.app.settings.chat
        self._messages = RateLimit(self._settings.messages_per_minute)
        self._openings = RateLimit(self._settings.sessions_per_minute)

    def login_of(self, token: object) -> Login | None:
        """Who logged in, by the token that came along; None where none came. Raises Rejected("bad_login"|"expired_login")."""
        if token is None:
            return None
        login = self._server.login
        try:
            if login is None:
                raise Rejected("bad_login", "no website login is set up: `throughline.login` in endpoints.yml")
            return login.verify(token, time.time())
        except Rejected as refused:
            _log.info("chat.login_refused", reason=str(refused))
            raise

    async def known(self, session_id: object, login: Login | None) -> Session:
        """The session of this id, if whoever names it may have it. Raises Rejected("unknown_session"): whether it is foreign, over or
        never was looks the same; Unavailable."""
        if not isinstance(session_id, str) or not 0 < len(session_id) <= _MAX_ID_CHARS:
            raise Rejected("unknown_session")
        try:
            session = await self._record.call(self._record.chat_session, session_id)
        except Rejected:
            raise Rejected("unknown_session") from None
        if session.detail.get(_ACCOUNT) != (login.account if login else None):
            raise Rejected("unknown_session")
        # An anonymous visit that has become part of somebody with an account (by a code) would show that account's conversation to
        # whoever finds the id in this browser.
        is_proven = login is not None or session.assurance >= Assurance.POSSESSED
        if not is_proven and await self._record.call(self._record.has_account, session.contact_id):
            raise Rejected("unknown_session")
        return session

    async def logged_in_session(self, session_id: object, token: object) -> Session:
        """The session of this id, for whoever brings the id and the website's token, if they have one.
        Raises Rejected("unknown_session"|"bad_login"|"expired_login"), Unavailable."""
        return await self.known(session_id, self.login_of(token))

    async def session_for_call(self, session_id: object, token: object, address: str) -> Session | None:
        """The chat that a call from its page goes on with: the one of this id, under the rules above; for a login without one a new one of
        its account; None for an anonymous page that has none.
        Raises Rejected("unknown_session"|"bad_login"|"expired_login"|"too_fast"), Unavailable."""
        login = self.login_of(token)
        if session_id is not None:
            return await self.known(session_id, login)
        return None if login is None else (await self.open(None, login, address)).session

    async def open(self, session_id: object, login: Login | None, address: str) -> Visit:
        """Take up the session that the client names if it may, else open a new one: the account's where there is a login, else an
        anonymous one. ``address`` is the client's network address. Raises Rejected("too_fast"), Unavailable."""
        if session_id is not None:
            try:
                return Visit(await self.known(session_id, login), str(session_id), login)
            except Rejected:
                _log.info("chat.foreign_session_refused")
        if not self._openings.allow(address, time.monotonic()):
            raise Rejected("too_fast")
        call, record = self._record.call, self._record
        if login is None:
            session = await call(record.open_session, await call(record.create_contact), WEB_CHAT, caller=address)
        else:
            contact = await call(record.contact_of_account, login.account, proof="login")
            detail = {_ACCOUNT: login.account}
            level = Assurance.AUTHENTICATED  # its login's own end is looked at with every message
            session = await call(record.open_session, contact, WEB_CHAT, assurance=level, detail=detail, caller=address)
        ttl_s = self._settings.session_days * 86_400
        issued = await call(record.issue_chat_token, session.session_id, ttl_s=ttl_s)
        return Visit(session, issued, login, is_new=True)

    async def visit_for_link(self, visit: Visit, link: object, address: str) -> Visit:
        """The visit in which the conversation can go on that ``link`` was sent from: the client's own, where nobody has said anything in
        it or it is part of that conversation; else a new one of nobody's, at the network ``address``. So whoever is made to open somebody
        else's link shares nothing with them that was said before.
        Raises Rejected("unknown_link"|"used_link"|"expired_link"|"account_link"|"too_fast"), Unavailable."""
        leads_to = await self._record.call(self._record.look_at_link, _secret(link), session_id=visit.session.session_id)
        session = await self._record.call(self._record.session, visit.session.session_id)
        if session.contact_id == leads_to.contact_id or await self._record.call(self._record.is_blank, session.contact_id):
            return visit
        return await self.open(None, None, address)

    async def open_link(self, visit: Visit, link: object) -> tuple[Visit, bool]:
        """Go on in ``visit``, as ``visit_for_link`` gave it, with the conversation that the link was sent from, and ask its open question.
        Gives the visit as it is then, and whether it has become part of that conversation only now. Where it fails half-way, the same visit
        may bring the link again. Raises Rejected("unknown_link"|"used_link"|"expired_link"|"account_link"), Unavailable."""
        call, record, session_id = self._record.call, self._record, visit.session.session_id
        before = await call(record.session, session_id)
        opened = await call(record.open_link, _secret(link), session_id=session_id)
        lasts = timedelta(hours=self._server.app.settings.identity.chat_hours)
        await call(record.raise_assurance, session_id, LEVELS[LINK], lasts=lasts)
        try:
            await call(record.add_address, opened.contact_id, opened.kind, opened.address, proof=LINK)
            await self._server.runner.join(before.contact_id, opened.contact_id, session_id, WEB_CHAT, because=LINK)
        except Rejected as refused:  # somebody was erased, or has become somebody else's, at this moment
            _log.warning("chat.link_leads_nowhere", session=session_id, reason=refused.reason)
            raise Rejected("unknown_link") from refused
        _log.info("chat.link_opened", session=session_id)
        return replace(visit, session=await call(record.session, session_id)), before.contact_id != opened.contact_id

    async def welcome_back(self, session: Session) -> int | None:
        """Tell whoever left in the middle of a form, and opens the chat again a good while later, what we remember, and ask the open
        question again: in the visit they had, or in a new one if they have shown who they are. Of several pages that are opened at once
        one does. The event behind which it stands; None where there was nothing to tell. Where it can't be said now, they go on without."""
        silent_since = time.time() - 60 * self._settings.reminder_minutes

        async def window() -> Window:
            return await self._record.call(self._record.window, session.contact_id)

        async def still() -> bool:
            return _left_in_form(await window(), silent_since)

        try:
            found = await window()
            if not _left_in_form(found, silent_since):
                return None
            await self._server.runner.resume(session.contact_id, session.session_id, WEB_CHAT, still=still)
        except ThroughlineError as error:
            _log.warning("chat.not_welcomed_back", session=session.session_id, error=str(error))
            return None
        return found.head.last_seq

    async def take(self, visit: Visit, message: object, *, named: Callable[[str], None] | None = None) -> str | None:
        """Take the customer's words in ``message``, ``{"message", "message_id"?}``; returns once their turn is over. The id under which the
        record has them, None where there were no words; ``named`` is told it first, before anybody is shown them. A message id that came
        before has no second effect.
        Raises Rejected("expired_login"|"too_long"|"too_fast"|"unknown_session"), Unavailable when nothing could be stored."""
        if visit.login is not None and visit.login.expired(time.time()):
            raise Rejected("expired_login")
        text = web_messages.words_of(message, most_chars=self._settings.message_chars)
        if text is None:
            return None
        if not self._messages.allow(visit.session.session_id, time.monotonic()):
            raise Rejected("too_fast")
        # As it is now: what a page says after a merge was taken back belongs to whom its session belongs to again.
        session = await self._record.call(self._record.session, visit.session.session_id)
        message_id = _message_id(session, message)
        if named is not None:
            named(message_id)
        await self._server.runner.take(
            Turn(
                contact_id=session.contact_id,
                session_id=session.session_id,
                channel=WEB_CHAT,
                text=text,
                message_id=message_id,
            )
        )
        return message_id

    async def start_of(self, session: Session) -> int:
        """The event after which a page that shows nothing yet begins to show."""
        most = self._settings.history_messages
        return await self._record.call(self._record.history_start, session.contact_id, messages=most)

    def shown(self, event: StoredEvent, standing: Standing, *, known: bool) -> list[dict[str, Any]]:
        """The widget messages that show ``event`` to a chat of this ``standing``; none for what was said in another visit and may not be
        told here. ``known``: the page has it already, because the customer typed it there."""
        if event.type_name not in ("bot", "user") or not self._may_see(event, standing):
            return []
        text = str(event.data.get("text") or "")
        if event.type_name == "bot":
            if event.channel != PHONE:
                return web_messages.widget_messages(event.data)
            label, shown = "utter_live_assistant", web_messages.safe_text(text)
        elif text and not known:
            label = "utter_live_customer" if event.channel == PHONE else "utter_history_customer"
            shown = web_messages.literal(text)
        else:
            return []
        return [{"text": sentence(self._server.domain, label, WEB_CHAT, words=shown)}] if shown else []

    def _may_see(self, event: StoredEvent, standing: Standing) -> bool:
        """Whether what was said there may be shown."""
        return (
            event.session_id in standing.together or standing.assurance >= self._server.app.business.privacy.other_visits_level
        )

    def notice(self, reason: str) -> str:
        """What a customer is told, outside the conversation, when something was refused or failed for this reason."""
        return sentence(self._server.domain, NOTICES.get(reason, "utter_apology"), WEB_CHAT)


def _secret(link: object) -> str:
    """The link's secret, as far as one can tell by looking at it. Raises Rejected("unknown_link")."""
    if not is_secret(link):
        raise Rejected("unknown_link")
    return str(link)


def reason_of(error: ThroughlineError) -> str:
    """The notice for what failed rather than was refused: whether the message is kept, or has to be sent again."""
    return "postponed" if isinstance(error, Postponed) else "unavailable"


def bearer_token(request: Request) -> str | None:
    """The token of ``Authorization: Bearer`` (RFC 6750, section 2.1); None where there is no authorization of that kind."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def account_of(login: Login | None) -> str | None:
    """Whose login it is; None for nobody's."""
    return login.account if login else None


def _left_in_form(window: Window, silent_since: float) -> bool:
    """Whether a form is open in this conversation and nobody has said anything ``silent_since`` then (seconds since 1970)."""
    form = (window.header or {}).get("loop")
    for event in window.events:
        if event["event"] == "active_loop":
            form = event.get("name")
    return bool(form and window.events and window.events[-1]["timestamp"] < silent_since)


def _message_id(session: Session, message: object) -> str:
    """The client's own id of the message, if it has one, so that a retried send has one effect; else a new one."""
    own = message.get("message_id") if isinstance(message, Mapping) else None
    known = own if isinstance(own, str) and 0 < len(own) <= _MAX_MESSAGE_ID_CHARS else uuid.uuid4().hex
    return f"{session.session_id}:{known}"
