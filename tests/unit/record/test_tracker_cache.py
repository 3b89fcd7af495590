"""A tracker from memory is the one that would be rebuilt from the record, whoever has written meanwhile, and it reads only what is new.

Random conversations are held by two servers' stores in turn, over one record; after each turn a third one, which remembers nothing,
rebuilds the tracker from what is stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.policies.rule_policy import RulePolicy
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    BotUttered,
    DefinePrevUserUtteredFeaturization,
    EntitiesAdded,
    Event,
    SessionStarted,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from tests.unit.record.small_assistant import DOMAIN, ScriptedProcessor, random_sayings, trained_policy
from throughline import log
from throughline.errors import Unavailable
from throughline.record import Record
from throughline.record.entries import Head, Held
from throughline.record.schema import contacts, events, tracker_heads
from throughline.record.tracker_cache import Kept, TrackerCache
from throughline.record.tracker_store import RecordTrackerStore

pytestmark = pytest.mark.unit

WINDOW = 4


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    log.configure(level="WARNING")
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.from_yaml(DOMAIN)


@pytest.fixture(scope="module")
def policy(domain: Domain, tmp_path_factory: pytest.TempPathFactory) -> RulePolicy:
    return trained_policy(domain, tmp_path_factory.mktemp("model"))


@pytest.fixture
def server(url: str, record: Record, domain: Domain) -> Callable[[], RecordTrackerStore]:
    """A store with a memory of its own, as each server has one."""
    return lambda: RecordTrackerStore(domain, url, window_user_turns=WINDOW)


@pytest.fixture
def reads(record: Record) -> list[str]:
    """The statements that have read events."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT events.data"):
            seen.append(statement)

    sa.event.listen(record._database.ways.engine, "before_cursor_execute", note)
    return seen


def everything(tracker: DialogueStateTracker, domain: Domain) -> dict[str, Any]:
    """All that policies, actions and channels can see of a tracker."""
    loop = tracker.active_loop
    return {
        "state": tracker.current_state(),
        "events": [(event.as_dict(), getattr(event, "use_text_for_featurization", None)) for event in tracker.events],
        "applied": [event.as_dict() for event in tracker.applied_events()],
        "slots": {name: slot.__dict__ for name, slot in tracker.slots.items()},
        "loop": None if loop is None else vars(loop),
        "latest": (timeless(tracker.latest_message), tracker.latest_message.entities, timeless(tracker.latest_bot_utterance)),
        "action": (tracker.latest_action, tracker.followup_action, tracker.is_paused(), tracker.is_rule_tracker),
        "states": tracker.past_states(domain),
    }


def timeless(event: Event) -> dict[str, Any]:
    """Before anything was said, Rasa makes up an empty event of the present moment."""
    return {key: value for key, value in event.as_dict().items() if key != "timestamp"}


def exchange(text: str) -> list[Event]:
    return [UserUttered(text, {"name": "greet"}), BotUttered(f"You said {text}"), ActionExecuted("action_listen")]


async def take(store: RecordTrackerStore, *told: Event) -> DialogueStateTracker:
    """A turn in which these events happen."""
    tracker = await store.get_or_create_tracker("c_1")
    tracker.update_with_events(list(told), store.domain)
    await store.save(tracker)
    return tracker


@pytest.mark.parametrize("seed", range(3))
async def test_after_every_turn_of_either_server_memory_and_record_say_the_same(
    seed: int, server: Callable[[], RecordTrackerStore], policy: RulePolicy, domain: Domain, reads: list[str]
) -> None:
    servers = [server(), server()]
    choices = random.Random(seed)  # noqa: S311 - a repeatable conversation, no secret
    for saying in random_sayings(seed, 40):
        store = choices.choice(servers)
        await ScriptedProcessor(policy, domain, store).handle_message(UserMessage(saying, CollectingOutputChannel(), "c_1"))
        rebuilt = everything(await server().retrieve("c_1"), domain)
        assert everything(await store.retrieve("c_1"), domain) == rebuilt
        one = choices.choice(servers)
        assert everything(await one.retrieve("c_1"), domain) == rebuilt
        reads.clear()
        assert everything(await one.retrieve("c_1"), domain) == rebuilt, "and again"
        assert reads == [], "from memory"


async def test_a_turn_after_ones_own_reads_no_events_at_all(server: Callable[[], RecordTrackerStore], reads: list[str]) -> None:
    store = server()
    await take(store, *exchange("hello"))
    await store.retrieve("c_1")
    reads.clear()
    for text in ("one", "two"):
        await take(store, *exchange(text))
    assert reads == []


async def test_after_another_servers_turn_only_what_that_one_has_added_is_read(
    server: Callable[[], RecordTrackerStore], record: Record
) -> None:
    here, there = server(), server()
    await take(here, *exchange("hello"))
    await here.retrieve("c_1")
    await take(there, *exchange("from there"))
    window = await here.look("c_1", likely="c_1")
    assert [data["event"] for data in window.events] == ["user", "bot", "action"]
    assert window.beyond is not None
    assert [event.text for event in (await here.retrieve("c_1")).events if event.type_name == "user"] == ["hello", "from there"]


async def test_what_a_turn_does_to_its_tracker_and_does_not_save_leaves_no_trace(
    server: Callable[[], RecordTrackerStore], domain: Domain
) -> None:
    store = server()
    await take(store, ActionExecuted("action_listen"), UserUttered("hello", {"name": "greet"}))  # saved in the middle of a turn
    await store.retrieve("c_1")
    before = everything(await store.retrieve("c_1"), domain)
    abandoned = await store.retrieve("c_1")
    for event in (
        EntitiesAdded([{"entity": "appliance", "value": "dryer"}]),
        DefinePrevUserUtteredFeaturization(True),
        SlotSet("appliance", "dryer"),
        *exchange("never saved"),
    ):
        abandoned.update(event)
    assert everything(await store.retrieve("c_1"), domain) == before
    assert everything(await server().retrieve("c_1"), domain) == before


async def test_what_is_no_event_is_not_remembered_either(server: Callable[[], RecordTrackerStore], domain: Domain) -> None:
    store = server()
    await take(store, *exchange("hello"))
    tracker = await store.retrieve("c_1")
    tracker.update_with_events(exchange("more"), domain)
    tracker.trigger_followup_action("utter_greet")
    tracker.slots["appliance"].value = "set behind the events' back"
    await store.save(tracker)
    assert everything(await store.retrieve("c_1"), domain) == everything(await server().retrieve("c_1"), domain)


async def test_a_failed_save_leaves_memory_as_the_record_is(
    server: Callable[[], RecordTrackerStore], record: Record, domain: Domain
) -> None:
    store, other = server(), server()
    await take(store, *exchange("hello"))
    stale = await store.retrieve("c_1")
    await take(other, *exchange("meanwhile"))
    stale.update_with_events(exchange("too late"), domain)
    with pytest.raises(Unavailable):
        await store.save(stale)
    assert everything(await store.retrieve("c_1"), domain) == everything(await server().retrieve("c_1"), domain)


async def test_the_next_model_gets_the_slots_it_has(server: Callable[[], RecordTrackerStore], domain: Domain) -> None:
    store = server()
    await take(store, SlotSet("appliance", "dryer"), *exchange("hello"))
    await store.retrieve("c_1")
    newer = Domain.from_yaml(DOMAIN.replace("  day: {", "  brand: {type: text, mappings: [{type: custom}]}\n  day: {"))
    store.domain = newer
    tracker = await store.retrieve("c_1")
    assert set(tracker.slots) == {slot.name for slot in newer.slots} != {slot.name for slot in domain.slots}
    assert tracker.get_slot("appliance") == "dryer"


async def test_a_merge_and_what_it_carries_over_is_seen_at_once(
    server: Callable[[], RecordTrackerStore], record: Record, domain: Domain
) -> None:
    store = server()
    caller, customer = record.create_contact(), record.create_contact()
    for contact, told in ((caller, SlotSet("postcode", "12345")), (customer, SlotSet("appliance", "dryer"))):
        tracker = await store.get_or_create_tracker(contact)
        tracker.update_with_events([told, *exchange(contact)], domain)
        await store.save(tracker)
        await store.retrieve(contact)
    record.merge(caller, customer, reason="code", session_id=None)
    for contact in (customer, caller, caller):
        tracker = await store.retrieve(contact)
        assert (tracker.get_slot("postcode"), tracker.get_slot("appliance")) == ("12345", "dryer")
        assert tracker.sender_id == contact
        again = await server().retrieve(contact)
        assert everything(tracker, domain) == everything(again, domain)


def erase(record: Record, *conditions: Any) -> None:
    """Take events away, and begin the window anew, without a word to anybody."""
    with record._database.writing() as connection:
        connection.execute(events.delete().where(events.c.sender_id == "c_1", *conditions))
        connection.execute(tracker_heads.update().values(version=tracker_heads.c.version + 1))


async def test_what_was_erased_is_not_remembered(server: Callable[[], RecordTrackerStore], record: Record) -> None:
    store = server()
    await take(store, SlotSet("postcode", "12345"), *exchange("hello"))
    await store.retrieve("c_1")
    erase(record, events.c.type_name == "slot")
    assert (await store.retrieve("c_1")).get_slot("postcode") is None


async def test_who_was_erased_and_comes_back_under_the_same_id_is_somebody_new(
    server: Callable[[], RecordTrackerStore], record: Record
) -> None:
    """Rasa's own tools make up ids, and use them again."""
    here, there = server(), server()
    await take(here, *exchange("hello"))
    await take(here, *exchange("again"))
    await here.retrieve("c_1")
    with record._database.writing() as connection:
        connection.execute(events.delete())
        connection.execute(tracker_heads.delete())
        connection.execute(contacts.delete())
    assert await here.retrieve("c_1") is None
    for text in ("somebody", "else"):  # as many turns as before
        await take(there, *exchange(text))
    assert [event.text for event in (await here.retrieve("c_1")).events if event.type_name == "user"] == ["somebody", "else"]


async def test_after_a_lock_was_taken_away_all_is_read_again(
    server: Callable[[], RecordTrackerStore], record: Record, reads: list[str]
) -> None:
    store = server()
    await take(store, *exchange("hello"))
    await store.retrieve("c_1")
    record.take_away("c_1")
    reads.clear()
    await store.retrieve("c_1")
    assert len(reads) == 1


async def test_a_tracker_dropped_between_looking_and_loading_is_read(server: Callable[[], RecordTrackerStore]) -> None:
    store = server()
    await take(store, *exchange("hello"))
    before = await store.retrieve("c_1")
    read = store.record.window

    def window(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        store._cache.forget("c_1")
        return found

    store.record.window = window  # type: ignore[method-assign]
    assert list((await store.retrieve("c_1")).events) == list(before.events)
    del store.record.window


async def test_a_session_of_rasas_own_begins_the_window(server: Callable[[], RecordTrackerStore], domain: Domain) -> None:
    store = server()
    await take(store, SlotSet("appliance", "dryer"), *exchange("before"))
    await take(store, ActionExecuted("action_session_start"), SessionStarted(), ActionExecuted("action_listen"))
    await take(store, *exchange("after"))
    tracker = await store.retrieve("c_1")
    assert [event.type_name for event in tracker.events] == ["session_started", "action", "user", "bot", "action"]
    assert tracker.get_slot("appliance") is None
    assert everything(tracker, domain) == everything(await server().retrieve("c_1"), domain)


class Tracker:
    """So many events."""

    def __init__(self, length: int) -> None:
        self.events = [None] * length


def kept(contact_id: str, length: int, version: int = 1) -> Kept:
    return Kept(Tracker(length), Held(Head(contact_id, version), 0, length), DOMAIN)


def held_of(cache: TrackerCache, *contact_ids: str) -> list[bool]:
    return [cache.held(contact_id, DOMAIN) is not None for contact_id in contact_ids]


def test_memory_is_bounded_and_what_was_used_last_stays() -> None:
    cache = TrackerCache(most_events=10, longest=6)
    for contact_id in ("a", "b", "c"):
        cache.keep(kept(contact_id, 3))
    assert cache.at(Head("a", 1), DOMAIN) is not None
    cache.keep(kept("d", 3))
    assert held_of(cache, "a", "b", "c", "d") == [True, False, True, True]
    cache.keep(kept("a", 6, version=2))
    assert held_of(cache, "a", "c", "d") == [True, False, True], "a longer one in place of the shorter"


def test_a_tracker_that_is_too_long_is_not_kept_and_neither_is_what_it_stands_for() -> None:
    cache = TrackerCache(most_events=10, longest=6)
    cache.keep(kept("a", 6))
    cache.keep(kept("a", 7, version=2))
    assert held_of(cache, "a") == [False]
    cache.keep(kept("b", 6))
    cache.keep(kept("c", 4))
    assert held_of(cache, "b", "c") == [True, True], "it takes no room"


def test_only_the_very_head_and_domain_are_answered() -> None:
    cache = TrackerCache()
    cache.keep(kept("a", 3))
    assert cache.at(Head("a", 1, last_seq=5), DOMAIN) is None
    assert cache.at(Head("a", 2), DOMAIN) is None
    assert cache.at(Head("a", 1, fence=1), DOMAIN) is None
    assert cache.at(Head("a", 1), "another domain") is None
    assert cache.held("a", "another domain") is None
    cache.forget("a")
    assert cache.at(Head("a", 1), DOMAIN) is None
