"""Two small things that asyncio of Python 3.10 lacks. Used by ``session.py``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

_T = TypeVar("_T")


async def next_of(queue: deque[_T], filled: asyncio.Event) -> _T:
    """Take the next of ``queue``, waiting for it."""
    while not queue:
        filled.clear()
        await filled.wait()
    return queue.popleft()


@asynccontextmanager
async def closed_after(items: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close ``items`` afterwards, where they can be closed."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
