"""What other processes commit is told here: at once or nearly, whatever becomes of the connection, and to everybody who asked."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

import throughline.record as record_room
from tests.postgres import Postgres
from tests.waiting import until
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id
from throughline.record.postgresql_ways import TOLD

pytestmark = pytest.mark.unit

PATIENT_S = 30.0
LOOK_AGAIN = (None, 0)

Told = tuple[str | None, int]


class Subscriber:
    """Somebody who is told of commits: what, and in which thread."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._told: Queue[tuple[Told, int]] = Queue()
        self.unsubscribe = record.on_commit(self._tell)

    def _tell(self, contact_id: str | None, last_seq: int) -> None:
        self._told.put(((contact_id, last_seq), threading.get_ident()))

    def next(self) -> Told:
        """What it is told next by the thread that watches the database."""
        while True:
            told, thread = self._told.get(timeout=PATIENT_S)
            if thread != threading.get_ident():
                return told

    def until(self, told: Told) -> list[Told]:
        """Everything it is told up to this."""
        found = [self.next()]
        while found[-1] != told:
            found.append(self.next())
        return found

    def rest(self) -> list[Told]:
        """What it has been told and not taken yet, in whichever thread."""
        found = []
        while True:
            try:
                found.append(self._told.get_nowait()[0])
            except Empty:
                return found


@contextmanager
def subscribed(record: Record) -> Iterator[Subscriber]:
    """A subscriber for whom the watching has begun."""
    subscriber = Subscriber(record)
    assert subscriber.next() == LOOK_AGAIN
    yield subscriber
    subscriber.unsubscribe()


def commit_elsewhere(url: str, contact_id: str, events: int = 1, pause_s: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.record.committer", url, contact_id, str(events), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=PATIENT_S)
    assert process.returncode == 0


def say(record: Record, contact_id: str) -> int:
    event_id = new_event_id()
    event = NewEvent(event_id, {"event": "bot", "timestamp": 1.0, "metadata": {"event_id": event_id}}, None, None)
    record.append_events(contact_id, [event], expected=None)
    return record.conversation(contact_id, newest=True, limit=1)[0].seq


def watching_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in ("record-watcher", "record-listener")]


def listening_backends(postgres: Postgres, url: str) -> list[str]:
    database = sa.engine.make_url(url).database
    listening = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND query = 'LISTEN {TOLD}'"  # noqa: S608 - ours
    return postgres.execute(f"COPY ({listening}) TO STDOUT").split()


@pytest.fixture
def open_record() -> Iterator[Callable[[str], Record]]:
    opened: list[Record] = []

    def open_it(url: str) -> Record:
        opened.append(record_room.open(url))
        return opened[-1]

    yield open_it
    for record in opened:
        record.close()


@pytest.fixture
def postgresql_url(postgres: Postgres, empty_postgresql_database: str) -> str:
    return postgres.url(postgres.create_database(like=empty_postgresql_database))


def test_a_commit_of_another_process_is_told_when_it_can_be_read(record: Record, url: str) -> None:
    contact = record.create_contact()
    with subscribed(record) as subscriber:
        other = commit_elsewhere(url, contact, events=3)
        for number in range(3):
            contact_id, seq = subscriber.next()
            assert contact_id == contact
            assert str(number) in [event.data["text"] for event in record.conversation(contact) if event.seq <= seq]
            if record.conversation(contact, newest=True, limit=1)[0].data["text"] == "2":
                break  # on SQLite several commits may have been noticed at once
        ended(other)


def test_every_subscriber_is_told_and_one_that_fails_harms_nobody(record: Record, url: str) -> None:
    contact = record.create_contact()

    def fail(contact_id: str | None, last_seq: int) -> None:
        raise RuntimeError("a subscriber's fault")

    record.on_commit(fail)
    first, second = Subscriber(record), Subscriber(record)
    ended(commit_elsewhere(url, contact))
    for subscriber in (first, second):
        seq = record.conversation(contact)[-1].seq
        subscriber.until((contact, seq))
    ended(commit_elsewhere(url, contact))
    first.until((contact, record.conversation(contact)[-1].seq))


def test_what_this_process_commits_is_told_before_the_commit_returns(record: Record) -> None:
    contact = record.create_contact()
    with subscribed(record) as subscriber:
        assert (contact, say(record, contact)) in subscriber.rest()


def test_on_sqlite_it_is_not_told_again(
    sqlite_url: str, open_record: Callable[[str], Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("throughline.record.sqlite_watcher.LOOK_EVERY_S", 0.5)  # it looks once all of this is committed
    record = open_record(sqlite_url)
    mine, theirs = record.create_contact(), record.create_contact()
    with subscribed(record) as subscriber:
        own = [(mine, say(record, mine)) for _ in range(3)]
        assert subscriber.rest() == own
        ended(commit_elsewhere(sqlite_url, theirs))
        assert subscriber.next() == (theirs, record.conversation(theirs)[-1].seq)
        assert subscriber.rest() == []


def test_a_merge_by_another_process_is_told_to_whoever_watches_either(record: Record, url: str) -> None:
    visitor, known = record.create_contact(), record.create_contact()
    merge = "import sys, throughline.record as r; r.open(sys.argv[1]).merge(*sys.argv[2:], reason='code', session_id=None)"
    with subscribed(record) as subscriber:
        subprocess.run([sys.executable, "-c", merge, url, visitor, known], check=True, timeout=PATIENT_S)
        told = subscriber.next()
        assert told == LOOK_AGAIN or {told, subscriber.next()} == {(visitor, 0), (known, 0)}


def test_closing_ends_the_thread_and_the_connection(record: Record, url: str, request: pytest.FixtureRequest) -> None:
    before = watching_threads()
    with subscribed(record):
        assert len(watching_threads()) == len(before) + 1
    record.close()
    assert watching_threads() == before
    if url.startswith("postgresql"):
        assert listening_backends(request.getfixturevalue("postgres"), url) == []


def test_who_asks_after_a_close_is_told_by_the_record_opened_anew(record: Record, reopen: Callable[[], Record]) -> None:
    with subscribed(record):
        record.close()
    with subscribed(reopen()):
        pass


def test_a_lost_connection_is_made_again_and_everybody_looks_again(
    postgresql_url: str, postgres: Postgres, open_record: Callable[[str], Record]
) -> None:
    record = open_record(postgresql_url)
    contact = record.create_contact()
    with subscribed(record) as subscriber:
        other = commit_elsewhere(postgresql_url, contact, events=60_000, pause_s=0.01)
        subscriber.next()
        for _ in range(3):
            for backend in listening_backends(postgres, postgresql_url):
                postgres.execute(f"SELECT pg_terminate_backend({backend})")
            assert subscriber.until(LOOK_AGAIN)
        assert other.poll() is None  # it has committed all the while
        other.kill()
        other.communicate(timeout=PATIENT_S)
        subscriber.until((contact, say(record, contact)))


def test_a_restarted_server_is_listened_to_again(open_record: Callable[[str], Record]) -> None:
    server = Postgres()
    server.start()
    try:
        record = open_record(server.url(server.create_database()))
        record.migrate()
        contact = record.create_contact()
        with subscribed(record) as subscriber:
            server.kill()
            server.start()
            assert subscriber.next() == LOOK_AGAIN
            ended(commit_elsewhere(record.url, contact))
            subscriber.until((contact, record.conversation(contact)[-1].seq))
        server.kill()
        record.close()  # ends also while there is nothing to connect to
        server.start()
    finally:
        server.stop()


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "not JSON",
        "null",
        "[]",
        '["c_1"]',
        '["c_1", 1, 2]',
        '["c_1", -1]',
        '["c_1", true]',
        '["c_1", 1.5]',
        '["", 1]',
        "[1, 1]",
        '{"c_1": 1}',
        f'["{"x" * 256}", 1]',
        "[" * 7_900,
    ],
)
def test_a_notification_that_cannot_be_read_means_look_again(
    payload: str, postgresql_url: str, open_record: Callable[[str], Record]
) -> None:
    record = open_record(postgresql_url)
    engine = sa.create_engine(postgresql_url)
    with subscribed(record) as subscriber:
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT pg_notify(:channel, :payload)"), {"channel": TOLD, "payload": payload})
        assert subscriber.next() == LOOK_AGAIN
    engine.dispose()


def test_it_works_with_thousands_of_open_pages(postgresql_url: str, open_record: Callable[[str], Record]) -> None:
    """Descriptors above 1,023, which not every way of waiting takes: for the listener, and for every connection of the pool."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    pages = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
    try:
        record = open_record(postgresql_url)
        contact = record.create_contact()
        with subscribed(record) as subscriber:
            assert subscriber.until((contact, say(record, contact)))
    finally:
        for page in pages:
            os.close(page)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_longest_id_is_told(postgresql_url: str, open_record: Callable[[str], Record]) -> None:
    record = open_record(postgresql_url)
    contact = "\N{GRINNING FACE}" * 255
    with subscribed(record) as subscriber:
        seq = say(record, contact)
        assert subscriber.next() == (contact, seq)


async def test_a_file_that_cannot_be_watched_is_tried_again(
    sqlite_url: str, open_record: Callable[[str], Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("throughline.record.sqlite_watcher._AGAIN_S", 0.01)
    record = open_record(sqlite_url)
    contact = record.create_contact()
    engine = sa.create_engine(sqlite_url)
    with subscribed(record) as subscriber, capture_logs() as logged:
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE merges RENAME TO gone"))
        await until(lambda: logged)
        assert logged[0]["event"] == "record.watch_failed"
        say(record, contact)
        with engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE gone RENAME TO merges"))
        engine.dispose()
        subscriber.until(LOOK_AGAIN)
        ended(commit_elsewhere(sqlite_url, contact))
        subscriber.until((contact, record.conversation(contact)[-1].seq))
