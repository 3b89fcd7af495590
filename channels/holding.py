"""Holding conversations: one turn of a person at a time, whatever ids they are spoken of by, on all servers.

Stands between the runner and the lock store. What always holds: who is held is the living contact, looked at under its own lock, so
neither a merge nor its being taken back comes in between; two are held in the order of their ids, so that two merges can't wait for
each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rasa.core.agent import Agent
from rasa.core.lock_store import LockError

from throughline.errors import Unavailable
from throughline.record import Record
from throughline.record.entries import Window

_MOST_ALIASES = 10_000


class Holding:
    """The conversations of ``record``, by the locks and the tracker store of the agent at the time."""

    def __init__(self, record: Record, agent_of: Callable[[], Agent]) -> None:
        self._record = record
        self._agent_of = agent_of
        # What aliases led to when they were last seen: a call that a code has led elsewhere says all its turns under one. Never relied on.
        self._became: dict[str, str] = {}

    async def look(self, contact_id: str) -> Window:
        """The living contact's window, with nobody held. Raises Rejected("unknown_contact"), Unavailable."""
        window: Window = await self._agent_of().tracker_store.look(contact_id, likely=self._became.get(contact_id, contact_id))
        return window

    @asynccontextmanager
    async def living(self, contact_id: str) -> AsyncIterator[Window]:
        """Hold the living contact behind ``contact_id``, also if it is merged while we wait; its window, read under that lock.
        Raises Rejected("unknown_contact"), Unavailable."""
        guess = self._became.get(contact_id, contact_id)
        while True:
            async with _held(self._agent_of().lock_store, guess):
                window = await self._agent_of().tracker_store.look(contact_id, likely=guess)
                if window.head.contact_id == guess:
                    yield window
                    return
            guess = window.head.contact_id
            if len(self._became) >= _MOST_ALIASES:
                self._became.clear()
            self._became[contact_id] = guess

    @asynccontextmanager
    async def both(self, one: str, other: str) -> AsyncIterator[tuple[str, str]]:
        """Hold the living contacts behind two ids, which may be the same. Raises Rejected("unknown_contact"), Unavailable."""
        resolve, call, locks = self._record.resolve, self._record.call, self._agent_of().lock_store
        while True:
            pair = await call(resolve, one), await call(resolve, other)
            if pair[0] == pair[1]:
                async with _held(locks, pair[0]):
                    yield pair
                    return
            first, second = sorted(pair)
            async with _held(locks, first), _held(locks, second):
                if (await call(resolve, one), await call(resolve, other)) == pair:
                    yield pair
                    return


@asynccontextmanager
async def _held(locks: Any, contact_id: str) -> AsyncIterator[None]:
    """Hold one contact's lock. Raises Unavailable when it can't be had in time."""
    try:
        async with locks.lock(contact_id):
            yield
    except LockError as error:
        raise Unavailable(f"the conversation is busy: {error}") from error
