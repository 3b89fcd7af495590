"""Named locks that are fair, that wake whoever is next, and that work from several event loops and threads of one process.

``asyncio.Lock`` belongs to one loop; Rasa takes turns on one loop and answers its HTTP API on another. What always holds: waiters get
the lock in the order they asked; nobody polls; a waiter that is cancelled, gives up or whose loop is closed passes the lock on.
``Grant`` is also how the threads that wait for other processes wake whoever sent them (file_lock.py, postgresql_lock.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

MAX_WAITERS = 200


class Grant:
    """One waiter's place in a queue. ``give`` may be called from any thread, the rest by the waiter in its own loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._guard = threading.Lock()
        self._given = False
        self._left = False

    def give(self, error: BaseException | None = None) -> bool:
        """Wake the waiter, with ``error`` if there is one. False: it is gone, give it to somebody else."""
        with self._guard:
            if self._left:
                return False
            try:
                self._loop.call_soon_threadsafe(self._wake, error)
            except RuntimeError:  # the loop is closed
                self._left = True
                return False
            self._given = error is None
            return True

    async def wait(self, wait_s: float) -> None:
        """Until ``give``. Raises TimeoutError after ``wait_s`` seconds, and what ``give`` was told. May be called again."""
        done, _ = await asyncio.wait({self._future}, timeout=max(0.0, wait_s))
        if not done:
            raise TimeoutError("others hold it")
        self._future.result()

    def leave(self) -> bool:
        """Stop waiting. False: it was given in the same moment, and the waiter has to pass it on."""
        with self._guard:
            self._left = True
            return not self._given

    @property
    def left(self) -> bool:
        """Whether the waiter is gone."""
        return self._left

    def _wake(self, error: BaseException | None) -> None:
        if self._left or self._future.done():
            return
        if error is None:
            self._future.set_result(None)
        else:
            self._future.set_exception(error)


@dataclass
class _Queue:
    held: int = 0
    waiting: deque[Grant] = field(default_factory=deque)


class FairLocks:
    """Locks by key, each of which ``places`` may hold at once. A key costs nothing while nobody holds it."""

    def __init__(self, places: int = 1) -> None:
        self._places = places
        self._guard = threading.Lock()
        self._queues: dict[Hashable, _Queue] = {}  # there is one for every lock that is held

    async def acquire(self, key: Hashable, wait_s: float) -> None:
        """Hold the lock from now on. Raises TimeoutError after ``wait_s`` seconds, or at once where too many wait already."""
        with self._guard:
            queue = self._queues.setdefault(key, _Queue())
            if queue.held < self._places:
                queue.held += 1
                return
            if len(queue.waiting) >= MAX_WAITERS:
                raise TimeoutError("too many are waiting")
            grant = Grant()
            queue.waiting.append(grant)
        try:
            await grant.wait(wait_s)
        except BaseException:
            if grant.leave():
                self._forget(key, grant)
            else:
                self.release(key)
            raise

    def release(self, key: Hashable) -> bool:
        """Let the next one have it; whether there is one. May be called from any thread."""
        with self._guard:
            queue = self._queues[key]
            while queue.waiting:
                if queue.waiting.popleft().give():
                    return True
            queue.held -= 1
            if not queue.held:
                del self._queues[key]
            return False

    def is_wanted(self, key: Hashable) -> bool:
        """Whether somebody waits for it."""
        with self._guard:
            queue = self._queues.get(key)
            return queue is not None and bool(queue.waiting)

    def _forget(self, key: Hashable, grant: Grant) -> None:
        with self._guard:
            queue = self._queues.get(key)
            if queue is not None and grant in queue.waiting:
                queue.waiting.remove(grant)
