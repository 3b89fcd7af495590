"""What a calendar adapter must do. Contract tests in tests/contract/test_calendar.py hold every adapter to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from throughline.domain.visits import Visit, VisitSlot


class Calendar(Protocol):
    """The company's technicians' calendar."""

    async def busy(self, technicians: Sequence[str], start: datetime, end: datetime) -> list[VisitSlot]:
        """What is already taken between two UTC times. Raises Unavailable."""

    async def book(self, slot: VisitSlot, contact_id: str, details: Mapping[str, Any], *, idempotency_key: str) -> Visit:
        """Book ``slot`` if it is still free, once. The same key returns the same visit. Raises Unavailable, or
        Rejected("slot_taken") when somebody else was faster."""

    async def move(self, visit_id: str, slot: VisitSlot, *, idempotency_key: str) -> Visit:
        """Give a visit another slot, once, if that is free; its own time is free for it. It keeps its id and reference. Raises Unavailable,
        Rejected("slot_taken"), or Rejected("unknown_visit"|"visit_over"|"visit_cancelled") where there is nothing to move."""

    async def cancel(self, visit_id: str, *, idempotency_key: str) -> Visit:
        """Call a visit off, once: its time is free then. Raises Unavailable, or Rejected as ``move`` does."""

    async def visits_of(self, contact_id: str) -> list[Visit]:
        """Every visit of the contact and of its aliases that was not cancelled, soonest first. Raises Unavailable."""
