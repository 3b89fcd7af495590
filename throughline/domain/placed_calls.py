"""Calls that we place: what becomes of them, and how many there may be. Decision: docs/decisions/0018-calls-we-place.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

NO_ANSWER, BUSY, FAILED, ANSWERED = "no-answer", "busy", "failed", "answered"
"""What becomes of one once it is over. ``ANSWERED``: somebody picked up, whoever that was."""
REFUSED = "refused"
"""The telephone company did not take it: nothing has rung."""


@dataclass(frozen=True)
class CallLimits:
    """How many calls we place in an hour for one person or to one number (``per_number``), and to everybody together (``over_all``).
    ``rings_for`` and ``lasts`` say after how long one is over of whose end nobody has told us: before it was answered, and after."""

    per_number: int
    over_all: int
    rings_for: timedelta
    lasts: timedelta
