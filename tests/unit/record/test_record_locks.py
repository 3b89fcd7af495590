"""Locks within a process: they are fair, wake, pass on, and hold between loops and threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from throughline.record.fair_locks import MAX_WAITERS, FairLocks

pytestmark = pytest.mark.unit

PATIENT_S = 30.0


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_waiters_get_the_lock_in_the_order_they_came() -> None:
    locks, order = FairLocks(), []
    await locks.acquire("c_1", PATIENT_S)

    async def turn(number: int) -> None:
        await locks.acquire("c_1", PATIENT_S)
        order.append(number)
        await asyncio.sleep(0)
        locks.release("c_1")

    turns = [asyncio.ensure_future(turn(number)) for number in range(10)]
    await settle()
    assert order == []
    locks.release("c_1")
    await asyncio.gather(*turns)
    assert order == list(range(10))


async def test_different_conversations_do_not_wait_for_each_other() -> None:
    locks = FairLocks()
    await locks.acquire("c_1", PATIENT_S)
    await locks.acquire("c_2", PATIENT_S)
    locks.release("c_1")
    locks.release("c_2")


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    locks = FairLocks()
    await locks.acquire("c_1", PATIENT_S)
    cancelled, patient = (asyncio.ensure_future(locks.acquire("c_1", PATIENT_S)) for _ in range(2))
    await settle()
    cancelled.cancel()
    await settle()
    locks.release("c_1")
    await patient
    locks.release("c_1")
    await locks.acquire("c_1", 0.01)


async def test_a_waiter_cancelled_in_the_moment_it_is_given_the_lock_passes_it_on() -> None:
    locks = FairLocks()
    await locks.acquire("c_1", PATIENT_S)
    cancelled, patient = (asyncio.ensure_future(locks.acquire("c_1", PATIENT_S)) for _ in range(2))
    await settle()
    locks.release("c_1")  # it is the first one's now, which does not know yet
    cancelled.cancel()
    await patient
    assert cancelled.cancelled()


async def test_who_waits_too_long_gives_up_and_blocks_nobody() -> None:
    locks = FairLocks()
    await locks.acquire("c_1", PATIENT_S)
    with pytest.raises(TimeoutError):
        await locks.acquire("c_1", 0.01)
    locks.release("c_1")
    await locks.acquire("c_1", 0.01)


async def test_the_queue_is_bounded() -> None:
    locks = FairLocks()
    await locks.acquire("c_1", PATIENT_S)
    waiting = [asyncio.ensure_future(locks.acquire("c_1", PATIENT_S)) for _ in range(MAX_WAITERS)]
    await settle()
    with pytest.raises(TimeoutError, match="too many"):
        await locks.acquire("c_1", PATIENT_S)
    for waiter in waiting:
        waiter.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_one_lock_serves_two_loops_in_two_threads() -> None:
    locks, inside, most = FairLocks(), 0, 0

    async def turns() -> None:
        async def turn() -> None:
            nonlocal inside, most
            await locks.acquire("c_1", PATIENT_S)
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            locks.release("c_1")

        await asyncio.gather(*(turn() for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(turns(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENT_S)
    assert (inside, most) == (0, 1)


async def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    locks = FairLocks()
    await locks.acquire("c_1", PATIENT_S)

    def wait_and_die() -> None:
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(locks.acquire("c_1", PATIENT_S))
        loop.run_until_complete(asyncio.sleep(0))
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]  # dying without a word is the point
        loop.close()

    thread = threading.Thread(target=wait_and_die)
    thread.start()
    await asyncio.to_thread(thread.join)
    patient = asyncio.ensure_future(locks.acquire("c_1", PATIENT_S))
    await settle()
    locks.release("c_1")
    await patient


async def test_as_many_hold_a_lock_as_it_has_places() -> None:
    locks = FairLocks(places=2)
    await locks.acquire("c_1", PATIENT_S)
    await locks.acquire("c_1", PATIENT_S)
    third = asyncio.ensure_future(locks.acquire("c_1", PATIENT_S))
    await settle()
    assert not third.done()
    locks.release("c_1")
    await third
    with pytest.raises(TimeoutError):
        await locks.acquire("c_1", 0.01)
