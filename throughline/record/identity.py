"""From any contact id to the living contact it stands for. Every topic of the record goes through here.

What always holds: these functions only read, and run inside the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import strength
from throughline.errors import Rejected
from throughline.record.entries import Address
from throughline.record.schema import addresses, contacts

ACCOUNT = "account"
"""The kind of address that is an account of the website's."""


def utc_now() -> datetime:
    """The present moment, with its zone."""
    return datetime.now(timezone.utc)


def living(connection: Any, contact_id: str) -> str:
    """The contact that ``contact_id`` has become. Raises Rejected("unknown_contact")."""
    seen = contact_id
    while True:
        row = connection.execute(sa.select(contacts.c.merged_into).where(contacts.c.contact_id == seen)).first()
        if row is None:
            raise Rejected("unknown_contact")
        if row.merged_into is None:
            return seen
        seen = row.merged_into


def aliases_of(connection: Any, contact_id: str) -> list[str]:
    """The living contact's id, then every id merged into it, directly or through others."""
    root = living(connection, contact_id)
    found, level = [root], [root]
    while level:
        query = sa.select(contacts.c.contact_id).where(contacts.c.merged_into.in_(level)).order_by(contacts.c.created_at)
        level = list(connection.execute(query).scalars())
        found += level
    return found


def aliases_or_self(connection: Any, contact_id: str) -> list[str]:
    """As ``aliases_of``; for a system that also knows people who never were contacts: such an id stands for itself."""
    known = connection.execute(sa.select(contacts.c.contact_id).where(contacts.c.contact_id == contact_id)).first()
    return [contact_id] if known is None else aliases_of(connection, contact_id)


def has_account(connection: Any, contact_id: str) -> bool:
    """Whether this person has an account, under whichever alias. Raises Rejected("unknown_contact")."""
    mine = addresses.c.contact_id.in_(aliases_of(connection, contact_id)) & (addresses.c.kind == ACCOUNT)
    return connection.execute(sa.select(addresses.c.id).where(mine).limit(1)).first() is not None


def addresses_of(connection: Any, contact_id: str) -> list[Address]:
    """Where this person is reached, under every alias, each address once with its strongest proof, and of equal ones the latest; in the
    order in which we learned of them. Raises Rejected("unknown_contact")."""
    mine = addresses.c.contact_id.in_(aliases_of(connection, contact_id))
    found: dict[tuple[str, str], Address] = {}
    for row in connection.execute(sa.select(addresses).where(mine).order_by(addresses.c.id)).all():
        here = Address(row.kind, row.value, row.proof, row.created_at, row.proved_at)
        known = found.setdefault((row.kind, row.value), here)
        found[(row.kind, row.value)] = max(known, here, key=lambda one: (strength(one.proof), one.proved_at))
    return list(found.values())
