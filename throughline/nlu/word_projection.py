"""A word's vector made short enough for the entity extractor, which learns and stores one figure per dimension and word.

Principal components of the training data's word vectors, each scaled to variance one: 32 of them keep what tells a name from an
appliance (in cross-validation on our own training data they did better than none, and as well as 64). Pure: arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_NO_VARIANCE = 1e-6  # a direction in which the words do not differ: scaling it up would be noise


@dataclass(frozen=True)
class WordProjection:
    """``mean`` [width] and ``basis`` [width, dimensions], both float32."""

    mean: Floats
    basis: Floats

    @classmethod
    def learn(cls, words: Floats, dimensions: int) -> WordProjection:
        """From word vectors [n, width]; fewer dimensions where the words span fewer."""
        mean = words.mean(axis=0)
        _, lengths, directions = np.linalg.svd(words - mean, full_matrices=False)
        spread = lengths / np.sqrt(len(words))
        kept = min(dimensions, int((spread > _NO_VARIANCE).sum()))
        basis = directions[:kept].T / spread[:kept]
        return cls(mean.astype(np.float32), basis.astype(np.float32))

    def of(self, words: Floats) -> Floats:
        """[n, width] to [n, dimensions]."""
        projected: Floats = (words - self.mean) @ self.basis
        return projected
