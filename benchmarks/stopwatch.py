"""Where the time of a turn goes, taken inside this project's server and read out over HTTP.

Loaded through a credentials file of the benchmark's. Each part is a method of the server's with a stopwatch around it; parts of
one turn are added up. Turns must come one after the other, or their parts would be mixed.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.processor import MessageProcessor
from sanic import Blueprint
from sanic.request import Request
from sanic.response import HTTPResponse, json

from channels.action_calls import ActionCalls
from channels.turns import TurnRunner
from throughline.call.machine import CallMachine
from throughline.record.store import Record

# Part -> the method it is the time of. Record's methods are timed by the thread that asked, so waiting for a thread counts.
PARTS: dict[str, tuple[type, str]] = {
    "understanding": (MessageProcessor, "parse_message"),
    "predictions": (MessageProcessor, "_predict_next_with_tracker"),
    "actions": (ActionCalls, "request"),
}
RECORD_PARTS = {"store_message": "storing the message", "resolve": "who it is", "window": "reading the window",
                "append_events": "the commit"}  # fmt: skip
WHOLE = "the whole turn"
SPEECH = "first audio"


class Stopwatch(InputChannel):
    """``GET /webhooks/stopwatch/turns?reset=1``: for each turn since the last reset, ms by part."""

    def __init__(self) -> None:
        self._turns: list[dict[str, float]] = []
        self._said_at: float | None = None
        for part, (owner, name) in PARTS.items():
            setattr(owner, name, self._timed(getattr(owner, name), lambda _args, part=part: part))
        Record.call = self._timed(Record.call, lambda args: RECORD_PARTS.get(args[1].__name__))  # type: ignore[method-assign]
        TurnRunner.take = self._whole(TurnRunner.take)  # type: ignore[method-assign]
        CallMachine.audio = self._first_audio(CallMachine.audio)  # type: ignore[method-assign]

    @classmethod
    def name(cls) -> str:
        """The channel's name."""
        return "stopwatch"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The one route."""
        blueprint = Blueprint("stopwatch")

        @blueprint.route("/turns", methods=["GET"])
        async def turns(request: Request) -> HTTPResponse:
            answer = json({"turns": list(self._turns)})
            if request.args.get("reset"):
                self._turns.clear()
            return answer

        return blueprint

    def _add(self, part: str, began: float) -> None:
        if self._turns:
            this = self._turns[-1]
            this[part] = this.get(part, 0.0) + (time.perf_counter() - began) * 1000

    def _timed(self, method: Callable[..., Any], part_of: Callable[[tuple[Any, ...]], str | None]) -> Callable[..., Any]:
        """``method`` with its time added to the turn at hand; ``part_of`` its arguments names the part, or None."""
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                began, part = time.perf_counter(), part_of(args)
                try:
                    return await method(*args, **kwargs)
                finally:
                    if part is not None:
                        self._add(part, began)

            return awaited

        @functools.wraps(method)
        def called(*args: Any, **kwargs: Any) -> Any:
            began, part = time.perf_counter(), part_of(args)
            try:
                return method(*args, **kwargs)
            finally:
                if part is not None:
                    self._add(part, began)

        return called

    def _whole(self, take: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(take)
        async def taken(*args: Any, **kwargs: Any) -> Any:
            self._turns.append({})
            began = time.perf_counter()
            result = await take(*args, **kwargs)
            self._add(WHOLE, began)
            self._said_at = time.perf_counter()
            return result

        return taken

    def _first_audio(self, audio: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(audio)
        def made(*args: Any, **kwargs: Any) -> Any:
            if self._said_at is not None:
                self._add(SPEECH, self._said_at)
                self._said_at = None
            return audio(*args, **kwargs)

        return made
