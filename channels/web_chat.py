"""The website's chat: Rasa's chat widget and rasa-webchat over socket.io at ``/socket.io``, other clients over REST (chat_rest.py).

Stands between the widget and the chat's door (chat_door.py), behind which is the runner. What always holds:

- A session is bound to its socket; what a message says about its session is not looked at once it is.
- The website's token may come with the connection (``auth: {token}``) or in ``customData`` with any event. A page whose token arrives late
  is moved to the login's session before its message is taken, and told by ``session_confirm``. A login that is over is shown nothing more.
- A view of the record feeds the page: replies, turns on the phone, whatever was missed. So a reload or a restart loses nothing.

Protocols: rasa-webchat 1.0.1 and Rasa's chat widget 0.1.x (their events are listed in docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import socketio
from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, Sanic
from sanic.request import Request

from channels import web_messages
from channels.chat_door import Visit, account_of, reason_of
from channels.chat_rest import ChatRest
from channels.live import LiveFeed, View
from channels.server import Mounted, Server
from channels.site_pages import mount_site
from throughline import log
from throughline.domain.turns import WEB_CHAT
from throughline.errors import Rejected, ThroughlineError
from throughline.record import Session, StoredEvent
from throughline.website_login import Login

_log = log.get_logger("channels")

PATH = "/socket.io"
_MAX_PACKET_BYTES = 32 * 1024
_MAX_WAITING = 10


@dataclass
class ChatSocket:
    """One open socket. ``visit`` is set once the client has a session; ``asked_for`` is the one it named first. ``token`` is the website's,
    as the client brought it before there was a visit; ``keeps_history`` is False for a widget that forgets what it showed. ``renewed``
    wakes its view when a login that had run out is good again."""

    address: str
    token: Any
    keeps_history: bool
    asked_for: Any = None
    visit: Visit | None = None
    view: View | None = None
    waiting: int = 0
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
        self._sio = socketio.AsyncServer(
            async_mode="sanic",
            cors_allowed_origins=sorted(server.origins),
            max_http_buffer_size=_MAX_PACKET_BYTES,
            logger=False,
            engineio_logger=False,
        )
        self._sio.attach(sanic, PATH)
        self._sio.on("connect", self._connected)
        self._sio.on("disconnect", self._disconnected)
        self._sio.on("session_request", self._session_requested)
        self._sio.on("user_uttered", self._user_uttered)
        server.before_ready(self._start)
        sanic.register_listener(self._stop, "before_server_stop")
        mount_site(sanic, server)

    async def _start(self) -> None:
        self._feed = LiveFeed(self._record)

    async def _stop(self, _sanic: Sanic, _loop: Any) -> None:
        await self._feed.close()

    async def _connected(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        request: Request = environ["sanic.request"]
        self._sockets[sid] = ChatSocket(
            address=self._server.network_address(request),
            token=(auth.get("token") or None) if isinstance(auth, Mapping) else None,
            # Only Rasa's own widget sends `auth`; it begins each page empty, where rasa-webchat has kept what it showed.
            keeps_history=auth is None,
        )

    async def _disconnected(self, sid: str, *_: Any) -> None:
        socket = self._sockets.pop(sid, None)
        if socket is not None and socket.view is not None:
            await socket.view.close()

    async def _session_requested(self, sid: str, data: Any = None) -> dict[str, str] | None:
        """Returns what became of the link by which the page was opened, if it brought one."""
        socket, link = self._sockets.get(sid), web_messages.link_of(data)
        if socket is None:
            return None
        async with self._told(sid), socket.turn:
            visit = await self._bind(sid, socket, data, confirm=True)
            if link is not None:
                return {"link": await self._open_link(sid, socket, visit, link)}
            await self._door.welcome_back(visit)
        return None

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
        socket = self._sockets.get(sid)
        if socket is None:
            return
        if socket.waiting >= _MAX_WAITING:
            await self._notice(sid, "too_fast")
            return
        socket.waiting += 1
        try:
            async with self._told(sid), socket.turn:  # fair: messages of one page are taken in the order in which they came
                await self._door.take(await self._bind(sid, socket, data, confirm=False), data)
        finally:
            socket.waiting -= 1

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
        session = visit.session
        shown = session.shown_seq
        if after is None and (not socket.keeps_history or visit.is_new):
            after = await self._door.start_of(session)  # a new visit of a known customer begins with their latest messages

        async def show(event: StoredEvent, now: Session) -> None:
            for message in await self._door.shown(event, now, replayed=event.seq <= shown):
                await self._sio.emit("bot_uttered", message, to=sid)

        socket.view = self._feed.watch(
            session, shown if after is None else after, show, ready=lambda: self._login_is_good(socket)
        )

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
