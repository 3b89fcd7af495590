"""The website's chat: Rasa's chat widget and rasa-webchat over socket.io at ``/socket.io``, other clients over REST (chat_rest.py).

Stands between the widget and the chat's door (chat_door.py), behind which is the runner. What always holds:

- A session is bound to its socket; what a message says about its session is not looked at once it is.
- What a page may ask is bounded, whichever event asks it: how many wait at once, how many come in a minute, and how many pages a network
  address has open.
- The website's token may come with the connection (``auth: {token}``) or in ``customData`` with any event. A page whose token arrives late
  is moved to the login's session before its message is taken, and told by ``session_confirm``. A login that is over is shown nothing more.
- A view of the record feeds the page: replies, turns on the phone, whatever was missed, and what the customer has typed in another page.
  So a reload or a restart loses nothing.

Protocols: rasa-webchat 1.0.1 and Rasa's chat widget 0.1.x (their events are listed in docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import socketio
from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, Sanic
from sanic.request import Request
from sanic.response import HTTPResponse, json

from channels import web_messages
from channels.chat_door import Visit, account_of, reason_of
from channels.chat_rest import ChatRest
from channels.limits import RateLimit
from channels.live import LiveFeed, View
from channels.server import Mounted, Server
from channels.site_pages import mount_site
from throughline import log
from throughline.domain.turns import WEB_CHAT
from throughline.errors import Rejected, ThroughlineError
from throughline.record import StoredEvent
from throughline.record.views import Typed, Unseen
from throughline.website_login import Login

_log = log.get_logger("channels")

PATH = "/socket.io"
_MAX_PACKET_BYTES = 32 * 1024
_MAX_WAITING = 10
_REQUESTS_PER_MINUTE = 10  # of a page for its session, beside its messages: one or two at each connection
_CONNECTIONS_PER_MINUTE = 2  # for each page that an address may have open: all come back when a server is started again
_MOST_SENT = 100

Answer = dict[str, str]
Work = Callable[[str, "ChatSocket", Any], Awaitable[Answer | None]]
"""What an event of a page is for: by its socket's id, its socket, and what came along; with what the page is answered."""


@dataclass
class ChatSocket:
    """One open socket. ``visit`` is set once the client has a session; ``asked_for`` is the one it named first. ``token`` is the website's,
    as the client brought it before there was a visit; ``keeps_history`` is False for a widget that forgets what it showed. ``sent`` are
    the ids of the messages that came by this socket, the latest of them. ``renewed`` wakes its view when a login that had run out is good
    again."""

    address: str
    token: Any
    keeps_history: bool
    asked_for: Any = None
    visit: Visit | None = None
    view: View | None = None
    waiting: int = 0
    sent: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_SENT))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    renewed: asyncio.Event = field(default_factory=asyncio.Event)


class WebChat(InputChannel):
    """Rasa's input channel for the website's chat."""

    @classmethod
    def name(cls) -> str:
        """As in the domain's ``channel:`` keys."""
        return WEB_CHAT

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Mounts socket.io, the REST form and the demo site. Rasa's own message handler is not used: the runner owns a turn."""
        blueprint = Mounted("web_chat", self._mount)
        self._rest = ChatRest()
        self._rest.add_to(blueprint)
        return blueprint

    def _mount(self, sanic: Sanic) -> None:
        server = Server.of(sanic)
        self._server = server
        self._door = server.chat_door
        self._record = server.app.record
        self._rest.mount(sanic, server)
        self._sockets: dict[str, ChatSocket] = {}
        settings = server.app.settings.chat
        self._most_pages = settings.pages_per_address
        self._connections = RateLimit(_CONNECTIONS_PER_MINUTE * self._most_pages)
        self._events = RateLimit(settings.messages_per_minute + _REQUESTS_PER_MINUTE)
        self._sio = socketio.AsyncServer(
            async_mode="sanic",
            cors_allowed_origins=sorted(server.origins),
            max_http_buffer_size=_MAX_PACKET_BYTES,
            logger=False,
            engineio_logger=False,
        )
        self._sio.attach(sanic, PATH)
        sanic.register_middleware(self._only_so_many, "request")
        self._sio.on("connect", self._connected)
        self._sio.on("disconnect", self._disconnected)
        self._sio.on("session_request", self._session_requested)
        self._sio.on("user_uttered", self._user_uttered)
        server.before_ready(self._start)
        sanic.register_listener(self._stop, "before_server_stop")
        mount_site(sanic, server)

    async def _start(self) -> None:
        together = timedelta(minutes=self._server.app.business.privacy.together_minutes)
        self._feed = LiveFeed(self._record, together)

    async def _stop(self, _sanic: Sanic, _loop: Any) -> None:
        await self._feed.close()

    async def _only_so_many(self, request: Request) -> HTTPResponse | None:
        """Before a connection is made: one network address has so many pages open, and connects so often. A widget tries again."""
        if request.method != "GET" or not request.path.startswith(PATH) or "sid" in request.args:
            return None
        address = request.ctx.address = self._server.network_address(request)
        is_open = sum(environ["sanic.request"].ctx.address == address for environ in self._sio.environ.values())
        if is_open < self._most_pages and self._connections.allow(address, time.monotonic()):
            return None
        _log.warning("chat.too_many_pages", open=is_open)
        return json({"error": "too_fast"}, status=429, headers={"Retry-After": "10"})

    async def _connected(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        request: Request = environ["sanic.request"]
        self._sockets[sid] = ChatSocket(
            address=request.ctx.address,
            token=(auth.get("token") or None) if isinstance(auth, Mapping) else None,
            # Only Rasa's own widget sends `auth`; it begins each page empty, where rasa-webchat has kept what it showed.
            keeps_history=auth is None,
        )

    async def _disconnected(self, sid: str, *_: Any) -> None:
        socket = self._sockets.pop(sid, None)
        if socket is not None and socket.view is not None:
            await socket.view.close()

    async def _session_requested(self, sid: str, data: Any = None) -> Answer | None:
        """Returns what became of the link by which the page was opened, if it brought one."""
        return await self._in_turn(sid, data, self._open)

    async def _open_link(self, sid: str, socket: ChatSocket, visit: Visit, link: Any) -> str:
        """Go on with the conversation that the link leads to, in another visit where it must. Gives ``opened``, the reason of a refusal,
        which the page is told, or ``unavailable``: then it may be brought again."""
        place: int | None = visit.session.shown_seq if socket.view is None else socket.view.after_seq
        await self._close_view(socket)  # until it is clear where what is shown begins
        try:
            chosen = await self._door.visit_for_link(visit, link, socket.address)
            if chosen.session_id != visit.session_id:
                socket.visit, visit, place = chosen, chosen, None
                await self._sio.emit("session_confirm", chosen.session_id, to=sid)
            socket.visit, begins = await self._door.open_link(visit, link)
        except ThroughlineError as error:
            await self._watch(sid, socket, visit, place)
            reason = error.reason if isinstance(error, Rejected) else "unavailable"
            _log.info("chat.link_refused", reason=reason)
            await self._notice(sid, "link_unavailable" if reason == "unavailable" else reason)
            return reason
        await self._watch(sid, socket, socket.visit, await self._door.start_of(socket.visit.session) if begins else place)
        return "opened"

    async def _user_uttered(self, sid: str, data: Any = None) -> None:
        await self._in_turn(sid, data, self._take)

    async def _in_turn(self, sid: str, data: Any, work: Work) -> Answer | None:
        """Do what an event of a page asks for, once what it asked for before is done: its messages are taken in the order in which they
        came."""
        socket = self._sockets.get(sid)
        if socket is None:
            return None
        if socket.waiting >= _MAX_WAITING or not self._events.allow(sid, time.monotonic()):
            await self._notice(sid, "too_fast")
            return None
        socket.waiting += 1
        answer = None  # to what was refused or failed, which is told
        try:
            async with self._told(sid), socket.turn:
                answer = await work(sid, socket, data)
        finally:
            socket.waiting -= 1
        return answer

    async def _open(self, sid: str, socket: ChatSocket, data: Any) -> Answer | None:
        """The page asks for its session, and may bring the link by which it was opened."""
        before, link = socket.visit, web_messages.link_of(data)
        visit = await self._bind(sid, socket, data, confirm=True)
        if link is not None:
            return {"link": await self._open_link(sid, socket, visit, link)}
        if before is None or before.session_id != visit.session_id:
            await self._door.welcome_back(visit.session)
        return None

    async def _take(self, sid: str, socket: ChatSocket, data: Any) -> None:
        """The customer has typed something."""
        await self._door.take(await self._bind(sid, socket, data, confirm=False), data, named=socket.sent.append)

    @asynccontextmanager
    async def _told(self, sid: str) -> AsyncIterator[None]:
        """Whatever is refused or fails in here, the page is told."""
        try:
            yield
        except Rejected as refused:
            _log.info("chat.refused", reason=refused.reason)
            await self._notice(sid, refused.reason)
        except ThroughlineError as error:
            _log.error("chat.failed", error=str(error))
            await self._notice(sid, reason_of(error))

    async def _bind(self, sid: str, socket: ChatSocket, data: Any, *, confirm: bool) -> Visit:
        """The visit of this socket: taken up or opened now if it has none, or if another login came along. The page is told its id when
        it asked (``confirm``), and when it is another than before: without it a reload would lose the conversation.
        Raises Rejected, Unavailable."""
        named = data.get("session_id") if isinstance(data, Mapping) else None
        login = self._login_now(socket, data)
        visit = socket.visit
        if socket.asked_for is None:
            socket.asked_for = named
        if visit is None or account_of(visit.login) != account_of(login):
            await self._close_view(socket)
            visit, confirm = await self._door.open(socket.asked_for, login, socket.address), True
        elif login is not visit.login:
            visit = replace(visit, login=login)
        socket.visit = visit
        socket.renewed.set()
        if confirm:
            await self._sio.emit("session_confirm", visit.session_id, to=sid)
        await self._watch(sid, socket, visit)
        return visit

    def _login_now(self, socket: ChatSocket, data: Any) -> Login | None:
        """Whose the socket is: by the token that came with this event, else as before, else by the one that came with the connection.
        Raises Rejected("bad_login"|"expired_login")."""
        token = web_messages.login_token_of(data)
        if socket.visit is None:
            # rasa-webchat asks for its session without a token, after the page has asked with one: if that was refused, so is this.
            socket.token = token = socket.token if token is None else token
        elif token is None:
            return socket.visit.login
        return self._door.login_of(token)

    async def _watch(self, sid: str, socket: ChatSocket, visit: Visit, after: int | None = None) -> None:
        """Show the page what it missed, or what was committed ``after`` a place of its own, then everything as it is committed."""
        if socket.view is not None:
            return
        session, typed = visit.session, None
        if socket.keeps_history and not visit.is_new:
            typed = await self._record.call(self._record.typed, session.session_id)
        if after is None:  # an empty page, and a new visit of a known customer, begin with their latest messages
            after = await self._door.start_of(session) if typed is None else session.shown_seq

        async def show(event: StoredEvent, unseen: Unseen) -> None:
            known = _is_there(event, socket, typed, unseen.session.session_id)
            for message in self._door.shown(event, unseen.standing, known=known):
                await self._sio.emit("bot_uttered", message, to=sid)

        if self._sockets.get(sid) is not socket:
            return  # the page has gone meanwhile: nobody would end its view
        socket.view = self._feed.watch(session, after, show, ready=lambda: self._login_is_good(socket))

    async def _login_is_good(self, socket: ChatSocket) -> None:
        """Returns once the socket's login, if it has one, is not over: until it is renewed nothing is shown, and nothing of it lost."""
        while socket.visit is not None and socket.visit.login is not None and socket.visit.login.expired(time.time()):
            socket.renewed.clear()
            await socket.renewed.wait()

    async def _close_view(self, socket: ChatSocket) -> None:
        view, socket.view = socket.view, None
        if view is not None:
            await view.close()

    async def _notice(self, sid: str, reason: str) -> None:
        """Tell one page something that is not part of the conversation."""
        await self._sio.emit("bot_uttered", {"text": self._door.notice(reason)}, to=sid)


def _is_there(event: StoredEvent, socket: ChatSocket, typed: Typed | None, session_id: str) -> bool:
    """Whether the page has what the customer says in ``event``: it was typed there. ``typed`` is what had been typed in the session when a
    page came that keeps its history."""
    message_id = event.data.get("message_id")
    if message_id in socket.sent:
        return True
    return typed is not None and event.session_id == session_id and (event.seq <= typed.up_to or message_id in typed.waiting)
