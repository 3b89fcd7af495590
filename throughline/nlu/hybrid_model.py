"""Which intent a text has: two logistic regressions, one on words and characters, one on sentence vectors.

The first knows the exact words the trainers wrote, the second what they mean. Their log-probabilities are added, 0.3 to 0.7, and
made probabilities again. The confidence that thresholds are set on is not this probability, which is near 1 for anything
unlike all but one intent: it is the square root of the probability times the cosine to the nearest training example, which falls for
texts that are like nothing in the training data.

No Rasa here and no I/O: texts, labels and vectors in, arrays out (`HybridModel.arrays`, `HybridModel.vocabulary`).
The trained model is plain numbers; scikit-learn's objects are only made while training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from throughline.nlu.term_features import TermFeatures

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """What the training does; the defaults are the measured best on ten examples an intent (benchmarks/understanding.py)."""

    terms_weight: float = 0.3
    terms_regularisation: float = 10.0  # scikit-learn's C
    vector_scale: float = 10.0
    vector_regularisation: float = 1.0
    max_iterations: int = 300


@dataclass(frozen=True)
class Ranked:
    """One intent's standing for one text; both figures within 0..1."""

    intent: str
    probability: float
    confidence: float


@dataclass(frozen=True)
class _Linear:
    """One logistic regression: ``weights`` [features, intents], ``bias`` [intents]."""

    weights: Floats
    bias: Floats

    def log_probabilities(self, features: Any) -> Floats:
        scores = np.asarray(features @ self.weights, np.float32) + self.bias
        return _log_softmax(scores)


class HybridModel:
    """A trained classifier. Make it with `train`, or with `restore` from what `arrays` and `terms` gave."""

    def __init__(
        self,
        labels: Sequence[str],
        terms: TermFeatures,
        on_terms: _Linear,
        on_vectors: _Linear,
        examples: Floats,
        settings: Settings,
    ) -> None:
        self.labels = list(labels)
        self.terms = terms
        self.settings = settings
        self._on_terms = on_terms
        self._on_vectors = on_vectors
        self._examples = examples

    @classmethod
    def train(
        cls, texts: Sequence[str], labels: Sequence[str], vectors: Floats, settings: Settings | None = None
    ) -> HybridModel:
        """Fit both regressions. ``vectors``: the texts' sentence vectors, [n, width], length one. At least two distinct labels."""
        settings = settings or Settings()
        names = sorted(set(labels))
        if len(names) < 2:
            raise ValueError("an intent classifier needs examples of at least two intents")
        targets = np.array([names.index(label) for label in labels])
        terms = TermFeatures.learn(texts)
        on_terms = _fit(terms.of(texts), targets, settings.terms_regularisation, settings)
        on_vectors = _fit(vectors * settings.vector_scale, targets, settings.vector_regularisation, settings)
        return cls(names, terms, on_terms, on_vectors, np.unique(vectors, axis=0), settings)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything numeric, for ``np.savez``."""
        return {
            "terms_weights": self._on_terms.weights,
            "terms_bias": self._on_terms.bias,
            "vector_weights": self._on_vectors.weights,
            "vector_bias": self._on_vectors.bias,
            "examples": self._examples,
            "rarity": self.terms.rarity,
        }

    @classmethod
    def restore(
        cls, labels: Sequence[str], vocabulary: Sequence[str], arrays: Mapping[str, npt.NDArray[Any]], settings: Settings
    ) -> HybridModel:
        """The model whose ``labels``, ``terms.vocabulary`` and ``arrays()`` these are."""
        on_terms = _Linear(arrays["terms_weights"], arrays["terms_bias"])
        on_vectors = _Linear(arrays["vector_weights"], arrays["vector_bias"])
        return cls(labels, TermFeatures(vocabulary, arrays["rarity"]), on_terms, on_vectors, arrays["examples"], settings)

    def rank(self, texts: Sequence[str], vectors: Floats) -> list[list[Ranked]]:
        """Every intent for each text, the likeliest first. ``vectors`` are the texts' sentence vectors, [n, width]."""
        share = self.settings.terms_weight
        by_terms = self._on_terms.log_probabilities(self.terms.of(texts))
        by_vectors = self._on_vectors.log_probabilities(vectors * self.settings.vector_scale)
        probabilities = np.exp(_log_softmax(share * by_terms + (1 - share) * by_vectors))
        nearest = np.clip((vectors @ self._examples.T).max(axis=1), 0.0, 1.0)
        return [self._ranking(row, float(cosine)) for row, cosine in zip(probabilities, nearest, strict=True)]

    def _ranking(self, probabilities: Floats, nearest: float) -> list[Ranked]:
        order = np.argsort(-probabilities, kind="stable")
        chances = [(self.labels[index], float(probabilities[index])) for index in order]
        return [Ranked(label, chance, float(np.sqrt(min(chance, 1.0) * nearest))) for label, chance in chances]


def _fit(features: Any, targets: npt.NDArray[np.int64], regularisation: float, settings: Settings) -> _Linear:
    from sklearn.linear_model import LogisticRegression  # only training needs it

    regression = LogisticRegression(C=regularisation, max_iter=settings.max_iterations, class_weight="balanced", random_state=0)
    regression.fit(features, targets)
    weights, bias = regression.coef_, regression.intercept_
    if len(weights) == 1:  # two classes: scikit-learn keeps the second one's half only
        weights, bias = np.vstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return _Linear(weights.T.astype(np.float32), bias.astype(np.float32))


def _log_softmax(scores: Floats) -> Floats:
    shifted = scores - scores.max(axis=1, keepdims=True)
    normalised: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised
