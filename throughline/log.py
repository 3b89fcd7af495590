"""Structured logging, and the one place where personal data is kept out of it.

What a person said, and who they are, may only be logged under keys that begin with ``personal_``. Those are dropped
unless the operator turns them on. Rasa logs every utterance at debug level under keys of its own: these are dropped by the
same rule. Messages are constant strings in dotted words (``call.started``), everything variable is a key.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

PERSONAL_PREFIX = "personal_"

# Rasa 3.6's own structlog keys that carry what a customer said (rasa/core/processor.py, rasa/core/actions/*).
_RASA_PERSONAL_KEYS = frozenset(
    {
        "rasa_events",
        "parse_data_entities",
        "parse_data_text",
        "parse_data_intent",
        "user_message",
        "message_text",
        "tracker_latest_message",
        "event_info",
        "slot_values",
        "current_slot_values",
        "entities",
        "validation_events",
        "updated_tracker_states",
        "text",
    }
)

_TOO_TALKATIVE = ("httpx", "httpcore", "twilio.http_client")
"""Libraries that log a line or more, at INFO, for each sentence spoken and each call ended."""

Event = MutableMapping[str, Any]


def without_personal_data(_logger: object, _method: str, event: Event) -> Event:
    """structlog processor: drop every key that may carry personal data."""
    for key in list(event):
        if key.startswith(PERSONAL_PREFIX) or key in _RASA_PERSONAL_KEYS:
            del event[key]
    return event


def configure(*, personal_data: bool = False, level: str = "INFO") -> None:
    """Set up structlog for this process. ``personal_data=True`` keeps the ``personal_`` keys (for development only)."""
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not personal_data:
        processors.append(without_personal_data)
    # A plain traceback: the pretty one prints the local variables, and with them what customers said.
    processors.append(structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Any:
    """A bound logger that names the room it speaks from."""
    return structlog.get_logger(room=name)  # lazy: configured when it is first used, not when a module is imported
