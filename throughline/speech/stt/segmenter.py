"""Where speech begins and ends in a stream of frames.

Both embedded recognisers decode one utterance at a time; this cuts the utterances out. A utterance begins when most of the last
frames hold speech and then includes a moment from before (the pre-roll: a soft first consonant), and it ends after a stretch
without speech (the hangover), of which only the beginning belongs to it: recognisers make words out of long silence. Pure: the
only clock is the number of frames. webrtcvad decides about single frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import webrtcvad

from throughline.domain.transcripts import FRAME_MS

_SETTLING_MS = 100  # webrtcvad takes the very first frames for speech, whatever they hold


@dataclass(frozen=True)
class SegmenterSettings:
    """Lengths in milliseconds, multiples of a frame. ``aggressiveness`` 0..3: how readily webrtcvad says "no speech"."""

    aggressiveness: int = 2
    window_ms: int = 120
    start_share: float = 0.5
    pre_roll_ms: int = 160
    post_roll_ms: int = 200
    hangover_ms: int = 500
    longest_ms: int = 15_000


@dataclass(frozen=True)
class SpeechStarted:
    """An utterance has begun. ``audio`` is its pre-roll and what made us sure."""

    audio: bytes


@dataclass(frozen=True)
class SpeechGoesOn:
    """The next frame of the utterance, or several after a pause within it."""

    audio: bytes


@dataclass(frozen=True)
class SpeechEnded:
    """The utterance is over."""


SpeechEvent = SpeechStarted | SpeechGoesOn | SpeechEnded


class Segmenter:
    """Frames of 20 ms in (linear PCM, 8, 16, 32 or 48 kHz), events out."""

    def __init__(self, sample_rate_hz: int, settings: SegmenterSettings | None = None) -> None:
        self._settings = settings or SegmenterSettings()
        self._rate_hz = sample_rate_hz
        self._vad = webrtcvad.Vad(self._settings.aggressiveness)
        window = self._settings.window_ms // FRAME_MS
        self._enough = max(1, round(window * self._settings.start_share))
        self._recent: deque[bool] = deque(maxlen=window)
        self._before: deque[bytes] = deque(maxlen=window + self._settings.pre_roll_ms // FRAME_MS)
        self._pause: list[bytes] = []
        self._settling_ms = _SETTLING_MS
        self._speaking = False
        self._silent_ms = 0
        self._length_ms = 0

    @property
    def speaking(self) -> bool:
        """True inside an utterance."""
        return self._speaking

    def push(self, frame: bytes) -> list[SpeechEvent]:
        """Take the next frame. Raises ValueError for one that is not 20 ms long."""
        if len(frame) != self._rate_hz // 50 * 2:
            raise ValueError(f"a frame is {self._rate_hz // 50 * 2} bytes long, not {len(frame)}")
        is_speech = bool(self._vad.is_speech(frame, self._rate_hz))
        return self._within(frame, is_speech) if self._speaking else self._waiting(frame, is_speech)

    def flush(self) -> list[SpeechEvent]:
        """End the utterance, if one is going on."""
        return self._end() if self._speaking else []

    def _waiting(self, frame: bytes, is_speech: bool) -> list[SpeechEvent]:
        self._recent.append(is_speech and self._settling_ms <= 0)
        self._settling_ms = max(0, self._settling_ms - FRAME_MS)
        self._before.append(frame)
        if sum(self._recent) < self._enough:
            return []
        audio = b"".join(self._before)
        self._length_ms = len(self._before) * FRAME_MS
        self._silent_ms = 0
        self._speaking = True
        return [SpeechStarted(audio)]

    def _within(self, frame: bytes, is_speech: bool) -> list[SpeechEvent]:
        self._silent_ms = 0 if is_speech else self._silent_ms + FRAME_MS
        self._length_ms += FRAME_MS
        self._pause.append(frame)
        events: list[SpeechEvent] = []
        if self._silent_ms <= self._settings.post_roll_ms:
            events.append(SpeechGoesOn(b"".join(self._pause)))
            self._pause.clear()
        if self._silent_ms >= self._settings.hangover_ms or self._length_ms >= self._settings.longest_ms:
            events += self._end()
        return events

    def _end(self) -> list[SpeechEvent]:
        self._speaking = False
        self._recent.clear()
        self._before.clear()
        self._pause.clear()
        return [SpeechEnded()]
