"""Listening with a Whisper model on this machine's processor (faster-whisper, CTranslate2), from a directory and from nowhere else.

Whisper takes whole utterances, so the segmenter cuts them out; while one is going on and the model has nothing else to do, what
there is of it is transcribed for an interim report. One worker thread per engine does the transcribing (the library gives up
Python's lock meanwhile); finals come before interims. Audio waits in bounded buffers: a machine that cannot keep up loses the
oldest utterances, and says so in the log.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from throughline import log
from throughline.domain.transcripts import WIDEBAND, AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.speech.audio import Converter, Framer
from throughline.speech.stt.protocol import SttStream
from throughline.speech.stt.segmenter import Segmenter, SpeechEnded, SpeechStarted

_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
_MOST_WAITING = 4  # utterances
_INTERIM_BYTES = WIDEBAND.frame_bytes * 30  # 600 ms of new speech are worth another look
_MOST_TOKENS = 120  # some 20 seconds of talk: where the model runs on without end, it is cut

# What Whisper would have written before: it goes on in the same manner, digits as digits and names as names.
_MANNER = {
    "code": "My code is 4 8 2 1 3 3 7 7.",
    "digits": "My number is 5 0 3 2 1 7.",
    "postcode": "My ZIP code is 97201.",
    "name": "My name is Dana Reyes.",
    "date": "Thursday, November 26th.",
    "time": "At 2:30 in the afternoon.",
    "yes_no": "Yes. No.",
}

_log = log.get_logger("speech")


def missing_files(directory: Path) -> list[str]:
    """What a Whisper model in CTranslate2 format needs and ``directory`` lacks."""
    missing = [name for name in _NEEDED if not (directory / name).is_file()]
    if not any((directory / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    return missing


def is_whisper_model(directory: Path | None) -> bool:
    """True if ``directory`` holds all files of a model."""
    return directory is not None and not missing_files(directory)


@dataclass(frozen=True)
class _Job:
    audio: bytes
    kind: str
    final: bool


class WhisperStt:
    """The listening engine for a machine with some processor time to spare. ``directory`` holds the model."""

    name = "whisper"
    demo = False

    def __init__(self, directory: Path, *, language: str = "en", threads: int = 0) -> None:
        self._directory = directory
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
        return _Stream(self, audio)

    async def transcribe(self, job: _Job) -> Transcript:
        """The words of one utterance; an empty text where there are none. Raises Unavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._transcribe, job)

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
        self._transcribe(_Job(bytes(WIDEBAND.frame_bytes * 25), "free", final=True))

    def _transcribe(self, job: _Job) -> Transcript:
        samples = np.frombuffer(job.audio, dtype="<i2").astype(np.float32) / 32768.0
        try:
            segments, _ = self._model.transcribe(
                samples,
                language=self._language,
                beam_size=5 if job.final else 1,
                temperature=0.0,
                without_timestamps=True,
                condition_on_previous_text=False,
                initial_prompt=_MANNER.get(job.kind),
                max_new_tokens=_MOST_TOKENS,
            )
            heard = [(segment.text.strip(), segment.avg_logprob) for segment in segments]
        except Exception as error:  # whatever the libraries raise while they work
            raise Unavailable(f"whisper could not transcribe: {error}") from error
        text = " ".join(text for text, _ in heard if text)
        confidence = min(1.0, math.exp(sum(score for _, score in heard) / len(heard))) if heard else None
        return Transcript(text, final=job.final, confidence=confidence)


class _Stream:
    """One call's ear."""

    def __init__(self, engine: WhisperStt, audio: AudioFormat) -> None:
        self._engine = engine
        self._converter = Converter(audio, WIDEBAND)
        self._framer = Framer(WIDEBAND.frame_bytes)
        self._segmenter = Segmenter(WIDEBAND.sample_rate_hz)
        self._next_kind = self._kind = "free"
        self._utterance = bytearray()
        self._looked_at_bytes = 0
        self._waiting: deque[_Job] = deque()
        self._overflowed = False
        self._wake = asyncio.Event()
        self._reports: asyncio.Queue[Transcript | Unavailable | None] = asyncio.Queue()
        self._closed = False
        self._task = asyncio.create_task(self._transcribe_all())

    def send(self, audio: bytes) -> None:
        """See the protocol."""
        if self._closed:
            return
        for frame in self._framer.push(self._converter.process(audio)):
            for event in self._segmenter.push(frame):
                if isinstance(event, SpeechEnded):
                    self._finish_utterance()
                    continue
                if isinstance(event, SpeechStarted):
                    self._kind = self._next_kind
                self._utterance += event.audio
        self._wake.set()

    def expect(self, expectation: Expectation) -> None:
        """See the protocol."""
        self._next_kind = expectation.kind

    def flush(self) -> None:
        """See the protocol."""
        if self._segmenter.flush():
            self._finish_utterance()
            self._wake.set()

    async def transcripts(self) -> AsyncIterator[Transcript]:
        """See the protocol."""
        while (report := await self._reports.get()) is not None:
            if isinstance(report, Unavailable):
                raise report
            yield report

    async def close(self) -> None:
        """See the protocol. What the model is at work on is finished unheard."""
        if self._closed:
            return
        self._closed = True
        self._task.cancel()
        self._waiting.clear()
        self._utterance.clear()
        self._reports.put_nowait(None)

    def _finish_utterance(self) -> None:
        self._waiting.append(_Job(bytes(self._utterance), self._kind, final=True))
        self._utterance.clear()
        self._looked_at_bytes = 0
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            if not self._overflowed:
                self._overflowed = True
                _log.warning("speech.audio_dropped", engine=WhisperStt.name)

    def _next_job(self) -> _Job | None:
        if self._waiting:
            return self._waiting.popleft()
        if len(self._utterance) - self._looked_at_bytes < _INTERIM_BYTES:
            return None
        self._looked_at_bytes = len(self._utterance)
        return _Job(bytes(self._utterance), self._kind, final=False)

    async def _transcribe_all(self) -> None:
        last_interim = ""
        while True:
            job = self._next_job()
            if job is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                report = await self._engine.transcribe(job)
            except Unavailable as error:
                self._reports.put_nowait(error)
                return
            is_late = not job.final and self._waiting  # the utterance is over: its final report is next
            if report.text and not is_late and (job.final or report.text != last_interim):
                self._reports.put_nowait(report)
            last_interim = "" if job.final else report.text
