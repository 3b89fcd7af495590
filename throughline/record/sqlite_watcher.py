"""Notices what other processes commit to a SQLite file: the command line, the action server, a second server.

SQLite tells nobody of a commit. ``PRAGMA data_version`` says whether another connection has committed since it was asked last
(sqlite.org/pragma.html): a thread asks that a few times a second, on a connection of its own, and looks into the tables only where it has
changed. What always holds: a commit of any process is told, in the order of commits; this process's own, which were told at once, not
again; after whatever went wrong, everybody is told to look again.

Why not by the file system's notifications: docs/decisions/0012-live-across-processes.md.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

from throughline import log
from throughline.record.watching import CommitCallback

LOOK_EVERY_S = 0.05
_AGAIN_S = 1.0  # after an error
_BUSY_S = 10.0

_VERSION = "PRAGMA data_version"
# The end of each table: a commit that is told has changed one of these. Numbers are given in the order of commits, because on SQLite
# writers are alone; a merge may bring no event, and one that is taken back no row.
_PLACE = "SELECT (SELECT max(id) FROM events), (SELECT max(id) FROM merges), (SELECT count(undone_at) FROM merges)"
_GREW = "SELECT sender_id, max(id) FROM events WHERE id > ? GROUP BY sender_id ORDER BY max(id)"

_logger = log.get_logger("record")


class SqliteWatcher:
    """Calls ``told(contact_id, last_seq)``, or ``told(None, 0)`` for "look at everything", in a thread of its own until ``close``."""

    def __init__(self, file: Path, told: CommitCallback) -> None:
        self._address = f"file:{quote(str(file))}?mode=rw"  # a file that has gone is not made anew, and empty
        self._told = told
        self._own: dict[str, int] = {}
        self._own_guard = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record-watcher", daemon=True)
        self._thread.start()

    def told_here(self, contact_id: str, last_seq: int) -> None:
        """A commit of this process that everybody here was told of."""
        with self._own_guard:
            self._own[contact_id] = max(last_seq, self._own.get(contact_id, 0))

    def close(self) -> None:
        """End the thread and its connection."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with contextlib.closing(sqlite3.connect(self._address, _BUSY_S, isolation_level=None, uri=True)) as connection:
                    self._watch(connection)
            except Exception as error:  # noqa: BLE001 - whatever it was: a thread that ends would leave every page silent
                _logger.warning("record.watch_failed", error=str(error))
                self._closing.wait(_AGAIN_S)

    def _watch(self, connection: sqlite3.Connection) -> None:
        version = _first(connection, _VERSION)
        seen, *merged = _first(connection, _PLACE)
        self._told(None, 0)
        while not self._closing.wait(LOOK_EVERY_S):
            changed = _first(connection, _VERSION)
            if changed == version:
                continue
            version = changed
            grew = connection.execute(_GREW, (seen or 0,)).fetchall()
            seen = max([seen or 0, *(seq for _, seq in grew)])
            for contact_id, seq in self._by_others(grew, seen):
                self._told(contact_id, seq)
            before, (_, *merged) = merged, _first(connection, _PLACE)
            if merged != before:
                self._told(None, 0)

    def _by_others(self, grew: list[tuple[str, int]], seen: int) -> list[tuple[str, int]]:
        """What of it nobody here was told yet. Whoever was told of a contact's later event has looked, and seen the earlier ones too."""
        with self._own_guard:
            others = [(contact_id, seq) for contact_id, seq in grew if self._own.get(contact_id, 0) < seq]
            self._own = {contact_id: seq for contact_id, seq in self._own.items() if seq > seen}
        return others


def _first(connection: sqlite3.Connection, query: str) -> tuple[int | None, ...]:
    row: tuple[int | None, ...] = connection.execute(query).fetchone()
    return row
