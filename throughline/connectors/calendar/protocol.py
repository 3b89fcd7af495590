"""What a calendar adapter must do. Contract tests in tests/contract/test_calendar.py hold every adapter to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from throughline.domain.visits import Visit, VisitSlot


class Calendar(Protocol):
    """The company's technicians' calendar."""

    async def busy(self, technicians: Sequence[str], start: datetime, end: datetime) -> list[VisitSlot]:
        """What is already taken between two UTC times, each with the place it was booked for. Raises Unavailable."""

    async def book(self, slot: VisitSlot, contact_id: str, details: Mapping[str, Any], *, idempotency_key: str) -> Visit:
        """Book ``slot`` if it is still free, once. The same key returns the same visit. Raises Unavailable,
        Rejected("slot_taken") when somebody else was faster, or Rejected("visit_cancelled") where that visit was cancelled since."""

    async def move(self, visit_id: str, slot: VisitSlot, *, idempotency_key: str, now: datetime | None = None) -> Visit:
        """Give the visit the time and the technician of ``slot`` if that is free, once; what it takes itself counts as free. It keeps its
        reference, its details and its place. The same key changes nothing more and returns the visit as it is.
        Raises Unavailable, Rejected("slot_taken"), Rejected("unknown_visit"), Rejected("visit_cancelled"), or Rejected("visit_over")
        where it has begun by ``now`` (the present moment)."""

    async def cancel(self, visit_id: str, *, idempotency_key: str, now: datetime | None = None) -> Visit:
        """Cancel the visit: its time is free again. One that is cancelled stays so, and is returned. Raises Unavailable,
        Rejected("unknown_visit"), or Rejected("visit_over") where it has begun by ``now`` (the present moment)."""

    async def visits_of(self, contact_id: str) -> list[Visit]:
        """Every visit of the contact and of its aliases that was not cancelled, soonest first. Raises Unavailable."""

    async def find(self, reference: str) -> Visit | None:
        """The visit of that reference, whoever's it is, also one that was cancelled; None where there is none. Raises Unavailable.
        It is for whoever compares what somebody knows of the visit, and says nothing of who may be told of it."""
