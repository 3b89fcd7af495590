"""Makes a Whisper model that is real in every respect but its knowledge: half a megabyte of random weights.

In CTranslate2's own format, so that the tests exercise the loading and decoding that a downloaded model goes through.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import whisper_spec
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

_WORDS = ["my", "washing", "machine", "leaks", "it's", "a", "bosch", "since", "yesterday", "yes", "no"]
_SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
_SPECIAL += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", *(f"<|{step / 50:.2f}|>" for step in range(1501))]
_WIDTH = 32
_MELS = 80


def make_tiny_whisper(folder: Path) -> Path:
    """A model in ``folder`` that hears its few words in anything at all."""
    vocabulary = ["<unk>", *_WORDS, *_SPECIAL]
    rng = np.random.default_rng(7)

    def weights(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    spec = whisper_spec.WhisperSpec(1, 1, 1, 1)
    for conv, inputs in ((spec.encoder.conv1, _MELS), (spec.encoder.conv2, _WIDTH)):
        conv.weight, conv.bias = weights(_WIDTH, inputs, 3), weights(_WIDTH)
    spec.encoder.position_encodings.encodings = weights(1500, _WIDTH)
    spec.decoder.position_encodings.encodings = weights(448, _WIDTH)
    spec.decoder.embeddings.weight = weights(len(vocabulary), _WIDTH)
    spec.decoder.projection.weight = weights(len(vocabulary), _WIDTH)
    spec.decoder.projection.bias = np.where(np.arange(len(vocabulary)) <= len(_WORDS), 0, -20).astype(np.float32)
    for layer in (*spec.encoder.layer, *spec.decoder.layer):
        _fill_attention(layer.self_attention, [3, 1], weights)
        _fill_linear(layer.ffn.linear_0, 4 * _WIDTH, _WIDTH, weights)
        _fill_linear(layer.ffn.linear_1, _WIDTH, 4 * _WIDTH, weights)
        _fill_norm(layer.ffn.layer_norm)
    _fill_attention(spec.decoder.layer[0].attention, [1, 2, 1], weights)
    for norm in (spec.encoder.layer_norm, spec.decoder.layer_norm):
        _fill_norm(norm)

    spec.register_vocabulary(vocabulary)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [0], []
    spec.config.lang_ids, spec.config.alignment_heads = [vocabulary.index("<|en|>")], [(0, 0)]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    _save_tokenizer(vocabulary, folder / "tokenizer.json")
    return folder


def _fill_attention(attention: Any, sizes: list[int], weights: Any) -> None:
    for linear, size in zip(attention.linear, sizes, strict=True):
        _fill_linear(linear, size * _WIDTH, _WIDTH, weights)
    _fill_norm(attention.layer_norm)


def _fill_linear(linear: Any, outputs: int, inputs: int, weights: Any) -> None:
    linear.weight, linear.bias = weights(outputs, inputs), weights(outputs)


def _fill_norm(norm: Any) -> None:
    norm.gamma, norm.beta = np.ones(_WIDTH, np.float32), np.zeros(_WIDTH, np.float32)


def _save_tokenizer(vocabulary: list[str], path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(vocabulary)}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.Fuse()
    tokenizer.save(str(path))
