"""One turn of a conversation at a time, over all loops, threads, processes and servers of one database.

Within the process a fair queue hands the lock over directly; whoever is first in it asks for the lock between processes: a file lock
beside a SQLite database, an advisory lock in PostgreSQL. What always holds: whoever waits is woken, nobody polls; a process lets go between
two turns, so another one's waiter gets its turn; the lock of a holder that dies is free at once; the lock of one that is stopped is taken
away after its lifetime, and what it saves later is refused (fence.py). Why it is like this: docs/decisions/0011-locks.md.

This module never imports Rasa: the commands that change a conversation take its lock too.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Protocol

import sqlalchemy as sa

from throughline.errors import Unavailable
from throughline.record.database import key_of, kind_of
from throughline.record.fair_locks import FairLocks
from throughline.record.file_lock import FileLocks
from throughline.record.postgresql_lock import PostgresqlLocks


class LockBetweenProcesses(Protocol):
    """One acquisition of a lock that other processes may hold. Its owner is the process."""

    async def acquire(self, wait_s: float) -> None:
        """Hold the lock from now on. Raises TimeoutError after ``wait_s`` seconds, Unavailable, OSError; then nothing is held."""

    def release(self, then: Callable[[], object], *, wanted: bool) -> None:
        """Let the next process have it, and have ``then`` called once that is done. Where it is ``wanted`` here again and no other process
        waits, it may be kept for whoever acquires it here next. Raises nothing."""


_in_process = FairLocks()
_between: weakref.WeakValueDictionary[tuple[int, str, float], FileLocks | PostgresqlLocks] = weakref.WeakValueDictionary()
_between_guard = threading.Lock()


class ConversationLocks:
    """The locks of the conversations in the database at ``url``. Every instance with the same URL shares them. Times are in seconds:
    ``wait_s`` is how long to wait for a lock, ``lifetime_s`` how long one is held before it may be taken away.
    Raises ConfigurationError, OSError."""

    def __init__(self, url: str, *, wait_s: float, lifetime_s: float) -> None:
        self._wait_s = wait_s
        self._key = (os.getpid(), key_of(url), lifetime_s)
        with _between_guard:
            locks = _between.get(self._key)
            if locks is None:
                locks = FileLocks(url, lifetime_s) if kind_of(url) == "sqlite" else PostgresqlLocks(url, lifetime_s)
                _between[self._key] = locks
        self._locks = locks

    async def acquire(self, contact_id: str) -> HeldConversation:
        """Hold this conversation from now on, until its ``release``. Raises Unavailable where it can't be had in time."""
        key, ends = (self._key, contact_id), time.monotonic() + self._wait_s
        try:
            try:
                await _in_process.acquire(key, self._wait_s)
            except BaseException:
                self._locks.forget(contact_id)  # it may have been kept for us
                raise
            try:
                lock: LockBetweenProcesses = self._locks.lock(contact_id)
                await lock.acquire(ends - time.monotonic())
            except BaseException:
                _in_process.release(key)
                raise
        except (OSError, sa.exc.SQLAlchemyError) as error:  # a TimeoutError is an OSError
            raise Unavailable(f"conversation {contact_id} cannot be held: {error}") from error
        return HeldConversation(lock, key)

    @asynccontextmanager
    async def hold(self, contact_id: str) -> AsyncIterator[None]:
        """``async with locks.hold(contact_id)``. Raises Unavailable where it can't be had in time."""
        held = await self.acquire(contact_id)
        try:
            yield
        finally:
            held.release()


class HeldConversation:
    """A conversation that is held."""

    def __init__(self, lock: LockBetweenProcesses, key: Hashable) -> None:
        self._lock = lock
        self._key = key

    def release(self) -> None:
        """Let others have it: other processes first, then this one's next, which asks as they do."""
        self._lock.release(lambda: _in_process.release(self._key), wanted=_in_process.is_wanted(self._key))
