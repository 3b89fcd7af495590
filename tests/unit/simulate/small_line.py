"""A phone line of a few lines: answers webhooks as it is told, and holds media streams that say what it is told."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

PUBLIC = "https://voice.example"
STREAM = "wss://voice.example/webhooks/phone/media"
CONNECT = f"""<Response><Connect><Stream url="{STREAM}"><Parameter name="token" value="let-me-in"/></Stream></Connect>
<Redirect method="POST">{PUBLIC}/webhooks/phone/resume</Redirect></Response>"""
HANG_UP = "<Response><Hangup/></Response>"

Holds = Callable[["Stream"], Awaitable[None]]


class Stream:
    """One media stream, as the line sees it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket, self.headers = socket, request.headers
        self.heard: list[dict[str, Any]] = []
        self.closed = asyncio.Event()

    @property
    def start(self) -> dict[str, Any]:
        """The ``start`` message's content."""
        start: dict[str, Any] = next(message["start"] for message in self.heard if message["event"] == "start")
        return start

    async def send(self, event: str, **fields: Any) -> None:
        """Send one message of Twilio's."""
        await self.socket.send_str(json.dumps({"event": event, "streamSid": self.start["streamSid"], **fields}))

    async def say(self, audio: bytes, mark: str) -> None:
        """Send audio and a mark after it."""
        await self.send("media", media={"payload": base64.b64encode(audio).decode()})
        await self.send("mark", mark={"name": mark})

    async def until(self, event: str) -> dict[str, Any]:
        """The next message of that kind, of any if it is empty. It must come within seconds."""
        return await asyncio.wait_for(self._until(event), 5)

    async def _until(self, event: str) -> dict[str, Any]:
        while True:
            message = await self.socket.receive()
            if message.type != WSMsgType.TEXT:
                raise ConnectionError
            self.heard.append(json.loads(message.data))
            if event in ("", self.heard[-1]["event"]):
                return self.heard[-1]


async def hold_until_stop(stream: Stream) -> None:
    """What a stream does unless told otherwise."""
    await stream.until("stop")


class Talk:
    """Holds a stream as an assistant does: greets, then answers whatever is said or keyed, ``answers`` times at most.

    What is said counts once some frames of silence follow it. A page is told captions beside the sound.
    """

    def __init__(self, answers: int = 9) -> None:
        self.answers = answers
        self.said_frames: list[int] = []
        self.keyed = ""

    async def __call__(self, stream: Stream) -> None:
        page = stream.start["mediaFormat"]["encoding"] == "audio/l16"
        await self._say(stream, "Good morning.", page)
        for number in range(1, self.answers + 1):
            await self._listen(stream, silence=b"\0" if page else b"\xff")
            await self._say(stream, f"Answer {number}.", page)
        await stream.until("mark")

    async def _say(self, stream: Stream, text: str, page: bool) -> None:
        if page:
            await stream.send("caption", who="assistant", text=text, final=True)
        for _ in range(5):
            await stream.send("media", media={"payload": base64.b64encode(b"\x21" * (640 if page else 160)).decode()})
        await stream.send("mark", mark={"name": text})

    async def _listen(self, stream: Stream, silence: bytes) -> None:
        loud = quiet = 0
        while not (loud and quiet > 5):
            await stream.until("")
            message = stream.heard[-1]
            if message["event"] == "dtmf":
                self.keyed += message["dtmf"]["digit"]
                loud, quiet = 1, -10
            elif message["event"] == "media":
                silent = not base64.b64decode(message["media"]["payload"]).strip(silence)
                loud, quiet = loud + (not silent), quiet + 1 if silent else 0
        self.said_frames.append(loud)


class SmallLine:
    """``answers`` maps a webhook's name to what it answers: TwiML, a status, or a response of its own."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"voice": CONNECT, "resume": HANG_UP, "status": 204, "fallback": HANG_UP}
        self.posted: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.streams: list[Stream] = []
        self.holds: Holds = hold_until_stop
        self.page_call: dict[str, Any] = {"token": "of-a-page", "media_url": "/webhooks/phone/media"}
        self.refuses_streams = False
        self.address = ""

    async def __aenter__(self) -> SmallLine:
        application = web.Application()
        self.routes(application)
        application.router.add_post("/webhooks/phone/page-call", self._page_call)
        application.router.add_post("/webhooks/phone/{name}", self._webhook)
        application.router.add_get("/webhooks/phone/media", self._media)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def routes(self, application: web.Application) -> None:
        """Further routes, of a line that has some."""

    def names(self) -> list[str]:
        """The webhooks that were posted, in their order."""
        return [name for name, _, _ in self.posted]

    def fields(self, name: str) -> dict[str, str]:
        """What the last webhook of that name brought."""
        return [fields for posted, fields, _ in self.posted if posted == name][-1]

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        fields = {key: str(value) for key, value in (await request.post()).items()}
        self.posted.append((name, fields, dict(request.headers)))
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer == "stall":
            await asyncio.sleep(5)
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, tuple):
            return web.Response(text=answer[0], content_type=answer[1])
        return web.Response(text=answer, content_type="text/xml")

    async def _page_call(self, request: web.Request) -> web.StreamResponse:
        self.posted.append(("page-call", {"body": await request.text()}, dict(request.headers)))
        return web.json_response(self.page_call, status=200 if "token" in self.page_call else 403)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        if self.refuses_streams:
            return web.Response(status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        stream = Stream(socket, request)
        self.streams.append(stream)
        try:
            await stream.until("start")
            await self.holds(stream)
        except ConnectionError:
            pass  # the other side has closed the socket
        await socket.close()
        stream.closed.set()
        return socket
