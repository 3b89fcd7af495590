"""The embedded CRM: customers, cases and notes in the record's database, for a company that has no CRM yet.

It stands behind connectors/crm/embedded.py. What always holds: the same idempotency key has one effect; a case's reference is
short enough to be said on the phone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.domain.visits import Case
from throughline.errors import Rejected
from throughline.record.database import Database
from throughline.record.identity import aliases_or_self, utc_now
from throughline.record.limits import check_ids, check_json, check_texts, check_words
from throughline.record.references import insert_with_reference
from throughline.record.schema import crm_cases, crm_customers, crm_notes
from throughline.record.tombstones import refuse_erased


class CrmTables:
    """Customers, cases, notes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def upsert_customer(self, contact_id: str, fields: Mapping[str, Any]) -> None:
        """Create the customer, or change the named fields and keep the others.
        Raises Rejected("too_long"), or Rejected("unknown_contact") for somebody who was erased."""
        check_ids(contact_id=contact_id)
        with self._database.writing() as connection:
            self._admit(connection, contact_id)
            query = sa.select(crm_customers.c.fields).where(crm_customers.c.contact_id == contact_id)
            known = connection.execute(query.with_for_update()).scalar() or {}
            merged = {**known, **fields}
            check_json(fields=merged)
            row = {"contact_id": contact_id, "fields": merged, "updated_at": utc_now()}
            self._database.insert_or_update(connection, crm_customers, row, key="contact_id")

    def open_case(
        self,
        contact_id: str,
        subject: str,
        details: Mapping[str, Any],
        *,
        kind: str,
        due_at: datetime | None = None,
        idempotency_key: str,
    ) -> Case:
        """Open a case, or give the one this key has already opened.
        Raises Rejected("too_long"), or Rejected("unknown_contact") for somebody who was erased."""
        check_ids(contact_id=contact_id, idempotency_key=idempotency_key)
        check_words(kind=kind)
        check_texts(subject=subject)
        check_json(details=dict(details))
        with self._database.writing() as connection:
            self._admit(connection, contact_id)
            row = {
                "case_id": "case_" + secrets.token_urlsafe(16),
                "contact_id": contact_id,
                "subject": subject,
                "details": dict(details),
                "kind": kind,
                "due_at": due_at,
                "idempotency_key": idempotency_key,
                "opened_at": utc_now(),
            }
            insert_with_reference(self._database, connection, crm_cases, row)
            query = sa.select(crm_cases).where(crm_cases.c.idempotency_key == idempotency_key)
            return _case(connection.execute(query).one())

    def add_note(self, case_id: str, text: str, *, idempotency_key: str) -> None:
        """Append a note. Raises Rejected("unknown_case"|"too_long")."""
        check_ids(idempotency_key=idempotency_key)
        check_texts(text=text)
        with self._database.writing() as connection:
            if connection.execute(sa.select(crm_cases.c.id).where(crm_cases.c.case_id == case_id)).first() is None:
                raise Rejected("unknown_case")
            row = {"case_id": case_id, "text": text, "idempotency_key": idempotency_key, "written_at": utc_now()}
            self._database.insert_unless_there(connection, crm_notes, row)

    def cases_of(self, contact_id: str) -> list[Case]:
        """Every case of the contact and its aliases, newest first."""
        with self._database.reading() as connection:
            mine = crm_cases.c.contact_id.in_(aliases_or_self(connection, contact_id))
            rows = connection.execute(sa.select(crm_cases).where(mine).order_by(crm_cases.c.id.desc())).all()
        return [_case(row) for row in rows]

    def _admit(self, connection: Any, contact_id: str) -> None:
        """Until this transaction ends nobody erases this contact; whoever was is written for no more."""
        self._database.take_turns(connection, f"contact:{contact_id}")
        refuse_erased(connection, contact_id)


def _case(row: Any) -> Case:
    return Case(row.case_id, row.reference, row.contact_id, row.subject, row.details, row.kind, row.due_at)
