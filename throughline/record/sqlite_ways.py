"""How the record works on a SQLite file: for one server on one machine.

What always holds: only one thread of this process writes at a time (waiting threads are woken, SQLite itself would poll); a commit is on
disk before it is told. SQLite's ways are from sqlite.org/wal.html, sqlite.org/pragma.html and SQLAlchemy's notes on pysqlite.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.record.sqlite_watcher import SqliteWatcher
from throughline.record.watching import CommitCallback, Watcher

BUSY_TIMEOUT_MS = 10_000  # how long a writer waits for another process before it gives up
POOL_SIZE = 8

_MEND = "Write it as sqlite:///var/throughline.db."


class SqliteWays:
    """One file. Raises ConfigurationError for a URL that names none."""

    def __init__(self, url: str) -> None:
        self.file = sqlite_file(url)
        self._write_turn = threading.Lock()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            mend = "Name a folder that can be written."
            raise ConfigurationError(
                [Problem("database url", f"{self.file.parent} cannot be created ({error}).", mend)]
            ) from error
        self.engine = sa.create_engine(
            url,
            future=True,
            poolclass=QueuePool,
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=BUSY_TIMEOUT_MS / 1000,
            hide_parameters=True,  # what customers said stays out of error messages
            connect_args={"check_same_thread": False},  # the pool hands a connection to one thread at a time
        )
        sa.event.listen(self.engine, "connect", _on_connect)
        sa.event.listen(self.engine, "begin", _on_begin)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection inside a transaction that reads everything from one moment."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """A connection inside a transaction that writes; no other writes meanwhile. Raises Unavailable."""
        if not self._write_turn.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise Unavailable("the database is busy: another transaction of this process does not end")
        try:
            with self.engine.connect() as connection:
                connection.execution_options(throughline_writes=True)
                with connection.begin():
                    yield connection
        finally:
            self._write_turn.release()

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Any]:
        """As ``writing``, for changing the schema: every other process waits, however long it takes."""
        directory = lock_directory(self.file)
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "migrate").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.writing() as connection:
                yield connection

    def take_turns(self, connection: Any, name: str) -> None:
        """Nothing: a write transaction is alone anyway."""

    def tell(self, connection: Any, contact_id: str, last_seq: int) -> None:
        """Nothing: other processes see it by the file's data version."""

    def watch(self, told: CommitCallback) -> Watcher:
        """Have ``told`` called for every commit of other processes. It is to be closed."""
        return SqliteWatcher(self.file, told)

    def loud_settings(self) -> dict[str, str]:
        """None: SQLite keeps no log."""
        return {}

    def scrub(self) -> bool:
        """Write the file anew, without what deleted rows may have left between others, and empty the write-ahead log. False, and
        nothing is lost, where a reader of an older state or another writer is in the way."""
        if not self._write_turn.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            return False
        try:
            with self.engine.connect() as pooled:
                connection = pooled.connection.dbapi_connection  # neither statement works inside a transaction
                connection.execute("VACUUM")
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            return False
        finally:
            self._write_turn.release()
        return not busy


def sqlite_file(url: str) -> Path:
    """The absolute path of a SQLite URL's file. Raises ConfigurationError for one that has none."""
    database = make_url(url).database
    if not database or database == ":memory:":
        raise ConfigurationError([Problem("database url", "it names no file.", _MEND)])
    return Path(database).absolute()


def lock_directory(file: Path) -> Path:
    """Where the processes that share this database keep their lock files: beside the database."""
    return file.with_name(file.name + ".locks")


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # else pysqlite begins transactions itself, late and never for a SELECT
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",  # in WAL mode NORMAL may lose the last commits at a power cut; an acknowledged turn is never lost
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted is overwritten
    ):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Any) -> None:
    writes = connection.get_execution_options().get("throughline_writes", False)
    # IMMEDIATE: a deferred transaction that turns into a write can fail at once instead of waiting its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
