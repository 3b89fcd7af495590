"""Which turn the code that runs now belongs to.

The runner sets ``current`` before it hands a turn to Rasa. Rasa passes nothing of its own from a channel to the tracker store,
but both run in one task, so a context variable reaches from the one to the other. The tracker store stamps what it saves from it,
and begins with the window that the runner read when it took the lock.
Where nobody set it (``rasa shell``, Rasa's HTTP API) events are saved without a session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from throughline.domain.privacy import Standing
from throughline.record.entries import Window

MERGE = "merge"


@dataclass
class TurnContext:
    """The turn at hand. ``saved`` collects every event dict the tracker store has committed in this turn, in order, each with
    ``metadata.event_id``. ``standing`` is what its visit may be told, once somebody had to know (channels/said.py)."""

    session_id: str
    channel: str
    message_id: str | None = None
    saved: list[dict[str, Any]] = field(default_factory=list)
    window: Window | None = None
    standing: Standing | None = None

    def take_window(self, contact_id: str) -> Window | None:
        """The window read under this turn's lock, once: whoever reads again wants to know what has become of it."""
        window, self.window = self.window, None
        return window if window is not None and window.head.contact_id == contact_id else None


def requests_in(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What actions have asked the server for in the metadata of these events."""
    return [event["metadata"]["request"] for event in events if "request" in (event.get("metadata") or {})]


def durable_requests(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that whoever comes next has to carry out where the server dies before it has: a call that was to end ends with its server."""
    return [request for request in requests_in(events) if request.get("kind") == MERGE]


current: ContextVar[TurnContext | None] = ContextVar("throughline_turn", default=None)
