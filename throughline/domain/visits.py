"""Visits, cases and requests: what a conversation can end in, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class VisitSlot:
    """A time at which a technician can come. Times are UTC-aware; ``technician`` is the calendar's own id; ``place`` is the territory they
    come to, by the company's own name for it, None where that is not known."""

    start: datetime
    end: datetime
    technician: str
    place: str | None = None


@dataclass(frozen=True)
class Visit:
    """A booked visit. ``reference`` is what the customer is told; ``details`` are from when it was booked, ``slot`` is when it is now."""

    visit_id: str
    reference: str
    slot: VisitSlot
    contact_id: str
    details: Mapping[str, Any]
    cancelled_at: datetime | None = None


@dataclass(frozen=True)
class Case:
    """A CRM case about one contact. ``kind`` is one word, such as repair or complaint; ``due_at`` (UTC) is when it is to be dealt with,
    None where no time was told."""

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
