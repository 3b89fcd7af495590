"""What pocketsphinx needs to know about this business: a dictionary and a language model for each kind of expectation.

Made from the training sentences and the grammar of expected answers, kept in a cache folder that is named after a digest of
all that went in, so that it is made again when a trainer changes a sentence and not otherwise. In the model of a kind, that
kind's sentences and everything else share the probability: the caller may always say something else.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from throughline import log
from throughline.domain.turns import EXPECTATIONS
from throughline.errors import Unavailable
from throughline.speech.stt import grammar, training_sentences
from throughline.speech.stt.language_model import arpa
from throughline.speech.stt.pocketsphinx_files import DICTIONARY, GRAMMARS, language_model_file
from throughline.speech.stt.pronunciations import dictionary, pronounce

EXPECTED_SHARE = 0.9  # of the probability goes to what the dialogue has asked for; measured by benchmarks/speech.py

_SOURCES = (
    "language_model.py", "pocketsphinx_files.py", "pocketsphinx_models.py", "pronunciations.py", "training_sentences.py",
    "grammar.py",
)  # fmt: skip
_PAIRS = 6  # last names each first name is seen with: enough for the model to expect any last name after any first name
_PERSON = "person_name"  # the entity whose values in the examples are names

_log = log.get_logger("speech")


def prepare(training_data: Path, cache: Path) -> Path:
    """The folder with the models for ``training_data``, made now if it isn't there. Blocking: some seconds when made.

    Raises ConfigurationError (unreadable training data) or Unavailable (pocketsphinx is not installed).
    """
    try:
        import pocketsphinx
    except ImportError as error:
        raise Unavailable(
            "pocketsphinx is not installed: install the package pocketsphinx, or give a Whisper model."
        ) from error
    folder = cache / _digest(training_data)
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        _make(training_sentences.read(training_data), Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")), making)
        making.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process has made the same one meanwhile
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def _digest(training_data: Path) -> str:
    digest = hashlib.sha256(version("pocketsphinx").encode())
    here = Path(__file__).parent
    training = (path for pattern in ("*.yml", "*.yaml") for path in training_data.rglob(pattern))
    for path in (*(here / name for name in _SOURCES), *sorted(GRAMMARS.iterdir()), *sorted(training)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _make(training: training_sentences.TrainingSentences, cmudict: Path, folder: Path) -> None:
    rules = grammar.parse((GRAMMARS / "spoken.jsgf").read_text(encoding="utf-8"))
    names = _names(training.values.get(_PERSON, ()))
    expected = {kind: rules.sentences(kind, names) if kind in rules.public else {} for kind in EXPECTATIONS}
    words = {word for said in (training.sentences, *expected.values()) for sentence in said for word in sentence.split()}
    pronunciations = pronounce(words, cmudict, read_too=set(names["first_name"] + names["last_name"]))
    (folder / DICTIONARY).write_text(dictionary(pronunciations), encoding="utf-8")
    for kind, sentences in expected.items():
        weights = {
            sentence: weight
            for sentence, weight in mixed(training.sentences, sentences, EXPECTED_SHARE).items()
            if all(word in pronunciations for word in sentence.split())
        }
        (folder / language_model_file(kind)).write_text(arpa(weights), encoding="utf-8")
    _log.info("speech.models_made", words=len(pronunciations), sentences=len(training.sentences))


def _names(known: Sequence[str]) -> dict[str, list[str]]:
    """Frequent US names (Census Bureau and Social Security lists), and those the training data mentions."""
    lists = {name: (GRAMMARS / f"{name}.txt").read_text(encoding="utf-8").split() for name in ("first_name", "last_name")}
    for person in known:
        first, *rest = person.split()
        lists["first_name"].append(first)
        lists["last_name"] += rest
    unique = {name: list(dict.fromkeys(entries)) for name, entries in lists.items()}
    last_names = itertools.cycle(unique["last_name"])
    pairs = [f"{first} {last}" for first in unique["first_name"] for last in itertools.islice(last_names, _PAIRS)]
    return {**unique, "full_name": list(dict.fromkeys([*known, *pairs]))}


def mixed(general: Mapping[str, float], expected: Mapping[str, float], share: float) -> dict[str, float]:
    """``general`` with the ``expected`` sentences (with their probabilities), which together have ``share`` of the whole weight."""
    weights = dict(general)
    whole = sum(general.values()) * share / (1 - share)
    for sentence, probability in expected.items():
        weights[sentence] = weights.get(sentence, 0.0) + whole * probability
    return weights
