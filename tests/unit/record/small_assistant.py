"""A small assistant for the record's tests: Rasa's own processor, forms, two-stage fallback and RulePolicy on a small domain; only the
understanding of sentences is scripted, and every answer is Rasa's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rasa.core.channels.channel import UserMessage
from rasa.core.nlg import TemplatedNaturalLanguageGenerator
from rasa.core.policies.ensemble import DefaultPolicyPredictionEnsemble
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.policies.rule_policy import RulePolicy
from rasa.core.processor import MessageProcessor
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.core.domain import Domain
from rasa.shared.core.generator import TrainingDataGenerator
from rasa.shared.core.training_data.story_reader.yaml_story_reader import YAMLStoryReader
from rasa.shared.core.training_data.structures import StoryGraph

from throughline.record.tracker_store import RecordTrackerStore

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


def trained_policy(domain: Domain, folder: Path) -> RulePolicy:
    """A policy that knows the rules."""
    storage = LocalModelStorage.create(folder)
    policy = RulePolicy(RulePolicy.get_default_config(), storage, Resource("rules"), ExecutionContext(GraphSchema({}), "model"))
    steps = YAMLStoryReader(domain).read_from_string(RULES)
    policy.train(TrainingDataGenerator(StoryGraph(steps), domain).generate(), domain)
    return policy


def random_sayings(seed: int, count: int, among: Sequence[tuple[str, dict[str, str]]] = SAYINGS) -> list[str]:
    choices = random.Random(seed)  # noqa: S311 - a repeatable conversation, no secret
    picked = [choices.choice(among) for _ in range(count)]
    return [" ".join([intent, *(f"{name}={value}" for name, value in entities.items())]) for intent, entities in picked]
