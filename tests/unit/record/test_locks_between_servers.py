"""The lock of a conversation between the servers of one database, by a file and by PostgreSQL: it wakes, it is fair, it leaves nothing
behind, and from a holder that is stopped it is taken away, which that holder's save then notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.another_server import AnotherServer, append
from tests.waiting import until
from throughline.errors import Unavailable
from throughline.record import Record
from throughline.record.conversation_locks import ConversationLocks
from throughline.record.database import kind_of
from throughline.record.file_lock import FileLock, FileLocks
from throughline.record.postgresql_lock import PostgresqlLock, PostgresqlLocks

pytestmark = pytest.mark.unit

PATIENT_S = 30.0
SHORT_S = 0.3

Locks = FileLocks | PostgresqlLocks
Lock = FileLock | PostgresqlLock
StartServer = Callable[..., Locks]


@pytest.fixture
def contact(record: Record) -> str:
    return record.create_contact()


@pytest.fixture
def server(url: str) -> StartServer:
    """The locks of one more server, as they are under its fair queue. The lock between servers does not know that they share a process."""

    def start(lifetime_s: float = PATIENT_S) -> Locks:
        return FileLocks(url, lifetime_s) if kind_of(url) == "sqlite" else PostgresqlLocks(url, lifetime_s)

    return start


@pytest.fixture
def left(url: str, request: pytest.FixtureRequest) -> Callable[[], set[str]]:
    """What there is of locks now, held or waited for: PostgreSQL's, or files and this process's descriptors of them."""
    if kind_of(url) == "sqlite":
        folder = Path(str(sa.engine.make_url(url).database) + ".locks")
        return lambda: {entry.name for entry in os.scandir(folder)} | open_files(folder)
    postgres = request.getfixturevalue("postgres")
    sql = f"""COPY (SELECT pid, granted FROM pg_locks JOIN pg_database d ON d.oid = database
        WHERE datname = '{sa.engine.make_url(url).database}' AND locktype = 'advisory') TO STDOUT"""  # noqa: S608 - a test's own name
    return lambda: set(postgres.execute(sql).splitlines()) - {""}


def open_files(folder: Path) -> set[str]:
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(fd.readlink()))
    return {name for name in found if name.startswith(str(folder))}


async def waits(lock: Lock, left: Callable[[], set[str]], wait_s: float = PATIENT_S) -> asyncio.Future[None]:
    """Have ``lock`` acquired by somebody, and be sure that it waits by now."""
    before = left()
    waiting = asyncio.ensure_future(lock.acquire(wait_s))
    await until(lambda: threads() and (left() - before or isinstance(lock, FileLock)))
    assert not waiting.done()
    return waiting


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("file-lock", "postgresql-lock")]


def naps() -> dict[int | None, int]:
    """How often each thread that waits for a lock has gone to sleep so far, as Linux counts."""
    found = {}
    for thread in threads():
        with contextlib.suppress(FileNotFoundError):
            status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
            found[thread.native_id] = int(status.split("voluntary_ctxt_switches:")[1].split()[0])
    return found


async def test_a_waiter_is_woken_when_the_other_server_lets_go(
    server: StartServer, contact: str, left: Callable[[], set[str]]
) -> None:
    one, other = server().lock(contact), server().lock(contact)
    await one.acquire(PATIENT_S)
    waiting = await waits(other, left)
    one.release()
    await waiting
    other.release()
    await until(lambda: not left())


async def test_conversations_do_not_wait_for_each_other(server: StartServer, contact: str, record: Record) -> None:
    one, other = server().lock(contact), server().lock(record.create_contact())
    await one.acquire(PATIENT_S)
    await other.acquire(PATIENT_S)
    one.release()
    other.release()


async def test_nobody_polls(server: StartServer, contact: str, left: Callable[[], set[str]]) -> None:
    one, others = server(), server()
    held = one.lock(contact)
    await held.acquire(PATIENT_S)
    statements: list[str] = []
    for database in (others.database.ways.engine, *([others.engine] if isinstance(others, PostgresqlLocks) else [])):
        sa.event.listen(database, "before_cursor_execute", lambda *args: statements.append(args[2]))
    lock = others.lock(contact)
    waiting = await waits(lock, left)
    await until(lambda: isinstance(others, FileLocks) or any("state_change" in statement for statement in statements))
    await asyncio.sleep(0.1)
    before, asked = naps(), len(statements)
    await asyncio.sleep(SHORT_S)
    assert (naps(), len(statements)) == (before, asked)
    held.release()
    await waiting
    lock.release()


async def test_who_gives_up_leaves_nothing_behind(server: StartServer, contact: str, left: Callable[[], set[str]]) -> None:
    one, others = server(), server()
    held = one.lock(contact)
    await held.acquire(PATIENT_S)
    alone = left()
    with pytest.raises(TimeoutError):
        await others.lock(contact).acquire(0.05)
    cancelled = await waits(others.lock(contact), left)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    if isinstance(others, PostgresqlLocks):  # a thread in flock(2) waits on: it lets go in the moment it gets it
        await until(lambda: left() == alone)
    held.release()
    await until(lambda: not left() and not threads())
    again = others.lock(contact)
    await again.acquire(PATIENT_S)
    again.release()


async def test_a_lock_given_in_the_moment_its_waiter_is_cancelled_is_free(
    server: StartServer, contact: str, left: Callable[[], set[str]]
) -> None:
    one, others = server(), server()
    for number in range(20):
        held = one.lock(contact)
        await held.acquire(PATIENT_S)
        lock = others.lock(contact)
        waiting = await waits(lock, left)
        held.release()
        await asyncio.sleep(number / 10_000)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
            lock.release()
    await until(lambda: not left() and not threads())


async def test_a_turn_cancelled_in_the_moment_its_process_hands_it_the_lock_leaves_nothing(
    url: str, contact: str, left: Callable[[], set[str]]
) -> None:
    locks = ConversationLocks(url, wait_s=PATIENT_S, lifetime_s=PATIENT_S)
    held = await locks.acquire(contact)
    next_one = asyncio.ensure_future(locks.acquire(contact))
    await asyncio.sleep(0)
    held.release()
    time.sleep(SHORT_S)  # noqa: ASYNC251 - the loop stands still: the lock is handed over, and the next one does not know yet
    next_one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await next_one
    await until(lambda: not left() and not threads())
    (await locks.acquire(contact)).release()


async def test_a_server_with_many_waiters_lets_another_one_in_between(
    url: str, contact: str, left: Callable[[], set[str]]
) -> None:
    busy, turns = ConversationLocks(url, wait_s=PATIENT_S, lifetime_s=PATIENT_S), 0

    async def turn() -> None:
        nonlocal turns
        async with busy.hold(contact):
            await asyncio.sleep(0.005)
            turns += 1

    with AnotherServer(url, lifetime_s=PATIENT_S) as other:
        first = await busy.acquire(contact)
        queued = asyncio.gather(*(turn() for _ in range(60)))
        other.tell("hold", contact)
        await until(lambda: is_waited_for(url, left))
        first.release()
        await asyncio.to_thread(other.answer)
        # PostgreSQL has a queue; the kernel has none for files, so there the other one is only given a moment.
        assert turns < (1 if kind_of(url) == "postgresql" else 30)
        other.do("release", contact)
        await queued


def is_waited_for(url: str, left: Callable[[], set[str]]) -> bool:
    """Whether another process waits for a lock."""
    if kind_of(url) == "postgresql":
        return any(lock.endswith("\tf") for lock in left())
    folder = Path(str(sa.engine.make_url(url).database) + ".locks")
    return any(file.stat().st_size > 40 for file in folder.iterdir())


async def test_a_killed_holder_holds_nothing(url: str, server: StartServer, contact: str, left: Callable[[], set[str]]) -> None:
    lock = server().lock(contact)
    with AnotherServer(url, lifetime_s=PATIENT_S) as dying:
        assert dying.do("hold", contact) == 0
        waiting = await waits(lock, left)
        dying.kill()
        await waiting
    lock.release()
    await until(lambda: not left())


async def test_what_a_stopped_holder_saves_is_refused_once_its_lock_was_taken_away(
    url: str, contact: str, record: Record
) -> None:
    locks = ConversationLocks(url, wait_s=PATIENT_S, lifetime_s=1.0)
    with AnotherServer(url, lifetime_s=PATIENT_S) as stale:  # so its next ones take nothing from us
        assert stale.do("hold", contact) == 0
        stale.do("queue", contact, turns=3)
        stale.stop()
        held = await locks.acquire(contact)
        window = record.window(contact)
        assert window.head.fence == 1
        stale.go_on()
        assert stale.do("save", contact) is False  # although nobody has saved anything since it read its window
        stale.do("release", contact)  # which must not let anybody in
        stale.tell("queued", contact)
        assert append(record, contact, window.head)
        assert len(record.conversation(contact)) == 1
        held.release()
        assert stale.answer() == [True, True, True]  # its next ones asked anew
    assert len(record.conversation(contact)) == 4


async def test_a_holder_within_its_lifetime_keeps_its_lock(url: str, server: StartServer, contact: str, record: Record) -> None:
    with AnotherServer(url, lifetime_s=PATIENT_S) as stopped:
        stopped.do("hold", contact)
        stopped.stop()
        with pytest.raises(TimeoutError):
            await server(PATIENT_S).lock(contact).acquire(SHORT_S)
        stopped.go_on()
        assert stopped.do("save", contact) is True
    assert record.window(contact).head.fence == 0


async def test_of_many_who_take_a_lock_away_at_the_same_moment_one_gets_it(
    server: StartServer, contact: str, record: Record
) -> None:
    await server().lock(contact).acquire(PATIENT_S)  # and never lets go
    others, inside, fences = [server(4.0) for _ in range(6)], 0, []  # long enough for a turn on a busy machine

    async def turn(locks: Locks) -> None:
        nonlocal inside
        lock = locks.lock(contact)
        await lock.acquire(PATIENT_S)
        inside += 1
        assert inside == 1
        head = record.window(contact).head
        fences.append(head.fence)
        assert append(record, contact, head)
        inside -= 1
        lock.release()

    await asyncio.gather(*(turn(locks) for locks in others))
    assert len(set(fences)) == 1  # whoever else would have raised it has done so before the first one reads it, or not at all
    assert fences[0] >= 1


async def test_whoever_gets_a_lock_that_was_taken_away_reads_the_raised_fence(
    server: StartServer, contact: str, record: Record
) -> None:
    for number in range(3):
        lock = server(1.0).lock(contact)  # long enough for a waiter to be told in time, or it would take the lock from itself
        await lock.acquire(PATIENT_S)  # from the one before, which never let go
        assert record.window(contact).head.fence == number


async def test_turns_of_several_servers_are_one_after_the_other(url: str, contact: str, record: Record) -> None:
    with AnotherServer(url, lifetime_s=PATIENT_S) as one, AnotherServer(url, lifetime_s=PATIENT_S) as other:
        for process in (one, other):
            process.do("queue", contact, turns=20)
        for process in (one, other):
            assert process.do("queued", contact) == [True] * 20
    assert len(record.conversation(contact)) == 40


async def test_one_database_has_one_set_of_locks_however_its_address_is_written(url: str, contact: str) -> None:
    kind, rest = url.split(":", 1)
    written = f"{kind}+{'pysqlite' if kind == 'sqlite' else 'psycopg2'}:{rest}"
    held = await ConversationLocks(url, wait_s=PATIENT_S, lifetime_s=PATIENT_S).acquire(contact)
    with pytest.raises(Unavailable, match="cannot be held"):
        await ConversationLocks(written, wait_s=0.05, lifetime_s=PATIENT_S).acquire(contact)
    held.release()


async def test_the_wait_is_one_for_the_queue_in_the_process_and_the_other_servers(
    url: str, server: StartServer, contact: str
) -> None:
    elsewhere = server().lock(contact)
    await elsewhere.acquire(PATIENT_S)
    locks = ConversationLocks(url, wait_s=0.2, lifetime_s=PATIENT_S)
    refused = await asyncio.gather(*(locks.acquire(contact) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in refused] == [Unavailable] * 3
    elsewhere.release()
    (await locks.acquire(contact)).release()
