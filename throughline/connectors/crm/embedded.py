"""The embedded CRM: the tables in the record, for a company that has no CRM yet. Behind the protocol like any other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from throughline.domain.visits import Case
from throughline.record import Record


class EmbeddedCrm:
    """Every call runs in the record's own threads, so the caller's loop never waits for the disk."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def upsert_customer(self, contact_id: str, fields: Mapping[str, Any]) -> None:
        """See the protocol."""
        await self._record.call(self._record.crm.upsert_customer, contact_id, fields)

    async def open_case(
        self,
        contact_id: str,
        subject: str,
        details: Mapping[str, Any],
        *,
        kind: str,
        due_at: datetime | None = None,
        idempotency_key: str,
    ) -> Case:
        """See the protocol."""
        return await self._record.call(
            self._record.crm.open_case,
            contact_id,
            subject,
            details,
            kind=kind,
            due_at=due_at,
            idempotency_key=idempotency_key,
        )

    async def add_note(self, case_id: str, text: str, *, idempotency_key: str) -> None:
        """See the protocol."""
        await self._record.call(self._record.crm.add_note, case_id, text, idempotency_key=idempotency_key)

    async def cases_of(self, contact_id: str) -> list[Case]:
        """See the protocol."""
        return await self._record.call(self._record.crm.cases_of, contact_id)
