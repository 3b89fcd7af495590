"""Rasa's tracker store and lock store on the record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from rasa.core.agent import Agent
from rasa.core.lock_store import LockError, LockStore
from rasa.core.tracker_store import FailSafeTrackerStore, InMemoryTrackerStore, SQLTrackerStore, TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, Event, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig

from throughline.errors import ConfigurationError, Unavailable
from throughline.record import Record
from throughline.record.lock_store import RecordLockStore
from throughline.record.tracker_store import RecordTrackerStore
from throughline.record.turn_context import TurnContext, current

pytestmark = pytest.mark.unit

DOMAIN = Domain.from_yaml(
    """
    version: "3.1"
    slots:
      appliance: {type: text, mappings: [{type: custom}]}
      postcode: {type: text, mappings: [{type: custom}]}
    """
)


@pytest.fixture
def store(url: str, record: Record) -> RecordTrackerStore:
    return RecordTrackerStore(DOMAIN, url)


@pytest.fixture
def turn() -> Iterator[TurnContext]:
    context = TurnContext("s_1", "phone")
    token = current.set(context)
    yield context
    current.reset(token)


def exchange(text: str) -> list[Event]:
    return [ActionExecuted("action_listen"), UserUttered(text, metadata={"source": "speech"}), BotUttered(f"You said {text}")]


def texts(tracker: DialogueStateTracker) -> list[str]:
    return [event.text for event in tracker.events if isinstance(event, UserUttered)]


async def test_what_is_saved_is_there_after_a_restart(
    store: RecordTrackerStore, url: str, record: Record, reopen: Callable[[], Record]
) -> None:
    tracker = await store.get_or_create_tracker("c_1", append_action_listen=False)
    tracker.update_with_events([*exchange("hello"), SlotSet("appliance", "dryer")], DOMAIN)
    await store.save(tracker)
    record.close()
    restarted = RecordTrackerStore(DOMAIN, url)
    assert restarted.record is reopen()
    found = await restarted.retrieve("c_1")
    assert list(found.events) == list(tracker.events)
    assert [event.timestamp for event in found.events] == [event.timestamp for event in tracker.events]
    assert found.get_slot("appliance") == "dryer"
    assert await restarted.retrieve("c_2") is None
    assert list(await restarted.keys()) == ["c_1"]


async def test_each_event_is_saved_once_however_often_a_turn_saves(store: RecordTrackerStore) -> None:
    tracker = await store.get_or_create_tracker("c_1")
    for text in ("one", "two"):
        tracker.update_with_events(exchange(text), DOMAIN)
        await store.save(tracker)
        await store.save(tracker)
        tracker = await store.retrieve("c_1")
        await store.save(tracker)
    assert texts(await store.retrieve_full_tracker("c_1")) == ["one", "two"]
    assert store.record.window("c_1").head.version == 3  # the first action_listen, and two turns


async def test_saved_events_carry_where_they_came_from(store: RecordTrackerStore, turn: TurnContext) -> None:
    shared = {"source": "speech"}
    tracker = await store.get_or_create_tracker("c_1", append_action_listen=False)
    tracker.update(UserUttered("hello", metadata=shared))
    tracker.update(BotUttered("hello yourself"))
    await store.save(tracker)
    stored = store.record.conversation("c_1")
    assert [(event.session_id, event.channel) for event in stored] == [("s_1", "phone")] * 2
    assert [event["metadata"]["event_id"] for event in turn.saved] == [event.event_id for event in stored]
    assert [event.metadata["event_id"] for event in tracker.events] == [event.event_id for event in stored]
    assert shared == {"source": "speech"}
    assert stored[0].data["metadata"]["source"] == "speech"


async def test_an_event_id_that_a_client_made_up_hides_nothing(store: RecordTrackerStore) -> None:
    tracker = await store.get_or_create_tracker("c_1")
    known = str(tracker.events[0].metadata["event_id"])
    for claim in ("e_made_up", "window:slot:appliance"):
        tracker.update(UserUttered(f"claims {claim}", metadata={"event_id": claim}))
    await store.save(tracker)
    assert len({event.event_id for event in store.record.conversation("c_1")} - {known}) == 2
    assert texts(await store.retrieve("c_1")) == ["claims e_made_up", "claims window:slot:appliance"]


async def test_of_two_who_loaded_the_same_tracker_the_second_to_save_fails_and_changes_nothing(
    store: RecordTrackerStore,
) -> None:
    await store.save(await store.get_or_create_tracker("c_1"))
    first, second = await store.retrieve("c_1"), await store.retrieve("c_1")
    first.update_with_events(exchange("first"), DOMAIN)
    second.update_with_events(exchange("second"), DOMAIN)
    await store.save(first)
    with pytest.raises(Unavailable):
        await store.save(second)
    assert texts(await store.retrieve("c_1")) == ["first"]


async def test_a_failed_save_raises_and_can_be_tried_again(store: RecordTrackerStore) -> None:
    tracker = await store.get_or_create_tracker("c_1")
    tracker.update_with_events(exchange("hello"), DOMAIN)

    def fail(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("UPDATE tracker_heads"):  # the events are inserted by then
            raise sa.exc.OperationalError(statement, {}, OSError("no space left"))

    engine = store.record._database.ways.engine
    sa.event.listen(engine, "before_cursor_execute", fail)
    with pytest.raises(Unavailable):
        await store.save(tracker)
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert texts(await store.retrieve("c_1")) == []
    await store.save(tracker)
    assert texts(await store.retrieve("c_1")) == ["hello"]


async def test_a_tracker_made_elsewhere_brings_the_events_that_are_new(store: RecordTrackerStore) -> None:
    made = DialogueStateTracker.from_events("sender-of-a-tool", exchange("one"), DOMAIN.slots)
    await store.save(made)
    stored = await store.retrieve("sender-of-a-tool")
    sent_back = [event.as_dict() for event in stored.events] + [UserUttered("two").as_dict()]
    await store.save(DialogueStateTracker.from_dict("sender-of-a-tool", sent_back, DOMAIN.slots))
    assert texts(await store.retrieve("sender-of-a-tool")) == ["one", "two"]


async def test_an_alias_reads_and_writes_the_living_contacts_tracker(store: RecordTrackerStore) -> None:
    caller, customer = store.record.create_contact(), store.record.create_contact()
    for contact, text, postcode in ((caller, "call", "12345"), (customer, "chat", None)):
        tracker = await store.get_or_create_tracker(contact)
        tracker.update_with_events([*exchange(text), *([SlotSet("postcode", postcode)] if postcode else [])], DOMAIN)
        await store.save(tracker)
    loaded_before = await store.retrieve(caller)
    store.record.merge(caller, customer, reason="code", session_id=None)
    tracker = await store.retrieve(caller)
    assert (texts(tracker), tracker.get_slot("postcode")) == (["chat"], "12345")
    tracker.update_with_events(exchange("later"), DOMAIN)
    await store.save(tracker)
    assert texts(await store.retrieve(customer)) == ["chat", "later"]
    loaded_before.update_with_events(exchange("too late"), DOMAIN)
    with pytest.raises(Unavailable):
        await store.save(loaded_before)


async def test_a_slot_that_a_newer_model_no_longer_has_does_no_harm(store: RecordTrackerStore, url: str) -> None:
    tracker = await store.get_or_create_tracker("c_1")
    tracker.update_with_events([SlotSet("appliance", "dryer"), *exchange("hello")], DOMAIN)
    await store.save(tracker)
    store.domain = Domain.empty()
    found = await store.retrieve("c_1")
    assert texts(found) == ["hello"]
    store.domain = DOMAIN


def test_trackers_are_saved_from_two_event_loops_at_once(store: RecordTrackerStore) -> None:
    locks = RecordLockStore(EndpointConfig(store.record.url))

    async def turns(name: str) -> None:
        for number in range(10):
            async with locks.lock("c_1"):
                tracker = await store.get_or_create_tracker("c_1")
                tracker.update_with_events(exchange(f"{name}{number}"), DOMAIN)
                await store.save(tracker)

    threads = [threading.Thread(target=asyncio.run, args=(turns(name),)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = texts(asyncio.run(store.retrieve_full_tracker("c_1")))
    assert sorted(said) == sorted(f"{name}{number}" for name in "ab" for number in range(10))
    assert [text for text in said if text[0] == "a"] == [f"a{number}" for number in range(10)]


async def test_rasas_stock_store_reads_the_same_events(store: RecordTrackerStore) -> None:
    tracker = await store.get_or_create_tracker("c_1")
    tracker.update_with_events(exchange("hello"), DOMAIN)
    await store.save(tracker)
    stock = SQLTrackerStore(DOMAIN, host=store.record.url)
    assert list((await stock.retrieve("c_1")).events) == list(tracker.events)
    stock.engine.dispose()


def test_rasa_puts_no_fail_safe_around_this_store_and_leaves_others_as_they_are(store: RecordTrackerStore) -> None:
    assert Agent._create_tracker_store(store, DOMAIN) is store
    assert isinstance(Agent._create_tracker_store(InMemoryTrackerStore(DOMAIN), DOMAIN), FailSafeTrackerStore)
    assert isinstance(Agent._create_tracker_store(None, DOMAIN), FailSafeTrackerStore)


def test_rasa_builds_both_stores_from_the_settings(url: str, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    store = TrackerStore.create(EndpointConfig(type="throughline.record.tracker_store.RecordTrackerStore"), DOMAIN)
    assert isinstance(store, RecordTrackerStore)
    assert store.record is record
    locks = LockStore.create(EndpointConfig(type="throughline.record.lock_store.RecordLockStore"))
    assert isinstance(locks, RecordLockStore)


def test_faulty_settings_are_all_reported(url: str) -> None:
    with pytest.raises(ConfigurationError) as store_fault:
        RecordTrackerStore(DOMAIN, url, pool_size=5, dialect="x")
    assert [problem.where.split(".")[-1] for problem in store_fault.value.problems] == ["dialect", "pool_size"]
    with pytest.raises(ConfigurationError) as lock_fault:
        RecordLockStore(EndpointConfig(url, wait_s="long", ttl=5))
    assert [problem.where.split(".")[-1] for problem in lock_fault.value.problems] == ["ttl", "wait_s"]


async def test_every_instance_with_the_same_url_shares_the_locks(record: Record) -> None:
    one, other = RecordLockStore(EndpointConfig(record.url)), RecordLockStore(EndpointConfig(record.url, wait_s=0.5))
    async with one.lock("c_1"):
        async with other.lock("c_2"):
            pass
        with pytest.raises(LockError):
            async with other.lock("c_1"):
                pass
    async with other.lock("c_1"):
        pass


async def test_a_turn_that_fails_lets_the_lock_go(record: Record) -> None:
    locks = RecordLockStore(EndpointConfig(record.url, wait_s=0.5))
    with pytest.raises(RuntimeError, match="the turn's fault"):
        async with locks.lock("c_1"):
            raise RuntimeError("the turn's fault")
    async with locks.lock("c_1"):
        pass
