"""Reference numbers that a customer is told: six digits, so that they can be said and keyed on a phone."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from throughline.errors import Unavailable

_DRAWS = 50


def free_reference(connection: Any, column: Any) -> str:
    """A number that ``column`` does not hold yet; not in sequence, so that nobody can count a company's cases by it.
    Raises Unavailable when the numbers run out."""
    for _ in range(_DRAWS):
        reference = str(100_000 + secrets.randbelow(900_000))
        if connection.execute(sa.select(column).where(column == reference)).first() is None:
            return reference
    raise Unavailable("no free reference number was found")
