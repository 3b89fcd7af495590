"""What only the lock in PostgreSQL has to stand: a restart, bounded connections, timeouts that are meant for others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.postgres import Postgres
from tests.waiting import until
from throughline.errors import Unavailable
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id
from throughline.record.postgresql_lock import HOLDING, WAITING, PostgresqlLock, PostgresqlLocks
from throughline.record.postgresql_ways import _SETTINGS

pytestmark = pytest.mark.unit

PATIENT_S = 30.0
SHORT_S = 0.3
IDLE_IN_TRANSACTION = "idle_in_transaction_session_timeout"


@pytest.fixture
def database(postgres: Postgres, empty_postgresql_database: str) -> str:
    return postgres.create_database(like=empty_postgresql_database)


@pytest.fixture
def url(postgres: Postgres, database: str) -> str:
    return postgres.url(database)


@pytest.fixture
def connections(postgres: Postgres, database: str) -> Callable[[str], int]:
    """How many connections for locks the database has, where ``sql`` holds."""

    def count(sql: str = "true") -> int:
        this = f"datname = '{database}' AND application_name = 'throughline locks' AND {sql}"
        return int(postgres.execute(f"COPY (SELECT count(*) FROM pg_stat_activity WHERE {this}) TO STDOUT"))  # noqa: S608

    return count


async def held(locks: PostgresqlLocks, names: list[str]) -> list[PostgresqlLock]:
    """Locks of these names, each acquired by a task of its own, as turns are."""
    found = [locks.lock(name) for name in names]
    await asyncio.gather(*(lock.acquire(PATIENT_S) for lock in found))
    return found


def said(text: str) -> NewEvent:
    event_id = new_event_id()
    data = {"event": "bot", "text": text, "timestamp": 1.0, "metadata": {"event_id": event_id}}
    return NewEvent(event_id, data, None, None)


async def test_a_restart_ends_every_lock_and_nobody_minds(
    postgres: Postgres, url: str, connections: Callable[..., int]
) -> None:
    locks = PostgresqlLocks(url, PATIENT_S)
    lock, waiting = locks.lock("c_1"), locks.lock("c_1")
    await lock.acquire(PATIENT_S)
    refused = asyncio.ensure_future(waiting.acquire(PATIENT_S))
    idle = (await held(locks, ["c_2"]))[0]
    idle.release()
    await until(lambda: connections("wait_event_type = 'Lock'") == 1)
    postgres.restart()
    with pytest.raises(Unavailable, match="did not give the lock"):
        await refused
    freed = asyncio.Event()
    loop = asyncio.get_running_loop()
    lock.release(lambda: loop.call_soon_threadsafe(freed.set))
    await freed.wait()
    again = await held(locks, ["c_1", "c_2"])
    for lock in again:
        lock.release()


async def test_a_kept_connection_that_a_restart_has_ended_is_not_used_again(
    postgres: Postgres, url: str, connections: Callable[..., int]
) -> None:
    locks = PostgresqlLocks(url, PATIENT_S)
    (lock,) = await held(locks, ["c_1"])
    lock.release()
    await until(lambda: connections("state = 'idle' AND query LIKE '%unlock%'") == 1)
    postgres.restart()
    (lock,) = await held(locks, ["c_1"])
    lock.release()


async def test_a_server_takes_a_bounded_number_of_connections(url: str, connections: Callable[..., int]) -> None:
    locks = PostgresqlLocks(url, PATIENT_S)
    first = await held(locks, [f"c_{number}" for number in range(HOLDING)])
    one_more = asyncio.ensure_future(held(locks, ["c_more"]))
    await asyncio.sleep(SHORT_S)
    assert connections() == HOLDING
    assert not one_more.done()
    first.pop().release()
    (last,) = await one_more
    assert connections() <= HOLDING
    for lock in (*first, last):
        lock.release()
    await until(lambda: connections() <= 8)  # those that are kept


async def test_conversations_that_another_server_holds_do_not_stop_the_others(
    url: str, connections: Callable[..., int]
) -> None:
    stopped, server = PostgresqlLocks(url, PATIENT_S), PostgresqlLocks(url, PATIENT_S)
    names = [f"c_{number}" for number in range(WAITING + 5)]
    theirs = await held(stopped, names)

    async def turn(name: str) -> None:
        (lock,) = await held(server, [name])
        lock.release()

    turns = asyncio.gather(*(turn(name) for name in names))
    await until(lambda: connections("wait_event_type = 'Lock'") == WAITING)
    await turn("c_other")
    assert connections("wait_event_type = 'Lock'") == WAITING
    for lock in theirs:
        lock.release()
    await turns


async def test_who_holds_one_lock_gets_the_second_where_all_places_are_taken(url: str) -> None:
    locks, merged = PostgresqlLocks(url, PATIENT_S), 0

    async def merge(number: int, all_there: asyncio.Event) -> None:
        nonlocal merged
        first, second = locks.lock(f"c_{number}_a"), locks.lock(f"c_{number}_b")
        await first.acquire(PATIENT_S)
        merged += 1
        if merged == HOLDING:
            all_there.set()
        await all_there.wait()
        await second.acquire(PATIENT_S)
        second.release()
        first.release()

    event = asyncio.Event()
    await asyncio.wait_for(asyncio.gather(*(merge(number, event) for number in range(HOLDING))), PATIENT_S)
    (lock,) = await held(locks, ["c_1"])
    lock.release()


async def test_timeouts_set_for_the_database_do_not_end_a_wait(postgres: Postgres, url: str, database: str) -> None:
    for name in ("statement_timeout", "lock_timeout"):
        postgres.execute(f"ALTER DATABASE {database} SET {name} = '50ms'")
    locks = PostgresqlLocks(url, PATIENT_S)
    (first,) = await held(locks, ["c_1"])
    waiting = asyncio.ensure_future(held(PostgresqlLocks(url, PATIENT_S), ["c_1"]))
    await asyncio.sleep(SHORT_S)
    assert not waiting.done()
    first.release()
    (second,) = await waiting
    second.release()


async def test_a_save_that_a_stopped_server_left_half_done_does_not_keep_its_conversation_from_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops with the conversation's turn to write in its hands: PostgreSQL ends that transaction."""
    with monkeypatch.context() as soon:
        soon.setitem(_SETTINGS, IDLE_IN_TRANSACTION, round(SHORT_S * 1000))
        stopped = Record(url)
    record = Record(url)
    contact = record.create_contact()
    head = record.window(contact).head
    in_the_middle, goes_on = threading.Event(), threading.Event()

    def stop(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO events"):
            in_the_middle.set()
            goes_on.wait(PATIENT_S)

    sa.event.listen(stopped._database.ways.engine, "before_cursor_execute", stop)
    began = time.monotonic()
    half_done = asyncio.ensure_future(asyncio.to_thread(stopped.append_events, contact, [said("stale")], expected=head))
    await until(in_the_middle.is_set)
    await asyncio.to_thread(record.append_events, contact, [said("new")], expected=head)
    assert time.monotonic() - began >= SHORT_S  # it had to wait for that
    goes_on.set()
    with pytest.raises(Unavailable, match="OperationalError"):  # and not because it was overtaken
        await half_done
    assert [event.data["text"] for event in record.conversation(contact)] == ["new"]
    record.close()
    stopped.close()


def test_what_a_stopped_server_left_half_done_is_over_before_its_lock_is_taken_away(url: str) -> None:
    record = Record(url)
    with record._database.reading() as connection:
        allowed_ms = connection.execute(
            sa.text("SELECT setting::int FROM pg_settings WHERE name = :name"), {"name": IDLE_IN_TRANSACTION}
        ).scalar_one()
    record.close()
    assert 0 < allowed_ms < 12_000  # the shortest lifetime that can be set


async def test_connections_end_with_the_last_who_uses_them(url: str, connections: Callable[..., int]) -> None:
    locks = PostgresqlLocks(url, PATIENT_S)
    (lock,) = await held(locks, ["c_1"])
    lock.release()
    await until(lambda: connections("state = 'idle'") == 1)
    del lock, locks
    await until(lambda: connections() == 0)
