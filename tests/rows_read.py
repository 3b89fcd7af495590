"""How many rows each statement of a record goes through, counted while it is asked.

On PostgreSQL it is run twice, first under EXPLAIN, in the same transaction at the same moment, and what that has changed is undone. On
SQLite the steps of its machine are counted. What is not counted: the check of a foreign key, which goes by the other table's primary
key; locks, notifications, settings and the beginnings and ends of transactions, which read no table.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from throughline.record import Record

STEPS_OF_A_ROW = 40
"""On SQLite, at most: one or two for each column, and a few to find it."""

_READ_OR_CHANGE_ROWS = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
_READ_NO_TABLE = ("pg_advisory", "pg_notify")


class RowsRead(dict[str, int]):
    """For each statement the rows that it has gone through at its worst."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()

    def note(self, statement: str, rows: int) -> None:
        with self._guard:
            self[statement] = max(self.get(statement, 0), rows)

    def above(self, most: int) -> dict[str, int]:
        """Those that have gone through more than ``most``."""
        return {statement: rows for statement, rows in self.items() if rows > most}


@contextmanager
def rows_read(record: Record) -> Iterator[RowsRead]:
    """What is asked of the record's database meanwhile, in whichever thread of this process. Complete when it is left."""
    found, engine = RowsRead(), record._database.ways.engine
    counting = _explaining if engine.dialect.name == "postgresql" else _counting_steps
    with counting(engine, found):
        yield found


@contextmanager
def _explaining(engine: Any, found: RowsRead) -> Iterator[None]:
    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if _counts(statement):
            for each in parameters if many else [parameters]:
                found.note(statement, _rows_explained(cursor.connection, statement, each))

    with _listening(engine, before_cursor_execute=explain):
        yield


def _rows_explained(connection: Any, statement: str, parameters: Any) -> int:
    with connection.cursor() as cursor:
        changes = not statement.startswith("SELECT")
        if changes:
            cursor.execute("SAVEPOINT explained")
        try:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            plan = cursor.fetchone()[0]
        except connection.IntegrityError:
            return 0  # an answer, which the statement itself is about to get
        finally:
            if changes:
                cursor.execute("ROLLBACK TO SAVEPOINT explained")
    return _rows_scanned((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])


def _rows_scanned(plan: dict[str, Any]) -> int:
    """The rows that the scans of PostgreSQL's plan have come across."""
    came_across = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    own = came_across * plan["Actual Loops"] if "Scan" in plan["Node Type"] else 0
    return int(own) + sum(_rows_scanned(part) for part in plan.get("Plans", ()))


@contextmanager
def _counting_steps(engine: Any, found: RowsRead) -> Iterator[None]:
    counted: list[tuple[str, list[int]]] = []

    def begin(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        steps = [0]
        if _counts(statement):
            counted.append((statement, steps))
        cursor.connection.set_progress_handler(_one_more(steps), 1)  # until the next statement of this connection begins

    def end(connection: Any) -> None:
        connection.connection.dbapi_connection.set_progress_handler(None, 1)

    with _listening(engine, before_cursor_execute=begin, commit=end, rollback=end):
        yield
    for statement, (steps,) in counted:
        found.note(statement, steps // STEPS_OF_A_ROW)


def _one_more(steps: list[int]) -> Callable[[], int]:
    def count() -> int:
        steps[0] += 1
        return 0  # go on

    return count


def _counts(statement: str) -> bool:
    return statement.startswith(_READ_OR_CHANGE_ROWS) and not any(name in statement for name in _READ_NO_TABLE)


@contextmanager
def _listening(engine: Any, **listeners: Callable[..., None]) -> Iterator[None]:
    for event, listener in listeners.items():
        sa.event.listen(engine, event, listener)
    try:
        yield
    finally:
        for event, listener in listeners.items():
            sa.event.remove(engine, event, listener)
