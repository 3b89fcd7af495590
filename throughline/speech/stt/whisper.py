"""Listening with a Whisper model on this machine's processor (faster-whisper, CTranslate2), from a directory and from nowhere else.

Whisper takes whole utterances: ``utterances`` cuts them out. One worker thread per engine does the transcribing (the library gives up
Python's lock meanwhile). What is expected next and the company's own words go to the model as the text before (``prompts``).
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from throughline.domain.key_terms import NO_TERMS, KeyTerms
from throughline.domain.transcripts import WIDEBAND, AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.speech.stt.prompts import listed, manner
from throughline.speech.stt.protocol import SttStream
from throughline.speech.stt.utterances import Utterance, UtteranceStream

_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
_MOST_TOKENS = 120  # some 20 seconds of talk: where the model runs on without end, it is cut


def missing_files(directory: Path) -> list[str]:
    """What a Whisper model in CTranslate2 format needs and ``directory`` lacks."""
    missing = [name for name in _NEEDED if not (directory / name).is_file()]
    if not any((directory / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    return missing


def is_whisper_model(directory: Path | None) -> bool:
    """True if ``directory`` holds all files of a model."""
    return directory is not None and not missing_files(directory)


class WhisperStt:
    """The listening engine for a machine with some processor time to spare. ``directory`` holds the model."""

    name = "whisper"
    demo = False

    def __init__(self, directory: Path, *, language: str = "en", threads: int = 0, terms: KeyTerms = NO_TERMS) -> None:
        self._directory = directory
        self._terms = terms
        self._language = language
        self._threads = threads
        self._model: Any = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="whisper")

    async def warm_up(self) -> None:
        """Load the model and transcribe a moment of silence. Raises ConfigurationError (no model there) or Unavailable."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._load)

    async def close(self) -> None:
        """Nothing is kept open."""

    async def open(self, audio: AudioFormat) -> SttStream:
        """Listen to one call. Raises as ``warm_up`` does, if the model isn't loaded yet."""
        await self.warm_up()
        return UtteranceStream(self.transcribe, audio, engine=self.name, interims=True)

    async def transcribe(self, utterance: Utterance) -> Transcript:
        """The words of one utterance; an empty text where there are none. Raises Unavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._transcribe, utterance)

    def _load(self) -> None:
        if self._model is not None:
            return
        if missing := missing_files(self._directory):
            what = f"is not a Whisper model in CTranslate2 format: {', '.join(missing)} missing."
            mend = "Get one with `throughline fetch-whisper NAME DIR`, or name the directory that has one."
            raise ConfigurationError([Problem(str(self._directory), what, mend)])
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise Unavailable("faster-whisper is not installed: install the package faster-whisper.") from error
        try:
            self._model = WhisperModel(
                str(self._directory), device="cpu", compute_type="int8", cpu_threads=self._threads, local_files_only=True
            )
        except Exception as error:  # whatever the libraries raise for a broken file
            mend = "Fetch it again with `throughline fetch-whisper NAME DIR`."
            raise ConfigurationError([Problem(str(self._directory), f"the model cannot be loaded: {error}.", mend)]) from error
        self._transcribe(Utterance(bytes(WIDEBAND.frame_bytes * 25), Expectation(), final=True, until_ms=500))

    def _transcribe(self, utterance: Utterance) -> Transcript:
        samples = np.frombuffer(utterance.audio, dtype="<i2").astype(np.float32) / 32768.0
        try:
            segments, _ = self._model.transcribe(
                samples,
                language=self._language,
                beam_size=5 if utterance.final else 1,
                temperature=0.0,
                without_timestamps=True,
                condition_on_previous_text=False,
                initial_prompt=manner(utterance.expectation) or None,
                hotwords=listed(self._terms.expected(utterance.expectation)) or None,
                max_new_tokens=_MOST_TOKENS,
            )
            heard = [(segment.text.strip(), segment.avg_logprob) for segment in segments]
        except Exception as error:  # whatever the libraries raise while they work
            raise Unavailable(f"whisper could not transcribe: {error}") from error
        text = " ".join(text for text, _ in heard if text)
        confidence = min(1.0, math.exp(sum(score for _, score in heard) / len(heard))) if heard else None
        return Transcript(text, final=utterance.final, confidence=confidence)
