"""From every earlier schema to the current one, on both engines, with something in every table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import throughline.record as record_room
from tests.postgres import Postgres
from throughline.domain.turns import Turn
from throughline.record import Record, migrations
from throughline.record.schema import SCHEMA_VERSION, metadata

pytestmark = pytest.mark.unit

MOMENT = datetime(2026, 11, 1, 12, 0, tzinfo=timezone.utc)
CONFIG = Config()
CONFIG.set_main_option("script_location", str(Path(migrations.__file__).parent))
REVISIONS = sorted(script.revision for script in ScriptDirectory.from_config(CONFIG).walk_revisions())
EARLIER = REVISIONS[:-1]
_NOT_OURS = ("alembic_version", "sqlite_sequence")  # Alembic's and SQLite's own


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/throughline.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.url(postgres.create_database())


@pytest.fixture
def at_revision(new_url: str) -> Iterator[Callable[[str], Any]]:
    """Brings the new database to a revision, up or down, as its release did; an engine on it."""
    engine = sa.create_engine(new_url, future=True)

    def bring(revision: str, how: Callable[[Config, str], None] = command.upgrade) -> Any:
        with engine.begin() as connection:
            CONFIG.attributes["connection"] = connection
            how(CONFIG, revision)
        return engine

    yield bring
    engine.dispose()


def fill(engine: Any) -> dict[str, list[dict[str, Any]]]:
    """One row in every table, each naming the others as their keys say; all rows by table, as they stand there."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name not in _NOT_OURS:
                given = [column for column in table.columns if not _is_numbered(column)]
                connection.execute(table.insert().values(**{column.name: _value(column) for column in given}))
    return rows_of(engine)


def _is_numbered(column: Any) -> bool:
    return column.primary_key and isinstance(column.type, sa.Integer)


def _value(column: Any) -> Any:
    if column.foreign_keys:
        return None if column.name == "merged_into" else _value(next(iter(column.foreign_keys)).column)
    if isinstance(column.type, sa.Boolean):
        return True
    if isinstance(column.type, sa.DateTime):
        return MOMENT if column.type.timezone else MOMENT.replace(tzinfo=None)
    if isinstance(column.type, sa.Integer):
        return 1
    if isinstance(column.type, sa.Float):
        return 0.5
    if isinstance(column.type, sa.Text) and column.name in ("detail", "data", "packet", "moved", "details", "fields", "value"):
        return json.dumps({"from": column.table.name})
    if column.name == "window_header":
        return "null"
    return {"assurance": "anonymous", "channel": "web_chat"}.get(column.name, f"a {column.table.name}'s {column.name}")


def rows_of(engine: Any) -> dict[str, list[dict[str, Any]]]:
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(sa.select(table)).all()]
            for table in tables.sorted_tables
            if table.name not in _NOT_OURS
        }


def opened(url: str) -> Record:
    record = record_room.open(url, secret=b"for tests")
    record.migrate()
    return record


def test_the_newest_step_is_the_schemas() -> None:
    assert REVISIONS[-1] == SCHEMA_VERSION


@pytest.mark.parametrize("revision", EARLIER)
def test_what_is_in_an_earlier_schema_is_there_after_all_steps(
    revision: str, new_url: str, at_revision: Callable[..., Any]
) -> None:
    engine = at_revision(revision)
    before = fill(engine)
    assert len(before) > 15 and all(before.values())

    record = opened(new_url)

    after = rows_of(engine)
    gone = set(before) - set(after)
    assert gone <= {"code_tries"}
    for table in set(before) - gone:
        assert len(after[table]) == 1, table
        [old], [new] = before[table], after[table]
        assert {name: new[name] for name in old} == old, table
    if "code_tries" in gone:
        assert [row["session_id"] for row in after["failed_tries"]] == [before["code_tries"][0]["session_id"]]
    assert [row["proved_at"] for row in after["addresses"]] == [row["created_at"] for row in before["addresses"]]

    if "kind" not in before["crm_cases"][0]:
        assert [row["kind"] for row in after["crm_cases"]] == ["repair"]

    options = {"compare_type": True, "include_object": lambda _object, name, *_: name not in _NOT_OURS}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    contact = record.create_contact()
    session = record.open_session(contact, "web_chat")
    assert record.store_message(Turn(contact, session.session_id, "web_chat", "hello", "m1")).is_new
    record.close()


@pytest.mark.parametrize("revision", [one for one in EARLIER if one < "0005"])
def test_what_was_answered_before_a_message_knew_where_is_found_again(
    revision: str, new_url: str, at_revision: Callable[..., Any]
) -> None:
    engine = at_revision(revision)
    tables = sa.MetaData()
    tables.reflect(engine)
    said: list[tuple[str, dict[str, Any]]] = [
        ("user", {"text": "my dryer", "message_id": "m1"}),
        ("bot", {"text": "Which brand?"}),
        ("user", {"text": "half \ud800", "message_id": None}),
        ("user", {"text": "Miele", "message_id": "m2"}),
        ("bot", {"text": "Since when?"}),
    ]
    with engine.begin() as connection:

        def put(table: str, **given: Any) -> None:
            columns = {column.name: _value(column) for column in tables.tables[table].columns if not _is_numbered(column)}
            connection.execute(tables.tables[table].insert().values({**columns, **given}))

        put("contacts", contact_id="c")
        put("sessions", session_id="s", contact_id="c")
        for message_id in ("m1", "m2", "m3"):
            put("messages", message_id=message_id, contact_id="c", session_id="s")
        for number, (kind, data) in enumerate(said):
            put("events", event_id=f"e{number}", sender_id="c", session_id="s", type_name=kind, data=json.dumps(data))
        put("tracker_heads", contact_id="c", last_seq=len(said), window_seq=0)
    record = opened(new_url)
    replies = {message_id: [one.data["text"] for one in record.reply_to(message_id)] for message_id in ("m1", "m2", "m3")}
    assert replies == {"m1": ["Which brand?"], "m2": ["Since when?"], "m3": []}
    record.close()


@pytest.mark.parametrize("revision", EARLIER)
def test_steps_can_be_taken_back(revision: str, new_url: str, at_revision: Callable[..., Any]) -> None:
    engine = at_revision(revision)
    before = fill(engine)
    opened(new_url).close()
    at_revision(revision, command.downgrade)
    assert rows_of(engine) == before
    opened(new_url).close()
