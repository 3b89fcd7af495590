"""The embedded calendar: the technicians' visits in the record's database, for a company that has no calendar system yet.

It stands behind connectors/calendar/embedded.py. What always holds: no technician has two visits at the same time, whoever books and moves
at the same moment; the same idempotency key has one effect. A visit's row is locked after its technicians, and these in the order of
their ids.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected
from throughline.record.database import Database
from throughline.record.identity import aliases_or_self, utc_now
from throughline.record.limits import check_ids, check_json
from throughline.record.references import insert_with_reference
from throughline.record.schema import calendar_changes, calendar_technicians, calendar_visits
from throughline.record.tombstones import refuse_erased

_MOVE, _CANCEL = "move", "cancel"


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
        Raises Rejected("slot_taken"|"visit_cancelled"|"too_long"), or Rejected("unknown_contact") for somebody who was erased."""
        check_ids(technician=slot.technician, place=slot.place, contact_id=contact_id, idempotency_key=idempotency_key)
        check_json(details=dict(details))
        with self._database.writing() as connection:
            self._database.take_turns(connection, f"contact:{contact_id}")  # nobody is erased while a visit is booked for them
            refuse_erased(connection, contact_id)
            self._lock_technicians(connection, [slot.technician])
            mine = calendar_visits.c.idempotency_key == idempotency_key
            booked = connection.execute(sa.select(calendar_visits).where(mine)).first()
            if booked is not None:
                return _standing(booked)
            _refuse_taken(connection, slot)
            row = {
                "visit_id": "v_" + secrets.token_urlsafe(16),
                "technician": slot.technician,
                "starts_at": slot.start,
                "ends_at": slot.end,
                "place": slot.place,
                "contact_id": contact_id,
                "details": dict(details),
                "idempotency_key": idempotency_key,
                "booked_at": utc_now(),
            }
            # Where the same key books another technician's time at this moment, that visit is the one.
            insert_with_reference(self._database, connection, calendar_visits, row)
            return _standing(connection.execute(sa.select(calendar_visits).where(mine)).one())

    def move(self, visit_id: str, slot: VisitSlot, *, idempotency_key: str, now: datetime | None = None) -> Visit:
        """Give the visit another time, and its technician, if that is free; the same key does so once. Its place stays.
        Raises Rejected("slot_taken"|"unknown_visit"|"visit_cancelled"|"visit_over"|"too_long")."""
        check_ids(technician=slot.technician)
        with self._database.writing() as connection:
            # Whoever waits for either of the two sees what this leaves free. Where the visit has just gone to a third one, that one's
            # time can only become more.
            now_with = _found(connection.execute(_this(visit_id)).first()).technician
            self._lock_technicians(connection, {now_with, slot.technician})
            visit, is_new = self._change(connection, visit_id, _MOVE, idempotency_key)
            if not is_new:
                return _visit(visit)
            if visit.cancelled_at is not None:
                raise Rejected("visit_cancelled")
            _refuse_begun(visit, now)
            _refuse_taken(connection, slot, besides=visit.id)
            times = {"starts_at": slot.start, "ends_at": slot.end, "technician": slot.technician}
            connection.execute(calendar_visits.update().where(calendar_visits.c.id == visit.id).values(**times))
            return _visit(connection.execute(_this(visit_id)).one())

    def cancel(self, visit_id: str, *, idempotency_key: str, now: datetime | None = None) -> Visit:
        """Take the visit out of its technician's time; one that is cancelled stays so.
        Raises Rejected("unknown_visit"|"visit_over"|"too_long")."""
        with self._database.writing() as connection:
            visit, is_new = self._change(connection, visit_id, _CANCEL, idempotency_key)
            if not is_new or visit.cancelled_at is not None:
                return _visit(visit)
            _refuse_begun(visit, now)
            this = calendar_visits.c.id == visit.id
            connection.execute(calendar_visits.update().where(this).values(cancelled_at=now or utc_now()))
            return _visit(connection.execute(_this(visit_id)).one())

    def visits_of(self, contact_id: str) -> list[Visit]:
        """Every visit of the contact and its aliases that was not cancelled, soonest first."""
        with self._database.reading() as connection:
            ids = aliases_or_self(connection, contact_id)
            mine = calendar_visits.c.contact_id.in_(ids) & calendar_visits.c.cancelled_at.is_(None)
            query = sa.select(calendar_visits).where(mine).order_by(calendar_visits.c.starts_at, calendar_visits.c.id)
            rows = connection.execute(query).all()
        return [_visit(row) for row in rows]

    def find(self, reference: str) -> Visit | None:
        """The visit of that reference, also one that was cancelled; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(calendar_visits).where(calendar_visits.c.reference == reference)).first()
        return None if row is None else _visit(row)

    def _lock_technicians(self, connection: Any, technicians: Iterable[str]) -> None:
        """Where writers run side by side (not on SQLite), two bookings of one technician must come one after the other."""
        for technician in sorted(technicians):
            self._database.insert_unless_there(connection, calendar_technicians, {"technician": technician})
            this = calendar_technicians.c.technician == technician
            connection.execute(sa.select(calendar_technicians).where(this).with_for_update(key_share=True)).one()

    def _change(self, connection: Any, visit_id: str, kind: str, idempotency_key: str) -> tuple[Any, bool]:
        """The visit's row, which nobody else changes until this transaction ends, and whether this key is new; else the row is that of
        the visit it has changed before."""
        check_ids(idempotency_key=idempotency_key)
        visit = _found(connection.execute(_this(visit_id).with_for_update()).first())
        change = {"visit_id": visit_id, "kind": kind, "idempotency_key": idempotency_key, "changed_at": utc_now()}
        if self._database.insert_unless_there(connection, calendar_changes, change):
            return visit, True
        before = sa.select(calendar_changes.c.visit_id).where(calendar_changes.c.idempotency_key == idempotency_key)
        return _found(connection.execute(_this(connection.execute(before).scalar_one())).first()), False


def _this(visit_id: str) -> Any:
    return sa.select(calendar_visits).where(calendar_visits.c.visit_id == visit_id)


def _found(row: Any) -> Any:
    if row is None:
        raise Rejected("unknown_visit")
    return row


def _standing(row: Any) -> Visit:
    """The visit of a key. One that was cancelled is not booked by asking again."""
    if row.cancelled_at is not None:
        raise Rejected("visit_cancelled")
    return _visit(row)


def _refuse_begun(visit: Any, now: datetime | None) -> None:
    if visit.starts_at <= (now or utc_now()):
        raise Rejected("visit_over")


def _refuse_taken(connection: Any, slot: VisitSlot, *, besides: int | None = None) -> None:
    """Whose technician is locked. ``besides`` is the visit that is to move there."""
    theirs = (calendar_visits.c.technician == slot.technician) & _overlaps(slot.start, slot.end)
    taken = sa.select(calendar_visits.c.id).where(theirs)
    if any(taken_by != besides for taken_by in connection.execute(taken).scalars()):
        raise Rejected("slot_taken")


def _overlaps(start: datetime, end: datetime) -> Any:
    v = calendar_visits.c
    return (v.starts_at < end) & (v.ends_at > start) & v.cancelled_at.is_(None)


def _slot(row: Any) -> VisitSlot:
    return VisitSlot(row.starts_at, row.ends_at, row.technician, row.place)


def _visit(row: Any) -> Visit:
    return Visit(row.visit_id, row.reference, _slot(row), row.contact_id, row.details, row.cancelled_at)
