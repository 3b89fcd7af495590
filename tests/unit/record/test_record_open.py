"""Opening, migrating, calling and closing the record."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

import throughline.record as record_room
from tests.postgres import Postgres
from throughline.errors import ConfigurationError, Unavailable
from throughline.record import Record

pytestmark = pytest.mark.unit


def python(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_importing_the_record_loads_neither_rasa_nor_tensorflow() -> None:
    heavy = python("import sys, throughline.record; print([name for name in ('rasa', 'tensorflow') if name in sys.modules])")
    assert heavy.strip() == "[]"


def test_everybody_in_a_process_gets_the_same_record(record: Record, url: str) -> None:
    assert record_room.open(url) is record
    record.close()
    reopened = record_room.open(url)
    assert reopened is not record
    reopened.close()


def test_every_way_to_write_an_address_leads_to_the_same_record(
    sqlite_url: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ways = {sqlite_url: "sqlite:///record/throughline.db"}
    on_a_server = postgres.url("postgres")
    ways[on_a_server] = on_a_server.replace("postgresql:", "postgresql+psycopg2:")
    for one, other in ways.items():
        record = record_room.open(one)
        assert record_room.open(other) is record
        record.close()


def test_a_records_name_tells_no_password() -> None:
    record = record_room.open("postgresql://throughline:h4rd-to-guess@db.example/throughline")
    assert record.name == "postgresql://throughline:***@db.example/throughline"
    record.close()


def test_a_second_secret_is_refused(record: Record, url: str) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        record_room.open(url, secret=b"another")


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://host/db"])
def test_what_is_no_database_of_ours_is_refused_with_its_mend(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Mend: Write it as sqlite:"):
        record_room.open(url)


def test_processes_may_migrate_at_the_same_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/throughline.db"
    code = "import sys, throughline.record as room; r = room.open(sys.argv[1]); r.migrate(); r.create_contact(); r.close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    with sqlite3.connect(tmp_path / "new" / "throughline.db") as connection:
        assert connection.execute("SELECT count(*) FROM contacts").fetchone() == (2,)


def test_a_database_of_a_newer_release_is_left_alone(record: Record, url: str) -> None:
    record.close()
    engine = sa.create_engine(url, future=True)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    newer = record_room.open(url)
    with pytest.raises(ConfigurationError, match="Run the release it belongs to"):
        newer.migrate()
    newer.close()


def test_the_database_is_set_up_so_that_nothing_acknowledged_is_lost(record: Record, url: str) -> None:
    if url.startswith("sqlite:"):
        wanted = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}  # 2: FULL
        ask = "PRAGMA {}"
    else:
        wanted = {"synchronous_commit": "on", "statement_timeout": "10s", "lock_timeout": "10s", "enable_seqscan": "off"}
        wanted |= {"idle_in_transaction_session_timeout": "10s", "TimeZone": "UTC"}
        ask = "SHOW {}"
    with record._database.writing() as connection:
        assert {name: connection.exec_driver_sql(ask.format(name)).scalar() for name in wanted} == wanted


async def test_calls_leave_the_event_loop_free(record: Record) -> None:
    threads: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def slow_method() -> str:
        threads.append(threading.current_thread().name)
        entered.set()
        go_on.wait(10)
        return "done"

    waiting = asyncio.ensure_future(record.call(slow_method))
    await asyncio.to_thread(entered.wait, 10)
    assert not waiting.done()
    assert await record.call(record.create_contact)
    go_on.set()
    assert await waiting == "done"
    assert threads[0].startswith("record")


def test_calls_work_from_two_event_loops_at_once(record: Record) -> None:
    contacts: list[str] = []

    async def create() -> None:
        contacts.extend(await asyncio.gather(*(record.call(record.create_contact) for _ in range(20))))

    threads = [threading.Thread(target=asyncio.run, args=(create(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(contacts)) == 40


async def test_a_closed_record_is_unavailable(record: Record) -> None:
    record.ping()
    record.close()
    with pytest.raises(Unavailable):
        await record.call(record.ping)


def test_a_lost_file_is_unavailable(sqlite_url: str) -> None:
    record = record_room.open(sqlite_url)
    record.ping()
    shutil.rmtree(Path(sqlite_url.removeprefix("sqlite:///")).parent)
    record._database.close()
    with pytest.raises(Unavailable):
        record.ping()
    record.close()


def test_a_server_that_is_down_is_unavailable_and_needs_no_restart_of_ours() -> None:
    server = Postgres()
    server.start()
    record = record_room.open(server.url("postgres"))
    record.migrate()
    contact = record.create_contact()
    server.kill()
    with pytest.raises(Unavailable):
        record.resolve(contact)
    server.start()
    assert record.resolve(contact) == contact
    record.close()
    server.stop()
