"""Visits, cases and requests: what a conversation can end in, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class VisitSlot:
    """A time at which a technician can come. Times are UTC-aware; ``technician`` is the calendar's own id."""

    start: datetime
    end: datetime
    technician: str


@dataclass(frozen=True)
class Visit:
    """A booked visit. ``reference`` is what the customer is told."""

    visit_id: str
    reference: str
    slot: VisitSlot
    contact_id: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A CRM case about one contact. ``kind``: repair, lead, complaint, ...; ``due_at``: when somebody waits for an answer, UTC."""

    case_id: str
    reference: str
    contact_id: str
    subject: str
    details: Mapping[str, Any]
    kind: str
    due_at: datetime | None = None


@dataclass(frozen=True)
class Fact:
    """Something the customer has told us: a slot's value and where it came from. ``confidence`` is 0..1 or None."""

    slot: str
    value: Any
    session_id: str
    channel: str
    said_at: datetime
    confidence: float | None = None


@dataclass(frozen=True)
class HandoffPacket:
    """What is passed when a conversation goes to a person. Holds every fact that was said, and none that was not."""

    contact_id: str
    reason: str
    summary: str
    facts: tuple[Fact, ...]
    tried: tuple[str, ...]
    open_question: str | None
    transcript: tuple[Mapping[str, Any], ...]
