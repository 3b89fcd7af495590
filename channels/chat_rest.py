"""The REST form of the chat, for apps, kiosks and servers: ``POST /webhooks/web_chat/messages`` and ``POST /webhooks/web_chat/history``.

Stands beside the socket of web_chat.py, behind the same door (chat_door.py), and so under the same rules. Bodies are JSON, also when they
are sent as ``text/plain``; the website's token comes as ``Authorization: Bearer``.

    messages  {"session_id": null | str, "message": str, "message_id"?: str, "after"?: int, "link"?: str}
                                                 -> {"session_id", "messages", "last"}
    history   {"session_id": str, "after"?: int} -> {"messages", "last"}

``messages`` are exactly what the widgets get. A client keeps the ``session_id`` it is given: another one than it sent means that a new
visit has begun. ``last`` is a place in the conversation: with ``after`` an answer holds everything that was said since, on the phone too;
without it, the reply alone, or the latest messages with the customer's own. A customer who comes back in the middle of a form is welcomed
back where a client opens the chat: by a message without words, or a history without ``after``. ``link`` is what stands behind ``#link=`` in
the address that was sent to the customer: it is opened before the message is taken, which may be empty, and the answer begins with what
was said before. Who brings it with a session that they have may bring it again where no answer came. Sending a message again with its
``message_id`` has no second effect and gives the same answer. Refusals are ``{"error", "message"}``, the message for the customer, from
the domain.
"""

from __future__ import annotations

import asyncio
import json as json_format
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sanic import Blueprint, Sanic
from sanic.exceptions import PayloadTooLarge
from sanic.request import Request
from sanic.response import HTTPResponse, empty, json

from channels.chat_door import ChatDoor, Visit, bearer_token, reason_of
from channels.limits import RateLimit
from throughline import log
from throughline.domain.privacy import Standing
from throughline.errors import Rejected, ThroughlineError
from throughline.record import Session
from throughline.record.views import Unseen

if TYPE_CHECKING:
    from channels.server import Server

_log = log.get_logger("channels")

T = TypeVar("T")

PREFIX = "/webhooks/web_chat"
_ANSWER_WITHIN_S = 25.0  # load balancers commonly give up after 30
_MAX_MESSAGE_ID_CHARS = 64
_HISTORY_EVENTS = 200  # of one answer; `last` says where to go on
_LOOKS_PER_MINUTE = 120  # at one session's history: twice a second
_PREFLIGHT_S = 600
_STATUS: Mapping[str, int] = {
    "bad_request": 400,
    "bad_login": 401,
    "expired_login": 401,
    "foreign_origin": 403,
    "unknown_session": 403,
    "unknown_link": 403,
    "account_link": 409,
    "expired_link": 410,
    "used_link": 410,
    "too_long": 413,
    "too_large": 413,
    "too_fast": 429,
    "postponed": 503,
    "unavailable": 503,
    "answer_late": 504,
}

Answer = Callable[[Request, Mapping[str, Any]], Awaitable[dict[str, Any]]]


class ChatRest:
    """The two entries. ``add_to`` the channel's blueprint, then ``mount``, before they are called. ``under_way`` are the turns being taken,
    also those whose clients have gone."""

    def __init__(self, answer_within_s: float = _ANSWER_WITHIN_S) -> None:
        self._answer_within_s = answer_within_s
        self.under_way: set[asyncio.Future[Any]] = set()
        self._looks = RateLimit(_LOOKS_PER_MINUTE)

    def add_to(self, blueprint: Blueprint) -> None:
        """Add the routes."""

        # Sanic puts attributes of its own on a handler, which a bound method does not take.
        @blueprint.post("/messages")
        async def messages(request: Request) -> HTTPResponse:
            return await self._answered(request, self.take_message)

        @blueprint.post("/history")
        async def history(request: Request) -> HTTPResponse:
            return await self._answered(request, self.look_back)

        @blueprint.exception(PayloadTooLarge)
        async def too_large(request: Request, _error: PayloadTooLarge) -> HTTPResponse:
            return self._refusal(request, "too_large")

    def mount(self, sanic: Sanic, server: Server) -> None:
        """Work on this server."""
        self._server = server
        self._door: ChatDoor = server.chat_door
        self._record = server.app.record
        # In place of the answer to preflights that Rasa gives for every path: it allows nobody.
        sanic.register_middleware(self._preflight, "response")

    async def take_message(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """One message of the customer and the reply to it."""
        after, wished = _place(body), body.get("message_id")
        if not isinstance(body.get("message", ""), (str, type(None))):
            raise Rejected("bad_request", "message")
        if wished is not None and not (isinstance(wished, str) and 0 < len(wished) <= _MAX_MESSAGE_ID_CHARS):
            raise Rejected("bad_request", "message_id")
        link = body.get("link")
        if not isinstance(link, (str, type(None))):
            raise Rejected("bad_request", "link")
        login, address = self._door.login_of(bearer_token(request)), self._server.network_address(request)
        visit = await self._door.open(_session_id(body), login, address)
        if link is not None:
            visit = await self._in_time(self._linked(visit, link, address))
        message_id = await self._in_time(self._door.take(visit, body))
        replayed = link is not None and after is None
        if replayed:
            after = await self._door.start_of(visit.session)
        elif message_id is None:
            self._count_look(visit.session)
            welcomed_at = await self._welcomed(visit.session)
            after = welcomed_at if after is None else after
        if after is not None:
            answer = self._shown(await self._since(visit.session, after), after, replayed=replayed)
        else:
            answer = self._shown(await self._reply(visit.session, message_id), 0, replayed=False)
        return {"session_id": visit.session_id, **answer}

    async def _linked(self, visit: Visit, link: str, address: str) -> Visit:
        visit, _ = await self._door.open_link(await self._door.visit_for_link(visit, link, address), link)
        return visit

    async def look_back(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """What was said: since ``after``, or the latest messages."""
        after = _place(body)
        session = await self._door.logged_in_session(_session_id(body), bearer_token(request))
        self._count_look(session)
        if after is None:
            await self._welcomed(session)
        start = await self._door.start_of(session) if after is None else after
        return self._shown(await self._since(session, start), start, replayed=after is None)

    def _count_look(self, session: Session) -> None:
        """Raises Rejected("too_fast")."""
        if not self._looks.allow(session.session_id, time.monotonic()):
            raise Rejected("too_fast")

    async def _welcomed(self, session: Session) -> int | None:
        """As ChatDoor.welcome_back; where that takes too long it is in a later answer."""
        try:
            return await self._in_time(self._door.welcome_back(session))
        except Rejected:
            return None

    async def _in_time(self, work: Awaitable[T]) -> T:
        """What comes of ``work``, which is done to its end whatever becomes of the request. Raises Rejected("answer_late"), and what it
        raises."""
        task = asyncio.ensure_future(work)
        self.under_way.add(task)
        task.add_done_callback(self._over)
        try:
            return await asyncio.wait_for(asyncio.shield(task), self._answer_within_s)
        except asyncio.TimeoutError:
            raise Rejected("answer_late") from None

    def _over(self, task: asyncio.Future[Any]) -> None:
        self.under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.info("chat.turn_not_taken", error=log.told(error))

    async def _since(self, session: Session, after: int) -> Unseen:
        together = timedelta(minutes=self._server.app.business.privacy.together_minutes)
        asking = self._record.call(
            self._record.unseen, session.session_id, after_seq=after, limit=_HISTORY_EVENTS, together=together
        )
        return await asking

    async def _reply(self, session: Session, message_id: str | None) -> Unseen:
        """What was said in the session to a message of it; nothing where there was none."""
        said = [] if message_id is None else await self._record.call(self._record.reply_to, message_id)
        return Unseen(session, Standing(session.assurance, frozenset({session.session_id})), tuple(said))

    def _shown(self, found: Unseen, after: int, *, replayed: bool) -> dict[str, Any]:
        """An answer of what was ``found`` behind ``after``. Unless it is ``replayed``, the client knows what was typed in its session."""
        session_id, messages = found.session.session_id, []
        for event in found.events:
            messages += self._door.shown(event, found.standing, known=not replayed and event.session_id == session_id)
        return {"messages": messages, "last": found.events[-1].seq if found.events else after}

    async def _answered(self, request: Request, answer: Answer) -> HTTPResponse:
        """The answer to a request, or the refusal of it."""
        try:
            if request.headers.get("origin") and not self._server.origin_allowed(request):
                raise Rejected("foreign_origin")
            return json(await answer(request, _body(request)), headers=self._headers(request))
        except Rejected as refused:
            return self._refusal(request, refused.reason)
        except ThroughlineError as error:
            _log.error("chat.failed", error=str(error))
            return self._refusal(request, reason_of(error))

    def _refusal(self, request: Request, reason: str) -> HTTPResponse:
        status = _STATUS.get(reason, 400)
        _log.info("chat.request_refused", reason=reason)
        headers = self._headers(request)
        if status == 401:
            headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'  # RFC 6750, section 3
        return json({"error": reason, "message": self._door.notice(reason)}, status=status, headers=headers)

    async def _preflight(self, request: Request, _response: HTTPResponse) -> HTTPResponse | None:
        """A browser asks whether a page of another origin may send a request (Fetch standard, CORS protocol)."""
        if request.method != "OPTIONS" or not request.path.startswith(PREFIX):
            return None
        if not self._server.origin_allowed(request):
            return empty(403)
        allowed = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": str(_PREFLIGHT_S),
        }
        return empty(204, headers={**self._headers(request), **allowed})

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Cache-Control": "no-store", "Vary": "Origin"}
        if self._server.origin_allowed(request):
            headers["Access-Control-Allow-Origin"] = request.headers["origin"]
        return headers


def _body(request: Request) -> Mapping[str, Any]:
    """The request's JSON object, whatever it is called. Raises Rejected("bad_request")."""
    try:
        body = json_format.loads(request.body)
    except (ValueError, RecursionError):  # ValueError is also what bytes that are no text raise
        raise Rejected("bad_request", "no JSON") from None
    if not isinstance(body, dict):
        raise Rejected("bad_request", "no object")
    return body


def _session_id(body: Mapping[str, Any]) -> str | None:
    session_id = body.get("session_id")
    if session_id is None or isinstance(session_id, str):
        return session_id
    raise Rejected("bad_request", "session_id")


def _place(body: Mapping[str, Any]) -> int | None:
    after = body.get("after")
    if after is None or (isinstance(after, int) and not isinstance(after, bool) and 0 <= after < 2**63):
        return after
    raise Rejected("bad_request", "after")
