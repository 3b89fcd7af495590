"""Topics are learned from the pages, stored, loaded, and become the intent where they are surer than any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.shared.core.events import ActiveLoop
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import FEATURE_TYPE_SENTENCE, TEXT
from rasa.shared.nlu.training_data.features import Features
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from throughline.nlu import sentence_model
from throughline.nlu.hybrid_classifier import PARTS, Part
from throughline.nlu.knowledge_selector import KnowledgeSelector
from throughline.nlu.sentence_featurizer import FEATURES_NAME

pytestmark = pytest.mark.unit

CONTEXT = ExecutionContext(GraphSchema({}), node_name="under_test")
PAGES = {
    "pets.md": "# Visit\n\n## Pets\n\nKeep pets away.\n\nBy phone: Keep pets away.\n\nAsked as:\n"
    "- i have a dog\n- what about my cat\n- my parrot bites\n",
    "pay.md": "# Money\n\n## Cards\n\nWe take cards.\n\nBy phone: We take cards.\n\nAsked as:\n"
    "- do you take visa\n- can i pay by card\n- is american express fine\n",
}


def message(text: str, confidence: float) -> Message:
    asked = Message({TEXT: text, "intent": {"name": "greet", "confidence": confidence}})
    asked.set("intent_ranking", [{"name": "greet", "confidence": confidence}, {"name": "ask_policy", "confidence": 0.0}])
    vector = sentence_model.load().embed([text])
    asked.add_features(Features(vector, FEATURE_TYPE_SENTENCE, TEXT, FEATURES_NAME))
    asked.add_features(Features(np.zeros((1, 1)), "sequence", TEXT, FEATURES_NAME))
    return asked


@pytest.fixture(scope="module")
def selector(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeSelector:
    pages, storage = tmp_path_factory.mktemp("pages"), LocalModelStorage(tmp_path_factory.mktemp("model"))
    for name, text in PAGES.items():
        (pages / name).write_text(text)
    matters = ["dispute_bill", "report_fault", "book_visit", "ask_hours", "ask_policy"]
    questions = ["ask_hours", "ask_policy"]
    config = {
        **KnowledgeSelector.get_default_config(),
        "folder": str(pages),
        "matters": matters,
        "questions": questions,
        "same_matter": {"book_visit": "report_fault"},
    }
    KnowledgeSelector.create(config, storage, Resource("topics"), CONTEXT).train(TrainingData())
    return KnowledgeSelector.load(config, storage, Resource("topics"), CONTEXT)


def asked(selector: KnowledgeSelector, text: str, confidence: float) -> dict[str, Any]:
    [told] = selector.process([message(text, confidence)], None)
    data: dict[str, Any] = told.data
    return data


def test_a_topic_that_is_surer_than_the_intent_becomes_it(selector: KnowledgeSelector) -> None:
    told = asked(selector, "i have two dogs here", 0.3)
    assert told["intent"]["name"] == "ask_policy"
    assert told["knowledge"][0]["topic"] == "pets.md#Pets"
    assert told["intent_ranking"] == [told["intent"], {"name": "greet", "confidence": 0.3}]


def test_a_surer_intent_stays(selector: KnowledgeSelector) -> None:
    told = asked(selector, "i have two dogs here", 0.99)
    assert told["intent"] == {"name": "greet", "confidence": 0.99}
    assert told["knowledge"][0]["topic"] == "pets.md#Pets"


def test_what_is_like_no_topic_stays_what_it_was(selector: KnowledgeSelector) -> None:
    told = asked(selector, "who won the football game last night", 0.1)
    assert told["intent"] == {"name": "greet", "confidence": 0.1}
    assert told["knowledge"][0]["confidence"] < 0.45


def test_another_text_in_the_pages_is_another_training(tmp_path: Path) -> None:
    config = {**KnowledgeSelector.get_default_config(), "folder": str(tmp_path)}
    (tmp_path / "pets.md").write_text(PAGES["pets.md"])
    before = KnowledgeSelector.fingerprint_addon(config)
    assert KnowledgeSelector.fingerprint_addon(config) == before
    (tmp_path / "pets.md").write_text(PAGES["pets.md"] + "- my snake\n")
    assert KnowledgeSelector.fingerprint_addon(config) != before


TWO = "it leaks and it is loud. why so expensive"
SPANS = [(0, 23), (25, 41)]


def two(selector: KnowledgeSelector, *intents: tuple[str, float], in_form: bool = False) -> dict[str, Any]:
    """What becomes of a message whose parts the classifier took for these intents."""
    parted = message(TWO, 0.5)
    vectors = sentence_model.load().embed([TWO[start:end] for start, end in SPANS])
    parted.set(PARTS, [Part(span, *intent, vector) for span, intent, vector in zip(SPANS, intents, vectors, strict=True)])
    tracker = DialogueStateTracker.from_events("c", [ActiveLoop("journey_form")] if in_form else [])
    [told] = selector.process([parted], tracker)
    data: dict[str, Any] = told.data
    return data


def test_two_sure_matters_go_along_and_the_first_is_what_it_is_about(selector: KnowledgeSelector) -> None:
    told = two(selector, ("report_fault", 0.9), ("dispute_bill", 0.8))
    assert told["intent"] == {"name": "report_fault", "confidence": 0.9}
    assert told["intent_ranking"] == [told["intent"]]
    assert [(one["intent"], one["start"], one["end"]) for one in told["matters"]] == [
        ("report_fault", 0, 23),
        ("dispute_bill", 25, 41),
    ]


def test_a_question_comes_first(selector: KnowledgeSelector) -> None:
    told = two(selector, ("report_fault", 0.9), ("ask_hours", 0.8))
    assert [one["intent"] for one in told["matters"]] == ["ask_hours", "report_fault"]


@pytest.mark.parametrize(
    "intents",
    [
        [("report_fault", 0.9), ("dispute_bill", 0.65)],  # not sure
        [("report_fault", 0.9), ("report_fault", 0.9)],
        [("report_fault", 0.9), ("book_visit", 0.9)],  # the same matter
        [("report_fault", 0.9), ("thanks", 0.9)],  # no matter
    ],
)
def test_one_matter_stays_one(selector: KnowledgeSelector, intents: list[tuple[str, float]]) -> None:
    told = two(selector, *intents)
    assert "matters" not in told
    assert told["intent"]["name"] == "greet"


def test_an_answer_to_the_forms_question_stays_whole(selector: KnowledgeSelector) -> None:
    assert "matters" not in two(selector, ("report_fault", 0.9), ("dispute_bill", 0.8), in_form=True)


def test_the_pages_count_for_what_was_trained_before(tmp_path: Path) -> None:
    assert KnowledgeSelector.fingerprint_addon({}) == KnowledgeSelector.fingerprint_addon({"folder": "data/knowledge"})
    assert KnowledgeSelector.fingerprint_addon({"folder": str(tmp_path)}) != KnowledgeSelector.fingerprint_addon({})
