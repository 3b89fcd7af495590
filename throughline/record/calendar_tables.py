"""The embedded calendar: the technicians' visits in the record's database, for a company that has no calendar system yet.

It stands behind connectors/calendar/embedded.py. What always holds: no technician has two visits at the same time, whoever books at
the same moment; the same idempotency key books, moves or cancels once. A cancelled visit takes nobody's time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected
from throughline.record.database import Database
from throughline.record.identity import aliases_or_self, utc_now
from throughline.record.limits import check_ids, check_json
from throughline.record.references import insert_with_reference
from throughline.record.schema import calendar_technicians, calendar_visits
from throughline.record.tombstones import refuse_erased


class CalendarTables:
    """Visits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def busy(self, technicians: Sequence[str], start: datetime, end: datetime) -> list[VisitSlot]:
        """What of the time from ``start`` to ``end`` is taken, soonest first."""
        with self._database.reading() as connection:
            theirs = calendar_visits.c.technician.in_(list(technicians))
            query = sa.select(calendar_visits).where(theirs, _overlaps(start, end))
            rows = connection.execute(query.order_by(calendar_visits.c.starts_at, calendar_visits.c.id)).all()
        return [_slot(row) for row in rows]

    def book(self, slot: VisitSlot, contact_id: str, details: Mapping[str, Any], *, idempotency_key: str) -> Visit:
        """Book the slot if it is free; the same key gives the same visit.
        Raises Rejected("slot_taken"|"too_long"), or Rejected("unknown_contact") for somebody who was erased."""
        check_ids(technician=slot.technician, contact_id=contact_id, idempotency_key=idempotency_key)
        check_json(details=dict(details))
        with self._database.writing() as connection:
            self._database.take_turns(connection, f"contact:{contact_id}")  # nobody is erased while a visit is booked for them
            refuse_erased(connection, contact_id)
            self._lock_technician(connection, slot.technician)
            mine = calendar_visits.c.idempotency_key == idempotency_key
            booked = connection.execute(sa.select(calendar_visits).where(mine)).first()
            if booked is not None:
                return _visit(booked)
            _refuse_taken(connection, slot)
            row = {
                "visit_id": "v_" + secrets.token_urlsafe(16),
                "technician": slot.technician,
                "starts_at": slot.start,
                "ends_at": slot.end,
                "contact_id": contact_id,
                "details": dict(details),
                "idempotency_key": idempotency_key,
                "booked_at": utc_now(),
            }
            # Where the same key books another technician's time at this moment, that visit is the one.
            insert_with_reference(self._database, connection, calendar_visits, row)
            return _visit(connection.execute(sa.select(calendar_visits).where(mine)).one())

    def move(self, visit_id: str, slot: VisitSlot, *, idempotency_key: str) -> Visit:
        """Give the visit another slot if that is free; the same key moves once. The visit keeps its reference.
        Raises Rejected("slot_taken"|"unknown_visit"|"visit_over"|"visit_cancelled")."""
        check_ids(technician=slot.technician, visit_id=visit_id, idempotency_key=idempotency_key)
        digest = _digest(idempotency_key)
        with self._database.writing() as connection:
            for technician in sorted({slot.technician, _row(connection, visit_id).technician}):
                self._lock_technician(connection, technician)
            row = _row(connection, visit_id)  # as it is now that nobody else can change it
            if row.changed_by == digest:
                return _visit(row)
            _refuse_unchangeable(row)
            _refuse_taken(connection, slot, but=visit_id)
            values = {"technician": slot.technician, "starts_at": slot.start, "ends_at": slot.end, "changed_by": digest}
            this = calendar_visits.c.visit_id == visit_id
            connection.execute(calendar_visits.update().where(this).values(**values))
            return _visit(_row(connection, visit_id))

    def cancel(self, visit_id: str, *, idempotency_key: str) -> Visit:
        """Call the visit off; the same key once. Its time is free then, and ``visits_of`` names it no more.
        Raises Rejected("unknown_visit"|"visit_over"|"visit_cancelled")."""
        check_ids(visit_id=visit_id, idempotency_key=idempotency_key)
        digest = _digest(idempotency_key)
        with self._database.writing() as connection:
            self._lock_technician(connection, _row(connection, visit_id).technician)
            row = _row(connection, visit_id)
            if row.changed_by == digest:
                return _visit(row)
            _refuse_unchangeable(row)
            this = calendar_visits.c.visit_id == visit_id
            connection.execute(calendar_visits.update().where(this).values(cancelled_at=utc_now(), changed_by=digest))
            return _visit(_row(connection, visit_id))

    def visits_of(self, contact_id: str) -> list[Visit]:
        """Every visit of the contact and its aliases that was not cancelled, soonest first."""
        with self._database.reading() as connection:
            mine = calendar_visits.c.contact_id.in_(aliases_or_self(connection, contact_id))
            standing = calendar_visits.c.cancelled_at.is_(None)
            query = sa.select(calendar_visits).where(mine, standing).order_by(calendar_visits.c.starts_at, calendar_visits.c.id)
            rows = connection.execute(query).all()
        return [_visit(row) for row in rows]

    def _lock_technician(self, connection: Any, technician: str) -> None:
        """Where writers run side by side (not on SQLite), two bookings of one technician must come one after the other."""
        self._database.insert_unless_there(connection, calendar_technicians, {"technician": technician})
        this = calendar_technicians.c.technician == technician
        connection.execute(sa.select(calendar_technicians).where(this).with_for_update(key_share=True)).one()


def _overlaps(start: datetime, end: datetime) -> Any:
    v = calendar_visits.c
    return (v.starts_at < end) & (v.ends_at > start) & v.cancelled_at.is_(None)


def _row(connection: Any, visit_id: str) -> Any:
    row = connection.execute(sa.select(calendar_visits).where(calendar_visits.c.visit_id == visit_id)).first()
    if row is None:
        raise Rejected("unknown_visit")
    return row


def _refuse_taken(connection: Any, slot: VisitSlot, *, but: str = "") -> None:
    """``but``: the visit that is to have the slot, whose own time is free for it."""
    theirs = (calendar_visits.c.technician == slot.technician) & (calendar_visits.c.visit_id != but)
    if connection.execute(sa.select(calendar_visits.c.id).where(theirs, _overlaps(slot.start, slot.end))).first() is not None:
        raise Rejected("slot_taken")


def _refuse_unchangeable(row: Any) -> None:
    if row.cancelled_at is not None:
        raise Rejected("visit_cancelled")
    if row.starts_at <= utc_now():
        raise Rejected("visit_over")


def _digest(key: str) -> str:
    """A key names whose visit it is, and a digest nobody."""
    return hashlib.sha256(key.encode()).hexdigest()


def _slot(row: Any) -> VisitSlot:
    return VisitSlot(row.starts_at, row.ends_at, row.technician)


def _visit(row: Any) -> Visit:
    return Visit(row.visit_id, row.reference, _slot(row), row.contact_id, row.details)
