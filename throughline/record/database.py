"""The connection to the database. Which one it is, only this file and the ways beside it know (sqlite_ways.py, postgresql_ways.py).

Everything above it writes portable SQL through ``reading()`` and ``writing()``. What always holds: a transaction is short and belongs to
one thread; a commit is on disk before ``writing()`` returns; a database that does not answer is ``Unavailable``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url

from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.record.postgresql_ways import PostgresqlWays, postgresql_key
from throughline.record.sqlite_ways import SqliteWays, sqlite_file
from throughline.record.watching import CommitCallback, Watcher

Ways = SqliteWays | PostgresqlWays

_MEND = "Write it as sqlite:///var/throughline.db, or as postgresql://user@host/database."
_QUOTING = frozenset({"22", "23", "42"})
"""PostgreSQL's classes of errors whose messages may quote values: data, integrity, and statements it cannot read."""
_INSERT_OF = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Database:
    """One database, by its URL. Thread-safe. Raises ConfigurationError."""

    def __init__(self, url: str) -> None:
        self.ways: Ways = SqliteWays(url) if kind_of(url) == "sqlite" else PostgresqlWays(url)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection inside a read transaction: everything read in it is from one moment."""
        with _translated(), self.ways.reading() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """A connection inside a write transaction. Leaving it normally commits; leaving it with an error changes nothing."""
        with _translated(), self.ways.writing() as connection:
            yield connection

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Any]:
        """A connection for changing the schema. Only one process at a time gets past here; the others wait."""
        with _translated(), self.ways.migrating() as connection:
            yield connection

    def has_table(self, name: str) -> bool:
        """Whether the table is there."""
        with _translated():
            return bool(sa.inspect(self.ways.engine).has_table(name))

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
        it is made, where no unique key tells."""
        self.ways.take_turns(connection, name)

    def tell(self, connection: Any, contact_id: str, last_seq: int) -> None:
        """Have the other servers know, once this transaction is committed, that the conversation has grown up to ``last_seq``."""
        self.ways.tell(connection, contact_id, last_seq)

    def watch(self, told: CommitCallback) -> Watcher:
        """Have ``told`` called, in a thread of its own, for commits of other processes until what is returned is closed."""
        return self.ways.watch(told)

    def loud_settings(self) -> dict[str, str]:
        """The settings by which the database's server writes values into a log of its own; for each what mends it."""
        with _translated():
            return self.ways.loud_settings()

    def scrub(self) -> bool:
        """Let go of the bytes of what was deleted; False where others' work kept it from that."""
        with _translated():
            return self.ways.scrub()

    def close(self) -> None:
        """Close every connection."""
        self.ways.engine.dispose()


def kind_of(url: str) -> str:
    """ "sqlite" or "postgresql". Raises ConfigurationError."""
    try:
        kind = str(make_url(url).get_backend_name())
    except sa.exc.ArgumentError as error:
        raise ConfigurationError([Problem("database url", f"it cannot be read ({error}).", _MEND)]) from error
    if kind not in _INSERT_OF:
        raise ConfigurationError([Problem("database url", f"the record does not work on {kind}.", _MEND)])
    return kind


def key_of(url: str) -> str:
    """What is the same for every URL of one database. Raises ConfigurationError."""
    return str(sqlite_file(url)) if kind_of(url) == "sqlite" else postgresql_key(url)


@functools.cache
def _insert_or_nothing(dialect: str, table: Any) -> Any:
    """Built once for each table: one of them is part of every turn."""
    return _INSERT_OF[dialect](table).on_conflict_do_nothing()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """IntegrityErrors pass (they are answers), everything else the database says is ``Unavailable``; neither quotes anybody's data, nor
    carries the error that does."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise sa.exc.IntegrityError(None, None, type(error.orig)(_said_by(error))) from None
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise Unavailable(f"the database did not do its work: {type(error).__name__}: {_said_by(error)}") from None


def _said_by(error: Any) -> str:
    """What the database says of an error, without what was written or looked for. PostgreSQL quotes values (a key that is there already, a
    text it cannot read) and the statement with them: of a fault that has a code we name the code and where it was."""
    code = getattr(error.orig, "pgcode", None) if isinstance(error, sa.exc.DBAPIError) else None
    if code is None:  # SQLite, which never quotes a value; PostgreSQL where it is about the connection
        return str(getattr(error, "orig", error)).partition("\n")[0]
    told = error.orig.diag
    where = told.constraint_name or told.column_name or told.table_name
    shown = type(error.orig).__name__ if code[:2] in _QUOTING else str(told.message_primary)
    return f"{shown} ({code}{', ' + where if where else ''})"


class OnDatabase:
    """What every topic of the record stands on: the database, and what to do once events are committed."""

    def __init__(self, database: Database, committed: Callable[[str, int], None]) -> None:
        self._database = database
        self._committed = committed
