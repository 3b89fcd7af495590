"""A trigram language model from example sentences, as ARPA text.

The listening engine's idea of what people say here: built from the training data, so that words a trainer adds are words the
line can hear. Interpolated Witten-Bell smoothing, written out in back-off form (Chen & Goodman 1998, sections 2.4 and 2.6; the
file format is SRILM's ngram-format(5)). Deterministic: the same sentences give the same text.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

_START, _END = "<s>", "</s>"
_NEVER = -99.0  # log10 of "cannot be predicted", as ARPA files write it

_Ngram = tuple[str, ...]


def arpa(sentences: Iterable[str] | Mapping[str, float], order: int = 3) -> str:
    """The model of ``sentences`` (words between spaces, each sentence counted as often as it appears, or by its weight).

    Raises ValueError when there is no sentence with a word in it.
    """
    weights = sentences if isinstance(sentences, Mapping) else _tally(sentences)
    counts = _count(weights, order)
    words = {ngram[0] for ngram in counts[0]} - {_START}
    if words <= {_END}:
        raise ValueError("a language model needs at least one sentence")
    probability, backoff = _smooth(counts, len(words))
    return _format(probability, backoff, order)


def _tally(sentences: Iterable[str]) -> Mapping[str, float]:
    weights: dict[str, float] = defaultdict(float)
    for sentence in sentences:
        weights[sentence] += 1.0
    return weights


def _count(weights: Mapping[str, float], order: int) -> list[dict[_Ngram, float]]:
    """The weight of every n-gram, one dictionary for each length."""
    counts: list[dict[_Ngram, float]] = [defaultdict(float) for _ in range(order)]
    for sentence, weight in weights.items():
        words = sentence.split()
        if not words or weight <= 0:
            continue
        padded = [_START, *words, _END]
        for length in range(1, order + 1):
            for start in range(len(padded) - length + 1):
                counts[length - 1][tuple(padded[start : start + length])] += weight
    return counts


def _smooth(counts: Sequence[Mapping[_Ngram, float]], vocabulary: int) -> tuple[dict[_Ngram, float], dict[_Ngram, float]]:
    """Probability of every n-gram that was seen, and the back-off weight of every history that was seen."""
    probability: dict[_Ngram, float] = {}
    backoff: dict[_Ngram, float] = {}
    for length, ngrams in enumerate(counts, start=1):
        followers: dict[_Ngram, dict[str, float]] = defaultdict(dict)
        for ngram, weight in ngrams.items():
            if ngram != (_START,):  # the start is given, never predicted
                followers[ngram[:-1]][ngram[-1]] = weight
        for history, seen in followers.items():
            total, kinds = sum(seen.values()), len(seen)
            unseen = kinds / (total + kinds)
            for word, weight in seen.items():
                shorter = probability[history[1:] + (word,)] if length > 1 else 1.0 / vocabulary  # noqa: RUF005 - in a subscript
                probability[history + (word,)] = weight / (total + kinds) + unseen * shorter  # noqa: RUF005 - as above
            if history:
                backoff[history] = unseen
    return probability, backoff


def _format(probability: Mapping[_Ngram, float], backoff: Mapping[_Ngram, float], order: int) -> str:
    by_length: list[list[_Ngram]] = [[] for _ in range(order)]
    for ngram in {**probability, (_START,): 0.0}:
        by_length[len(ngram) - 1].append(ngram)
    lines = ["\\data\\", *(f"ngram {length}={len(ngrams)}" for length, ngrams in enumerate(by_length, start=1)), ""]
    for length, ngrams in enumerate(by_length, start=1):
        lines.append(f"\\{length}-grams:")
        for ngram in sorted(ngrams):
            value = math.log10(probability[ngram]) if ngram in probability else _NEVER
            line = f"{value:.5f} {' '.join(ngram)}"
            lines.append(f"{line} {math.log10(backoff[ngram]):.5f}" if ngram in backoff else line)
        lines.append("")
    lines.append("\\end\\\n")
    return "\n".join(lines)
