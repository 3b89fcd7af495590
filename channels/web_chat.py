"""The website's chat: Rasa's chat widget and rasa-webchat over socket.io at ``/socket.io``.

Stands between the widget and the runner. What always holds:

- The session id is issued here, unguessable, and bound to the socket; what a message says about its session is not looked at.
- A view of the record feeds the page: replies, turns on the phone, whatever was missed. So a reload or a restart loses nothing.
- What a customer types is words: bounded in size and rate, never a command.

Protocols: rasa-webchat 1.0.1 and Rasa's chat widget 0.1.x (their events are listed in docs/architecture.md).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import socketio
from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, Sanic
from sanic.request import Request

from channels import web_messages
from channels.limits import RateLimit
from channels.live import LiveFeed, View
from channels.server import Mounted, Server
from channels.site_pages import mount_site
from channels.wording import sentence
from throughline import log
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.errors import Rejected, ThroughlineError
from throughline.record import Session, StoredEvent

_log = log.get_logger("channels")

PATH = "/socket.io"
_MAX_PACKET_BYTES = 32 * 1024
_MAX_TOKEN_CHARS = 128
_MAX_MESSAGE_ID_CHARS = 64
_MAX_WAITING = 10


@dataclass
class ChatSocket:
    """One open socket. ``session`` is set once the client has asked for one; ``keeps_history`` is False for a widget that
    forgets what it showed."""

    address: str
    keeps_history: bool
    session: Session | None = None
    token: str = ""
    view: View | None = None
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class WebChat(InputChannel):
    """Rasa's input channel for the website's chat."""

    @classmethod
    def name(cls) -> str:
        """As in the domain's ``channel:`` keys."""
        return WEB_CHAT

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Mounts socket.io and the demo site. Rasa's own message handler is not used: the runner owns a turn."""
        return Mounted("web_chat", self._mount)

    def _mount(self, sanic: Sanic) -> None:
        server = Server.of(sanic)
        self._server = server
        self._settings = server.app.settings.chat
        self._record = server.app.record
        self._sockets: dict[str, ChatSocket] = {}
        self._messages = RateLimit(self._settings.messages_per_minute)
        self._openings = RateLimit(self._settings.sessions_per_minute)
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
        # Only Rasa's own widget sends `auth`; it begins each page empty, where rasa-webchat has kept what it showed.
        self._sockets[sid] = ChatSocket(self._server.network_address(request), keeps_history=auth is None)

    async def _disconnected(self, sid: str, *_: Any) -> None:
        socket = self._sockets.pop(sid, None)
        if socket is not None and socket.view is not None:
            await socket.view.close()

    async def _session_requested(self, sid: str, data: Any = None) -> None:
        socket = self._sockets.get(sid)
        if socket is None:
            return
        async with socket.turn:
            try:
                if await self._bind(sid, socket, data):
                    await self._sio.emit("session_confirm", socket.token, to=sid)
                    await self._watch(sid, socket)
            except ThroughlineError as error:
                _log.error("chat.session_failed", error=str(error))
                await self._notice(sid, "utter_apology")

    async def _bind(self, sid: str, socket: ChatSocket, data: Any) -> bool:
        """Give the socket the session its client names if that is one of ours, else a new one. False if it may not have one."""
        if socket.session is not None:
            return True
        token = data.get("session_id") if isinstance(data, Mapping) else None
        if isinstance(token, str) and 0 < len(token) <= _MAX_TOKEN_CHARS:
            try:
                socket.session = await self._record.call(self._record.chat_session, token)
                socket.token = token
                return True
            except Rejected:
                _log.info("chat.foreign_session_refused")
        if not self._openings.allow(socket.address, time.monotonic()):
            await self._notice(sid, "utter_too_fast")
            return False
        contact = await self._record.call(self._record.create_contact)
        session = await self._record.call(self._record.open_session, contact, WEB_CHAT)
        ttl_s = self._settings.session_days * 86_400
        socket.token = await self._record.call(self._record.issue_chat_token, session.session_id, ttl_s=ttl_s)
        socket.session = session
        return True

    async def _watch(self, sid: str, socket: ChatSocket) -> None:
        """Show the page what it missed, then everything as it is committed."""
        session = socket.session
        if socket.view is not None or session is None:
            return
        after, shown = session.shown_seq, session.shown_seq
        if not socket.keeps_history:
            most = self._settings.history_messages
            after = await self._record.call(self._record.history_start, session.contact_id, messages=most)

        async def show(events: Sequence[StoredEvent]) -> None:
            for event in events:
                for message in self._messages_for(event, session, replayed=event.seq <= shown):
                    await self._sio.emit("bot_uttered", message, to=sid)
            if events[-1].seq > shown:
                await self._record.call(self._record.note_shown, session.session_id, events[-1].seq)

        socket.view = self._feed.watch(session.contact_id, after, show)

    def _messages_for(self, event: StoredEvent, session: Session, *, replayed: bool) -> list[dict[str, Any]]:
        """The widget messages that show ``event`` on the page of ``session``. ``replayed``: the page showed it before a
        reload."""
        text = str(event.data.get("text") or "")
        own = event.session_id == session.session_id
        if event.type_name == "bot":
            if event.channel != PHONE:
                return web_messages.widget_messages(event.data)
            label, shown = "utter_live_assistant", web_messages.safe_text(text)
        elif event.type_name == "user" and text and (replayed or not own):
            label = "utter_live_customer" if event.channel == PHONE else "utter_history_customer"
            shown = web_messages.literal(text)
        else:
            return []
        return [{"text": sentence(self._server.domain, label, WEB_CHAT, text=shown)}] if shown else []

    async def _user_uttered(self, sid: str, data: Any = None) -> None:
        socket = self._sockets.get(sid)
        if socket is None:
            return
        if socket.waiting >= _MAX_WAITING:
            await self._notice(sid, "utter_too_fast")
            return
        socket.waiting += 1
        try:
            async with socket.turn:  # fair: messages of one page are taken in the order in which they came
                await self._take(sid, socket, data)
        except ThroughlineError as error:
            _log.error("chat.turn_failed", error=str(error))
            await self._notice(sid, "utter_apology")
        finally:
            socket.waiting -= 1

    async def _take(self, sid: str, socket: ChatSocket, data: Any) -> None:
        is_new = socket.session is None
        if not await self._bind(sid, socket, data):
            return
        if is_new:  # refused when it asked, or it never asked: without its id a reload would lose the conversation
            await self._sio.emit("session_confirm", socket.token, to=sid)
        await self._watch(sid, socket)
        session = socket.session
        assert session is not None  # noqa: S101 - _bind has just set it
        try:
            text = web_messages.words_of(data, most_chars=self._settings.message_chars)
        except Rejected:
            await self._notice(sid, "utter_too_long")
            return
        if text is None:
            return
        if not self._messages.allow(session.session_id, time.monotonic()):
            await self._notice(sid, "utter_too_fast")
            return
        await self._server.runner.take(
            Turn(
                contact_id=session.contact_id,
                session_id=session.session_id,
                channel=WEB_CHAT,
                text=text,
                message_id=_message_id(session, data),
            )
        )

    async def _notice(self, sid: str, name: str) -> None:
        """Tell one page something that is not part of the conversation."""
        text = sentence(self._server.domain, name, WEB_CHAT)
        await self._sio.emit("bot_uttered", {"text": text}, to=sid)


def _message_id(session: Session, data: Any) -> str:
    """The client's own id of the message, if it has one, so that a retried send has one effect; else a new one."""
    own = data.get("message_id") if isinstance(data, Mapping) else None
    known = own if isinstance(own, str) and 0 < len(own) <= _MAX_MESSAGE_ID_CHARS else uuid.uuid4().hex
    return f"{session.session_id}:{known}"
