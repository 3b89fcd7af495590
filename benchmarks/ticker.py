"""A 20 ms clock on a Rasa server's own event loop, as a call's audio would run on it, read out over HTTP.

Loaded through a credentials file of the benchmark's, by the project's server and by a stock one alike: it needs nothing of either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint, Sanic
from sanic.request import Request
from sanic.response import HTTPResponse, json

_FRAME_S = 0.020


class Ticker(InputChannel):
    """``GET /webhooks/ticker/lateness?reset=1``: how late each tick was since the last reset, in ms."""

    @classmethod
    def name(cls) -> str:
        """The channel's name."""
        return "ticker"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The one route, and the clock."""
        blueprint = Blueprint("ticker")
        lateness_ms: list[float] = []

        @blueprint.listener("after_server_start")
        async def start(app: Sanic, _loop: Any) -> None:
            app.add_task(tick())

        async def tick() -> None:
            due = time.perf_counter() + _FRAME_S
            while True:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                now = time.perf_counter()
                lateness_ms.append((now - due) * 1000)
                due = max(due + _FRAME_S, now)  # a stall counts once, as the silence it makes

        @blueprint.route("/lateness", methods=["GET"])
        async def lateness(request: Request) -> HTTPResponse:
            answer = json({"lateness_ms": list(lateness_ms)})
            if request.args.get("reset"):
                lateness_ms.clear()
            return answer

        return blueprint
