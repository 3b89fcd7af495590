"""Waiting with an end: four small things that asyncio of Python 3.10 lacks. Used by ``session.py``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

_T = TypeVar("_T")


async def within(work: Awaitable[_T], timeout_ms: float) -> _T:
    """The outcome of ``work``, or asyncio.TimeoutError. Unlike asyncio.wait_for before Python 3.12, it never swallows a
    cancellation that comes just when the work is done."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_ms / 1000)
        if not done:
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1)


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
