"""Whether somebody is making a sound on the line, and for how long they have been quiet.

Every frame of the caller's audio goes in; ``turn_taking.py`` asks. Recognisers report a quarter of a second after the fact; the level
of the line tells at once. It can't tell speech from a dog: whoever asks it must be right without it too, if later.

The floor is the quietest that the line has been lately: it follows a quieter frame at once, and rises slowly, so that a voice that
speaks for ten seconds is not taken for the noise of the room.
"""

from __future__ import annotations

_ABOVE_FLOOR_DB = 12.0
_RISE_DB_PER_S = 1.5
_HANGOVER_MS = 120.0
"""A gap between two sounds that is shorter is none: plosives are silent for so long."""
_FORGET_MS = 1000.0
"""Recognisers report some time after the words; until then the sound that came with them must be remembered."""
_SMOOTHED_MS = 80.0
"""A click is shorter than a syllable: it does not make a sound loud."""


class Loudness:
    """The caller's side of the line."""

    def __init__(self, speech_level_dbfs: float) -> None:
        """``speech_level_dbfs``: what is below is no speech, however quiet the line is."""
        self._least_dbfs = speech_level_dbfs
        self._floor_dbfs = speech_level_dbfs - _ABOVE_FLOOR_DB  # until the line is known
        self._sound_ended_ms: float | None = None
        self._sounding_ms = 0.0  # of the sound at hand
        self._loud_ms = 0.0
        self._heard_dbfs = 0.0
        self._heard_frames = 0
        self._smoothed_dbfs = self._loudest_dbfs = 0.0  # of the sound at hand, once there is one

    def frame(self, level_dbfs: float, length_ms: float, now_ms: float) -> None:
        """A frame of ``length_ms`` that ends now."""
        self._floor_dbfs = min(level_dbfs, self._floor_dbfs + _RISE_DB_PER_S * length_ms / 1000)
        if level_dbfs >= max(self._least_dbfs, self._floor_dbfs + _ABOVE_FLOOR_DB):
            if self.quiet_ms(now_ms) > _HANGOVER_MS + length_ms:
                self._sounding_ms = 0.0
            if not self._sounding_ms:
                self._smoothed_dbfs = self._loudest_dbfs = self._least_dbfs
            self._smoothed_dbfs += (level_dbfs - self._smoothed_dbfs) * min(1.0, length_ms / _SMOOTHED_MS)
            self._loudest_dbfs = max(self._loudest_dbfs, self._smoothed_dbfs)
            self._sounding_ms += length_ms
            self._loud_ms += length_ms
            self._sound_ended_ms = now_ms
            self._heard_dbfs += level_dbfs
            self._heard_frames += 1
        elif self.quiet_ms(now_ms) >= _FORGET_MS:
            self._loud_ms = 0.0

    def begin(self) -> None:
        """Count anew what ``loud_ms`` and ``mean_dbfs`` tell: the assistant begins to speak."""
        self._loud_ms = self._sounding_ms = self._heard_dbfs = 0.0
        self._heard_frames = 0

    @property
    def loud_ms(self) -> float:
        """All sound since ``begin``, but what a second of quiet has ended."""
        return self._loud_ms

    @property
    def loudest_dbfs(self) -> float | None:
        """How loud the sound at hand has been at its loudest; None where there is none."""
        return self._loudest_dbfs if self._sounding_ms else None

    @property
    def mean_dbfs(self) -> float | None:
        """How loud the sound has been since ``begin``; None where there was none."""
        return self._heard_dbfs / self._heard_frames if self._heard_frames else None

    def sounding_ms(self, now_ms: float) -> float:
        """For how long the sound at hand has lasted; 0 when it is quiet."""
        return self._sounding_ms if self.quiet_ms(now_ms) <= _HANGOVER_MS else 0.0

    def quiet_ms(self, now_ms: float) -> float:
        """For how long it has been quiet; without end where nothing was heard yet."""
        return float("inf") if self._sound_ended_ms is None else max(0.0, now_ms - self._sound_ended_ms)
