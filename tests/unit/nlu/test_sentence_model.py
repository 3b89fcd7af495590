"""The packaged sentence model: the real weights, the real graph, against MiniLM written out in numpy."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import tokenizers

from throughline.errors import ConfigurationError
from throughline.nlu import sentence_model
from throughline.nlu.sentence_model import SentenceModel

pytestmark = pytest.mark.unit

SENTENCES = ["my washing machine is leaking", "When are you open on Sundays?", "gas", "Jörg's wärmepumpe, error E-21!"]


@pytest.fixture(scope="module")
def model() -> SentenceModel:
    return sentence_model.load()


def reference(texts: list[str]) -> np.ndarray[Any, Any]:
    """all-MiniLM-L6-v2 as its papers and its card describe it (BERT, six layers; mean over tokens; length one), in float64."""
    files = sentence_model.package_files()
    weights = {
        name: value.astype(np.float64) for name, value in safetensors.numpy.load_file(files / "model.safetensors").items()
    }
    tokenizer = tokenizers.Tokenizer.from_file(str(files / "tokenizer.json"))
    tokenizer.no_padding()

    def dense(state: Any, name: str) -> Any:
        return state @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalised(state: Any, name: str) -> Any:
        centred = state - state.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(state: Any, layer: str) -> Any:
        heads = [
            dense(state, f"{layer}.attention.self.{part}").reshape(-1, 12, 32).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        ]
        scores = heads[0] @ heads[1].transpose(0, 2, 1) / np.sqrt(32)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return (shares @ heads[2]).transpose(1, 0, 2).reshape(-1, 384)

    def gelu(values: Any) -> Any:
        from scipy.special import erf

        return values * 0.5 * (1 + erf(values / np.sqrt(2)))

    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        words = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
        state = normalised(words + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(6):
            layer = f"encoder.layer.{number}"
            attended = dense(attention(state, layer), f"{layer}.attention.output.dense")
            state = normalised(state + attended, f"{layer}.attention.output.LayerNorm")
            wide = gelu(dense(state, f"{layer}.intermediate.dense"))
            state = normalised(state + dense(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean = state.mean(0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def test_vectors_point_where_the_reference_says(model: SentenceModel) -> None:
    cosines = (model.embed(SENTENCES) * reference(SENTENCES)).sum(axis=1)
    assert cosines.min() > 0.98  # int8 costs a little direction


def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(model: SentenceModel) -> None:
    together = model.embed(SENTENCES)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(SENTENCES)), abs=1e-5)
    assert np.array_equal(together[2], model.embed([SENTENCES[2]])[0])
    assert model.embed([]).shape == (0, 384)


def test_like_meanings_lie_close(model: SentenceModel) -> None:
    leak, same, other = model.embed(["my washing machine leaks", "the washer is dripping water", "what are your opening hours"])
    assert leak @ same > 0.5 > leak @ other


def test_each_word_gets_the_mean_of_its_pieces(model: SentenceModel) -> None:
    text = "my dishwasher squeaks"
    read = model.read(text)
    words = read.of_spans([(0, 2), (3, 13), (14, 21), (50, 60)])
    squeaks = [row for row, (start, _end) in zip(read.pieces, read.offsets, strict=True) if start >= 14]
    assert len(squeaks) > 1  # the vocabulary has no such word
    assert np.allclose(words[2], np.mean(squeaks, axis=0))
    assert not words[3].any()  # no such characters


def test_what_is_longer_than_the_model_can_read_is_cut(model: SentenceModel) -> None:
    assert model.embed(["leak " * 5000]).shape == (1, 384)
    assert model.embed([""]).shape == (1, 384)


def test_the_weights_are_the_pinned_ones() -> None:
    content = (sentence_model.package_files() / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == sentence_model.WEIGHTS_SHA256


def test_other_weights_are_refused_and_leave_nothing_behind(tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"not these")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        sentence_model.graph_file(tmp_path / "cache", other)
    assert not list(tmp_path.glob("cache/*"))


def test_a_cache_that_cannot_be_written_is_reported_with_its_mend(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(ConfigurationError, match=sentence_model.CACHE_VARIABLE):
        sentence_model.graph_file(tmp_path / "cache", sentence_model.package_files() / "model.safetensors")


def test_the_cache_folder_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sentence_model.CACHE_VARIABLE, str(tmp_path))
    assert sentence_model.cache_folder() == tmp_path
    monkeypatch.delenv(sentence_model.CACHE_VARIABLE)
    assert sentence_model.cache_folder() == Path.cwd() / "var" / "cache"
