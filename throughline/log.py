"""Structured logging, and the one place where personal data is kept out of it.

What a person said, and who they are, may only be logged under keys that begin with ``personal_``. Those are dropped
unless the operator turns them on. Messages are constant strings in dotted words (``call.started``), everything variable is a key.

Other people's code keeps no such rule: Rasa logs every utterance at debug level, and an error's text may quote what somebody said
(``invalid literal for int(): '...'``). So, unless the operator turns personal data on: of what others log in keys only those stay that are
known to be harmless; Rasa's own debug lines are off; of an error we did not raise ourselves its kind and its way through the code are
logged, and not its text, whoever logs it.

A line that cannot be written, on a full disk or into a closed pipe, is dropped: a log must not end what it tells of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

PERSONAL_PREFIX = "personal_"

_OTHERS_KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "exc_info",
        "stack_info",
        "action_name",
        "len_extraction_events",
        "host",
        "topic",
        "successes",
    }
)
"""What is logged of an event that is not one of our rooms'."""

_QUOTING = ("rasa", "rasa_sdk")
"""Libraries whose debug lines are plain sentences with what was said in them."""

_HARMLESS = (OSError, ImportError, AttributeError, NameError, asyncio.TimeoutError, MemoryError, RecursionError)
"""Python's errors whose texts name our own things, never somebody's words."""

_TASKS_ERROR = re.compile(r"exception=([\w.]+)\(.*", re.DOTALL)  # as asyncio tells of a task that nobody waited for

_TOO_TALKATIVE = ("httpx", "httpcore", "twilio.http_client")
"""Libraries that log a line or more, at INFO, for each sentence spoken and each call ended."""

Event = MutableMapping[str, Any]


def without_personal_data(_logger: object, _method: str, event: Event) -> Event:
    """structlog processor: drop every key that may carry personal data."""
    ours = "room" in event
    for key in list(event):
        if key.startswith(PERSONAL_PREFIX) or not (ours or key in _OTHERS_KEYS):
            del event[key]
    return event


def told(error: BaseException) -> str:
    """What may be logged of an error: its kind, and its text where that can hold nobody's words."""
    kind = type(error).__name__
    may_tell = isinstance(error, _HARMLESS) or getattr(error, "may_be_logged", False)
    return f"{kind}: {error}" if may_tell and str(error) else kind


def configure(*, personal_data: bool = False, level: str = "INFO") -> None:
    """Set up logging for this process, ours and that of every library. ``personal_data=True`` keeps personal data (for development
    only)."""
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in () if personal_data else _QUOTING:
        if logging.getLogger(name).getEffectiveLevel() < logging.INFO:
            logging.getLogger(name).setLevel(logging.INFO)
    logging.setLogRecordFactory(logging.LogRecord if personal_data else _record_without_words)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not personal_data:
        processors.append(without_personal_data)
    # Never the pretty one, which prints the local variables, and with them what customers said.
    formatter = structlog.dev.plain_traceback if personal_data else _write_traceback
    processors.append(structlog.dev.ConsoleRenderer(colors=False, exception_formatter=formatter))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=lambda *_: _Printed(),
        cache_logger_on_first_use=False,
    )


class _Printed(structlog.PrintLogger):
    """Prints each line, if it can be."""

    def msg(self, message: str) -> None:
        """One line."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: the file is closed
            super().msg(message)

    log = debug = info = warn = warning = error = critical = fatal = failure = err = exception = msg


def _traceback(error: BaseException | None) -> str:
    """As Python prints it, each error as ``told`` tells it."""
    parts: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nafter this one:\n\n".join(reversed(parts))


def _write_traceback(to: TextIO, exc_info: Any) -> None:
    to.write("\n" + _traceback(exc_info[1]))


def _record_without_words(*args: Any, **options: Any) -> logging.LogRecord:
    """A record of Python's own logging. Formatters take ``exc_text`` where it is set, and ask the error itself where it is not."""
    record = logging.LogRecord(*args, **options)
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = _traceback(record.exc_info[1])
    if isinstance(record.args, tuple) and any(isinstance(one, BaseException) for one in record.args):
        record.args = tuple(told(one) if isinstance(one, BaseException) else one for one in record.args)
    if record.name == "asyncio":
        record.msg, record.args = _TASKS_ERROR.sub(r"exception=\1>", record.getMessage()), ()
    return record


def get_logger(name: str) -> Any:
    """A bound logger that names the room it speaks from."""
    return structlog.get_logger(room=name)  # lazy: configured when it is first used, not when a module is imported
