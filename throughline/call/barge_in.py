"""Whether the assistant, while it speaks, goes on, pauses or stops for what comes from the caller.

A sound makes it pause at once, words decide: whoever waited for words would talk for half a second over somebody who says "no, wait".
``machine.py`` asks at every step. Times are passed in.

Always holds: nothing that has to be heard to its end is paused or stopped; a sound alone stops nothing; a pause ends. After false alarms in
a row sounds are heeded no more: it is a noisy place, or a loudspeaker.
"""

from __future__ import annotations

from enum import Enum

from throughline.call.call_settings import CallSettings
from throughline.call.playback import Playback
from throughline.call.turn_taking import TurnTaking

_FALSE_ALARMS_MAX = 3
"""Sounds that were nothing before sounds are no longer heeded."""


class Verdict(Enum):
    """What to do."""

    GO_ON = "go on"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


class BargeIn:
    """The judge of one call. ``playback`` is what is being said, ``turns`` what is heard."""

    def __init__(self, settings: CallSettings, playback: Playback, turns: TurnTaking) -> None:
        self._settings = settings
        self._playback = playback
        self._turns = turns
        self._false_alarms = 0

    def may_stop(self, *, ending: str) -> bool:
        """Nothing that is being said has to be heard to its end. ``ending``: why the call ends with it, empty where it goes on."""
        return self._playback.interruptible and ending in ("", "silence")

    def may_pause(self, *, ending: str) -> bool:
        """What is being said may wait until words tell what a sound is."""
        heeds_sounds = self._settings.barge_in_hold_ms > 0 and self._false_alarms < _FALSE_ALARMS_MAX
        return heeds_sounds and self._playback.busy and self.may_stop(ending=ending)

    def verdict(self, now_ms: float, *, ending: str, wanted: bool, deaf: bool) -> Verdict:
        """``wanted``: the caller has typed or keyed something, which stops it like words. ``deaf``: nothing that they say can."""
        playback, turns, held_since_ms = self._playback, self._turns, self._playback.held_since_ms
        if not self.may_stop(ending=ending):
            return Verdict.GO_ON if held_since_ms is None else Verdict.RESUME  # what came since has to be heard
        if wanted or turns.interrupts(playback.said_of_late, at_the_end=playback.at_the_end):
            self._false_alarms = 0
            return Verdict.STOP
        if held_since_ms is None:
            pauses = not deaf and self.may_pause(ending=ending) and turns.breaks_in(now_ms)
            return Verdict.PAUSE if pauses else Verdict.GO_ON
        if self._was_nothing(now_ms, held_since_ms):
            self._false_alarms += 1
            return Verdict.RESUME
        return Verdict.GO_ON

    def _was_nothing(self, now_ms: float, held_since_ms: float) -> bool:
        """The sound that the assistant paused for was no interruption."""
        settings, turns = self._settings, self._turns
        if now_ms - held_since_ms >= settings.barge_in_held_ms:
            return True
        enough_ms = settings.flush_ahead_ms if turns.has_new_words else settings.barge_in_verdict_ms
        return turns.line_quiet_ms(now_ms) >= enough_ms
