"""Hears what any server commits to a PostgreSQL database (its manual, "LISTEN" and "NOTIFY").

One thread and one connection for each process that has somebody to tell. It sleeps until the connection or ``close`` has something for it;
nothing is asked periodically. What always holds: a commit made while it listens is told after it is visible; whenever it begins to listen,
at the start and after every loss of the connection, everybody is told to look again, because what was committed meanwhile told nobody; a
notification that cannot be read means the same. So a commit is told once or more, and never lost.

Why nothing is compared, and why every commit comes back to who made it: docs/decisions/0012-live-across-processes.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
from collections.abc import Callable, Iterable
from typing import Any

from throughline import log
from throughline.record.schema import ID_CHARS
from throughline.record.watching import CommitCallback

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0  # between two attempts to connect

_logger = log.get_logger("record")


class PostgresqlListener:
    """Calls ``told(contact_id, last_seq)``, or ``told(None, 0)`` for "look at everything", in a thread of its own until ``close``.

    ``connect`` makes a psycopg2 connection that nobody else uses, and raises whatever it likes; ``channel`` is where to listen.
    """

    def __init__(self, connect: Callable[[], Any], channel: str, told: CommitCallback) -> None:
        self._connect = connect
        self._channel = channel
        self._told = told
        self._closing, self._close = os.pipe()
        self._thread = threading.Thread(target=self._run, name="record-listener", daemon=True)
        self._thread.start()

    def told_here(self, contact_id: str, last_seq: int) -> None:
        """Nothing: this process's own commits come back as everybody's do, and whoever looks again finds nothing new."""

    def close(self) -> None:
        """End the thread and its connection."""
        os.write(self._close, b"\0")
        self._thread.join()
        for end in (self._closing, self._close):
            os.close(end)

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                with contextlib.closing(self._connect()) as connection:
                    connection.autocommit = True  # a transaction would hold back its own notifications, and everybody's queue
                    connection.cursor().execute(f"LISTEN {self._channel}")
                    pause_s = _FIRST_PAUSE_S
                    self._told(None, 0)
                    self._listen(connection)
                    return
            except Exception as error:  # noqa: BLE001 - whatever it was: a thread that ends would leave every page silent
                _logger.warning("record.listen_failed", error=str(error).strip())
            if self._closed_within(pause_s):
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _listen(self, connection: Any) -> None:
        """Returns when this is closed. Raises psycopg2.Error when the connection is lost."""
        ready = select.poll()
        ready.register(connection, select.POLLIN)
        ready.register(self._closing, select.POLLIN)
        while self._closing not in dict(ready.poll()):
            connection.poll()
            payloads = [notification.payload for notification in connection.notifies]
            connection.notifies.clear()
            self._pass_on(payloads)

    def _pass_on(self, payloads: Iterable[str]) -> None:
        known = [_read(payload) for payload in payloads]
        for contact_id, seq in dict.fromkeys(told for told in known if told is not None):
            self._told(contact_id, seq)
        if None in known:
            _logger.warning("record.notification_unreadable", count=known.count(None))
            self._told(None, 0)

    def _closed_within(self, seconds: float) -> bool:
        ready = select.poll()
        ready.register(self._closing, select.POLLIN)
        return bool(ready.poll(seconds * 1000))


def _read(payload: str) -> tuple[str, int] | None:
    """The contact's id and its last ``seq``; None for anything else, which whoever may use the database can send."""
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, list) or len(told) != 2:
        return None
    contact_id, seq = told
    is_known = isinstance(contact_id, str) and 0 < len(contact_id) <= ID_CHARS and type(seq) is int and seq >= 0
    return (contact_id, seq) if is_known else None
