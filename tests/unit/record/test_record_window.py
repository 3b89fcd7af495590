"""A conversation over the live window goes exactly as it would over its whole history.

Rasa's own processor, forms, two-stage fallback and RulePolicy run here on a small domain; only the understanding of sentences is
scripted. Random conversations are held over a window of few turns, and after every turn compared with a tracker over all events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.policies.rule_policy import RulePolicy
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import UserUttered

from tests.unit.record.small_assistant import DOMAIN, ScriptedProcessor, random_sayings, trained_policy
from throughline import log
from throughline.record.tracker_store import RecordTrackerStore
from throughline.record.window import header_events

pytestmark = pytest.mark.unit

WINDOW = 4


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Rasa writes pages of debug lines a turn, which pytest would keep."""
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
def converse(policy: RulePolicy, domain: Domain, tmp_path: Path) -> Callable[..., Any]:
    """Says one thing over a window of so many turns; what is answered, and two trackers: the next turn's, and one over all events."""
    stores: dict[int, RecordTrackerStore] = {}

    async def say(text: str, window: int) -> tuple[list[str], Any, Any]:
        if window not in stores:
            stores[window] = RecordTrackerStore(domain, f"sqlite:///{tmp_path}/{window}.db", window_user_turns=window)
        output = CollectingOutputChannel()
        await ScriptedProcessor(policy, domain, stores[window]).handle_message(UserMessage(text, output, "c_1"))
        answers = [message["text"] for message in output.messages]
        return answers, await stores[window].retrieve("c_1"), await stores[window].retrieve_full_tracker("c_1")

    yield say
    for store in stores.values():
        store.record.close()


def outside(tracker: Any) -> dict[str, Any]:
    """What actions, policies and channels see of a tracker."""
    loop = tracker.active_loop
    return {
        "slots": tracker.current_slot_values(),
        "loop": None if loop is None else (loop.name, loop.rejected, loop.is_interrupted),
        "latest_message": None if tracker.latest_message is None else tracker.latest_message.text,
        "latest_action": tracker.latest_action_name,
        "followup": tracker.followup_action,
        "paused": tracker.is_paused(),
    }


def user_turns(tracker: Any) -> int:
    return sum(event.type_name == "user" for event in tracker.events)


@pytest.mark.parametrize("seed", range(3))
async def test_slots_form_recent_turns_and_predictions_are_those_of_the_whole_conversation(
    seed: int, converse: Callable[..., Any], policy: RulePolicy, domain: Domain
) -> None:
    cuts = 0
    for saying in random_sayings(seed, 40):
        _, windowed, whole = await converse(saying, WINDOW)
        assert outside(windowed) == outside(whole)
        states, all_states = windowed.past_states(domain), whole.past_states(domain)
        assert states[-WINDOW:] == all_states[-WINDOW:]
        next_actions = []
        for tracker in (windowed, whole):
            tracker.update(UserUttered("hours", {"name": "hours", "confidence": 0.5}))
            probabilities = policy.predict_action_probabilities(tracker, domain).probabilities
            next_actions.append(domain.action_names_or_texts[probabilities.index(max(probabilities))])
        assert next_actions[0] == next_actions[1]
        cuts += user_turns(windowed) < user_turns(whole)
    assert cuts > 5


async def test_a_window_stays_bounded_in_a_form_that_never_ends(converse: Callable[..., Any]) -> None:
    await converse("report", WINDOW)
    longest = 0
    for saying in random_sayings(7, 45, [("inform", {}), ("hours", {}), ("inform", {"appliance": "dryer"})]):
        _, tracker, _ = await converse(saying, WINDOW)
        longest = max(longest, user_turns(tracker))
    assert tracker.active_loop_name == "visit_form"
    assert WINDOW < longest <= 6 * WINDOW


async def test_a_header_is_never_saved_and_the_whole_history_stays(
    converse: Callable[..., Any], tmp_path: Path, domain: Domain
) -> None:
    sayings = ["report appliance=washer", *random_sayings(3, 12, [("greet", {}), ("hours", {})])]
    for saying in sayings:
        _, tracker, _ = await converse(saying, WINDOW)
    assert [event.type_name for event in tracker.events][:3] == ["slot", "slot", "active_loop"]
    store = RecordTrackerStore(domain, f"sqlite:///{tmp_path}/{WINDOW}.db")
    stored = store.record.conversation("c_1")
    assert [event.data["text"] for event in stored if event.type_name == "user"] == sayings
    assert not [event for event in stored if event.event_id.startswith("window:")]
    whole = await store.retrieve_full_tracker("c_1")
    assert user_turns(whole) == len(sayings)
    assert outside(whole) == outside(tracker)


def test_a_header_is_slots_first_and_then_the_form() -> None:
    header = {"at": 5.0, "slots": {"appliance": "washer", "requested_slot": None}, "loop": "visit_form"}
    events = header_events(header)
    assert [(event["event"], event["name"]) for event in events] == [
        ("slot", "appliance"),
        ("slot", "requested_slot"),
        ("active_loop", "visit_form"),
    ]
    assert {event["timestamp"] for event in events} == {5.0}
    assert header_events(None) == []
