"""A customer at the website's chat, as the widgets are: socket.io (Engine.IO 4) over a websocket.

Protocol: socket.io-protocol revision 5 over engine.io-protocol revision 4. ``0`` opens, ``2``/``3`` ping and pong, ``40``
joins, ``42[...]`` is an event, ``42N[...]`` one whose end the server acknowledges with ``43N[...]``.
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

import websockets.client
from websockets.exceptions import ConnectionClosed

from throughline.errors import ProtocolError, Unavailable


class ChatCustomer:
    """One open chat page. ``session_id`` is what the server has issued; ``messages`` everything it has sent since. ``login`` is the
    website's token, where the customer is logged in; another may take its place at any time."""

    def __init__(
        self,
        address: str,
        *,
        session_id: str | None = None,
        auth: Any = None,
        login: str | None = None,
        origin: str | None = None,
        forwarded_for: str | None = None,
    ) -> None:
        """``address`` is the server's, ``http://host:port``. ``auth`` None connects as rasa-webchat does, a dict as Rasa's widget, which
        has the website's token in it; rasa-webchat brings it as ``login``, in ``customData``.

        ``forwarded_for`` is the network address that a proxy in front of the server would name (X-Forwarded-For).
        """
        self._address = address.rstrip("/")
        self._origin = origin or self._address
        self._headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
        self._auth = auth
        self.login = login
        self.session_id = session_id
        self.messages: list[dict[str, Any]] = []
        self._arrived = asyncio.Condition()
        self._confirmed = asyncio.Event()
        self._acknowledged: dict[int, asyncio.Event] = {}
        self._answers: dict[int, list[Any]] = {}

    async def __aenter__(self) -> ChatCustomer:
        await self.open()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, within_s: float = 10) -> None:
        """Connect and ask for the session. Raises asyncio.TimeoutError when none is given."""
        await self.connect(within_s)
        await self.ask_for_session()
        await asyncio.wait_for(self._confirmed.wait(), within_s)

    async def connect(self, within_s: float = 10) -> None:
        """Connect, and ask for nothing. Raises asyncio.TimeoutError, and what websockets raises for a refusal."""
        url = self._address.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
        connecting = websockets.client.connect(url, origin=self._origin, extra_headers=self._headers, max_size=1 << 20)  # type: ignore[arg-type]
        self._socket = await asyncio.wait_for(connecting, within_s)
        await self._expect("0", within_s)
        await self._socket.send("40" + (json.dumps(self._auth) if self._auth is not None else ""))
        await self._expect("40", within_s)
        self._reader = asyncio.create_task(self._read())

    async def ask_for_session(self) -> None:
        """Ask for the session ``session_id``, or a new one."""
        asked = {"session_id": self.session_id}
        await self._emit("session_request", asked if self.login is None else {**asked, "customData": self._custom_data})

    async def open_link(self, link: str, within_s: float = 15) -> str:
        """Bring the link by which the page was opened; what became of it. Raises Unavailable where the server does not say."""
        data = {"session_id": self.session_id, "customData": {**self._custom_data, "link": link}}
        number = await self._asked("session_request", data, within_s)
        if not self._answers[number]:
            raise Unavailable("the server does not say what became of the link")
        return str(self._answers[number][0]["link"])

    async def say(self, text: Any) -> None:
        """Type a message and send it."""
        await self._emit("user_uttered", self._uttered(text))

    async def send_raw(self, packet: str) -> None:
        """Send a packet as it stands."""
        await self._socket.send(packet)

    async def ask(self, text: str, *, quiet_s: float = 0.4, within_s: float = 15) -> list[str]:
        """Say ``text`` and return the texts that come back: until the server is done with it, an answer is there, and it has been quiet
        for ``quiet_s``. Raises Unavailable where that takes longer than ``within_s``."""
        seen = len(self.messages)
        await self._asked("user_uttered", self._uttered(text), within_s)
        await self.wait_for_messages(seen + 1, within_s)
        while True:
            known = len(self.messages)
            try:
                await self.wait_for_messages(known + 1, quiet_s)
            except Unavailable:
                return [str(message.get("text", "")) for message in self.messages[seen:]]

    async def wait_for_messages(self, count: int, within_s: float = 15) -> None:
        """Return when ``count`` messages have come in all. Raises Unavailable."""
        async with self._arrived:
            try:
                await asyncio.wait_for(self._arrived.wait_for(lambda: len(self.messages) >= count), within_s)
            except asyncio.TimeoutError as error:
                raise Unavailable(f"{len(self.messages)} of {count} messages after {within_s:g} s") from error

    async def close(self) -> None:
        """Close the page."""
        await self._socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    @property
    def _custom_data(self) -> dict[str, str]:
        return {} if self.login is None else {"token": self.login}

    def _uttered(self, text: Any) -> dict[str, Any]:
        return {"message": text, "customData": self._custom_data, "session_id": self.session_id}

    async def _asked(self, event: str, data: Any, within_s: float) -> int:
        """Send an event and wait until the server is done with it; its number. Raises Unavailable."""
        number = len(self._acknowledged)
        over = self._acknowledged[number] = asyncio.Event()
        await self._emit(event, data, number)
        try:
            await asyncio.wait_for(over.wait(), within_s)
        except asyncio.TimeoutError as error:
            raise Unavailable(f"the server was not done after {within_s:g} s") from error
        return number

    async def _emit(self, event: str, data: Any, number: int | None = None) -> None:
        await self._socket.send(f"42{'' if number is None else number}" + json.dumps([event, data]))

    async def _expect(self, start: str, within_s: float) -> None:
        packet = await asyncio.wait_for(self._socket.recv(), within_s)
        if not str(packet).startswith(start):
            raise ProtocolError(f"expected a packet {start}, got {str(packet)[:80]}")

    async def _read(self) -> None:
        try:
            while True:
                packet = str(await self._socket.recv())
                if packet == "2":
                    await self._socket.send("3")
                elif packet.startswith("42"):
                    await self._take(*json.loads(packet[2:]))
                elif packet.startswith("43"):
                    number = int(packet[2 : packet.index("[")])
                    self._answers[number] = json.loads(packet[packet.index("[") :])
                    self._acknowledged[number].set()
        except ConnectionClosed:
            return

    async def _take(self, event: str, data: Any = None) -> None:
        if event == "session_confirm":
            self.session_id = data
            self._confirmed.set()
        elif event == "bot_uttered":
            async with self._arrived:
                self.messages.append(data)
                self._arrived.notify_all()
