"""Which turn the code that runs now belongs to.

The runner sets ``current`` before it hands a turn to Rasa. Rasa passes nothing of its own from a channel to the tracker store,
but both run in one task, so a context variable reaches from the one to the other. The tracker store stamps what it saves from it.
Where nobody set it (``rasa shell``, Rasa's HTTP API) events are saved without a session.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TurnContext:
    """The turn at hand. ``saved`` collects every event dict the tracker store has committed in this turn, in order, each with
    ``metadata.event_id``."""

    session_id: str
    channel: str
    message_id: str | None = None
    saved: list[dict[str, Any]] = field(default_factory=list)


current: ContextVar[TurnContext | None] = ContextVar("throughline_turn", default=None)
