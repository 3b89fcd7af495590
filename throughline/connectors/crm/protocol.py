"""What a CRM adapter must do. Contract tests in tests/contract/test_crm.py hold every adapter to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from throughline.domain.visits import Case


class Crm(Protocol):
    """The company's customer records. Every write carries an idempotency key: the same key has one effect."""

    async def upsert_customer(self, contact_id: str, fields: Mapping[str, Any]) -> None:
        """Create or update the customer. Raises Unavailable or Rejected."""

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
        """Open a case, or return the one this key has already opened. ``kind`` is one word: repair, lead, complaint, billing, payment,
        call_back, message. ``due_at`` (UTC) is when it is to be dealt with, such as the time wished for a call-back. ``details`` name the
        session it was opened in (``session``), or the visit it is about by its reference (``visit``): it goes with that where two people
        who were taken for one are told apart. Raises Unavailable or Rejected."""

    async def add_note(self, case_id: str, text: str, *, idempotency_key: str) -> None:
        """Append a note to a case. Raises Unavailable, or Rejected("unknown_case")."""

    async def cases_of(self, contact_id: str) -> list[Case]:
        """Every case of the contact and of its aliases, newest first. Raises Unavailable."""
