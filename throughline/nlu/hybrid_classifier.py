"""Rasa component: the intent of a message, with a confidence that falls for what is unlike all training data.

Stands after `SentenceFeaturizer`, whose sentence vectors it uses, and before FallbackClassifier, whose threshold is set on the confidence
given here. The model itself is `hybrid_model`; this file only trains, stores and applies it. Stored are one npz and one JSON file:
numbers and strings, nothing that runs when it is read.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.classifiers.classifier import IntentClassifier
from rasa.shared.nlu.constants import INTENT, INTENT_NAME_KEY, INTENT_RANKING_KEY, PREDICTED_CONFIDENCE_KEY, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from throughline.errors import ConfigurationError, Problem
from throughline.nlu import matters, sentence_model
from throughline.nlu.hybrid_model import Floats, HybridModel, Ranked, Settings
from throughline.nlu.sentence_featurizer import FEATURES_NAME, SentenceFeaturizer

PARTS = "parts"
"""Where a message carries its parts, for the components behind this one."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a message: where it stands, its likeliest intent, and its sentence vector."""

    span: tuple[int, int]
    intent: str
    confidence: float
    vector: Floats


_ARRAYS = "hybrid.npz"
_WORDS = "hybrid.json"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class HybridIntentClassifier(GraphComponent, IntentClassifier):
    """Sets ``intent`` and ``intent_ranking``; a message without words gets no intent and confidence 0."""

    @classmethod
    def required_components(cls) -> list[type]:
        """The sentence vectors come from there."""
        return [SentenceFeaturizer]

    @staticmethod
    def required_packages() -> list[str]:
        """For training; applying needs numpy and scipy only."""
        return ["sklearn"]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """``ranking_length``: how many intents are kept in the ranking; 0 keeps all. ``parted``: whether the parts of a message are ranked,
        too. The rest are `hybrid_model.Settings`."""
        return {"ranking_length": 10, "parted": True, **dataclasses.asdict(Settings())}

    def __init__(
        self, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, model: HybridModel | None = None
    ) -> None:
        self._settings = Settings(**{field.name: config[field.name] for field in dataclasses.fields(Settings)})
        self._parted = bool(config["parted"])
        self._ranking_length = int(config["ranking_length"])
        self._storage = model_storage
        self._resource = resource
        self._model = model

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> HybridIntentClassifier:
        """An untrained classifier."""
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> HybridIntentClassifier:
        """The classifier that `train` stored."""
        component = cls(config, model_storage, resource)
        with model_storage.read_from(resource) as folder:
            words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
                arrays = dict(stored)
        component._model = HybridModel.restore(words["labels"], words["vocabulary"], arrays, component._settings)
        return component

    def train(self, training_data: TrainingData) -> Resource:
        """Learn from every example that has words and an intent. Raises ConfigurationError when there are fewer than two intents."""
        examples = [example for example in training_data.intent_examples if example.get(TEXT) and example.get(INTENT)]
        labels = [example.get(INTENT) for example in examples]
        if len(set(labels)) < 2:
            problem = Problem(
                "data/nlu", f"{len(set(labels))} intent(s) with examples.", "Give examples of at least two intents."
            )
            raise ConfigurationError([problem])
        texts = [example.get(TEXT) for example in examples]
        self._model = HybridModel.train(texts, labels, np.stack([_vector(example) for example in examples]), self._settings)
        with self._storage.write_to(self._resource) as folder:
            words = {"labels": self._model.labels, "vocabulary": self._model.terms.vocabulary}
            (folder / _WORDS).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
            np.savez(folder / _ARRAYS, **self._model.arrays())
        return self._resource

    def process(self, messages: list[Message]) -> list[Message]:
        """Set the intent and the ranking of each message."""
        if self._model is None:
            raise RuntimeError("the intent classifier was asked before it was trained")
        spoken = [message for message in messages if _has_vector(message)]
        rankings = {}
        if spoken:
            vectors = np.stack([_vector(message) for message in spoken])
            ranked = self._model.rank([message.get(TEXT) for message in spoken], vectors)
            rankings = {id(message): ranking for message, ranking in zip(spoken, ranked, strict=True)}
        for message in messages:
            self._set(message, rankings.get(id(message), []))
            self._part(message)
        return messages

    def _part(self, message: Message) -> None:
        """Rank each part of a message that may be about several matters, for `knowledge_selector`, which decides."""
        text = str(message.get(TEXT) or "")
        spans = matters.parts(text) if self._parted else []
        if not spans or self._model is None:
            return
        texts = [text[start:end] for start, end in spans]
        vectors = sentence_model.load().embed(texts)
        ranked = self._model.rank(texts, vectors)
        message.set(
            PARTS,
            [
                Part(span, one[0].intent, one[0].confidence, vector)
                for span, one, vector in zip(spans, ranked, vectors, strict=True)
            ],
        )

    def _set(self, message: Message, ranking: list[Ranked]) -> None:
        kept = ranking[: self._ranking_length] if self._ranking_length else ranking
        listed = [{INTENT_NAME_KEY: entry.intent, PREDICTED_CONFIDENCE_KEY: entry.confidence} for entry in kept]
        best = listed[0] if listed else {INTENT_NAME_KEY: None, PREDICTED_CONFIDENCE_KEY: 0.0}
        message.set(INTENT, best, add_to_output=True)
        message.set(INTENT_RANKING_KEY, listed, add_to_output=True)


def _has_vector(message: Message) -> bool:
    return message.get_dense_features(TEXT, [FEATURES_NAME])[1] is not None


def _vector(message: Message) -> Floats:
    """The sentence vector [384] that SentenceFeaturizer gave the message."""
    _words, sentence = message.get_dense_features(TEXT, [FEATURES_NAME])
    vector: Floats = sentence.features[0]
    return vector
