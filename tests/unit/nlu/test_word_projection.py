"""Word vectors made short: what differs is kept, what does not is left out."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.nlu.word_projection import WordProjection

pytestmark = pytest.mark.unit

RANDOM = np.random.default_rng(7)
# Words that differ much in the first direction, less in the second, not at all in the others.
WORDS = (RANDOM.standard_normal((50, 4)) * [10, 1, 0, 0] + [0, 0, 3, 0]).astype(np.float32)


def test_every_kept_dimension_has_mean_zero_and_variance_one() -> None:
    short = WordProjection.learn(WORDS, 2).of(WORDS)
    assert short.shape == (50, 2)
    assert short.mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
    assert short.std(axis=0) == pytest.approx([1, 1], abs=1e-4)


def test_the_direction_in_which_words_differ_most_comes_first() -> None:
    basis = WordProjection.learn(WORDS, 1).basis
    assert np.argmax(np.abs(basis[:, 0])) == 0


def test_directions_in_which_words_do_not_differ_are_left_out() -> None:
    assert WordProjection.learn(WORDS, 4).of(WORDS).shape == (50, 2)
