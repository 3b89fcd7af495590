"""The fence of a conversation: what keeps a holder whose lock was taken away from saving.

``contacts.fence`` counts how often that happened. Whoever holds the lock has read it with the live window (``Head``), and
``append_events`` refuses another one. What always holds: it is raised in a transaction that no append to the conversation runs beside,
so an append was committed before it or sees it.
"""

from __future__ import annotations

from typing import Any

from throughline.record.database import Database
from throughline.record.schema import contacts


def turn_of(contact_id: str) -> str:
    """The name under which writers of this conversation take turns (``Database.take_turns``)."""
    return f"contact:{contact_id}"


def raise_fence(database: Database, connection: Any, contact_id: str) -> None:
    """Inside a write transaction: what the present holder of the conversation's lock saves from its commit on is refused. An id that
    nobody has seen yet has no fence: of two who save its first events the version check refuses one."""
    database.take_turns(connection, turn_of(contact_id))
    this = contacts.c.contact_id == contact_id
    connection.execute(contacts.update().where(this).values(fence=contacts.c.fence + 1))
