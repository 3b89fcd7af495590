"""The shared record: one object, opened by URL, that channels, actions and Rasa's own stores all work on.

``open(url)`` gives every caller in a process the same Record for the same database: Rasa builds its stores from endpoints.yml by
itself, and bootstrap opens the record for everybody else. What always holds: every method is its own transaction, synchronous and
safe from any thread; asynchronous callers use ``await record.call(record.method, ...)``, which never blocks their loop.

This module never imports Rasa: the action server and the review would load TensorFlow with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import sqlalchemy as sa

from throughline import log
from throughline.errors import Unavailable
from throughline.record.calendar_tables import CalendarTables
from throughline.record.contacts import Contacts
from throughline.record.crm_tables import CrmTables
from throughline.record.database import Database, key_of
from throughline.record.events import Events
from throughline.record.found_visits import FoundVisits
from throughline.record.links import Links
from throughline.record.merging import Merges
from throughline.record.messages import Messages
from throughline.record.migrations import upgrade
from throughline.record.outcomes import Outcomes
from throughline.record.passes import Passes
from throughline.record.person import People
from throughline.record.phone_calls import PhoneCalls
from throughline.record.placed_calls import PlacedCalls
from throughline.record.retention import Retaining
from throughline.record.sessions import Sessions
from throughline.record.standings import Standings
from throughline.record.views import Views
from throughline.record.watching import CommitCallback, Watcher

_logger = log.get_logger("record")
_THREADS = 6

P = ParamSpec("P")
R = TypeVar("R")


class Record(
    Contacts,
    Merges,
    Sessions,
    Passes,
    Links,
    PhoneCalls,
    PlacedCalls,
    FoundVisits,
    Messages,
    Events,
    Outcomes,
    Views,
    Standings,
    People,
    Retaining,
):
    """The record of one database. Each parent class is one topic of it."""

    def __init__(self, url: str) -> None:
        super().__init__(Database(url), self._committed_here)
        self.url = url
        self.crm = CrmTables(self._database)
        self.calendar = CalendarTables(self._database)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="record")
        self._listeners: list[CommitCallback] = []
        self._listeners_guard = threading.Lock()
        self._watcher: Watcher | None = None

    @property
    def name(self) -> str:
        """The database as people are told of it: its address without a password."""
        return key_of(self.url)

    async def call(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one of this record's methods in its own threads. If the caller is cancelled, what was begun is still finished.
        Raises what the method raises, and Unavailable once the record is closed."""
        work = functools.partial(contextvars.copy_context().run, functools.partial(method, *args, **kwargs))
        try:
            waiting = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError as error:  # what ThreadPoolExecutor says after shutdown
            raise Unavailable("the record is closed") from error
        return await waiting

    def migrate(self) -> None:
        """Bring the database to the current schema. Does nothing where it is; safe when several processes do it at once."""
        upgrade(self._database)

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self._database.reading() as connection:
            connection.execute(sa.select(sa.literal(1)))

    def loud_settings(self) -> dict[str, str]:
        """The settings, as they are, by which the database's server writes customers' words into a log of its own; for each the statement
        that mends it. Raises Unavailable."""
        return self._database.loud_settings()

    def on_commit(self, callback: CommitCallback) -> Callable[[], None]:
        """Have ``callback(contact_id, last_seq)`` called after every commit that changed a conversation: of this process at once, in the
        thread that committed; of others in the thread that watches the database, maybe more than once. ``callback(None, 0)`` says that
        any conversation may have changed: when the watching begins, and after the database was out of reach. Who reads on from where
        it stands, whenever it is called, misses nothing.

        It must be quick. What it raises is logged and goes no further. Calling what is returned ends it."""
        with self._listeners_guard:
            self._listeners.append(callback)
            if self._watcher is None:
                self._watcher = self._database.watch(self._tell)

        def unsubscribe() -> None:
            with self._listeners_guard:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return unsubscribe

    def close(self) -> None:
        """Finish what was begun and close. The next ``open`` of this URL starts afresh."""
        with _opened_guard:
            for key, record in list(_opened.items()):
                if record is self:
                    del _opened[key]
        with self._listeners_guard:
            watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()
        self._pool.shutdown(wait=True)
        self._database.close()

    def _committed_here(self, contact_id: str, last_seq: int) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher.told_here(contact_id, last_seq)
        self._tell(contact_id, last_seq)

    def _tell(self, contact_id: str | None, last_seq: int) -> None:
        with self._listeners_guard:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(contact_id, last_seq)
            except Exception:  # the events are committed; a listener's fault must not make them look lost
                _logger.exception("record.listener_failed")


_opened: dict[tuple[int, str], Record] = {}
_opened_guard = threading.Lock()


def open(url: str, *, secret: bytes | str | None = None) -> Record:
    """The record at ``url`` (``sqlite:///var/throughline.db``; relative paths are relative to the working directory): the same object
    for every caller in this process. ``secret`` is the key for one-time codes; whoever knows it passes it. Doesn't migrate.
    Raises ConfigurationError."""
    key = (os.getpid(), key_of(url))
    with _opened_guard:
        record = _opened.get(key)
        if record is None:
            record = _opened[key] = Record(url)
    if secret is not None:
        record.use_secret(secret)
    return record
