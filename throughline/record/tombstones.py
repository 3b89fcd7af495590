"""Who was erased, as long as something may still come for them: a turn that was under way, an action at work, a page that was left open.

What always holds: nothing of the person is in it. The ids the record gives out are 128 random bits, so their digest tells nobody anything
and an id need not be kept to be known again. An id that was made up elsewhere (a tool's, perhaps a telephone number) could be guessed
from its digest: of such a one nothing is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.errors import Rejected
from throughline.record.database import Database
from throughline.record.schema import erased

CONTACT_PREFIX = "c_"
_OWN_CHARS = 24  # contacts.new_contact_id


def refuse_erased(connection: Any, contact_id: str) -> None:
    """Raises Rejected("unknown_contact") for somebody who was erased, as for anybody who is not there."""
    if erased_at(connection, contact_id) is not None:
        raise Rejected("unknown_contact")


def erased_at(connection: Any, contact_id: str) -> datetime | None:
    """When this contact was erased; None where it was not, or is not one of the record's own ids."""
    query = sa.select(erased.c.erased_at).where(erased.c.contact_sha256 == _digest(contact_id))
    found: datetime | None = connection.execute(query).scalar()
    return found


def mark_erased(database: Database, connection: Any, contact_ids: Iterable[str], at: datetime) -> None:
    """Note that these were erased."""
    for contact_id in contact_ids:
        if is_given_out(contact_id):
            database.insert_unless_there(connection, erased, {"contact_sha256": _digest(contact_id), "erased_at": at})


def is_given_out(contact_id: str) -> bool:
    """Whether the record has drawn this id; else somebody's tool has made it up, and it may be a word that anybody says."""
    return contact_id.startswith(CONTACT_PREFIX) and len(contact_id) == _OWN_CHARS


def _digest(contact_id: str) -> str:
    return hashlib.sha256(contact_id.encode("utf-8", "surrogatepass")).hexdigest()
