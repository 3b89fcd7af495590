"""Waiting for an engine, or whatever else a call waits for, for so long and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from throughline.log import get_logger

_T = TypeVar("_T")

_log = get_logger("speech")

_STOPS_WITHIN_S = 1

_given_up: set[asyncio.Future[Any]] = set()  # the event loop by itself keeps only weak references


async def within(work: Awaitable[_T], timeout_ms: float) -> _T:
    """The outcome of ``work``, or asyncio.TimeoutError after ``timeout_ms``.

    Unlike ``asyncio.wait_for`` before Python 3.12 it never swallows a cancellation that comes just when the work is done, and it does
    not wait for what it gives up: a websocket that is being opened to a silent server takes ten seconds more to be given up. What is given
    up is cancelled and ends by itself, whatever comes of it.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_ms / 1000)
    finally:
        if not task.done():
            _given_up.add(task)
            task.add_done_callback(_forget)
            task.cancel()
    if not done:
        raise asyncio.TimeoutError
    return task.result()


async def next_within(items: AsyncIterator[_T], timeout_ms: float) -> _T | None:
    """The next of ``items``, None at the end, or asyncio.TimeoutError. However it ends, also by being cancelled, ``items`` is then at rest:
    an asynchronous generator that still runs can't be closed."""
    task = asyncio.ensure_future(_first(items))
    try:
        return await within(task, timeout_ms)
    finally:
        if not task.done():
            await asyncio.wait({task}, timeout=_STOPS_WITHIN_S)


async def _first(items: AsyncIterator[_T]) -> _T | None:
    async for item in items:
        return item
    return None


@asynccontextmanager
async def closed_after(items: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """Close ``items`` afterwards, where they can be closed, so that the engine behind them stops. One that does not stop in time is left
    behind, and logged: no call ends because a part of it can't be closed."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            try:
                await within(items.aclose(), _STOPS_WITHIN_S * 1000)
            except Exception as error:  # noqa: BLE001 -- see above
                _log.warning("speech.not_closed", reason=type(error).__name__)


def _forget(task: asyncio.Future[Any]) -> None:
    _given_up.discard(task)
    if not task.cancelled():
        task.exception()  # nobody else will look at it
