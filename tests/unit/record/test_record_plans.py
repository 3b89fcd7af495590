"""What a turn reads does not grow: neither with the person's own history, nor with everybody else's, nor where the database's planner
knows nothing of what has just been stored.

Every statement of a turn is run again: on PostgreSQL under EXPLAIN, which counts the rows that it has really gone through; on SQLite the
steps of its machine are counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from throughline.domain.turns import WEB_CHAT, Turn
from throughline.record import Record
from throughline.record.entries import Checkpoint, Held, NewEvent
from throughline.record.events import new_event_id
from throughline.record.identity import utc_now
from throughline.record.schema import contacts, events, facts, messages, sessions, tracker_heads

pytestmark = pytest.mark.unit

WINDOW = 40
LONG = 3_000
SESSIONS, ALIASES, SLOTS = 200, 6, 12
MOST_ROWS = 3 * WINDOW
"""That one statement of a turn may go through."""

STEPS_OF_A_ROW = 40
"""On SQLite, at most: one or two for each column, and a few to find it."""

PHONES = {"dana": "+15035550101", "other": "+15035550102", "new": "+15035550103"}

Statement = tuple[str, Any]


def many_events(record: Record, contact: str, count: int, aliases: list[str]) -> None:
    """A history: of every five events the first is a message, the second a fact, the third an answer. The aliases' come first."""
    people = [*aliases, *[contact] * (10 - len(aliases))] if aliases else [contact]
    rows, told, said, at = [], [], [], utc_now()
    for number in range(count):
        owner = people[number * len(people) // count]
        event_id, kind, session_id = (
            new_event_id(),
            ("user", "slot", "bot", "action", "action")[number % 5],
            f"s{number % SESSIONS}-{contact}",
        )
        data: dict[str, Any] = {"event": kind, "timestamp": 1.0, "metadata": {"event_id": event_id}}
        if kind == "slot":
            data |= {"name": f"slot{number % SLOTS}", "value": "x"}
            told.append({"contact_id": owner, "slot": data["name"], "value": "x", "event_id": event_id, "said_at": at})
        if kind == "user":
            data["message_id"] = f"m{number}-{contact}"
            said.append(
                {
                    "message_id": data["message_id"],
                    "contact_id": owner,
                    "session_id": session_id,
                    "channel": WEB_CHAT,
                    "text": "hello",
                    "source": "text",
                    "received_at": at,
                    "finished_at": at,
                }
            )
        row = {
            "sender_id": owner,
            "type_name": kind,
            "timestamp": 1.0,
            "data": data,
            "event_id": event_id,
            "session_id": session_id,
        }
        rows.append({**row, "channel": WEB_CHAT, "created_at": at})
    with record._database.writing() as connection:
        known = set(connection.execute(sa.select(contacts.c.contact_id)).scalars())
        missing = [{"contact_id": one, "created_at": at} for one in dict.fromkeys(people) if one not in known]
        if missing:
            connection.execute(contacts.insert(), missing)
        visits = [
            {"session_id": f"s{n}-{contact}", "contact_id": contact, "channel": WEB_CHAT, "assurance": "anonymous"}
            for n in range(SESSIONS)
        ]
        connection.execute(sessions.insert(), [{**visit, "detail": {}, "started_at": at, "ended_at": at} for visit in visits])
        connection.execute(events.insert(), rows)
        if told:
            connection.execute(facts.insert(), told)
        if said:
            connection.execute(messages.insert(), said)
        for owner in dict.fromkeys(people):
            ids = (
                connection.execute(sa.select(events.c.id).where(events.c.sender_id == owner).order_by(events.c.id))
                .scalars()
                .all()
            )
            head = {"contact_id": owner, "version": 7, "last_seq": ids[-1], "window_seq": ids[-min(WINDOW, len(ids))]}
            connection.execute(tracker_heads.insert().values(**head, window_header={"at": 1.0, "slots": {}, "loop": None}))
        for alias in aliases:
            connection.execute(contacts.update().where(contacts.c.contact_id == alias).values(merged_into=contact))


def a_turn(record: Record, contact: str) -> None:
    """What a turn, its actions and the pages that show it ask of the record."""
    session = record.open_session(contact, WEB_CHAT)
    window = record.window(contact, known=True)
    held = Held(window.head, window.first_seq, len(window.events))
    assert record.window(contact, known=True, held=held).events == ()
    turn = Turn(contact, session.session_id, WEB_CHAT, "hello", f"now-{contact}")
    record.store_message(turn)
    record.unfinished_of(contact)
    at = {"timestamp": 2.0}
    new = [
        NewEvent(event_id, {**at, **data, "metadata": {"event_id": event_id}}, session.session_id, WEB_CHAT)
        for data in ({"event": "user", "text": "hello", "message_id": turn.message_id}, {"event": "slot", "name": "slot1", "value": "y"},
                     {"event": "bot", "text": "hello"})
        for event_id in [new_event_id()]
    ]  # fmt: skip
    checkpoint = Checkpoint(str(window.events[-WINDOW // 2]["metadata"]["event_id"]), {"at": 1.0, "slots": {}, "loop": None})
    record.append_events(contact, new, expected=window.head, checkpoint=checkpoint, message_id=turn.message_id)
    assert len(record.window(contact, held=Held(window.head, window.first_seq, len(window.events))).events) > 3
    assert [fact.value for fact in record.facts(contact) if fact.slot == "slot1"] == ["y"]
    start = record.history_start(contact, messages=8)
    assert len(record.conversation(contact, after_seq=start)) >= 8
    assert len(record.conversation(contact, limit=5, newest=True)) == 5
    record.conversation(contact, after_seq=start, limit=5)
    assert [event.data["text"] for event in record.reply_to(turn.message_id)] == ["hello"]
    record.add_address(contact, "phone", PHONES[contact], proof="code")
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    assert record.callers_known(PHONES[contact], proofs=["code"], since=hour_ago) == [contact]


@contextmanager
def statements(record: Record) -> Iterator[list[Statement]]:
    """All that the record has asked of its database meanwhile."""
    seen: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.split(None, 1)[0] in ("SELECT", "WITH", "INSERT", "UPDATE") and "pg_" not in statement:
            seen.append((statement, parameters))

    engine = record._database.ways.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def rows_scanned(plan: dict[str, Any]) -> int:
    """The rows that the scans of PostgreSQL's plan have come across."""
    found = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    own = found * plan["Actual Loops"] if "Scan" in plan["Node Type"] else 0
    return int(own) + sum(rows_scanned(part) for part in plan.get("Plans", ()))


def rows_explained(connection: Any, statement: str, parameters: Any) -> int:
    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar()
    return rows_scanned((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])


def rows_stepped(connection: Any, statement: str, parameters: Any) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    database = connection.connection.dbapi_connection
    database.set_progress_handler(count, 1)
    try:
        found = connection.exec_driver_sql(statement, parameters)
        if found.returns_rows:
            found.all()
    finally:
        database.set_progress_handler(None, 1)
    return steps // STEPS_OF_A_ROW


def rows_of(record: Record, seen: list[Statement]) -> dict[str, int]:
    """The rows that each statement goes through, at its worst."""
    worst: dict[str, int] = {}
    count = rows_explained if record._database.ways.engine.dialect.name == "postgresql" else rows_stepped
    with record._database.writing() as connection:
        for statement, parameters in seen:
            if not statement.startswith("INSERT"):
                worst[statement] = max(worst.get(statement, 0), count(connection, statement, parameters))
        connection.get_transaction().rollback()
    return worst


def mislead(record: Record) -> None:
    """Have PostgreSQL's planner believe, for good, that there is next to nothing, and all of it one person's. SQLite's believes nothing
    unless somebody has it count."""
    many_events(record, "only", 50, [])
    with record._database.writing() as connection:
        if connection.dialect.name == "postgresql":
            for table in (events, facts, messages, contacts, sessions, tracker_heads):
                connection.exec_driver_sql(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)")
            connection.exec_driver_sql("ANALYZE")


def test_no_statement_of_a_turn_goes_through_more_rows_than_a_few_windows(record: Record) -> None:
    mislead(record)
    for contact, count in {"dana": LONG, "other": LONG, "new": 60}.items():
        many_events(record, contact, count, [f"{contact}-{alias}" for alias in range(ALIASES)] if count == LONG else [])
    many_events(record, "later", LONG, [])  # the others have been away since
    for contact in PHONES:
        with statements(record) as seen:
            a_turn(record, contact)
        worst = rows_of(record, seen)
        assert {statement: rows for statement, rows in worst.items() if rows > MOST_ROWS} == {}
        assert len(worst) > 15


def test_the_count_tells_when_a_statement_goes_through_everything(record: Record) -> None:
    many_events(record, "dana", LONG, [])
    everything = "SELECT events.* FROM events WHERE sender_id = 'dana' ORDER BY id + 0 DESC LIMIT 1"
    assert rows_of(record, [(everything, ())])[everything] > MOST_ROWS
