"""The components as Rasa runs them: one real pipeline trained, stored, loaded in another object, and asked.

The graph that Rasa would build from config.yml is validated too, with the types each component declares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasa.engine.graph import ExecutionContext, GraphModelConfiguration, GraphSchema
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.resource import Resource
from rasa.engine.validation import validate
from rasa.nlu.tokenizers.whitespace_tokenizer import WhitespaceTokenizer
from rasa.shared.core.events import SlotSet
from rasa.shared.core.slots import AnySlot
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.data import TrainingType
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from throughline.errors import ConfigurationError
from throughline.nlu.hybrid_classifier import HybridIntentClassifier
from throughline.nlu.sentence_featurizer import SentenceFeaturizer
from throughline.nlu.spoken_entities import SpokenEntityExtractor, merged
from throughline.nlu.spoken_text import Found

pytestmark = pytest.mark.unit

EXAMPLES = {
    "report_fault": ["my washing machine leaks", "the dryer is broken", "my fridge stopped cooling", "the oven has a problem"],
    "ask_hours": ["when are you open", "what are your opening hours", "are you open on sunday"],
    "ask_prices": ["what does it cost", "how much is a visit", "what are your prices"],
}
CONTEXT = ExecutionContext(GraphSchema({}), node_name="under_test")


class Pipeline:
    """Tokenizer, featurizer and classifier over one storage, wired the way the graph wires them."""

    def __init__(self, folder: Path) -> None:
        self.storage = LocalModelStorage(folder)
        self.resource = Resource("classifier")
        self.tokenizer = WhitespaceTokenizer(WhitespaceTokenizer.get_default_config())
        self.words = Resource("featurizer")
        self.featurizer_config = SentenceFeaturizer.get_default_config()

    @property
    def featurizer(self) -> SentenceFeaturizer:
        return SentenceFeaturizer.load(self.featurizer_config, self.storage, self.words, CONTEXT)

    def train(self, examples: dict[str, list[str]], **config: Any) -> None:
        messages = [Message.build(text, intent) for intent, texts in examples.items() for text in texts]
        data = self.tokenizer.process_training_data(TrainingData(messages))
        SentenceFeaturizer.create(self.featurizer_config, self.storage, self.words, CONTEXT).train(data)
        data = self.featurizer.process_training_data(data)
        made = {**HybridIntentClassifier.get_default_config(), **config}
        HybridIntentClassifier.create(made, self.storage, self.resource, CONTEXT).train(data)

    def ask(self, *texts: str, **config: Any) -> list[dict[str, Any]]:
        made = {**HybridIntentClassifier.get_default_config(), **config}
        classifier = HybridIntentClassifier.load(made, self.storage, self.resource, CONTEXT)
        messages = [Message({"text": text}) for text in texts]
        return [message.data for message in classifier.process(self.featurizer.process(self.tokenizer.process(messages)))]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    trained = Pipeline(tmp_path_factory.mktemp("model"))
    trained.train(EXAMPLES)
    yield trained


def extractor(**config: Any) -> SpokenEntityExtractor:
    return SpokenEntityExtractor({**SpokenEntityExtractor.get_default_config(), **config})


def test_a_stored_classifier_is_loaded_and_understands(pipeline: Pipeline) -> None:
    answers = pipeline.ask("the washer is dripping", "until when do you work on sundays", "price of a repair")
    assert [answer["intent"]["name"] for answer in answers] == ["report_fault", "ask_hours", "ask_prices"]
    assert all(0.4 < answer["intent"]["confidence"] <= 1 for answer in answers)


def test_nonsense_gets_little_confidence(pipeline: Pipeline) -> None:
    sensible, nonsense = pipeline.ask("my dryer leaks", "purple elephants recite sonnets")
    assert nonsense["intent"]["confidence"] < 0.4 < sensible["intent"]["confidence"]


def test_the_ranking_is_sorted_and_as_long_as_configured(pipeline: Pipeline) -> None:
    (answer,) = pipeline.ask("my dryer leaks", ranking_length=2)
    confidences = [entry["confidence"] for entry in answer["intent_ranking"]]
    assert len(confidences) == 2
    assert confidences == sorted(confidences, reverse=True)
    assert answer["intent"] == answer["intent_ranking"][0]


def test_a_message_without_words_has_no_intent(pipeline: Pipeline) -> None:
    for answer in pipeline.ask("", "   "):
        assert answer["intent"] == {"name": None, "confidence": 0.0}
        assert answer["intent_ranking"] == []


def test_the_same_message_gets_the_same_answer_alone_and_among_others(pipeline: Pipeline) -> None:
    (alone,) = pipeline.ask("how much is it")
    among = pipeline.ask("a much longer message about a washing machine that leaks all over the floor", "how much is it")[1]
    assert alone["intent"]["name"] == among["intent"]["name"]
    assert alone["intent"]["confidence"] == pytest.approx(among["intent"]["confidence"], abs=1e-6)


def test_what_is_stored_holds_no_code(pipeline: Pipeline) -> None:
    with pipeline.storage.read_from(pipeline.resource) as folder:
        assert {file.suffix for file in folder.iterdir()} == {".npz", ".json"}
        with np.load(next(folder.glob("*.npz")), allow_pickle=False) as arrays:
            assert all(array.dtype.kind == "f" for array in arrays.values())


def test_training_without_two_intents_is_refused_with_its_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least two intents"):
        Pipeline(tmp_path).train({"greet": ["hello", "hi"]})


def test_words_get_a_vector_each(pipeline: Pipeline) -> None:
    (message,) = pipeline.featurizer.process(pipeline.tokenizer.process([Message({"text": "my dishwasher squeaks"})]))
    words, sentence = message.get_dense_features("text")
    assert words.features.shape == (3, 32)
    assert sentence.features.shape == (1, 384)


def test_without_word_dimensions_only_the_sentence_has_a_vector(tmp_path: Path) -> None:
    untouched = Pipeline(tmp_path)
    untouched.featurizer_config["word_dimensions"] = 0
    untouched.train(EXAMPLES)
    (message,) = untouched.featurizer.process(untouched.tokenizer.process([Message({"text": "my dishwasher squeaks"})]))
    words, sentence = message.get_dense_features("text")
    assert words is None
    assert sentence.features.shape == (1, 384)


def test_the_grammars_entities_come_in_rasas_form() -> None:
    (message,) = extractor().process([Message({"text": "i'm in nine seven two oh one"})], None)
    assert message.get("entities") == [
        {
            "entity": "postcode",
            "value": "97201",
            "start": 7,
            "end": 28,
            "confidence_entity": 1.0,
            "extractor": "SpokenEntityExtractor",
        }
    ]
    assert "entities" in message.as_dict(only_output_properties=True)


def test_a_bare_answer_is_read_as_what_the_form_asked_for() -> None:
    reader = extractor(expects={"visit_time": "time"}, day_starts="07:00")
    (before,) = reader.process([Message({"text": "2"})], DialogueStateTracker("c_1", slots=[_requested_slot()]))
    tracker = DialogueStateTracker.from_events("c_1", [SlotSet("requested_slot", "visit_time")], slots=[_requested_slot()])
    (asked,) = reader.process([Message({"text": "2"})], tracker)
    assert [(entity["entity"], entity["value"]) for entity in before.get("entities")] == [("number", 2)]
    assert [(entity["entity"], entity["value"]) for entity in asked.get("entities")] == [("time", "14:00")]


def _requested_slot() -> AnySlot:
    return AnySlot("requested_slot", mappings=[{}], influence_conversation=False)


def test_other_extractors_entities_stay_as_they_are() -> None:
    name = {"entity": "person_name", "value": "Five Guys", "start": 0, "end": 9, "extractor": "CRFEntityExtractor"}
    found = [Found("number", 5, 0, 4), Found("date", "2026-11-26", 10, 18)]
    assert merged([name], found, "grammar")[0] == name
    assert [entity["entity"] for entity in merged([name], found, "grammar")] == ["person_name", "date"]


def test_kinds_of_the_grammar_come_from_the_grammar_only() -> None:
    learned = {"entity": "date", "value": "thursday", "start": 0, "end": 8, "extractor": "CRFEntityExtractor"}
    (kept,) = merged([learned], [Found("date", "2026-11-26", 0, 8)], "grammar")
    assert kept["value"] == "2026-11-26"


def test_every_fault_of_the_config_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        extractor(timezone="Mars/Base", day_starts="seven", expects={"visit_day": "someday"})
    assert [problem.where.split()[-1] for problem in caught.value.problems] == ["timezone", "day_starts", "expects.visit_day"]


def test_rasa_accepts_the_graph_of_a_pipeline_with_all_three() -> None:
    config = {
        "recipe": "default.v1",
        "language": "en",
        "pipeline": [
            {"name": "WhitespaceTokenizer"},
            {"name": "throughline.nlu.sentence_featurizer.SentenceFeaturizer"},
            {"name": "throughline.nlu.hybrid_classifier.HybridIntentClassifier"},
            {"name": "throughline.nlu.spoken_entities.SpokenEntityExtractor"},
            {"name": "FallbackClassifier"},
        ],
        "policies": [],
    }
    graph: GraphModelConfiguration = DefaultV1Recipe().graph_config_for_recipe(config, {}, training_type=TrainingType.NLU)
    validate(graph)
    assert any("SpokenEntityExtractor" in name for name in graph.predict_schema.nodes)
