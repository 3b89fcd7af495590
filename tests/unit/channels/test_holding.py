"""Whoever holds a conversation holds the person it is with by now, whatever id they are spoken of by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from channels.holding import Holding
from tests.waiting import until
from throughline import record as record_room
from throughline.domain.assurance import CODE
from throughline.errors import Rejected
from throughline.record import Record

pytestmark = pytest.mark.unit


class Locks:
    """Rasa's lock store, as far as it is asked for: what was held, in its order."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def lock(self, contact_id: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(contact_id, asyncio.Lock()):
            self.held.append(contact_id)
            yield


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    opened = record_room.open(f"sqlite:///{tmp_path}/record.db", secret=b"for tests")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def locks() -> Locks:
    return Locks()


@pytest.fixture
def holding(record: Record, locks: Locks) -> Holding:
    async def look(contact_id: str, *, likely: str) -> Any:
        return record.window(contact_id, known=True)

    agent = SimpleNamespace(lock_store=locks, tracker_store=SimpleNamespace(look=look))
    return Holding(record, lambda: agent)  # type: ignore[arg-type, return-value]


async def held_for(holding: Holding, contact_id: str) -> str:
    async with holding.living(contact_id) as window:
        return window.head.contact_id


async def test_an_alias_is_looked_up_once_and_then_held_at_once(record: Record, holding: Holding, locks: Locks) -> None:
    caller, known = record.create_contact(), record.create_contact()
    record.merge(caller, known, reason=CODE, session_id=None)
    assert await held_for(holding, caller) == known
    assert locks.held == [caller, known]
    locks.held.clear()
    assert await held_for(holding, caller) == known
    assert locks.held == [known]


async def test_a_merge_that_was_taken_back_is_seen_at_the_next_turn(record: Record, holding: Holding, locks: Locks) -> None:
    caller, known = record.create_contact(), record.create_contact()
    record.merge(caller, known, reason=CODE, session_id=None)
    await held_for(holding, caller)
    record.unmerge(caller, reason="operator")
    assert await held_for(holding, caller) == caller
    locks.held.clear()
    assert await held_for(holding, caller) == caller
    assert locks.held == [caller]


async def test_who_is_merged_while_a_turn_waits_is_held_as_who_they_are_then(
    record: Record, holding: Holding, locks: Locks
) -> None:
    caller, known = record.create_contact(), record.create_contact()
    async with locks.lock(caller):
        waiting = asyncio.ensure_future(held_for(holding, caller))
        await asyncio.sleep(0)
        record.merge(caller, known, reason=CODE, session_id=None)
    assert await waiting == known
    assert locks.held[-1] == known


async def test_two_are_held_in_the_order_of_their_ids_and_one_only_once(record: Record, holding: Holding, locks: Locks) -> None:
    one, other = sorted(record.create_contact() for _ in range(2))
    async with holding.both(other, one) as pair:
        assert pair == (other, one)
        assert locks.held == [one, other]
        second = asyncio.ensure_future(held_for(holding, one))
        await asyncio.sleep(0)
        assert not second.done()
    await until(second.done)
    locks.held.clear()
    record.merge(one, other, reason=CODE, session_id=None)
    async with holding.both(one, other) as pair:
        assert pair == (other, other)
    assert locks.held == [other]


async def test_nobody_is_held_for_an_id_that_nobody_has(holding: Holding) -> None:
    with pytest.raises(Rejected, match="unknown_contact"):
        await held_for(holding, "c_nobody")
