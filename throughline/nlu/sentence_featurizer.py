"""Rasa component: gives every message its sentence vector and one vector per word.

Stands after the tokenizer. The intent classifier takes the sentence vector, the CRF entity extractor may take the words' vectors. Nothing
is trained here: the vectors come from the packaged sentence model (`sentence_model`), so they are the same in training and in use.
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
from throughline.nlu.sentence_model import SentenceModel

FEATURES_NAME = "sentence_model"
"""The name our features carry in a message: what other components ask for, and what ``featurizers:`` in config.yml may list."""


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.MESSAGE_FEATURIZER, is_trainable=False)
class SentenceFeaturizer(DenseFeaturizer, GraphComponent):
    """Adds float32 features of the message's text: sentence [1, 384], words [number of tokens, 384]."""

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
        """``alias``: the features' name."""
        return {FEATURIZER_CLASS_ALIAS: FEATURES_NAME}

    @classmethod
    def validate_config(cls, config: dict[str, Any]) -> None:
        """Nothing can be set wrongly here."""

    def __init__(self, config: dict[str, Any], name: str, model: SentenceModel) -> None:
        super().__init__(name, config)
        self._model = model

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> SentenceFeaturizer:
        """Load the sentence model; the first time on a machine this builds it. Raises ConfigurationError."""
        return cls(config, execution_context.node_name, sentence_model.load())

    def process(self, messages: list[Message]) -> list[Message]:
        """Add the features to each message that has more than blanks."""
        for message in messages:
            text, tokens = message.get(TEXT), message.get(TOKENS_NAMES[TEXT])
            if text and text.strip() and tokens:
                found = self._model.read(text)
                words = found.of_spans([(token.start, token.end) for token in tokens])
                self.add_features_to_message(words, found.sentence[np.newaxis, :], TEXT, message)
        return messages

    def process_training_data(self, training_data: TrainingData) -> TrainingData:
        """The same for the training examples, in place."""
        self.process(training_data.training_examples)
        return training_data
