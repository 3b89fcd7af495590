"""Rasa component: which topic of data/knowledge a message asks for, and whether that is what it is about.

Stands after the intent classifier and before FallbackClassifier. It is the same kind of classifier on the same sentence vectors, over
topics instead of intents; its confidence falls in the same way for what is like nothing it has learned, so the two can be
compared: where a topic is surer than any intent, the message gets the intent ``ask_policy``, unless it is little more than a fact
("washer", "no heat": the answer to a question of ours, and near to many topics); so it stands behind the entity extractors, too. The
topics go along with the message (``knowledge``), for the action to answer from, or to ask back about. Trainers write the questions
in data/knowledge, beside the answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import ENTITIES, INTENT, INTENT_NAME_KEY, INTENT_RANKING_KEY, PREDICTED_CONFIDENCE_KEY, TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.nlu.training_data.training_data import TrainingData

from throughline.nlu import sentence_model
from throughline.nlu.hybrid_classifier import PARTS, Part
from throughline.nlu.hybrid_model import HybridModel, Ranked, Settings
from throughline.nlu.sentence_featurizer import FEATURES_NAME, SentenceFeaturizer
from throughline.settings.knowledge import load_knowledge

KNOWLEDGE = "knowledge"
"""Where a message carries its topics: ``[{"topic", "confidence"}, ...]``, the likeliest first."""

MATTERS = "matters"
"""Where a message that is about two matters carries them: ``[{"intent", "confidence", "start", "end"}, ...]``."""

_ARRAYS, _WORDS = "topics.npz", "topics.json"
_MOSTLY = 0.6  # of the letters


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.INTENT_CLASSIFIER, is_trainable=True)
class KnowledgeSelector(GraphComponent):
    """Sets ``knowledge``, and the intent where the message is about a topic."""

    @classmethod
    def required_components(cls) -> list[type]:
        """The sentence vectors come from there. (An intent classifier has to come before, too; Rasa can't be told of that, because a
        classifier is not part of another one's training.)"""
        return [SentenceFeaturizer]

    @staticmethod
    def required_packages() -> list[str]:
        """For training."""
        return ["sklearn"]

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """``folder``: the topics. ``intent``: what a message about one gets. ``threshold``: below it, a topic is not what a message is
        about. ``kept``: how many topics go along. ``matters``: intents that may be two in one message, each as sure as
        ``matter_confidence``; ``questions``: those of them that are answered at once; ``same_matter``: intents that are no other matter
        than another one."""
        return {
            "folder": "data/knowledge",
            "intent": "ask_policy",
            "threshold": 0.45,
            "kept": 3,
            "matters": [],
            "questions": [],
            "same_matter": {},
            "matter_confidence": 0.7,
        }

    def __init__(
        self, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, model: HybridModel | None = None
    ) -> None:
        self._config = config
        self._storage = model_storage
        self._resource = resource
        self._model = model

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> KnowledgeSelector:
        """One that has learned nothing yet."""
        return cls(config, model_storage, resource)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> KnowledgeSelector:
        """What `train` stored."""
        with model_storage.read_from(resource) as folder:
            words = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
                arrays = dict(stored)
        return cls(
            config, model_storage, resource, HybridModel.restore(words["labels"], words["vocabulary"], arrays, Settings())
        )

    @classmethod
    def fingerprint_addon(cls, config: dict[str, Any]) -> str:
        """What Rasa does not see of what is learned here: without it, an earlier training would be taken for this one."""
        # Where the rest of the model comes out of Rasa's cache, the defaults do not stand in ``config``.
        files = sorted(Path({**cls.get_default_config(), **config}["folder"]).glob("*.md"))
        return hashlib.sha256(b"".join(file.read_bytes() + b"\0" for file in files)).hexdigest()

    def train(self, training_data: TrainingData) -> Resource:
        """Learn the topics of the folder. Raises ConfigurationError with every fault of its files."""
        topics = load_knowledge(Path(self._config["folder"]))
        lines = [(line, topic.name) for topic in topics for line in topic.lines]
        texts, labels = [line for line, _ in lines], [name for _, name in lines]
        self._model = HybridModel.train(texts, labels, sentence_model.load().embed(texts), Settings())
        with self._storage.write_to(self._resource) as folder:
            words = {"labels": self._model.labels, "vocabulary": self._model.terms.vocabulary}
            (folder / _WORDS).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
            np.savez(folder / _ARRAYS, **self._model.arrays())
        return self._resource

    def process(self, messages: list[Message], tracker: DialogueStateTracker) -> list[Message]:
        """Set the topics of each message, and its intent where one of them is surer; and the matters of one that is about two.

        In the middle of a form a message answers its question first, and stays whole. (Rasa passes ``tracker`` None where a text is parsed
        outside a conversation, but refuses a graph that says so in the type.)"""
        if self._model is None:
            raise RuntimeError("the topics were asked for before they were learned")
        for message in messages:
            sentence = message.get_dense_features(TEXT, [FEATURES_NAME])[1]
            if sentence is not None:
                self._set(message, self._model.rank([message.get(TEXT)], np.stack([sentence.features[0]]))[0])
            if message.get(PARTS) and (tracker is None or tracker.active_loop_name is None):
                self._tell_apart(message, message.get(PARTS))
        return messages

    def _set(self, message: Message, ranking: list[Ranked]) -> None:
        kept = [{"topic": found.intent, "confidence": found.confidence} for found in ranking[: self._config["kept"]]]
        message.set(KNOWLEDGE, kept, add_to_output=True)
        surest = ranking[0].confidence
        intent = message.get(INTENT) or {}
        if surest < self._config["threshold"] or surest <= float(intent.get(PREDICTED_CONFIDENCE_KEY) or 0.0):
            return
        if _is_bare_fact(message):
            return
        asks = {INTENT_NAME_KEY: self._config["intent"], PREDICTED_CONFIDENCE_KEY: surest}
        others = [entry for entry in message.get(INTENT_RANKING_KEY) or [] if entry[INTENT_NAME_KEY] != self._config["intent"]]
        message.set(INTENT, asks, add_to_output=True)
        message.set(INTENT_RANKING_KEY, [asks, *others], add_to_output=True)

    def _tell_apart(self, message: Message, parts: Sequence[Part]) -> None:
        """Where two parts of the message are surely about different matters, it is about the first, and carries both (``matters``).
        A question comes before whatever takes longer: it is answered at once."""
        found = [(part, *self._matter(message, part)) for part in parts]
        sure = [one for one in found if one[1] in self._config["matters"] and one[2] >= self._config["matter_confidence"]]
        same = self._config["same_matter"]
        first_of = {same.get(one[1], one[1]): one for one in reversed(sure)}
        distinct = sorted(first_of.values(), key=lambda one: (one[1] not in self._config["questions"], one[0].span))[:2]
        if len(distinct) < 2:
            return
        told = [
            {"intent": intent, "confidence": sureness, "start": part.span[0], "end": part.span[1]}
            for part, intent, sureness, _ in distinct
        ]
        message.set(MATTERS, told, add_to_output=True)
        _, intent, sureness, topics = distinct[0]
        message.set(KNOWLEDGE, topics, add_to_output=True)
        first = {INTENT_NAME_KEY: intent, PREDICTED_CONFIDENCE_KEY: sureness}
        message.set(INTENT, first, add_to_output=True)
        # The others belong to the whole message, which is not what was understood.
        message.set(INTENT_RANKING_KEY, [first], add_to_output=True)

    def _matter(self, message: Message, part: Part) -> tuple[str, float, list[dict[str, Any]]]:
        """The part's intent, how sure that is, and its topics."""
        if self._model is None:
            raise RuntimeError("the topics were asked for before they were learned")
        start, end = part.span
        ranking = self._model.rank([str(message.get(TEXT))[start:end]], np.stack([part.vector]))[0]
        topics = [{"topic": found.intent, "confidence": found.confidence} for found in ranking[: self._config["kept"]]]
        surest = ranking[0].confidence
        if surest >= self._config["threshold"] and surest > part.confidence:
            return self._config["intent"], surest, topics
        return part.intent, part.confidence, topics


def _is_bare_fact(message: Message) -> bool:
    """Whether most of what was said is named by entities."""
    text = str(message.get(TEXT) or "")
    named = {place for found in message.get(ENTITIES) or [] for place in range(int(found["start"]), int(found["end"]))}
    letters = [place for place, letter in enumerate(text) if letter.isalnum()]
    return sum(place in named for place in letters) > _MOSTLY * len(letters)
