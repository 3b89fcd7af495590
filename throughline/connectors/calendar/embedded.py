"""The embedded calendar: the tables in the record, for a company that has no calendar system yet. Behind the protocol like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from throughline.domain.visits import Visit, VisitSlot
from throughline.record import Record


class EmbeddedCalendar:
    """Every call runs in the record's own threads, so the caller's loop never waits for the disk."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def busy(self, technicians: Sequence[str], start: datetime, end: datetime) -> list[VisitSlot]:
        """See the protocol."""
        return await self._record.call(self._record.calendar.busy, technicians, start, end)

    async def book(self, slot: VisitSlot, contact_id: str, details: Mapping[str, Any], *, idempotency_key: str) -> Visit:
        """See the protocol."""
        return await self._record.call(self._record.calendar.book, slot, contact_id, details, idempotency_key=idempotency_key)

    async def move(self, visit_id: str, slot: VisitSlot, *, idempotency_key: str, now: datetime | None = None) -> Visit:
        """See the protocol."""
        return await self._record.call(self._record.calendar.move, visit_id, slot, idempotency_key=idempotency_key, now=now)

    async def cancel(self, visit_id: str, *, idempotency_key: str, now: datetime | None = None) -> Visit:
        """See the protocol."""
        return await self._record.call(self._record.calendar.cancel, visit_id, idempotency_key=idempotency_key, now=now)

    async def visits_of(self, contact_id: str) -> list[Visit]:
        """See the protocol."""
        return await self._record.call(self._record.calendar.visits_of, contact_id)

    async def find(self, reference: str) -> Visit | None:
        """See the protocol."""
        return await self._record.call(self._record.calendar.find, reference)
