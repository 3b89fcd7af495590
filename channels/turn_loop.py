"""The one thread and the one event loop on which turns are taken, apart from the server's loop.

Understanding and policies block the loop they run on, for tens of milliseconds; on the server's loop every caller's audio would
stall meanwhile. One loop for good: a new one per turn breaks locks that are shared between loops (a contended asyncio.Lock hangs).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class TurnLoop:
    """A long-lived thread running a long-lived event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the turn loop and wait for it on the caller's loop.

        If the caller goes away (a caller hangs up in mid-turn) the work is finished all the same.
        """
        return await asyncio.shield(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop)))

    async def stop(self, within_s: float = 10.0, *, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Let the turns under way finish, for ``within_s`` seconds at most, do what is ``last`` on this loop, then end the thread."""
        await self.run(self._drain(within_s))
        if last is not None:
            await self.run(last())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, within_s)

    async def _drain(self, within_s: float) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others, timeout=within_s)
