"""A conversation over the live window goes exactly as it would over its whole history.

Rasa's own processor, forms, two-stage fallback and RulePolicy run here on a small domain; only the understanding of sentences is
scripted. Random conversations are held over a window of few turns, and after every turn compared with a tracker over all events.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.nlg import TemplatedNaturalLanguageGenerator
from rasa.core.policies.ensemble import DefaultPolicyPredictionEnsemble
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.policies.rule_policy import RulePolicy
from rasa.core.processor import MessageProcessor
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import UserUttered
from rasa.shared.core.generator import TrainingDataGenerator
from rasa.shared.core.training_data.story_reader.yaml_story_reader import YAMLStoryReader
from rasa.shared.core.training_data.structures import StoryGraph

from throughline import log
from throughline.record.tracker_store import RecordTrackerStore
from throughline.record.window import header_events

pytestmark = pytest.mark.unit

WINDOW = 4

DOMAIN = """
version: "3.1"
intents: [greet, report, inform, hours, forget, nlu_fallback, out_of_scope]
entities: [appliance, postcode]
slots:
  appliance: {type: text, mappings: [{type: from_entity, entity: appliance}]}
  postcode: {type: text, mappings: [{type: from_entity, entity: postcode}]}
  day: {type: text, mappings: [{type: from_text, conditions: [{active_loop: visit_form, requested_slot: day}]}]}
forms:
  visit_form: {required_slots: [appliance, postcode, day]}
responses:
  utter_greet: [{text: "Hello."}]
  utter_hours: [{text: "Eight to six."}]
  utter_booked: [{text: "{appliance}, {postcode}, {day}: booked."}]
  utter_default: [{text: "Pardon?"}]
  utter_ask_rephrase: [{text: "Say it differently."}]
  utter_ask_appliance: [{text: "Which appliance?"}]
  utter_ask_postcode: [{text: "Which postcode?"}]
  utter_ask_day: [{text: "Which day?"}]
"""

RULES = """
version: "3.1"
rules:
- rule: greet
  steps: [{intent: greet}, {action: utter_greet}]
- rule: hours
  steps: [{intent: hours}, {action: utter_hours}]
- rule: out of scope
  steps: [{intent: out_of_scope}, {action: utter_default}]
- rule: forget
  steps: [{intent: forget}, {action: action_restart}]
- rule: fallback
  steps: [{intent: nlu_fallback}, {action: action_two_stage_fallback}, {active_loop: action_two_stage_fallback}]
- rule: report
  steps: [{intent: report}, {action: visit_form}, {active_loop: visit_form}]
- rule: hours while reporting
  condition: [{active_loop: visit_form}]
  steps: [{intent: hours}, {action: utter_hours}, {action: visit_form}, {active_loop: visit_form}]
- rule: all is known
  condition: [{active_loop: visit_form}]
  steps:
  - {action: visit_form}
  - {active_loop: null}
  - {slot_was_set: [{requested_slot: null}]}
  - {action: utter_booked}
"""

SAYINGS: list[tuple[str, dict[str, str]]] = [
    ("greet", {}),
    ("report", {}),
    ("report", {"appliance": "washer"}),
    ("inform", {"appliance": "dryer"}),
    ("inform", {"postcode": "12345"}),
    ("inform", {"postcode": "54321"}),
    ("inform", {}),
    ("hours", {}),
    ("nlu_fallback", {}),
    ("nlu_fallback", {}),
    ("out_of_scope", {}),
    ("forget", {}),
]


class ScriptedProcessor(MessageProcessor):
    """Rasa's processor with a RulePolicy and no model file: a message's text says its intent and entities."""

    def __init__(self, policy: RulePolicy, domain: Domain, store: RecordTrackerStore) -> None:
        self.nlg = TemplatedNaturalLanguageGenerator(domain.responses)
        self.tracker_store = store
        self.max_number_of_predictions = 10
        self.on_circuit_break = None
        self.action_endpoint = None
        self.http_interpreter = None
        self.domain = domain
        self.model_metadata = type("Metadata", (), {"model_id": "m", "assistant_id": "a", "training_type": None})()
        self._policy = policy

    async def parse_message(self, message: UserMessage, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        intent, *entities = message.text.split()
        pairs = [pair.split("=") for pair in entities]
        ranking = [{"name": name, "confidence": 0.5} for name in (intent, "hours")]
        return {
            "text": message.text,
            "intent": ranking[0],
            "intent_ranking": ranking,
            "entities": [{"entity": name, "value": value, "start": 0, "end": 1} for name, value in pairs],
        }

    def _predict_next_with_tracker(self, tracker: Any) -> Any:
        wanted = tracker.followup_action  # as Rasa's own: what an event asked for goes before what policies say
        if wanted is not None:
            tracker.clear_followup_action()
            return PolicyPrediction.for_action_name(self.domain, wanted)
        prediction = self._policy.predict_action_probabilities(tracker, self.domain)
        return DefaultPolicyPredictionEnsemble().combine_predictions([prediction], tracker, self.domain)


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
    storage = LocalModelStorage.create(tmp_path_factory.mktemp("model"))
    policy = RulePolicy(RulePolicy.get_default_config(), storage, Resource("rules"), ExecutionContext(GraphSchema({}), "model"))
    steps = YAMLStoryReader(domain).read_from_string(RULES)
    policy.train(TrainingDataGenerator(StoryGraph(steps), domain).generate(), domain)
    return policy


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


def random_sayings(seed: int, count: int, among: Sequence[tuple[str, dict[str, str]]] = SAYINGS) -> list[str]:
    choices = random.Random(seed)  # noqa: S311 - a repeatable conversation, no secret
    picked = [choices.choice(among) for _ in range(count)]
    return [" ".join([intent, *(f"{name}={value}" for name, value in entities.items())]) for intent, entities in picked]


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
