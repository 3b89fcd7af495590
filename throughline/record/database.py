"""The connection to the database, and the only file that knows which database it is.

Everything above it writes portable SQL through ``reading()`` and ``writing()``. What always holds: a transaction is short and
belongs to one thread; on SQLite only one thread of this process writes at a time (waiting threads are woken, SQLite itself
would poll); a commit is on disk before ``writing()`` returns; a database that does not answer is ``Unavailable``.

SQLite's ways are from sqlite.org/wal.html, sqlite.org/pragma.html and SQLAlchemy's notes on pysqlite and transactions.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from throughline.errors import ConfigurationError, Problem, Unavailable

BUSY_TIMEOUT_MS = 10_000  # how long a writer waits for another process before it gives up
POOL_SIZE = 8


class Database:
    """One database, by its URL. Thread-safe. SQLite files only so far; every dialect-bound line is in this file."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._write_turn = threading.Lock()
        self.file = sqlite_file(url)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                [
                    Problem(
                        "database url", f"{self.file.parent} cannot be created ({error}).", "Name a folder that can be written."
                    )
                ]
            ) from error
        self._engine = _sqlite_engine(url)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection inside a read transaction: everything read in it is from one moment."""
        with _translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """A connection inside a write transaction. Leaving it normally commits; leaving it with an error changes nothing."""
        if not self._write_turn.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise Unavailable("the database is busy: another transaction of this process does not end")
        try:
            with _translated(), self._engine.connect() as connection:
                connection.execution_options(throughline_writes=True)
                with connection.begin():
                    yield connection
        finally:
            self._write_turn.release()

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Any]:
        """A connection for changing the schema. Only one process at a time gets past here; the others wait."""
        with self._between_processes("migrate"), _translated(), self._engine.connect() as connection:
            connection.execution_options(throughline_writes=True)
            with connection.begin():
                yield connection

    def has_table(self, name: str) -> bool:
        """Whether the table is there."""
        with _translated():
            return bool(sa.inspect(self._engine).has_table(name))

    def insert_unless_there(self, connection: Any, table: Any, values: Mapping[str, Any]) -> bool:
        """Insert one row; False, and nothing inserted, where a unique key says it is there already."""
        return bool(connection.execute(_insert_or_nothing(connection.dialect.name, table), dict(values)).rowcount)

    def insert_or_update(self, connection: Any, table: Any, values: Mapping[str, Any], *, key: str) -> None:
        """Insert one row, or give the row with the same ``key`` the other ``values``."""
        insert = _INSERT_OF[connection.dialect.name]
        others = {name: value for name, value in values.items() if name != key}
        connection.execute(insert(table).values(**values).on_conflict_do_update(index_elements=[key], set_=others))

    def take_turns(self, connection: Any, name: str) -> None:
        """Until this transaction ends, no other one gets past here with the same ``name``: for looking whether a row is there before
        it is made, where no unique key tells. On SQLite a write transaction is alone anyway."""
        if connection.dialect.name == "postgresql":
            connection.execute(_POSTGRESQL_TURN, {"name": name})

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _between_processes(self, name: str) -> Iterator[None]:
        directory = lock_directory(self.url)
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


_POSTGRESQL_TURN = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_INSERT_OF = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@functools.cache
def _insert_or_nothing(dialect: str, table: Any) -> Any:
    """Built once for each table: one of them is part of every turn."""
    return _INSERT_OF[dialect](table).on_conflict_do_nothing()


def sqlite_file(url: str) -> Path:
    """The absolute path of a SQLite URL's file. Raises ConfigurationError for any other URL."""
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError([Problem("database url", f"it cannot be read ({error}).", _MEND)]) from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError([Problem("database url", f"{parsed!r} is not a SQLite file.", _MEND)])
    return Path(parsed.database).absolute()


def lock_directory(url: str) -> Path:
    """Where the processes that share this database keep their lock files: beside the database."""
    file = sqlite_file(url)
    return file.with_name(file.name + ".locks")


_MEND = "Write it as sqlite:///var/throughline.db."


def _sqlite_engine(url: str) -> Any:
    engine = sa.create_engine(
        url,
        future=True,
        poolclass=QueuePool,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=BUSY_TIMEOUT_MS / 1000,
        connect_args={"check_same_thread": False},  # the pool hands a connection to one thread at a time
    )
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # else pysqlite begins transactions itself, late and never for a SELECT
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",  # in WAL mode NORMAL may lose the last commits at a power cut; an acknowledged turn is never lost
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Any) -> None:
    writes = connection.get_execution_options().get("throughline_writes", False)
    # IMMEDIATE: a deferred transaction that turns into a write can fail at once instead of waiting its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """IntegrityErrors pass (they are answers), everything else the database says is ``Unavailable``."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise Unavailable(
            f"the database did not do its work: {type(error).__name__}: {getattr(error, 'orig', error)}"
        ) from error


class OnDatabase:
    """What every topic of the record stands on: the database, and what to do once events are committed."""

    def __init__(self, database: Database, committed: Callable[[str, int], None]) -> None:
        self._database = database
        self._committed = committed
