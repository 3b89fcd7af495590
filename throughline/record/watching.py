"""What it is to watch the record's commits, on whichever database: sqlite_watcher.py, postgresql_listener.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CommitCallback = Callable[[str | None, int], None]
"""``(contact_id, last_seq)``: this conversation has changed, and goes up to ``last_seq``. ``(None, 0)``: any of them may have."""


class Watcher(Protocol):
    """Tells of other processes' commits, until it is closed."""

    def told_here(self, contact_id: str, last_seq: int) -> None:
        """A commit of this process, which everybody here was told of already."""

    def close(self) -> None:
        """End its thread and its connection."""
