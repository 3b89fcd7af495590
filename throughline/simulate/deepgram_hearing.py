"""How the simulated Deepgram hears: it knows every frame of the recordings it was taught, and what was said in them.

Pure: its only clock is the audio. A word counts as heard once half of its frames have come, wherever in a stream they come and
however fast; so a stream that is cut in two and sent again gives the words that are in it, no more and no fewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.speech.audio import Framer, level_dbfs

_SILENT_DBFS = -60.0
_ENOUGH = 0.5
_SILENCE = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Word:
    """A word that was heard. Times are in the audio of the connection."""

    text: str
    start_ms: float
    end_ms: float
    whole: bool
    """The speaker has gone on to the next one."""


@dataclass(frozen=True)
class Recording:
    """Something said: its words, and the numbers of the frames in which each is heard, silent ones left out."""

    words: list[str]
    frames: list[list[int]]


class Recordings:
    """Everything that was taught."""

    def __init__(self) -> None:
        self._taught: dict[tuple[str, bytes], Recording] = {}
        self._places: dict[bytes, list[tuple[Recording, int]]] = {}

    def teach(self, text: str, audio_format: AudioFormat, audio: bytes) -> Recording:
        """Learn that ``audio`` says ``text``, in which ``[600]`` is a silence of 600 ms. The words between two such are taken to be spoken
        evenly, by their letters."""
        if known := self._taught.get((text, audio)):
            return known
        frames = Framer(audio_format.frame_bytes).push(audio)
        is_loud = [level_dbfs(frame, audio_format) > _SILENT_DBFS for frame in frames]
        recording = self._taught[text, audio] = Recording([], [])
        for spoken, span in _stretches(text, is_loud):
            loud = [number for number in span if is_loud[number]]
            words = spoken.split()
            letters = [len(recording.words) + word for word, spelled in enumerate(words) for _ in spelled + " "]
            recording.words.extend(words)
            recording.frames.extend([] for _ in words)
            for n, number in enumerate(loud):
                recording.frames[letters[n * len(letters) // len(loud)]].append(number)
                self._places.setdefault(frames[number], []).append((recording, number))
        return recording

    def places(self, frame: bytes) -> list[tuple[Recording, int]]:
        """The recordings that have this frame, and where."""
        return self._places.get(frame, [])


def _stretches(text: str, is_loud: list[bool]) -> Iterator[tuple[str, range]]:
    """What is said between two of the silences that ``text`` names, with the numbers of its frames."""
    spoken, *others = _SILENCE.split(text)
    start = 0
    for length_ms, after in zip(others[::2], others[1::2], strict=True):
        length = max(1, int(length_ms) // FRAME_MS)
        end = next(place for place in range(start, len(is_loud)) if not any(is_loud[place : place + length]))
        yield spoken, range(start, end)
        spoken, start = after, end + length
    yield spoken, range(start, len(is_loud))


@dataclass
class _Passage:
    """A stretch of one recording. Several may be meant as long as they sound the same; the first one taught is taken."""

    recording: Recording
    heard_ms: dict[int, float] = field(default_factory=dict)

    def words(self) -> Iterator[Word]:
        furthest = max(self.heard_ms)
        for text, frames in zip(self.recording.words, self.recording.frames, strict=True):
            times = [self.heard_ms[frame] for frame in frames if frame in self.heard_ms]
            if times and len(times) >= _ENOUGH * len(frames):
                yield Word(text, min(times) - FRAME_MS, max(times), whole=furthest >= frames[-1])


class Hearing:
    """What one connection has heard of the utterance under way."""

    def __init__(self, recordings: Recordings, audio_format: AudioFormat) -> None:
        self._recordings = recordings
        self._framer = Framer(audio_format.frame_bytes)
        self._passages: list[list[_Passage]] = []
        self.now_ms = 0.0
        """How much audio has come."""
        self.last_known_ms: float | None = None
        """When the last frame of anything known ended, None if there was none in this utterance."""
        self.words: list[Word] = []

    def frames(self, audio: bytes) -> Iterator[bool]:
        """Listen to ``audio`` frame by frame: whether each brought something known."""
        for frame in self._framer.push(audio):
            self.now_ms += FRAME_MS
            places = self._recordings.places(frame)
            if places:
                self._follow(places)
                self.last_known_ms = self.now_ms
                self.words = [word for passages in self._passages for word in passages[0].words()]
            yield bool(places)

    @property
    def recording(self) -> Recording | None:
        """What is being heard, None if that is nothing known."""
        return self._passages[-1][0].recording if self._passages else None

    @property
    def pause(self) -> int | None:
        """A number for the pause at hand when the speaker will go on: only one who knows the recording can tell. None at its end."""
        if not self._passages:
            return None
        passage = self._passages[-1][0]
        furthest, last = max(passage.heard_ms), max(frames[-1] for frames in passage.recording.frames if frames)
        return furthest if furthest < last else None

    def start_afresh(self) -> None:
        """The utterance is over."""
        self._passages = []
        self.last_known_ms = None
        self.words = []

    def _follow(self, places: list[tuple[Recording, int]]) -> None:
        """Go on with the passages that the frame continues; if there are none, it begins another."""
        going_on: list[_Passage] = []
        for passage in self._passages[-1] if self._passages else []:
            after = [place for recording, place in places if recording is passage.recording and place > max(passage.heard_ms)]
            if after:
                passage.heard_ms[min(after)] = self.now_ms
                going_on.append(passage)
        if going_on:
            self._passages[-1] = going_on
        else:
            first: dict[int, _Passage] = {}
            for recording, place in places:
                first.setdefault(id(recording), _Passage(recording, {place: self.now_ms}))
            self._passages.append(list(first.values()))
