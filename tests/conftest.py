"""What several kinds of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import throughline.record as record_room
from tests.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    server = Postgres()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def empty_postgresql_database(postgres: Postgres) -> str:
    """The name of a database with the record's tables, made by the real migrations: to be copied."""
    name = postgres.create_database()
    record = record_room.open(postgres.url(name))
    record.migrate()
    record.close()
    return name
