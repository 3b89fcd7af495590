"""A real record for every test, in a SQLite file and in a PostgreSQL database. The tables are made once, by the real migrations, and
copied. A test that asks for ``url`` or ``record`` runs on both; one about the file itself asks for ``sqlite_url``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import throughline.record as record_room
from tests.postgres import Postgres
from throughline.domain.assurance import TryLimits
from throughline.record import Record

KEY = "a key for the tests"
LIMITS = TryLimits(
    per_session=3, per_caller=10, alarm_tries=30, alarm_within=timedelta(minutes=10), closed_for=timedelta(minutes=30)
)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "throughline.db"
    record = record_room.open(f"sqlite:///{file}")
    record.migrate()
    record.close()
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, empty_database: Path) -> str:
    folder = tmp_path / "record"
    folder.mkdir()
    shutil.copy(empty_database, folder / "throughline.db")
    return f"sqlite:///{folder}/throughline.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.url(postgres.create_database(like=request.getfixturevalue("empty_postgresql_database")))


@pytest.fixture
def reopen(url: str) -> Iterator[Callable[[], Record]]:
    """Opens the record; again after ``close``, as a restarted server would."""
    opened: list[Record] = []

    def open_it() -> Record:
        opened.append(record_room.open(url, secret=KEY))
        return opened[-1]

    yield open_it
    for record in opened:
        record.close()


@pytest.fixture
def record(reopen: Callable[[], Record]) -> Record:
    return reopen()
