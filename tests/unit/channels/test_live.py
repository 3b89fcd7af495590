"""What pages are shown of what is committed, by whichever process: everything, once, in order, and of nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from channels import live
from channels.live import LiveFeed, View
from tests.postgres import Postgres
from tests.waiting import until
from throughline.domain.turns import WEB_CHAT
from throughline.errors import Unavailable
from throughline.record import Record, Session, StoredEvent
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id
from throughline.record.views import Unseen

pytestmark = pytest.mark.unit

HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/record.db"
        record = Record(address)
        record.migrate()
        record.close()
        return address
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.url(postgres.create_database(like=request.getfixturevalue("empty_postgresql_database")))


@pytest.fixture
def server(url: str) -> Iterator[Callable[[], Record]]:
    """The record of one more server on the same database."""
    opened: list[Record] = []

    def start() -> Record:
        opened.append(Record(url))
        return opened[-1]

    yield start
    for record in opened:
        record.close()


@pytest.fixture
def record(server: Callable[[], Record]) -> Record:
    return server()


@pytest.fixture
async def feed(record: Record) -> AsyncIterator[LiveFeed]:
    feed = LiveFeed(record, HOUR)
    yield feed
    await feed.close()


class Page:
    """A page that shows what its view gives it."""

    def __init__(self, feed: LiveFeed, session: Session, after_seq: int | None = None) -> None:
        self.texts: list[str] = []
        self.may_show = asyncio.Event()
        self.may_show.set()
        self.faults: list[Exception] = []
        self.session = session
        self.view: View = feed.watch(session, session.shown_seq if after_seq is None else after_seq, self._show, self._ready)

    async def _show(self, event: StoredEvent, unseen: Unseen) -> None:
        assert unseen.session.session_id == self.session.session_id
        if self.faults:
            raise self.faults.pop(0)
        self.texts.append(str(event.data["text"]))

    async def _ready(self) -> None:
        await self.may_show.wait()


def visit(record: Record) -> Session:
    return record.open_session(record.create_contact(), WEB_CHAT)


def say(record: Record, contact_id: str, *texts: str) -> None:
    for text in texts:
        event_id = new_event_id()
        data = {"event": "bot", "text": text, "timestamp": 1.0, "metadata": {"event_id": event_id}}
        record.append_events(contact_id, [NewEvent(event_id, data, None, None)], expected=None)


def commit_elsewhere(url: str, contact_id: str, events: int, pause_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.unit.record.committer", url, contact_id, str(events), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def after_reading(record: Record, then: Callable[[Session], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``then`` done between a view's read and what it makes of it."""
    unseen = record.unseen

    def read(session_id: str, **place: Any) -> Unseen:
        found = unseen(session_id, **place)
        then(found.session)
        return found

    monkeypatch.setattr(record, "unseen", read)


@contextlib.contextmanager
def without_table(url: str, table: str) -> Iterator[None]:
    """The database answers nothing that needs this table."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO gone"))
    yield
    with engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE gone RENAME TO {table}"))
    engine.dispose()


async def test_a_page_is_shown_what_it_missed_then_what_comes(feed: LiveFeed, record: Record) -> None:
    session = visit(record)
    say(record, session.contact_id, "1", "2")
    page = Page(feed, session)
    await until(lambda: page.texts == ["1", "2"])
    say(record, session.contact_id, "3")
    await until(lambda: page.texts == ["1", "2", "3"])


async def test_nobody_is_shown_what_is_said_to_another(feed: LiveFeed, record: Record) -> None:
    mine, theirs = Page(feed, visit(record)), Page(feed, visit(record))
    say(record, mine.session.contact_id, "mine")
    say(record, theirs.session.contact_id, "theirs")
    await until(lambda: theirs.texts and mine.texts)
    assert (mine.texts, theirs.texts) == (["mine"], ["theirs"])


async def test_five_processes_at_once_and_a_listener_that_is_cut_off(
    feed: LiveFeed, record: Record, url: str, request: pytest.FixtureRequest
) -> None:
    """500 commits of other processes, two of them to the same conversation; every page shows all of its own, in order."""
    shared, own = visit(record), [visit(record) for _ in range(3)]
    pages = [Page(feed, shared), Page(feed, shared), *(Page(feed, session) for session in own)]
    contacts = [shared.contact_id] * 2 + [session.contact_id for session in own]
    processes = [commit_elsewhere(url, contact, events=100, pause_s=0.02) for contact in contacts]
    await until(lambda: all(len(page.texts) > 5 for page in pages), within_s=60)
    if url.startswith("postgresql"):
        postgres: Postgres = request.getfixturevalue("postgres")
        listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        assert "t" in postgres.execute(f"COPY (SELECT pg_terminate_backend(pid) {listening}) TO STDOUT").split()
        committed = sum(len(record.conversation(session.contact_id)) for session in (shared, *own))
        assert committed < 500, "there was more to come when it was cut off"
    for process in processes:
        assert await asyncio.to_thread(process.wait, 60) == 0
    for page in pages:
        stored = [event.data["text"] for event in record.conversation(page.session.contact_id)]
        assert len(stored) == (200 if page.session is shared else 100)
        await until(lambda stored=stored, page=page: len(page.texts) >= len(stored))
        assert page.texts == stored


async def test_a_view_follows_its_session_into_a_merge(feed: LiveFeed, record: Record) -> None:
    session, known = visit(record), record.create_contact()
    page = Page(feed, session)
    record.merge(session.contact_id, known, reason="code", session_id=None)
    say(record, known, "said to both")
    await until(lambda: page.texts == ["said to both"])


async def test_a_merge_that_is_taken_back_takes_the_page_back(
    feed: LiveFeed, record: Record, server: Callable[[], Record]
) -> None:
    """Also for a page that came while the two were one, and was told of nobody else; and wherever it is taken back."""
    before, known = visit(record), record.create_contact()
    visitor = before.contact_id
    record.merge(visitor, known, reason="code", session_id=None)
    pages = [Page(feed, before), Page(feed, record.session(before.session_id))]
    say(record, known, "said to both")
    await until(lambda: all(page.texts == ["said to both"] for page in pages))
    server().unmerge(visitor, reason="not the same person")
    await until(lambda: all(page.view.contact_id == visitor for page in pages))
    say(record, known, "not theirs")
    say(record, visitor, "theirs")
    await until(lambda: all(page.texts == ["said to both", "theirs"] for page in pages))


@pytest.fixture
def told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite the file is not looked at again, which would make up for a wake-up that was lost."""
    monkeypatch.setattr("throughline.record.sqlite_watcher.LOOK_EVERY_S", 60.0)


async def test_what_is_committed_while_a_view_learns_of_a_merge_is_shown(
    told_once: None, feed: LiveFeed, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view has read its session's new contact, and is still known under the old one: whom is the commit to wake?"""
    session, known = visit(record), record.create_contact()
    said = []

    def then(now: Session) -> None:
        if now.contact_id == known and not said:
            said.append("in between")
            say(record, known, *said)

    after_reading(record, then, monkeypatch)
    page = Page(feed, session)
    say(record, session.contact_id, "before")
    await until(lambda: record.session(session.session_id).shown_seq > 0)
    record.merge(session.contact_id, known, reason="code", session_id=None)
    await until(lambda: page.texts == ["before", "in between"])


async def test_what_is_committed_while_a_view_looks_is_shown(
    told_once: None, feed: LiveFeed, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, left = visit(record), ["4", "3", "2", "1"]
    after_reading(record, lambda now: say(record, now.contact_id, left.pop()) if left else None, monkeypatch)
    page = Page(feed, session)
    await until(lambda: page.texts == ["1", "2", "3", "4"])


async def test_more_than_one_batch_is_shown_in_order(feed: LiveFeed, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_BATCH", 2)
    session, texts = visit(record), [str(number) for number in range(7)]
    say(record, session.contact_id, *texts)
    page = Page(feed, session)
    await until(lambda: page.texts == texts)


async def test_while_the_record_does_not_answer_it_is_tried_again(
    feed: LiveFeed, record: Record, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RETRY_S", 0.01)
    page = Page(feed, visit(record))
    say(record, page.session.contact_id, "before")
    await until(lambda: page.texts == ["before"])
    with capture_logs() as logged:
        with without_table(url, "sessions"):
            page.view.wake()
            await until(lambda: any(entry["event"] == "live.read_failed" for entry in logged))
        say(record, page.session.contact_id, "after")
        await until(lambda: page.texts == ["before", "after"])
    assert [entry["event"] for entry in logged].count("live.read_failed") == 1


@pytest.mark.parametrize("asked", ["unseen", "note_shown"])
async def test_while_all_pages_wait_for_the_record_it_has_threads_left(
    feed: LiveFeed, record: Record, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """For the turns: they are more urgent."""
    answers, ask, asking = threading.Event(), getattr(record, asked), []

    def wait(*args: Any, **kwargs: Any) -> Any:
        asking.append(args)
        answers.wait(20)
        return ask(*args, **kwargs)

    monkeypatch.setattr(record, asked, wait)
    sessions = [visit(record) for _ in range(12)]
    for session in sessions:
        say(record, session.contact_id, "1")
    pages = [Page(feed, session) for session in sessions]
    try:
        await until(lambda: len(asking) == 3)
        await asyncio.wait_for(record.call(record.ping), 5)
        assert len(asking) == 3
    finally:
        answers.set()
    await until(lambda: all(page.texts == ["1"] for page in pages))


async def test_an_event_that_cannot_be_shown_does_not_silence_the_page(feed: LiveFeed, record: Record) -> None:
    page = Page(feed, visit(record))
    page.faults.append(KeyError("a fault of ours"))
    with capture_logs() as logged:
        say(record, page.session.contact_id, "cannot be shown", "can be shown")
        await until(lambda: page.texts == ["can be shown"])
    assert "live.show_failed" in [entry["event"] for entry in logged]


async def test_a_page_that_comes_back_at_another_server_is_shown_what_it_missed_and_nothing_twice(
    server: Callable[[], Record],
) -> None:
    first, second = server(), server()
    session = visit(first)
    feed = LiveFeed(first, HOUR)
    page = Page(feed, session)
    say(second, session.contact_id, "1", "2")
    await until(lambda: page.texts == ["1", "2"])
    await page.view.close()
    say(second, session.contact_id, "3")
    await feed.close()
    feed = LiveFeed(second, HOUR)
    back = Page(feed, second.session(session.session_id))
    say(first, session.contact_id, "4")
    await until(lambda: back.texts == ["3", "4"])
    await feed.close()


async def test_how_far_a_page_is_is_noted_once_the_record_answers_again(
    feed: LiveFeed, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RETRY_S", 0.01)
    note, faults = record.note_shown, [Unavailable("the database is away")]

    def note_shown(session_id: str, seq: int) -> None:
        if faults:
            raise faults.pop()
        note(session_id, seq)

    monkeypatch.setattr(record, "note_shown", note_shown)
    page = Page(feed, visit(record))
    say(record, page.session.contact_id, "1")
    await until(lambda: record.session(page.session.session_id).shown_seq > 0)
    assert page.texts == ["1"]


async def test_nothing_is_read_for_a_page_that_may_be_shown_nothing(
    feed: LiveFeed, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown what holds when it may be shown something again, not what held before."""
    read: list[Session] = []
    after_reading(record, read.append, monkeypatch)
    session, known = visit(record), record.create_contact()
    page = Page(feed, session)
    await until(lambda: len(read) == 1)
    page.may_show.clear()
    say(record, session.contact_id, "1")
    record.merge(session.contact_id, known, reason="code", session_id=None)
    await asyncio.sleep(0.05)
    assert (len(read), page.texts) == (1, [])
    page.may_show.set()
    await until(lambda: page.texts == ["1"])
    assert read[1].contact_id == known


async def test_a_view_of_a_session_that_was_erased_ends(feed: LiveFeed, record: Record, url: str) -> None:
    page = Page(feed, visit(record))
    engine = sa.create_engine(url)
    with capture_logs() as logged:
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM sessions"))
        page.view.wake()
        await until(lambda: any(entry["event"] == "live.session_gone" for entry in logged))
    engine.dispose()
    await page.view.close()


async def test_a_view_that_was_closed_shows_nothing_more(feed: LiveFeed, record: Record) -> None:
    closed, other = Page(feed, visit(record)), Page(feed, visit(record))
    await closed.view.close()
    say(record, closed.session.contact_id, "to nobody")
    say(record, other.session.contact_id, "to somebody")
    await until(lambda: other.texts == ["to somebody"])
    assert closed.texts == []
