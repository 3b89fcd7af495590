"""A named lock between the servers of one PostgreSQL database: a session-level advisory lock on a connection of its own.

(PostgreSQL's manual, "Advisory Locks", "Advisory Lock Functions", "pg_locks", "pg_stat_activity".) One thread asks on the connection, keeps
it while the lock is held, and gives both back. PostgreSQL queues those who wait, and frees the lock when its holder's connection ends.

From a holder that has had it for longer than its lifetime, because it was stopped or cut off, a waiter takes it away: in one transaction
the conversation's fence is raised and the holder's connection ended. How long it was held is counted by the database's clock, from the
moment when the holder's connection fell idle with the lock, so the machines' clocks do not matter.

What always holds: whoever gets a lock that was taken away begins after that transaction's commit, so the window it reads has the new fence;
of several who would take it away one does; nobody polls; connections are bounded, and none is used again that could still hold a lock or be
told to cancel. A connection pooler in front must keep sessions (PgBouncer: ``pool_mode = session``). Needs PostgreSQL 14.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from throughline import log
from throughline.errors import Unavailable
from throughline.record.database import Database
from throughline.record.fair_locks import FairLocks, Grant
from throughline.record.fence import raise_fence
from throughline.record.postgresql_ways import CONNECTION, notice_closed, settled_by

HOLDING = 16
"""Locks that a server may hold at once without having waited for another server: as many turns are under way."""
WAITING = 8
"""Locks that a server may wait for at once, or hold after such a wait. So a server that stopped with many conversations in its hands
stops these conversations on the others, not the others."""
_KEPT = 8  # connections kept for the next locks
_MARGIN_S = 1.0  # the waiter's own timer comes first

_TERMINATE_MS = 5_000
_LOOK_AGAIN_S = 5.0  # after a look that failed

_logger = log.get_logger("record")
_has_place: contextvars.ContextVar[bool] = contextvars.ContextVar("has_place", default=False)

_KEY = "hashtextextended('lock:' || %(name)s, 0)"
_TRY = f"SELECT pg_try_advisory_lock({_KEY})"
_UNLOCK = f"SELECT pg_advisory_unlock({_KEY})"
_LET_IN_BETWEEN = f"{_UNLOCK}; {_TRY}"  # one round trip; another server that waits gets it
# One round trip. The second wait is for a transaction that is taking the lock away: its fence is to be seen by what is read from now on.
_WAIT = f"""SET lock_timeout = %(patience_ms)s; SELECT pg_advisory_lock({_KEY});
SELECT pg_advisory_xact_lock_shared(hashtextextended('take-away:' || %(name)s, 0))"""
# A connection that holds the lock does nothing else, so it is idle since it got it.
_HOLDER = """
    SELECT activity.pid, extract(epoch FROM clock_timestamp() - activity.state_change)::float8 AS held_s
    FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid),
        (SELECT hashtextextended('lock:' || :name, 0) AS number) AS key
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1 AND activity.state = 'idle'
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND held.classid::bigint = (key.number >> 32) & 4294967295 AND held.objid::bigint = key.number & 4294967295"""
_LOOK = sa.text(_HOLDER)
_TERMINATE = sa.text(f"""WITH holder AS MATERIALIZED ({_HOLDER})
    SELECT pg_terminate_backend(pid, :patience_ms) FROM holder WHERE held_s >= :lifetime_s""")  # noqa: S608 - constants only


class PostgresqlLocks:
    """The locks of one PostgreSQL database, each good for ``lifetime_s`` seconds. Raises ConfigurationError."""

    def __init__(self, url: str, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self.holding, self.waiting = FairLocks(HOLDING), FairLocks(WAITING)
        self.engine = sa.create_engine(
            url,
            future=True,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT,
            max_overflow=-1,  # the places bound it
            pool_use_lifo=True,
            connect_args={**CONNECTION, "application_name": "throughline locks"},
        )
        # Waits end when their waiter says so, and not by time-outs that are set for the database.
        sa.event.listen(self.engine, "connect", settled_by({"statement_timeout": 0, "lock_timeout": 0}))
        sa.event.listen(self.engine, "checkout", notice_closed)
        self.database = Database(url)
        self.looking = ThreadPoolExecutor(
            1, thread_name_prefix="lock-look"
        )  # looking takes one connection of a server's at most
        self._kept: dict[str, _Session] = {}  # handed to this server's next one, who has not come for it yet
        weakref.finalize(self, _close, self.engine, self.database)

    def lock(self, name: str) -> PostgresqlLock:
        """One acquisition of the lock of this name, which is a contact's id."""
        return PostgresqlLock(self, name)

    def keep(self, name: str, session: _Session) -> None:
        """A lock that is held for whoever of this server asks next."""
        self._kept[name] = session

    def take_kept(self, name: str) -> _Session | None:
        """What was kept, which is the caller's now."""
        return self._kept.pop(name, None)

    def forget(self, name: str) -> None:
        """Let go what was kept: whoever it was for has left."""
        session = self.take_kept(name)
        if session is not None:
            session.let_go(_nothing, wanted=False)

    def look(self, name: str) -> float:
        """Take the lock away from a holder whose time is over. Returns after how many seconds to look again. Raises Unavailable."""
        with self.database.reading() as connection:
            holder = connection.execute(_LOOK, {"name": name}).first()
        if holder is None or holder.held_s < self.lifetime_s:
            return self.lifetime_s - (holder.held_s if holder else 0.0)
        try:
            with self.database.writing() as connection:
                self._take_away(connection, name)
        except _LetGoMeanwhile:
            return self.lifetime_s
        _logger.warning("lock.taken_away", contact=name, held_s=round(holder.held_s, 1))
        return self.lifetime_s

    def _take_away(self, connection: Any, name: str) -> None:
        self.database.take_turns(connection, f"take-away:{name}")
        raise_fence(self.database, connection, name)
        this = {"name": name, "lifetime_s": self.lifetime_s, "patience_ms": _TERMINATE_MS}
        ended = connection.execute(_TERMINATE, this).scalar()
        if ended is None:
            raise _LetGoMeanwhile
        if not ended:
            raise Unavailable(f"the connection that holds {name} does not end")


class PostgresqlLock:
    """One acquisition. Within one process only one may try at a time (fair_locks.py)."""

    def __init__(self, locks: PostgresqlLocks, name: str) -> None:
        self._locks = locks
        self._name = name
        self._session: _Session | None = None

    async def acquire(self, wait_s: float) -> None:
        """Hold the lock from now on. Raises TimeoutError after ``wait_s`` seconds, Unavailable."""
        self._session = self._locks.take_kept(self._name)
        if self._session is None:
            await self._acquire_anew(time.monotonic() + wait_s)
        if self._session is not None and self._session.takes_place:
            _has_place.set(True)

    def release(self, then: Callable[[], object] = lambda: None, *, wanted: bool = False) -> None:
        """Let the next server have it, and then have ``then`` called, in another thread. Where it is ``wanted`` by this server's next one
        and by no other server, it is kept for the next one. Raises nothing, whatever became of the connection."""
        if self._session is None:
            then()
            return
        if self._session.takes_place:
            _has_place.set(False)
        self._session.let_go(then, wanted=wanted)
        self._session = None

    async def _acquire_anew(self, ends: float) -> None:
        # Whoever holds a lock already, to merge two contacts, does not queue for a place: all places could be held by such.
        places = None if _has_place.get() else self._locks.holding
        if await self._ask(places, ends, wait=False):  # nearly always: no other server has this conversation
            return
        watching = asyncio.ensure_future(self._watch())
        try:
            await self._ask(None if places is None else self._locks.waiting, ends, wait=True)
        finally:
            watching.cancel()

    async def _ask(self, places: FairLocks | None, ends: float, *, wait: bool) -> bool:
        """Whether the lock was got. Raises TimeoutError, Unavailable."""
        if places is not None:
            await places.acquire(self._locks, ends - time.monotonic())
        try:
            session = _Session(self._locks, self._name, places, ends - time.monotonic() + _MARGIN_S if wait else None)
        except BaseException:
            if places is not None:
                places.release(self._locks)
            raise
        try:
            await session.grant.wait(ends - time.monotonic())
        except BaseException:
            session.give_up()
            raise
        if session.has_lock:
            self._session = session
        return session.has_lock

    async def _watch(self) -> None:
        """While we wait: when the holder's time is over, take the lock away from it."""
        while True:
            try:
                loop = asyncio.get_running_loop()
                look_again_s = await loop.run_in_executor(self._locks.looking, self._locks.look, self._name)
            except Unavailable as error:
                _logger.warning("lock.look_failed", error=str(error))
                look_again_s = _LOOK_AGAIN_S
            await asyncio.sleep(look_again_s)


class _Session:
    """A thread with a connection of its own that asks for the lock and holds it. With ``patience_s`` it waits for it.

    ``grant`` wakes who asked; ``has_lock`` then tells whether it was got."""

    def __init__(self, locks: PostgresqlLocks, name: str, places: FairLocks | None, patience_s: float | None) -> None:
        self.grant = Grant()
        self.has_lock = False
        self.takes_place = places is not None
        self._locks = locks
        self._name = name
        self._places = places
        self._patience_s = patience_s
        self._let_go = threading.Event()
        self._then: Callable[[], object] = _nothing
        self._wanted = False
        self._guard = threading.Lock()
        self._asking: Any = None  # the driver's connection, while it waits for the lock
        self._interrupted = False
        # A daemon: a wait must not hold up the end of the process.
        threading.Thread(target=self._run, name="postgresql-lock", daemon=True).start()

    def let_go(self, then: Callable[[], object], *, wanted: bool) -> None:
        """Unlock, and have ``then`` called afterwards. Where the lock is ``wanted`` here and nowhere else, keep it for the next one."""
        self._then, self._wanted = then, wanted
        self._let_go.set()

    def give_up(self) -> None:
        """The waiter is gone."""
        self._let_go.set()
        if self.grant.leave():
            threading.Thread(target=self._interrupt, name="postgresql-lock-cancel", daemon=True).start()

    def _run(self) -> None:
        try:
            with self._locks.engine.connect() as connection:
                self._ask_and_hold(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is: who waits must hear of it, and who has left need not
            self.grant.give(Unavailable(f"the database did not give the lock: {type(error).__name__}: {error}"))
        finally:
            if self._places is not None:
                self._places.release(self._locks)
            self._then()

    def _ask_and_hold(self, connection: Any) -> None:
        try:
            self.has_lock = self._try(connection) if self._patience_s is None else self._wait(connection, self._patience_s)
        except BaseException:
            connection.invalidate()  # it may have got the lock before it failed
            raise
        if not self.has_lock:
            self.grant.give()
        elif self.grant.give():
            self._hold(connection)
        else:
            self._unlock(connection)

    def _hold(self, connection: Any) -> None:
        """Until it is let go and kept for nobody."""
        while True:
            self._let_go.wait()
            if not self._wanted:
                self._unlock(connection)
                return
            if not self._let_in_between(connection):
                return
            then, self._then = self._then, _nothing
            self._let_go.clear()
            self._locks.keep(self._name, self)
            if not then():
                self._locks.forget(self._name)

    def _try(self, connection: Any) -> bool:
        return bool(connection.exec_driver_sql(_TRY, {"name": self._name}).scalar())

    def _wait(self, connection: Any, patience_s: float) -> bool:
        with self._guard:
            if self._let_go.is_set():
                return False
            self._asking = connection.connection.dbapi_connection
        try:
            connection.exec_driver_sql(_WAIT, {"name": self._name, "patience_ms": round(patience_s * 1000)})
        finally:
            with self._guard:
                self._asking = None
        if self._interrupted:  # too late, or not yet: whatever this connection did next could be cancelled
            raise TimeoutError("nobody waits for this any more")
        return True

    def _interrupt(self) -> None:
        with self._guard:
            if self._asking is not None:
                self._interrupted = True
                self._asking.cancel()

    def _unlock(self, connection: Any) -> None:
        try:
            connection.exec_driver_sql(_UNLOCK, {"name": self._name})
        except sa.exc.DBAPIError as error:
            self._lost(connection, error)

    def _let_in_between(self, connection: Any) -> bool:
        """Unlock, and lock again where no other server waits. Whether it is locked again."""
        try:
            return bool(connection.exec_driver_sql(_LET_IN_BETWEEN, {"name": self._name}).scalar())
        except sa.exc.DBAPIError as error:
            self._lost(connection, error)
            return False

    def _lost(self, connection: Any, error: sa.exc.DBAPIError) -> None:
        """It was taken away, or PostgreSQL was restarted. What was saved meanwhile was saved under a version check."""
        connection.invalidate()
        _logger.warning("lock.lost", contact=self._name, error=type(error.orig).__name__)


def _nothing() -> None:
    """Nothing more is to be done."""


class _LetGoMeanwhile(Exception):
    """The holder has let go by itself: nothing is to be taken away, and the transaction is to change nothing."""


def _close(engine: Any, database: Database) -> None:
    engine.dispose()
    database.close()
