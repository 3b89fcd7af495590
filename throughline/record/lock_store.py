"""Rasa's lock store on the shared record: one turn of a conversation at a time, over all loops, threads and processes.

    lock_store:
      type: throughline.record.lock_store.RecordLockStore

The locks are in the database, or beside its file, which ``throughline: database:`` names (conversation_locks.py).

Rasa's own lock polls once a second and lets a second holder in after a minute. What always holds here: waiters are woken, in the order
they came; every instance with the same URL shares the same locks; what a holder whose lock was taken away saves in the end, the tracker
store refuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rasa.core.lock_store import LockError, LockStore
from rasa.utils.endpoints import EndpointConfig

from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.record.conversation_locks import ConversationLocks
from throughline.settings.server import load_settings


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
        self._locks = ConversationLocks(
            endpoint_config.url or settings.database_url(),
            wait_s=float(wait_s),
            lifetime_s=float(settings.database.lock_lifetime_s),
        )

    @asynccontextmanager
    async def lock(self, conversation_id: str, *_args: Any, **_kwargs: Any) -> AsyncIterator[None]:
        """Hold the conversation. Rasa's further arguments (lifetime, polling interval) mean nothing here.
        Raises LockError when it can't be had within ``wait_s``."""
        try:
            held = await self._locks.acquire(conversation_id)
        except Unavailable as error:
            raise LockError(f"Could not acquire lock for conversation_id '{conversation_id}': {error}") from error
        try:
            yield
        finally:
            held.release()
