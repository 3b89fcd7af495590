"""A text as the words and character groups in it, weighted by how rare they are (tf-idf). Pure and deterministic.

Terms are single words, pairs of neighbouring words, and groups of 2 to 5 characters within a word (padded with spaces, so that beginnings
and ends of words differ from middles). The groups survive misspellings and recogniser errors that lose the word. Words and groups are each
scaled to length one, so that neither drowns the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_GROUP_SIZES = (2, 3, 4, 5)
_GROUP_MARK = "#"  # no word contains it, so a group never equals a word


class TermFeatures:
    """Turns texts into rows. ``vocabulary[i]`` is the term of column i, ``rarity[i]`` (float32) its inverse document frequency."""

    def __init__(self, vocabulary: Sequence[str], rarity: npt.NDArray[np.float32]) -> None:
        self.vocabulary = list(vocabulary)
        self.rarity = rarity
        self._column = {term: index for index, term in enumerate(self.vocabulary)}

    @classmethod
    def learn(cls, texts: Sequence[str]) -> TermFeatures:
        """Take the vocabulary and the rarities from the training texts."""
        documents: Counter[str] = Counter()
        for text in texts:
            documents.update(set(word_terms(text)) | set(character_terms(text)))
        vocabulary = sorted(documents)
        seen_in = np.array([documents[term] for term in vocabulary], np.float64)
        rarity = np.log((1 + len(texts)) / (1 + seen_in)) + 1
        return cls(vocabulary, rarity.astype(np.float32))

    def of(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """float32 [len(texts), len(vocabulary)]. Terms never seen in training are left out."""
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, text in enumerate(texts):
            for terms in (word_terms(text), character_terms(text)):
                found = self._weights(terms)
                rows += [row] * len(found)
                columns += found.keys()
                values += found.values()
        shape = (len(texts), len(self.vocabulary))
        return sparse.csr_matrix((np.array(values, np.float32), (rows, columns)), shape=shape)

    def _weights(self, terms: Iterable[str]) -> dict[int, float]:
        counts = Counter(column for column in map(self._column.get, terms) if column is not None)
        # A term said three times is not three times as telling: the logarithm of the count.
        weights = {column: (1 + float(np.log(count))) * float(self.rarity[column]) for column, count in counts.items()}
        length = sum(weight * weight for weight in weights.values()) ** 0.5
        return {column: weight / length for column, weight in weights.items()}


def word_terms(text: str) -> list[str]:
    """Words and pairs of words, in lower case, without punctuation."""
    words = _WORD.findall(text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def character_terms(text: str) -> list[str]:
    """Groups of characters within each word and its surrounding spaces."""
    groups = []
    for word in _WORD.findall(text.lower()):
        padded = f" {word} "
        for size in _GROUP_SIZES:
            groups += [_GROUP_MARK + padded[start : start + size] for start in range(len(padded) - size + 1)]
    return groups
