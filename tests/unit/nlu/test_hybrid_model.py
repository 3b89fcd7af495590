"""The intent model on vectors made by hand: no sentence model, no Rasa."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.nlu.hybrid_model import Floats, HybridModel, Settings
from throughline.nlu.term_features import TermFeatures, character_terms, word_terms

pytestmark = pytest.mark.unit

EXAMPLES = {
    "report": ["my washer leaks", "the dryer leaks", "the oven is broken"],
    "hours": ["when are you open", "are you open on sunday", "opening hours"],
    "prices": ["what does it cost", "how much is it", "your prices"],
}
TEXTS = [text for texts in EXAMPLES.values() for text in texts]
LABELS = [intent for intent, texts in EXAMPLES.items() for _text in texts]


def directions(*angles: float) -> Floats:
    """Vectors of length one in the plane, by angle in degrees."""
    radians = np.radians(np.array(angles))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


VECTORS = directions(0, 5, 10, 120, 125, 130, 240, 245, 250)


@pytest.fixture(scope="module")
def model() -> HybridModel:
    return HybridModel.train(TEXTS, LABELS, VECTORS)


def test_what_it_was_shown_it_knows(model: HybridModel) -> None:
    assert [ranking[0].intent for ranking in model.rank(TEXTS, VECTORS)] == LABELS


def test_a_ranking_holds_every_intent_and_its_probabilities_sum_to_one(model: HybridModel) -> None:
    (ranking,) = model.rank(["my dishwasher leaks"], directions(7))
    assert ranking[0].intent == "report"
    assert sorted(entry.intent for entry in ranking) == ["hours", "prices", "report"]
    assert sum(entry.probability for entry in ranking) == pytest.approx(1, abs=1e-5)
    assert [entry.probability for entry in ranking] == sorted((entry.probability for entry in ranking), reverse=True)


def test_confidence_falls_with_the_distance_to_every_example(model: HybridModel) -> None:
    near, far, opposite = (ranking[0].confidence for ranking in model.rank(["xyzzy"] * 3, directions(5, 60, 300)))
    assert near > 0.8 > far
    assert 0 <= opposite <= far


def test_a_message_unlike_any_example_has_no_confidence() -> None:
    model = HybridModel.train(["yes", "sure", "no", "nope"], ["affirm", "affirm", "deny", "deny"], directions(0, 10, 80, 90))
    ((best, _other),) = model.rank(["yes"], directions(225))
    assert best.confidence == 0


def test_words_decide_where_meaning_does_not(model: HybridModel) -> None:
    between_report_and_hours = directions(65, 65)
    rankings = model.rank(["leaks", "open"], between_report_and_hours)
    assert [ranking[0].intent for ranking in rankings] == ["report", "hours"]


def test_two_intents_are_enough_and_one_is_not() -> None:
    two = HybridModel.train(["yes", "sure", "no", "nope"], ["affirm", "affirm", "deny", "deny"], directions(0, 10, 90, 100))
    assert [ranking[0].intent for ranking in two.rank(["yes", "no"], directions(5, 95))] == ["affirm", "deny"]
    with pytest.raises(ValueError, match="two intents"):
        HybridModel.train(["yes", "sure"], ["affirm", "affirm"], directions(0, 10))


def test_restored_from_its_arrays_it_says_the_same(model: HybridModel) -> None:
    again = HybridModel.restore(model.labels, model.terms.vocabulary, model.arrays(), Settings())
    asked = (["my washer", "hello"], directions(3, 200))
    assert again.rank(*asked) == model.rank(*asked)


def test_training_twice_gives_the_same_model(model: HybridModel) -> None:
    again = HybridModel.train(TEXTS, LABELS, VECTORS)
    assert all(np.array_equal(again.arrays()[name], array) for name, array in model.arrays().items())


def test_terms_of_a_text() -> None:
    assert word_terms("It's LEAKING, again!") == ["it's", "leaking", "again", "it's leaking", "leaking again"]
    assert "# lea" in character_terms("leaks")
    assert character_terms("a") == ["# a", "#a ", "# a "]


def test_known_terms_weigh_together_one_and_unknown_ones_nothing() -> None:
    features = TermFeatures.learn(["washer leaks", "dryer leaks"])
    rows = features.of(["washer", "qqq", ""]).toarray()
    assert np.linalg.norm(rows[0]) == pytest.approx(2**0.5)  # words and character groups, each of length one
    assert not rows[1:].any()


def test_a_rarer_word_weighs_more() -> None:
    features = TermFeatures.learn(["washer leaks", "dryer leaks"])
    row = features.of(["washer leaks"]).toarray()[0]
    assert row[features.vocabulary.index("washer")] > row[features.vocabulary.index("leaks")]
