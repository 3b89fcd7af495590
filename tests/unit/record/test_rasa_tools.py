"""Rasa's own tools on the record, on both databases: what its SQLTrackerStore promises holds for ours, it reads our table itself, and
``rasa export`` brings out everything, once, through either store.

The promises are those of Rasa's own tests of SQLTrackerStore; here the same is done to both stores, and both have to answer alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rasa.__main__ import create_argument_parser
from rasa.core.tracker_store import SQLTrackerStore, TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, Event, SessionStarted, SlotSet, UserUttered

from tests.postgres import Postgres
from throughline.record import Record
from throughline.record.tracker_store import RecordTrackerStore

pytestmark = pytest.mark.unit

DOMAIN = Domain.from_yaml(
    """
    version: "3.1"
    slots:
      appliance: {type: text, mappings: [{type: custom}]}
    """
)
BEGIN: tuple[Callable[[], Event], ...] = (
    lambda: ActionExecuted("action_session_start"),
    SessionStarted,
    lambda: ActionExecuted("action_listen"),
)


@pytest.fixture
def ours(url: str, record: Record) -> RecordTrackerStore:
    return RecordTrackerStore(DOMAIN, url)


@pytest.fixture
def reader(url: str, record: Record) -> Iterator[SQLTrackerStore]:
    """Rasa's store on our table."""
    store = SQLTrackerStore(DOMAIN, host=url)
    yield store
    store.engine.dispose()


@pytest.fixture
def stock(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Iterator[SQLTrackerStore]:
    """Rasa's store on a database of its own."""
    own = f"sqlite:///{tmp_path}/stock.db"
    if url.startswith("postgresql"):
        postgres: Postgres = request.getfixturevalue("postgres")
        own = postgres.url(postgres.create_database())
    store = SQLTrackerStore(DOMAIN, host=own)
    yield store
    store.engine.dispose()


def begin() -> list[Event]:
    return [make() for make in BEGIN]


def exchange(text: str) -> list[Event]:
    return [UserUttered(text, {"name": "inform"}), BotUttered(f"You said {text}"), ActionExecuted("action_listen")]


def told(tracker: Any) -> list[str]:
    """What a tracker's events say."""
    return [
        f"{event.type_name}:{getattr(event, 'text', None) or getattr(event, 'action_name', '')}" for event in tracker.events
    ]


def from_session(events: list[str]) -> list[str]:
    """From the latest beginning of a session on."""
    starts = [index for index, event in enumerate(events) if event.startswith("session_started")]
    return events[starts[-1] :] if starts else events


async def tell(store: TrackerStore, *events: Event, sender: str = "c_1") -> None:
    tracker = await store.get_or_create_tracker(sender, append_action_listen=False)
    tracker.update_with_events(list(events), DOMAIN)
    await store.save(tracker)


async def test_only_new_events_are_saved(ours: RecordTrackerStore, stock: SQLTrackerStore) -> None:
    for store in (ours, stock):
        tracker = await store.get_or_create_tracker("c_1")
        for text in ("one", "two"):
            tracker.update_with_events(exchange(text), DOMAIN)
            await store.save(tracker)
            await store.save(tracker)
        tracker = await store.retrieve("c_1")
        await store.save(tracker)
        assert [event for event in told(await store.retrieve_full_tracker("c_1")) if event[:4] == "user"] == [
            "user:one",
            "user:two",
        ]


async def test_also_after_a_session_has_begun_only_new_events_are_saved(
    ours: RecordTrackerStore, stock: SQLTrackerStore
) -> None:
    for store in (ours, stock):
        await tell(store, *begin(), *exchange("one"))
        await tell(store, *begin(), *exchange("two"))
        await tell(store, *exchange("three"))
    whole = told(await ours.retrieve_full_tracker("c_1"))
    assert whole == told(await stock.retrieve_full_tracker("c_1"))
    assert len(whole) == 3 * 3 + 2 * 3


async def test_only_the_latest_session_is_retrieved(ours: RecordTrackerStore, stock: SQLTrackerStore) -> None:
    for store in (ours, stock):
        await tell(store, *begin(), SlotSet("appliance", "dryer"), *exchange("one"))
        await tell(store, *begin(), *exchange("two"))
        await tell(store, *exchange("three"))
        tracker = await store.retrieve("c_1")
        assert told(tracker) == [
            "session_started:", "action:action_listen", "user:two", "bot:You said two", "action:action_listen",
            "user:three", "bot:You said three", "action:action_listen",
        ]  # fmt: skip
        assert tracker.get_slot("appliance") is None


async def test_without_sessions_everything_is_retrieved(ours: RecordTrackerStore, stock: SQLTrackerStore) -> None:
    for store in (ours, stock):
        await tell(store, *exchange("one"))
        await tell(store, *exchange("two"))
        assert [event for event in told(await store.retrieve("c_1")) if event[:4] == "user"] == ["user:one", "user:two"]


async def test_the_full_tracker_spans_sessions(ours: RecordTrackerStore, stock: SQLTrackerStore) -> None:
    for store in (ours, stock):
        await tell(store, *begin(), *exchange("one"))
        await tell(store, *begin(), *exchange("two"))
        users = [event for event in told(await store.retrieve_full_tracker("c_1")) if event[:4] == "user"]
        assert users == ["user:one", "user:two"]


async def test_of_nobody_there_is_no_tracker_and_everybody_has_one_of_their_own(
    ours: RecordTrackerStore, stock: SQLTrackerStore
) -> None:
    for store in (ours, stock):
        assert await store.retrieve("c_1") is None
        assert await store.retrieve_full_tracker("c_1") is None
        assert not await store.exists("c_1")
        await tell(store, *exchange("one"))
        await tell(store, *exchange("two"), sender="c_2")
        assert sorted(await store.keys()) == ["c_1", "c_2"]
        assert await store.exists("c_1")
        assert "user:two" not in told(await store.retrieve("c_1"))


async def test_rasas_store_reads_our_table(ours: RecordTrackerStore, reader: SQLTrackerStore) -> None:
    await tell(ours, *begin(), SlotSet("appliance", "dryer"), *exchange("one"))
    await tell(ours, *begin(), *exchange("two"))
    await tell(ours, *exchange("other"), sender="c_2")
    for theirs, own in (
        (await reader.retrieve("c_1"), await ours.retrieve("c_1")),
        (await reader.retrieve_full_tracker("c_1"), await ours.retrieve_full_tracker("c_1")),
    ):
        assert [event.as_dict() for event in theirs.events] == [event.as_dict() for event in own.events]
        assert theirs.current_slot_values() == own.current_slot_values()
    assert sorted(await reader.keys()) == sorted(await ours.keys()) == ["c_1", "c_2"]


async def test_what_was_said_under_an_alias_is_read_under_it(ours: RecordTrackerStore, reader: SQLTrackerStore) -> None:
    caller, customer = ours.record.create_contact(), ours.record.create_contact()
    await tell(ours, *exchange("by phone"), sender=caller)
    await tell(ours, *exchange("by chat"), sender=customer)
    ours.record.merge(caller, customer, reason="code", session_id=None)
    for contact, text in ((caller, "user:by phone"), (customer, "user:by chat")):
        assert text in told(await ours.retrieve_full_tracker(contact))
        assert told(await ours.retrieve_full_tracker(contact)) == told(await reader.retrieve_full_tracker(contact))
    assert "user:by chat" in told(await ours.retrieve(caller)), "and what goes on under it is the living contact's"


@pytest.mark.parametrize("store", ["ours", "stock"])
def test_rasa_export_brings_out_everything_once(
    store: str, url: str, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: list[str]
) -> None:
    """The command as a terminal runs it, into a file in place of a message broker."""
    monkeypatch.setenv("DATABASE_URL", url)
    ours = "{type: throughline.record.tracker_store.RecordTrackerStore}"
    stock = json.dumps({"type": "SQL", "url": url})
    out, endpoints = tmp_path / "exported.jsonl", tmp_path / "endpoints.yml"
    endpoints.write_text(
        f"tracker_store: {ours if store == 'ours' else stock}\nevent_broker: {{type: file, path: {json.dumps(str(out))}}}\n"
    )
    arguments = create_argument_parser().parse_args(["export", "--endpoints", str(endpoints)])
    arguments.func(arguments)
    exported = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(event["metadata"]["event_id"] for event in exported) == sorted(history)
    assert {event["sender_id"] for event in exported} == set(record.tracker_ids())


@pytest.fixture
async def history(url: str, record: Record) -> list[str]:
    """Two people over several sessions, one of whom was somebody else before; the ids of their events."""
    ours = RecordTrackerStore(DOMAIN, url, window_user_turns=6)
    caller, customer, other = (record.create_contact() for _ in range(3))
    await tell(ours, *begin(), SlotSet("appliance", "dryer"), *exchange("by phone"), sender=caller)
    await tell(ours, *begin(), *exchange("by chat"), sender=customer)
    record.merge(caller, customer, reason="code", session_id=None)
    for number in range(30):  # longer than any window
        await tell(ours, *exchange(f"later {number}"), sender=customer)
    await tell(ours, *begin(), *exchange("again"), sender=customer)
    await tell(ours, *begin(), *exchange("hello"), sender=other)
    return [event.event_id for contact in (customer, other) for event in record.conversation(contact)]
