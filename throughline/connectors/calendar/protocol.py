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

    async def visits_of(self, contact_id: str) -> list[Visit]:
        """Every visit of the contact and of its aliases, soonest first. Raises Unavailable."""
