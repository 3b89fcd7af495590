"""Waiting with an end: three small things that asyncio of Python 3.10 lacks. Used by ``session.py``."""

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


async def first_of(items: AsyncIterator[_T]) -> _T | None:
    """The next item, None at the end."""
    async for item in items:
        return item
    return None


@asynccontextmanager
async def closed_after(items: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close ``items`` afterwards, where they can be closed."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
