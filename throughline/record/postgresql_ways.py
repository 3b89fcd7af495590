"""How the record works on PostgreSQL: for any number of servers on any number of machines.

What always holds: a commit is on disk before it is told, whatever the server's own setting; a statement, a lock and a forgotten
transaction end by themselves; a connection that is gone is noticed within seconds and replaced. Options are from PostgreSQL's manual,
chapters "Client Connection Defaults" and "Database Connection Control Functions".
"""

from __future__ import annotations

import contextlib
import json
import select
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from throughline.record.postgresql_listener import PostgresqlListener
from throughline.record.schema import metadata
from throughline.record.watching import CommitCallback, Watcher

POOL_SIZE = 8
TOLD = "throughline"
"""The channel on which servers tell each other of commits: a JSON list of the contact's id and its last ``seq``."""

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 10_000

CONNECTION: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "application_name": "throughline",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": STATEMENT_TIMEOUT_MS,
}
"""How every connection of ours is made."""

_SETTINGS: dict[str, Any] = {
    # Going through a whole table is never what a turn wants, but what the planner takes once a conversation is long.
    "enable_seqscan": "off",
    "synchronous_commit": "on",
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "lock_timeout": STATEMENT_TIMEOUT_MS,
    # Less than a lock's lifetime: what a stopped server has begun is over when its conversations go to others.
    "idle_in_transaction_session_timeout": STATEMENT_TIMEOUT_MS,
    "timezone": "UTC",
}


_SILENT = {
    "log_min_error_statement": ("panic",),  # else the statement stands there, and psycopg2 has written the values into it
    "log_error_verbosity": ("terse",),  # else a DETAIL quotes the row
    "log_statement": ("none", "ddl"),
    "log_min_duration_statement": ("-1",),
    "log_min_duration_sample": ("-1",),
    "log_transaction_sample_rate": ("0",),
}
"""What keeps customers' words out of the server's own log (PostgreSQL's manual, "Error Reporting and Logging"); the first value is what to
set. Only a superuser may."""


class PostgresqlWays:
    """One database on a PostgreSQL server."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(
            url,
            future=True,
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=STATEMENT_TIMEOUT_MS / 1000,
            hide_parameters=True,  # what customers said stays out of error messages
            connect_args=CONNECTION,
        )
        sa.event.listen(self.engine, "connect", settled_by(_SETTINGS))
        sa.event.listen(self.engine, "checkout", notice_closed)
        self._reads = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A connection inside a transaction that reads everything from one moment."""
        with self._reads.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """A connection inside a transaction that writes, beside others: whoever looks before it writes must hold what it has looked at."""
        with self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Any]:
        """As ``writing``, for changing the schema: every other server waits, however long it takes."""
        with self.writing() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
            self.take_turns(connection, "migrate")
            yield connection

    def take_turns(self, connection: Any, name: str) -> None:
        """Until this transaction ends, no other one gets past here with the same ``name``."""
        connection.execute(_TURN, {"name": name})

    def tell(self, connection: Any, contact_id: str, last_seq: int) -> None:
        """With the commit, a notification to every server that listens (PostgreSQL's manual, "NOTIFY")."""
        connection.execute(_TELL, {"channel": TOLD, "payload": json.dumps([contact_id, last_seq])})

    def watch(self, told: CommitCallback) -> Watcher:
        """Have ``told`` called for every commit of every server. It is to be closed."""
        return PostgresqlListener(self._connect_alone, TOLD, told)

    def loud_settings(self) -> dict[str, str]:
        """The settings, as they are, by which the server writes what it is to store into its own log; for each what mends it."""
        names = sa.bindparam("names", list(_SILENT), expanding=True)
        query = sa.text("SELECT name, setting, current_database() AS here FROM pg_settings WHERE name IN :names ORDER BY name")
        with self.reading() as connection:
            found = connection.execute(query.bindparams(names)).all()
            quoted = connection.dialect.identifier_preparer.quote
            return {
                f"{row.name} = {row.setting}": f"ALTER DATABASE {quoted(row.here)} SET {row.name} = {_SILENT[row.name][0]}"
                for row in found
                if row.setting not in _SILENT[row.name]
            }

    def _connect_alone(self) -> Any:
        """A psycopg2 connection outside the pool. Raises psycopg2.Error."""
        arguments, options = self.engine.dialect.create_connect_args(self.engine.url)
        return self.engine.dialect.connect(*arguments, **{**options, **CONNECTION})

    def scrub(self) -> bool:
        """Give the space of deleted rows back for use: it is overwritten as new rows come (PostgreSQL's manual, "Routine Vacuuming"). A
        table that is another role's is passed over with a warning, and left to autovacuum. False where another vacuum is at work."""
        with self.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("SET statement_timeout = 0")
            try:
                connection.exec_driver_sql("VACUUM " + ", ".join(table.name for table in metadata.sorted_tables))
            except sa.exc.OperationalError as error:
                if error.orig.pgcode != _LOCK_NOT_AVAILABLE:
                    raise
                return False
            finally:
                connection.exec_driver_sql(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        return True


def settled_by(settings: Mapping[str, Any]) -> Callable[[Any, Any], None]:
    """What gives every new connection of a pool these settings, for as long as it lasts. They are said in SQL and not when it is opened:
    a pooler in front would refuse them there, or leave them out (PgBouncer's manual, ``ignore_startup_parameters``)."""
    said = "; ".join(f"SET {name} = '{value}'" for name, value in settings.items())

    def settle(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(said)
        connection.commit()  # a SET that is rolled back is undone

    return settle


def notice_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """After a restart of the server every connection in the pool is dead. A server says nothing to an idle connection of ours but
    goodbye, so there is something to read only where it is over: no round trip is needed to know."""
    ready = select.poll()  # not select.select, which takes no descriptor above 1,023: every open chat page has one
    ready.register(connection, select.POLLIN)
    if ready.poll(0):
        raise sa.exc.DisconnectionError("the server has closed this connection")


def postgresql_key(url: str) -> str:
    """The same for every URL that names the same database, however its driver is written."""
    return str(sa.engine.make_url(url).set(drivername="postgresql").render_as_string(hide_password=True))


_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's manual, appendix "Error Codes"
_TELL = sa.text("SELECT pg_notify(:channel, :payload)")
_TURN = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
