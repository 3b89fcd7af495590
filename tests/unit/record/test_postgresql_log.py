"""PostgreSQL's own log: by its defaults whatever fails stands in it with customers' words, by the settings that we name nothing does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import throughline.record as record_room
from tests.postgres import Postgres
from throughline.errors import ThroughlineError
from throughline.record import Record, schema
from throughline.record.identity import utc_now

pytestmark = pytest.mark.unit


@pytest.fixture
def database(postgres: Postgres, empty_postgresql_database: str) -> str:
    return postgres.create_database(like=empty_postgresql_database)


@pytest.fixture
def opened(postgres: Postgres, database: str) -> Iterator[Callable[[], Record]]:
    """The record, opened anew: settings of a database hold for connections that come after."""
    records: list[Record] = []

    def open_it() -> Record:
        for record in records:
            record.close()
        records.append(record_room.open(postgres.url(database)))
        return records[-1]

    yield open_it
    records[-1].close()


def fail(record: Record, words: str) -> None:
    """What can go wrong with a statement of ours: constraints, time-outs, a deadlock; with ``words`` in each."""
    contact, at = record.create_contact(), utc_now()
    record.add_address(contact, "email", words, proof="typed")
    row = {"contact_id": contact, "kind": "email", "value": words, "proof": "typed", "created_at": at, "proved_at": at}
    for values in (row, {**row, "contact_id": words}, {**row, "proof": None}):
        with pytest.raises(sa.exc.IntegrityError), record._database.writing() as connection:
            connection.execute(schema.addresses.insert(), values)
    with pytest.raises(ThroughlineError), record._database.writing() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 20")
        connection.execute(sa.text("SELECT pg_sleep(1), :words"), {"words": words})
    deadlock(record, words)


def deadlock(record: Record, words: str) -> None:
    contacts, met, failed = [record.create_contact() for _ in range(2)], threading.Barrier(2), list[Exception]()

    def update(first: str, second: str) -> None:
        try:
            with record._database.writing() as connection:
                connection.exec_driver_sql("SET LOCAL deadlock_timeout = 20")
                for one in (first, second):
                    this: Any = schema.contacts.c.contact_id == one
                    connection.execute(schema.contacts.update().where(this, sa.literal(words) != "").values(fence=1))
                    if one == first:
                        met.wait()
        except ThroughlineError as error:
            failed.append(error)

    threads = [threading.Thread(target=update, args=pair) for pair in (contacts, contacts[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1


def test_nothing_that_fails_is_in_it_by_the_settings_that_we_name(postgres: Postgres, opened: Callable[[], Record]) -> None:
    record = opened()
    loud = record.loud_settings()
    assert list(loud) == ["log_error_verbosity = default", "log_min_error_statement = error"]
    fail(record, "words by its defaults")
    assert postgres.log().count("words by its defaults") > 5
    for mend in loud.values():
        postgres.execute(mend)
    record = opened()
    assert record.loud_settings() == {}
    fail(record, "words by our settings")
    assert "words by our settings" not in postgres.log()
    assert "deadlock detected" in postgres.log()


def test_what_is_logged_on_purpose_is_told_too(postgres: Postgres, database: str, opened: Callable[[], Record]) -> None:
    for setting in ("log_statement = mod", "log_min_duration_statement = 500"):
        postgres.execute(f"ALTER DATABASE {database} SET {setting}")
    loud = opened().loud_settings()
    assert loud["log_statement = mod"] == f"ALTER DATABASE {database} SET log_statement = none"
    assert loud["log_min_duration_statement = 500"] == f"ALTER DATABASE {database} SET log_min_duration_statement = -1"


def test_sqlite_keeps_no_log(sqlite_url: str) -> None:
    record = record_room.open(sqlite_url)
    assert record.loud_settings() == {}
    record.close()
