"""What all channels of one Rasa server share: the application, the runner, readiness, and who may talk to us.

Rasa builds each channel by itself, before there is an agent. The first channel that is mounted makes the shared parts; once Rasa has
loaded its model they check that it really runs on our record. Until then every entry answers "not ready".
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sanic import Blueprint, Sanic
from sanic.request import Request
from sanic.response import HTTPResponse, json

from channels.chat_door import ChatDoor
from channels.left_over import LOOK_EVERY_S, LeftOvers
from channels.line_answers import PAGE_CALL_PATH, WEBHOOKS
from channels.said import check_said
from channels.turns import TurnRunner
from channels.upkeep import Upkeep, Work
from channels.wording import check_wording
from throughline import bootstrap, log
from throughline.bootstrap import Application
from throughline.domain.network_address import client_address, one_party
from throughline.errors import ConfigurationError, Problem
from throughline.handoff.owed_deletions import delete_owed
from throughline.record.tracker_store import RecordTrackerStore
from throughline.website_login import WebsiteLogin, website_login

_log = log.get_logger("channels")

_SWITCH_INTERVAL_S = 0.0005  # Python's own 5 ms are a quarter of an audio frame
_RETENTION_S = 3600.0  # once a day is enough: this asks whether today's is still to be done
_IMPORTED_AT = time.time()
_NEEDS_TURNS = ("/socket.io", "/webhooks")
_TELLS_ITSELF = PAGE_CALL_PATH  # why a page gets no call, in words
_NEEDS_NONE = frozenset(f"/webhooks/phone/{name}" for name in WEBHOOKS)
"""Twilio's webhooks have an answer at any time: a caller is put through, or called back."""


class Server:
    """The shared parts of this process. ``ready`` turns true once turns can be taken, and false again when it is to stop; ``draining`` then
    says that what is under way may still go on."""

    def __init__(self, sanic: Sanic) -> None:
        self.app: Application = bootstrap.application()
        self.sanic = sanic
        self.ready = False
        self.draining = False
        self.runner = TurnRunner(self.app, lambda: sanic.ctx.agent)
        self.origins = _origins(self.app)
        self.login: WebsiteLogin | None = None
        self._upkeep: Upkeep | None = None
        self._faults: list[Problem] = []
        try:
            self.login = website_login(self.app.settings.login)
        except ConfigurationError as error:  # told at start, with whatever else is wrong
            self._faults += error.problems
        self.chat_door = ChatDoor(self)
        self.start_up: dict[str, int] = {}
        self._mounted_at = time.time()
        self._warm_ups: list[Callable[[], Awaitable[None]]] = []
        self._once_ready: dict[str, tuple[Work, float]] = {}

    @classmethod
    def of(cls, sanic: Sanic) -> Server:
        """The server of this Sanic application, made and mounted at the first call."""
        server = getattr(sanic.ctx, "throughline", None)
        if server is None:
            server = sanic.ctx.throughline = cls(sanic)
            # Rasa would let 100 MB through; nothing a customer sends by HTTP needs more than a few KB.
            sanic.config.REQUEST_MAX_SIZE = 64 * 1024
            sanic.config.WEBSOCKET_MAX_SIZE = 64 * 1024
            sanic.register_listener(server._start, "after_server_start")
            sanic.register_listener(server._stop, "before_server_stop")
            sanic.add_route(server._health, "/health", methods=["GET"], name="throughline_health")
            sanic.register_middleware(server._only_when_ready, "request")
        return server

    def before_ready(self, warm_up: Callable[[], Awaitable[None]]) -> None:
        """Have ``warm_up`` awaited at start, beside the model's, before the first turn is taken."""
        self._warm_ups.append(warm_up)

    def once_ready(self, name: str, work: Work, pause_s: float) -> None:
        """Have ``work`` done again and again from when turns can be taken until the server stops (upkeep.py)."""
        self._once_ready[name] = (work, pause_s)

    def drain(self) -> None:
        """Take nothing new from now on. Whoever distributes connections over several servers sees it at ``/health``."""
        self.ready, self.draining = False, True

    @property
    def domain(self) -> Any:
        """The loaded model's domain."""
        return self.runner.domain

    def origin_allowed(self, request: Request) -> bool:
        """True if the page that sends this request may: a browser always names the origin of a POST or a websocket."""
        origin: str = request.headers.get("origin", "")
        return origin.rstrip("/") in self.origins

    def network_address(self, request: Request) -> str:
        """Whom to count a request by: its peer, or whom the last of our own proxies saw; of IPv6 the network."""
        # Every line of it: a proxy may add one of its own behind the client's.
        forwarded = request.headers.getall("x-forwarded-for", [])
        trusted = self.app.settings.site.trusted_proxies
        return one_party(client_address(str(request.ip), forwarded, proxies=trusted))

    async def _start(self, sanic: Sanic, _loop: Any) -> None:
        agent = getattr(sanic.ctx, "agent", None)
        problems = list(self._faults)
        if agent is None or not agent.is_ready():
            problems.append(Problem("models/", "no model could be loaded; see the log above.", "Run `make train`."))
        elif not isinstance(agent.tracker_store, RecordTrackerStore):
            found = type(agent.tracker_store).__name__
            mend = "Set `type: throughline.record.tracker_store.RecordTrackerStore`; what went wrong is in the log above."
            problems.append(Problem("endpoints.yml tracker_store", f"Rasa runs on {found}, which loses turns.", mend))
        else:
            problems += check_wording(self.domain) + check_said(agent, self.app)
        if problems:
            raise ConfigurationError(problems)
        # How long a thread that computes may keep the others from running: the turn thread must not hold up a caller's audio.
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        loaded_at = time.time()
        await asyncio.gather(self.runner.start(), *(warm_up() for warm_up in self._warm_ups))
        self.start_up = {
            "import_ms": round((self._mounted_at - _process_started_at()) * 1000),
            "load_ms": round((loaded_at - self._mounted_at) * 1000),
            "warm_up_ms": round((time.time() - loaded_at) * 1000),
        }
        # What was loaded stays: the collector need not look at it again, in pauses that callers would hear.
        gc.collect()
        gc.freeze()
        gc.enable()
        self.ready = True
        left_overs = LeftOvers(self.runner.finish_left_over)
        works: dict[str, tuple[Work, float]] = {
            "left over": (left_overs.look, LOOK_EVERY_S),
            "retention": (self._retain, _RETENTION_S),
        }
        self._upkeep = Upkeep({**works, **self._once_ready})
        _log.info("server.ready", **self.start_up)

    async def _stop(self, _sanic: Sanic, _loop: Any) -> None:
        self.ready = False
        if self._upkeep is not None:
            await self._upkeep.close()
        await self.runner.stop()

    async def _retain(self) -> None:
        """Let the record do away with what is older than the company keeps it, and Twilio with the recordings of it; of all servers one
        does, once a day."""
        record = self.app.record
        if (done := await record.call(record.retain, self.app.business)) is None:
            return
        _log.info("record.retained", **done)
        if (line := bootstrap.telephone(self.app.settings)) is not None:
            deleted, left = await delete_owed(record, line.recordings)
            _log.info("record.recordings_deleted", deleted=deleted, left=len(left))

    async def _only_when_ready(self, request: Request) -> HTTPResponse | None:
        """Answer 503 while turns can't be taken: widgets and callers then try again, and no message is dropped."""
        if (
            self.ready
            or request.path in _NEEDS_NONE
            or (self.draining and request.path == _TELLS_ITSELF)
            or not request.path.startswith(_NEEDS_TURNS)
        ):
            return None
        return json({"error": "not_ready"}, status=503, headers={"Retry-After": "2"})

    async def _health(self, _request: Request) -> HTTPResponse:
        """200 once turns can be taken, 503 until then."""
        told = {"ready": self.ready, "draining": self.draining, "start_up": self.start_up}
        return json(told, status=200 if self.ready else 503)


def _process_started_at() -> float:
    """When this process was started, as a Unix time: from Linux's process table, else the moment this module was imported."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except OSError:
        return _IMPORTED_AT
    return time.time() - uptime_s + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _origins(app: Application) -> frozenset[str]:
    """The origins whose pages may talk to us: the public address, the settings' list, and for a local address its twin name."""
    public = urlsplit(app.settings.public_url())
    origins = {f"{public.scheme}://{public.netloc}", *(origin.rstrip("/") for origin in app.settings.site.allowed_origins)}
    if public.hostname == "localhost":
        origins.add(f"{public.scheme}://127.0.0.1" + (f":{public.port}" if public.port else ""))
    return frozenset(origins)


class Mounted(Blueprint):
    """A blueprint that hands the Sanic application to its channel: socket.io and the site's pages live outside
    ``/webhooks``."""

    def __init__(self, name: str, mount: Callable[[Sanic], None]) -> None:
        super().__init__(name)
        self.ctx.mount = mount  # Sanic keeps a blueprint's own attributes there

    def register(self, app: Sanic, options: dict[str, Any]) -> None:
        """Called by Rasa when it registers the channel."""
        super().register(app, options)
        self.ctx.mount(app)
