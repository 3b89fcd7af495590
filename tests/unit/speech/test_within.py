"""Waiting for so long and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from throughline.speech.within import closed_after, next_within, within

pytestmark = pytest.mark.unit


async def test_gives_what_comes_in_time() -> None:
    async def work() -> int:
        return 5

    assert await within(work(), 5000) == 5


async def test_raises_what_was_raised() -> None:
    async def work() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(work(), 5000)


async def test_does_not_wait_for_what_is_slow_to_give_up() -> None:
    gave_up, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gave_up.set()
            await may_end.wait()
            raise OSError("too late for anybody to hear")

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(within(work(), 10), 5)
    await asyncio.wait_for(gave_up.wait(), 5)
    may_end.set()
    await asyncio.sleep(0)


async def test_is_cancelled_with_whoever_waits() -> None:
    gave_up = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gave_up.set()

    waiting = asyncio.create_task(within(work(), 60_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(gave_up.wait(), 5)


async def test_what_does_not_stop_is_left_behind_and_logged() -> None:
    """An engine that hangs on to a sentence it was told to stop."""
    let_go = asyncio.Event()

    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await let_go.wait()

    with capture_logs() as logged:
        async with closed_after(stubborn()) as items:
            assert await next_within(items, 100) == 1
    assert [(line["event"], line["reason"]) for line in logged] == [("speech.not_closed", "TimeoutError")]
    let_go.set()


async def test_the_next_of_something_given_up_can_be_closed() -> None:
    """It stops a few steps of the loop after it was told to."""

    async def slow() -> AsyncIterator[int]:
        try:
            await asyncio.sleep(3600)
            yield 1
        except asyncio.CancelledError:
            for _ in range(20):
                await asyncio.sleep(0)
            raise

    with capture_logs() as logged:
        async with closed_after(slow()) as items:
            with pytest.raises(asyncio.TimeoutError):
                await next_within(items, 1)
    assert logged == []
