"""A chat server for tests, small enough to be whole: a real record, the domain's own words, and a runner that echoes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from channels.chat_door import ChatDoor
from tests.website import AUDIENCE, ISSUER, ORIGIN, SECRET
from throughline import record as record_room
from throughline.domain.network_address import client_address, one_party
from throughline.domain.turns import WEB_CHAT, Turn, TurnResult
from throughline.record import Record
from throughline.record.events import new_event
from throughline.settings.business import load_business
from throughline.settings.server import ChatSettings, LoginSettings, Settings, SiteSettings
from throughline.website_login import WebsiteLogin, website_login

ROOT = Path(__file__).parents[3]


class EchoRunner:
    """Takes turns as the real one does, as far as its callers can tell: stored, once, committed, then over."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.lock = asyncio.Lock()
        self.error: Exception | None = None
        self.taken: list[Turn] = []

    async def take(self, turn: Turn) -> TurnResult:
        """Echo it."""
        if self.error is not None:
            raise self.error
        is_new = self.record.store_message(turn).is_new
        await self.goes_on.wait()
        living = self.record.resolve(turn.contact_id)
        if is_new or not self.record.progress(turn.message_id).finished:
            self.taken.append(turn)
            words = {"event": "user", "text": turn.text, "message_id": turn.message_id}
            self._commit(turn, living, words, {"event": "bot", "text": f"You said: {turn.text}"})
        return TurnResult(living, ())

    async def resume(
        self, contact_id: str, session_id: str, channel: str, *, still: Callable[[], Awaitable[bool]] | None = None
    ) -> TurnResult:
        """Greet, one after the other."""
        if self.error is not None:
            raise self.error
        async with self.lock:
            living = self.record.resolve(contact_id)
            if still is None or await still():
                self.say(living, session_id, {"event": "bot", "text": "Welcome back.", "timestamp": time.time()}, channel)
        return TurnResult(living, ())

    async def join(self, contact_id: str, into: str, session_id: str, channel: str, *, because: str) -> TurnResult:
        """Merge and greet."""
        if self.error is not None:
            raise self.error
        if self.record.resolve(contact_id) != self.record.resolve(into):
            self.record.merge(contact_id, into, reason=because, session_id=session_id)
        return await self.resume(into, session_id, channel)

    def say(self, contact_id: str, session_id: str, data: dict[str, Any], channel: str = WEB_CHAT) -> None:
        """Commit one event."""
        self.record.append_events(contact_id, [new_event({"timestamp": 1.0, **data}, session_id, channel)], expected=None)

    def _commit(self, turn: Turn, living: str, *data: dict[str, Any]) -> None:
        events = [new_event({"timestamp": 1.0, **one}, turn.session_id, turn.channel) for one in data]
        self.record.append_events(living, events, expected=None, message_id=turn.message_id)


class SmallServer:
    """What the chat's forms need of channels.server.Server."""

    def __init__(self, folder: Path, **chat: int) -> None:
        login = LoginSettings(issuer=ISSUER, audience=AUDIENCE, leeway_s=0)
        site = SiteSettings(allowed_origins=(ORIGIN,), trusted_proxies=1)
        settings = Settings(login=login, chat=ChatSettings(**chat), site=site)
        self.record = record_room.open(f"sqlite:///{folder}/record.db", secret=b"for tests")
        self.record.migrate()
        business = load_business(ROOT / "data/business")
        self.app = SimpleNamespace(settings=settings, record=self.record, business=business)
        self.login: WebsiteLogin | None = website_login(login, {login.secret_env: SECRET})
        self.domain = SimpleNamespace(responses=YAML(typ="safe").load(ROOT / "domain.yml")["responses"])
        self.runner = EchoRunner(self.record)
        self.origins = frozenset({ORIGIN})
        self.chat_door = ChatDoor(self)  # type: ignore[arg-type]
        self.warm_ups: list[Callable[[], Awaitable[None]]] = []
        self.before_ready = self.warm_ups.append

    def origin_allowed(self, request: Any) -> bool:
        """As Server's."""
        return urlsplit(request.headers.get("origin", "")).geturl() in self.origins

    def network_address(self, request: Any) -> str:
        """As Server's."""
        forwarded, proxies = request.headers.getall("x-forwarded-for", []), self.app.settings.site.trusted_proxies
        return one_party(client_address(str(request.ip), forwarded, proxies=proxies))
