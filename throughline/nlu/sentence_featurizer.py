"""Rasa component: gives every message its sentence vector and one short vector per word.

Stands after the tokenizer. The intent classifier takes the sentence vector, the CRF entity extractor the words' (feature
``text_dense_features``). The vectors come from the packaged sentence model (`sentence_model`), so they are the same in training and in
use; all that is learned is how the words' vectors are shortened (`word_projection`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.constants import FEATURIZER_CLASS_ALIAS, TOKENS_NAMES
from rasa.nlu.featurizers.dense_featurizer.dense_featurizer import DenseFeaturizer
from rasa.nlu.tokenizers.tokenizer import Tokenizer
from rasa.shared.nlu.constants import TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from throughline.nlu import sentence_model
from throughline.nlu.sentence_model import Embedding, SentenceModel
from throughline.nlu.word_projection import Floats, WordProjection

FEATURES_NAME = "sentence_model"
"""The name our features carry in a message: what other components ask for, and what ``featurizers:`` in config.yml may list."""

_STORED = "words.npz"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=True)
class SentenceFeaturizer(DenseFeaturizer, GraphComponent):
    """Adds float32 features of the message's text: sentence [1, 384], words [number of tokens, ``word_dimensions``]."""

    @classmethod
    def required_components(cls) -> list[type]:
        """A tokenizer has to come first: word vectors follow its words."""
        return [Tokenizer]

    @staticmethod
    def required_packages() -> list[str]:
        """Imported by name, so a missing one is reported by Rasa before training."""
        return ["onnxruntime", "tokenizers"]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """``alias``: the features' name. ``word_dimensions``: how long a word's vector is; 0 gives words none."""
        return {FEATURIZER_CLASS_ALIAS: FEATURES_NAME, "word_dimensions": 32}

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Nothing can be set wrongly here."""

    def __init__(
        self,
        config: dict[str, Any],
        name: str,
        model_storage: ModelStorage,
        resource: Resource,
        model: SentenceModel,
        projection: WordProjection | None = None,
    ) -> None:
        super().__init__(name, config)
        self._dimensions = int(config["word_dimensions"])
        self._storage = model_storage
        self._resource = resource
        self._model = model
        self._projection = projection

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> SentenceFeaturizer:
        """Load the sentence model; the first time on a machine this builds it. Raises ConfigurationError."""
        return cls(config, execution_context.node_name, model_storage, resource, sentence_model.load())

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> SentenceFeaturizer:
        """The featurizer with what `train` stored. Raises ConfigurationError as `create` does."""
        featurizer = cls.create(config, model_storage, resource, execution_context)
        with model_storage.read_from(resource) as folder, np.load(folder / _STORED, allow_pickle=False) as stored:
            if len(stored.files):
                featurizer._projection = WordProjection(stored["mean"], stored["basis"])
        return featurizer

    def train(self, training_data: TrainingData) -> Resource:
        """Learn from the training examples' words how to shorten a word's vector."""
        words = [
            self._words(message, self._read(message)) for message in training_data.training_examples if _has_words(message)
        ]
        arrays = {}
        if self._dimensions and words:
            self._projection = WordProjection.learn(np.concatenate(words), self._dimensions)
            arrays = {"mean": self._projection.mean, "basis": self._projection.basis}
        with self._storage.write_to(self._resource) as folder:
            np.savez(folder / _STORED, **arrays)
        return self._resource

    def process(self, messages: list[Message]) -> list[Message]:
        """Add the features to each message that has more than blanks."""
        for message in messages:
            if _has_words(message):
                found = self._read(message)
                words = None if self._projection is None else self._projection.of(self._words(message, found))
                self.add_features_to_message(words, found.sentence[np.newaxis, :], TEXT, message)
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """The same for the training examples, in place."""
        self.process(training_data.training_examples)
        return training_data

    def _read(self, message: Message) -> Embedding:
        return self._model.read(message.get(TEXT))

    def _words(self, message: Message, found: Embedding) -> Floats:
        """The vectors of the message's tokens, [n, 384]."""
        return found.of_spans([(token.start, token.end) for token in message.get(TOKENS_NAMES[TEXT])])


def _has_words(message: Message) -> bool:
    text = message.get(TEXT)
    return bool(text and text.strip() and message.get(TOKENS_NAMES[TEXT]))
