"""Rasa's lock store on the shared record: one turn of a conversation at a time, over all loops, threads and processes.

    lock_store:
      type: throughline.record.lock_store.RecordLockStore

The locks stand beside the database, which ``throughline: database:`` names.

Rasa's own lock polls once a second and lets a second holder in after a minute. What always holds here: waiters of this process are
woken in the order they came; the lock ends only when its holder ends; every instance with the same URL shares the same locks. What
a holder that was thought dead saves in the end, the tracker store's version check refuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rasa.core.lock_store import LockError, LockStore
from rasa.utils.endpoints import EndpointConfig

from throughline.errors import ConfigurationError, Problem
from throughline.record.fair_locks import FairLocks
from throughline.record.file_lock import FileLock
from throughline.record.sqlite_ways import lock_directory, sqlite_file
from throughline.settings.server import load_settings

_locks = FairLocks()


class RecordLockStore(LockStore):
    """Conversation locks. ``async with lock_store.lock(conversation_id)`` on any event loop."""

    def __init__(self, endpoint_config: EndpointConfig) -> None:
        """``url`` and ``wait_s`` (seconds) come from the settings where endpoints.yml does not give them. Raises ConfigurationError."""
        super().__init__()
        settings = load_settings()
        given = dict(endpoint_config.kwargs)
        wait_s = given.pop("wait_s", settings.database.lock_wait_s)
        where = "endpoints.yml lock_store"
        problems = [Problem(f"{where}.{key}", "there is no such setting.", "Remove it.") for key in sorted(given)]
        if not isinstance(wait_s, (int, float)) or wait_s <= 0:
            problems.append(Problem(f"{where}.wait_s", "it is not a number of seconds.", "Write 30, or remove it."))
        if problems:
            raise ConfigurationError(problems)
        self._directory = lock_directory(sqlite_file(endpoint_config.url or settings.database_url()))
        self._directory.mkdir(parents=True, exist_ok=True)
        self._wait_s = float(wait_s)

    @asynccontextmanager
    async def lock(self, conversation_id: str, *_args: Any, **_kwargs: Any) -> AsyncIterator[None]:
        """Hold the conversation. Rasa's further arguments (lifetime, polling interval) mean nothing here.
        Raises LockError when others hold it longer than ``wait_s``."""
        key = (self._directory, conversation_id)
        try:
            await _locks.acquire(key, self._wait_s)
        except TimeoutError as error:
            raise LockError(f"Could not acquire lock for conversation_id '{conversation_id}': {error}") from error
        try:
            file = FileLock(self._directory, conversation_id)
            try:
                await file.acquire(self._wait_s)
            except (TimeoutError, OSError) as error:
                raise LockError(f"Could not acquire lock for conversation_id '{conversation_id}': {error}") from error
            try:
                yield
            finally:
                file.release()
        finally:
            _locks.release(key)
