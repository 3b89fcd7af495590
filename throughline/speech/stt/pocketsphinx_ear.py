"""One call's ear with pocketsphinx: audio in, transcripts out, nothing else.

Runs inside the worker process (``pocketsphinx_worker``), because the decoder keeps Python's lock while it thinks. Plain calls,
no clock but the length of the audio: the same audio in the same order gives the same transcripts.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pocketsphinx

from throughline.domain.transcripts import WIDEBAND, AudioFormat, Transcript
from throughline.speech.audio import Converter, Framer, Resampler
from throughline.speech.stt.pocketsphinx_files import DICTIONARY, DIGITS_GRAMMAR, language_model_file
from throughline.speech.stt.segmenter import Segmenter, SegmenterSettings, SpeechEnded, SpeechStarted

_MODEL = WIDEBAND  # what the acoustic model was trained on
_INTERIM_MS = 240
_VARIANT = re.compile(r"\(\d+\)")  # "the(2)": the second pronunciation of "the"

# The decoder subtracts the average spectrum of what it has heard. It begins with these, measured over three synthetic voices; with
# its own it needs some ten seconds of speech to settle, and most answers are shorter.
_FIRST_MEAN = "61.71,-3.56,-3.42,24.95,-5.16,-0.44,-3.84,-20.0,-4.84,-8.62,-0.01,3.85,-5.76"
_FIRST_MEAN_TELEPHONE = "58.46,9.45,-19.47,35.51,-9.14,-3.51,5.62,-28.95,1.55,-10.06,-4.26,10.84,-13.29"

# Twice the acoustic densities and a wider search than its defaults: a fifth more work for a third fewer wrong answers.
_CARE = {"topn": 8, "beam": 1e-60, "pbeam": 1e-60, "wbeam": 1e-40}

# A line with no sound at all between the words (a synthetic voice, a gated microphone) is unlike anything in the training of
# the acoustic model: words at the edge of such silence are lost. A hiss of -57 dBFS halves the errors; where the audio comes
# from a telephone, and with it from half the band, one of -49 dBFS in that half does as much again.
_HISS_AMPLITUDE = 45.0
_TELEPHONE_HISS_AMPLITUDE = 110.0

# Kinds that are so many digits: heard a second time with a grammar of nothing else.
_DIGITS = {"postcode": 5, "reference": 6, "code": 8}
_DIGIT_WORDS = frozenset({"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"})
_MUCH_THE_SAME = 0.4  # of the words, in order: what another sentence never reaches, and a slurred digit or two always does


def _hiss(audio: AudioFormat) -> npt.NDArray[np.float64]:
    """A second of it, at the model's rate."""
    noise = np.random.default_rng(1)
    hiss: npt.NDArray[np.float64] = noise.normal(0.0, _HISS_AMPLITUDE, _MODEL.sample_rate_hz)
    if audio.sample_rate_hz < _MODEL.sample_rate_hz:
        narrow = noise.normal(0.0, _TELEPHONE_HISS_AMPLITUDE, audio.sample_rate_hz).astype("<i2").tobytes()
        resampler = Resampler(audio.sample_rate_hz, _MODEL.sample_rate_hz)
        hiss += np.frombuffer(resampler.process(narrow) + resampler.flush(), dtype="<i2")[: len(hiss)]
    return hiss


def _midway(one: str, other: str) -> str:
    """The average of two spectra, as pocketsphinx writes them."""
    pairs = zip(one.split(","), other.split(","), strict=True)
    return ",".join(f"{(float(left) + float(right)) / 2:.3f}" for left, right in pairs)


def _strict(kind: str) -> str:
    return f"{kind}.strict"


def digits_in(text: str) -> int:
    """How many digits are said in ``text``: "double four" is two."""
    words = text.split()
    return sum(
        2 if before == "double" else 1 for before, word in zip(["", *words], words, strict=False) if word in _DIGIT_WORDS
    )


def chosen(free: str, strict: str, digits: int) -> str:
    """Which of two hearings stands: ``strict``, of digits only, if it is whole and ``free`` is much the same, else ``free``."""
    alike = difflib.SequenceMatcher(None, free.split(), strict.split()).ratio() >= _MUCH_THE_SAME
    return strict if alike and digits_in(strict) == digits else free


class PocketsphinxEar:
    """Listens to one call in the format ``audio`` with the models in ``folder`` (see ``pocketsphinx_models.prepare``)."""

    def __init__(self, folder: Path, audio: AudioFormat, segmenter: SegmenterSettings | None = None) -> None:
        self._folder = folder
        self._config = pocketsphinx.Config(loglevel="FATAL", dict=str(folder / DICTIONARY), lm=None, **_CARE)
        self._decoder = pocketsphinx.Decoder(self._config)
        self._is_telephone = audio.sample_rate_hz < _MODEL.sample_rate_hz
        self._mean = _FIRST_MEAN_TELEPHONE if self._is_telephone else _FIRST_MEAN
        self._decoder.set_cmn(self._mean)
        self._loaded: set[str] = set()
        self._kind = self._decoding = "free"
        self._load(self._kind)
        self._utterance = bytearray()
        self._hiss = _hiss(audio)
        self._converter = Converter(audio, _MODEL)
        self._framer = Framer(_MODEL.frame_bytes)
        self._segmenter = Segmenter(_MODEL.sample_rate_hz, segmenter)
        self._samples_heard = 0
        self._bytes_since_interim = 0
        self._last_interim = ""

    def expect(self, kind: str) -> None:
        """What the dialogue expects from the next utterance on; an unknown kind is heard as free speech."""
        self._kind = kind if (self._folder / language_model_file(kind)).is_file() else "free"
        self._load(self._kind)

    def hear(self, audio: bytes) -> list[Transcript]:
        """Take audio of any length; returns what there is to report."""
        reports: list[Transcript] = []
        for frame in self._framer.push(self._converter.process(audio)):
            for event in self._segmenter.push(frame):
                if isinstance(event, SpeechEnded):
                    reports += self._final()
                    continue
                if isinstance(event, SpeechStarted):
                    self._begin()
                reports += self._decode(event.audio)
        return reports

    def flush(self) -> list[Transcript]:
        """End the utterance now."""
        reports = self.hear(b"") if self._segmenter.speaking else []
        return reports + (self._final() if self._segmenter.flush() else [])

    def _load(self, kind: str) -> None:
        if kind not in self._loaded:
            file = str(self._folder / language_model_file(kind))
            self._decoder.add_lm(kind, pocketsphinx.NGramModel(self._config, self._decoder.logmath, file))
            self._loaded.add(kind)
        if kind in _DIGITS and _strict(kind) not in self._loaded:
            rules = DIGITS_GRAMMAR.read_bytes()
            self._decoder.add_fsg(_strict(kind), self._decoder.parse_jsgf(rules, f"digits.{kind}"))
            self._loaded.add(_strict(kind))

    def _begin(self) -> None:
        self._decoding = self._kind
        self._mean = self._decoder.get_cmn()
        if self._is_telephone:  # where half the band is missing it adapts to the words as much as to the line: hold it back
            self._mean = _midway(_FIRST_MEAN_TELEPHONE, self._mean)
            self._decoder.set_cmn(self._mean)
        self._decoder.activate_search(self._decoding)
        self._decoder.start_utt()
        self._utterance.clear()
        self._bytes_since_interim = 0
        self._last_interim = ""

    def _decode(self, audio: bytes) -> list[Transcript]:
        audio = self._with_hiss(audio)
        self._utterance += audio
        self._decoder.process_raw(audio)
        self._bytes_since_interim += len(audio)
        if self._bytes_since_interim < _MODEL.frame_bytes * _INTERIM_MS // 20:
            return []
        self._bytes_since_interim = 0
        text = self._text()
        if not text or text == self._last_interim:
            return []
        self._last_interim = text
        return [Transcript(text, final=False)]

    def _final(self) -> list[Transcript]:
        self._decoder.end_utt()
        text = self._text()
        if text and self._decoding in _DIGITS:
            text = chosen(text, self._heard_as_digits(), _DIGITS[self._decoding])
        return [Transcript(text, final=True)] if text else []

    def _heard_as_digits(self) -> str:
        """The utterance once more, from the same average spectrum, with the grammar of digits."""
        after = self._decoder.get_cmn()
        self._decoder.set_cmn(self._mean)
        self._decoder.activate_search(_strict(self._decoding))
        self._decoder.start_utt()
        for start in range(0, len(self._utterance), _MODEL.frame_bytes):
            self._decoder.process_raw(bytes(self._utterance[start : start + _MODEL.frame_bytes]))
        self._decoder.end_utt()
        text = self._text()
        self._decoder.set_cmn(after)
        return text

    def _text(self) -> str:
        hypothesis = self._decoder.hyp()
        return _VARIANT.sub("", hypothesis.hypstr) if hypothesis else ""

    def _with_hiss(self, audio: bytes) -> bytes:
        samples = np.frombuffer(audio, dtype="<i2")
        start = self._samples_heard % len(self._hiss)
        self._samples_heard += len(samples)
        hiss = np.take(self._hiss, range(start, start + len(samples)), mode="wrap")
        return bytes(np.clip(np.rint(samples + hiss), -32768, 32767).astype("<i2"))
