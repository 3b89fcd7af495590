"""The trigram model: a proper probability distribution that prefers what it has seen."""

from __future__ import annotations

import itertools

import pytest

from throughline.speech.stt.language_model import arpa

pytestmark = pytest.mark.unit

SENTENCES = ["it leaks", "it leaks again", "the dryer leaks", "the dryer is loud"]

Model = dict[tuple[str, ...], tuple[float, float]]


def parsed(text: str) -> Model:
    """n-gram -> (log10 probability, log10 back-off weight)."""
    model: Model = {}
    length = 0
    for line in text.splitlines():
        if line.endswith("-grams:"):
            length = int(line[1])
        elif line and line[0] in "-0" and length:
            value, *words = line.split()
            backoff = float(words[length]) if len(words) > length else 0.0
            model[tuple(words[:length])] = (float(value), backoff)
    return model


def probability(model: Model, history: tuple[str, ...], word: str) -> float:
    """As a decoder reads an ARPA file."""
    if (*history, word) in model:
        return 10 ** model[(*history, word)][0]
    backoff = 10 ** model[history][1] if history in model else 1.0
    return float(backoff * probability(model, history[1:], word))


def test_probabilities_after_any_history_sum_to_one() -> None:
    model = parsed(arpa(SENTENCES))
    words = {ngram[0] for ngram in model if len(ngram) == 1} - {"<s>"}
    for history in itertools.chain([("<s>",)], itertools.product(words - {"</s>"}, repeat=2)):
        assert sum(probability(model, history, word) for word in words) == pytest.approx(1.0, abs=1e-3)


def test_what_was_seen_is_likelier_than_what_was_not() -> None:
    model = parsed(arpa(SENTENCES))
    assert probability(model, ("the",), "dryer") > 5 * probability(model, ("the",), "leaks")
    assert probability(model, ("<s>", "it"), "leaks") > probability(model, ("<s>", "it"), "is")


def test_weights_count_like_repetitions() -> None:
    assert arpa({"it leaks": 2.0, "the dryer": 1.0}) == arpa(["it leaks", "it leaks", "the dryer"])


def test_the_header_counts_the_ngrams() -> None:
    text = arpa(SENTENCES)
    model = parsed(text)
    for length in (1, 2, 3):
        assert f"ngram {length}={sum(len(ngram) == length for ngram in model)}\n" in text


def test_the_start_is_never_predicted() -> None:
    assert parsed(arpa(SENTENCES))[("<s>",)][0] == -99.0


@pytest.mark.parametrize("nothing", [[], [""], {"it": 0.0}])
def test_nothing_to_learn_from_is_refused(nothing: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one sentence"):
        arpa(nothing)
