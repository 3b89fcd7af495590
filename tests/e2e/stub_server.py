"""A stand-in for the whole product, for the page's own tests and for looking at the page.

``python tests/e2e/stub_server.py [PORT]`` serves the demo site, a chat that answers from a short script, and a media endpoint that
plays tones and captions. It prints its address, and ``/stub/heard`` tells what the page has sent. It knows nothing of Rasa.
"""

from __future__ import annotations

import array
import asyncio
import base64
import json
import math
import sys
from pathlib import Path
from typing import Any, cast

import socketio
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler

SITE = Path(__file__).parents[2] / "channels" / "site"
RATE_HZ = 16000
FRAME_SAMPLES = 320
COMPANY = {
    "name": "Harbor Appliance & Heating",
    "phone": "+1 503 555 0142",
    "tagline": "Home repair for the things that keep a house running.",
    "hours": [
        {"days": "Monday to Friday", "opens": "07:30", "closes": "18:00"},
        {"days": "Saturday", "opens": "09:00", "closes": "14:00"},
        {"days": "Sunday", "opens": None, "closes": None},
    ],
    "territories": ["Portland, OR", "Seattle, WA", "Boise, ID"],
    "prices": [
        {"name": "Visit and diagnosis", "price": 89},
        {"name": "Labor, each further half hour", "price": 60},
        {"name": "Same-day visit", "price": 45},
    ],
}
CHAT = (
    {
        "text": "I’m sorry about the leak. Which make is your washer?",
        "quick_replies": [
            {"content_type": "text", "title": "Bosch", "payload": "Bosch"},
            {"content_type": "text", "title": "Another make", "payload": "Another make"},
        ],
    },
    {"text": "Thanks. What is your ZIP code?"},
    {"text": "You can [talk here](/demo/#talk), or call and give the code **4821 7730**."},
)


class Heard:
    """What the page has sent over all calls."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.frames = 0
        self.loudest = 0
        self.samples: list[int] = []
        self.events: list[list[Any]] = []
        self.sessions: list[str | None] = []
        self.logins: list[list[str | None]] = []

    def take(self, message: dict[str, Any]) -> None:
        """Note one message of the media socket."""
        if message["event"] == "media":
            samples = array.array("h", base64.b64decode(message["media"]["payload"]))
            self.frames += 1
            self.loudest = max(self.loudest, *(abs(sample) for sample in samples))
            self.samples.extend(samples)
        else:
            self.events.append([message["event"], message])


def tone(seconds: float, pitch_hz: float) -> list[bytes]:
    """Frames of 20 ms of a soft tone."""
    count = int(seconds * RATE_HZ)
    fade = RATE_HZ // 20
    samples = [
        int(4000 * min(1.0, i / fade, (count - i) / fade) * math.sin(2 * math.pi * pitch_hz * i / RATE_HZ))
        for i in range(count)
    ]
    return [array.array("h", samples[i : i + FRAME_SAMPLES]).tobytes() for i in range(0, count, FRAME_SAMPLES)]


class Call:
    """One media socket's other side."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.turns = 0

    async def send(self, **message: Any) -> None:
        """One message to the page."""
        await self.socket.send_str(json.dumps(message))

    async def say(self, text: str) -> None:
        """Captions, then audio, then a mark whose return means it was heard."""
        self.turns += 1
        await self.send(event="state", state="speaking")
        words = text.split()
        await self.send(event="caption", who="assistant", text=" ".join(words[:3]), final=False)
        for frame in tone(0.6, 300 + 60 * self.turns):
            await self.send(event="media", streamSid="s", media={"payload": base64.b64encode(frame).decode()})
        await self.send(event="mark", streamSid="s", mark={"name": f"turn-{self.turns}"})
        await self.send(event="caption", who="assistant", text=text, final=True)

    async def begin(self) -> None:
        """Ring, then greet."""
        await self.send(event="state", state="ringing")
        await self.send(event="engine", stt="pocketsphinx", demo=True)
        await asyncio.sleep(0.3)
        await self.say("Hello again. We were talking about your Bosch washer that leaks. What is your ZIP code?")

    async def typed(self, text: str) -> None:
        """Answer something typed."""
        await self.send(event="caption", who="customer", text=text, final=True)
        await self.send(event="state", state="thinking")
        if "goodbye" in text:
            await self.say("Thank you for calling. Goodbye.")
            await self.send(event="state", state="over", reason="completed")
            await self.socket.close()
        elif "break" in text:
            await self.socket.close()
        elif "stop" in text:
            await self.say("This is a long answer that nobody will hear to its end.")
            await self.send(event="clear", streamSid="s")
        else:
            await self.say(f"I have noted {text}. Does Tuesday morning suit you?")


def application() -> web.Application:
    """The stand-in, with its routes."""
    heard = Heard()
    lines: set[asyncio.Transport] = set()  # the chat's connections

    @web.middleware
    async def remember_chat(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/socket.io") and request.transport is not None:
            lines.add(cast("asyncio.Transport", request.transport))
        return await handler(request)

    app = web.Application(middlewares=[remember_chat])
    chat = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
    chat.attach(app, socketio_path="socket.io")
    said: dict[str, int] = {}
    forgotten: set[str] = set()

    @chat.event
    async def session_request(sid: str, data: dict[str, Any]) -> None:
        session = (data or {}).get("session_id")
        heard.logins.append(["session_request", (data or {}).get("customData", {}).get("token")])
        if session is None or session in forgotten:
            session = f"stub-session-{len(forgotten) + 1}"
        await chat.enter_room(sid, session)
        await chat.emit("session_confirm", session, to=sid)

    @chat.event
    async def user_uttered(sid: str, data: dict[str, Any]) -> None:
        heard.logins.append(["user_uttered", data["customData"].get("token")])
        if not data.get("message"):
            return
        session = data["session_id"]
        answer = CHAT[said.get(session, 0) % len(CHAT)]
        said[session] = said.get(session, 0) + 1
        await chat.emit("bot_uttered", answer, room=session)

    async def page_call(request: web.Request) -> web.Response:
        body = await request.json()
        heard.sessions.append(body["session_id"])
        heard.logins.append(["page-call", request.headers.get("Authorization")])
        if app["refuse"]:
            return web.json_response(
                {"error": "too_many", "message": "All lines are busy. Please try again in a minute."}, status=429
            )
        media_format = {"encoding": "audio/l16", "sampleRate": RATE_HZ}
        return web.json_response({"token": "stub-token", "media_url": "/webhooks/phone/media", "format": media_format})

    async def media(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        call = Call(socket)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            heard.take(event)
            if event["event"] == "start":
                await call.begin()
            elif event["event"] == "text":
                await call.typed(event["text"])
            elif event["event"] == "mark":
                await call.send(event="state", state="listening")
        return socket

    async def told(_request: web.Request) -> web.Response:
        return web.json_response(vars(heard))

    async def refuse(request: web.Request) -> web.Response:
        app["refuse"] = request.query.get("on") == "1"
        return web.Response()

    async def drop(_request: web.Request) -> web.Response:
        """Cut every chat's connection, as a network does."""
        for line in lines:
            line.abort()
        lines.clear()
        return web.Response()

    async def forget(_request: web.Request) -> web.Response:
        """Know nothing of any session so far."""
        forgotten.update(said)
        return web.Response()

    async def reset(_request: web.Request) -> web.Response:
        """As just started."""
        heard.reset()
        said.clear()
        forgotten.clear()
        app["refuse"] = False
        return web.Response()

    async def home(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(SITE / "index.html")

    async def company(_request: web.Request) -> web.Response:
        return web.json_response(COMPANY)

    app["refuse"] = False
    app.router.add_post("/webhooks/phone/page-call", page_call)
    app.router.add_get("/webhooks/phone/media", media)
    app.router.add_get("/stub/heard", told)
    app.router.add_post("/stub/refuse", refuse)
    app.router.add_post("/stub/drop", drop)
    app.router.add_post("/stub/forget", forget)
    app.router.add_post("/stub/reset", reset)
    app.router.add_get("/demo/company.json", company)
    app.router.add_get("/demo/", home)
    app.router.add_static("/demo/", SITE)
    return app


async def serve(port: int) -> None:
    """Serve until the process ends, and say where."""
    runner = web.AppRunner(application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    print(f"http://localhost:{bound}/demo/", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
