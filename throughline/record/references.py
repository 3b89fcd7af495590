"""Reference numbers that a customer is told: six digits, so that they can be said and keyed on a phone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from throughline.errors import Unavailable
from throughline.record.database import Database

_DRAWS = 50


def insert_with_reference(database: Database, connection: Any, table: Any, row: Mapping[str, Any]) -> None:
    """Insert ``row`` with a ``reference`` that no other row of ``table`` has; nothing where its ``idempotency_key`` is there already.
    Drawn, not counted, so that nobody can count a company's cases by it; the database's own unique key says whether it is free, so that
    two servers never give the same. Raises Unavailable when the numbers run out."""
    same = sa.select(table.c.id).where(table.c.idempotency_key == row["idempotency_key"])
    for _ in range(_DRAWS):
        if database.insert_unless_there(connection, table, {**row, "reference": _drawn()}):
            return
        if connection.execute(same).first() is not None:
            return
    raise Unavailable("no free reference number was found")


def _drawn() -> str:
    return str(100_000 + secrets.randbelow(900_000))
