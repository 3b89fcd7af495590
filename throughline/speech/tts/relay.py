"""Keeps a call's voice alive: several speaking engines as one, the next taking over where one fails, also in mid-sentence.

Stands between the call and the engines. What fails, or lets the call wait too long for audio, is logged and rests for a while;
the next voice says what the caller has not been told yet. Text is never logged.

Always holds: every word of the text is said, by one voice or the other, unless all fail; an engine is tried at most once for a
text; a listener who takes his time costs no engine its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.errors import ThroughlineError, Unavailable
from throughline.log import get_logger
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.within import closed_after, next_within, within

_log = get_logger("speech")

# What a voice takes, measured on the embedded one at its usual speed; how much slower or faster another is, the relay learns.
_MS_PER_LETTER = 50
_MS_PER_WORD = 65
_MS_PER_DIGIT = 380
_MS_PER_CAPITAL = 250
"""Letters of a word in capitals are mostly spelled."""
_MS_PER_SIGN = 400
"""Such as the percent of "5%": a word of its own."""
_PAUSES_MS = {**dict.fromkeys(",;:–—", 320), **dict.fromkeys(".!?…", 600)}
_SILENT = frozenset("'\"()-‘’“”")
_LEAD_IN_MS = 150
"""Silence before a voice's first word."""

_SLACK_MS = 250
_SLACK = 1.15
"""Errors of the estimate: a voice lingers on a word, or is slower in this sentence than in others."""
_FIRST_PACE = 1.2
"""How much longer than estimated a voice takes, as long as it is not known."""
_PACE_WEIGHT = 0.2
_PACE_FROM_MS = 1500
"""Shorter texts say little about a voice's pace."""
_SLOWEST, _FASTEST = 2.5, 0.4
"""No voice is slower or faster; what seems so was not the text."""
_CLOSE_MS = 2000
_OVER = 1.5
"""So many times the estimate: then the text was over."""


def unsaid(text: str, said_ms: float, pace: float = _FIRST_PACE) -> str:
    """What of ``text`` the caller may not have been told by ``said_ms`` of speech: from a word's beginning to the end.

    How far a voice was is an estimate by the length of its words, times ``pace`` for that voice. It is on the side of too little:
    a word that is said twice is understood, a word that is missing may be the "not", or the hour of an appointment.
    """
    words = text.split()
    heard_ms = (said_ms - _LEAD_IN_MS - _SLACK_MS) / (pace * _SLACK)
    ends_ms = _ends_ms(words)
    for index, end_ms in enumerate(ends_ms):
        if end_ms > heard_ms:
            return " ".join(words[index:])
    return words[-1] if words and heard_ms < ends_ms[-1] * _OVER else ""


def _ends_ms(words: Sequence[str]) -> list[int]:
    """About when a voice has said each of ``words``, before it pauses."""
    ends, now = [], 0
    for word in words:
        now += _spoken_ms(word)
        ends.append(now)
        now += _PAUSES_MS.get(word[-1], 0)
    return ends


def _spoken_ms(word: str) -> int:
    spelled = word.isupper() and len(word) > 1
    total = _MS_PER_WORD
    for character in word:
        if character.isdigit():
            total += _MS_PER_DIGIT
        elif character.isalpha():
            total += _MS_PER_CAPITAL if spelled else _MS_PER_LETTER
        elif character not in _SILENT and character not in _PAUSES_MS:
            total += _MS_PER_SIGN
    return total


class TtsRelay:
    """Several speaking engines as one, best first."""

    def __init__(
        self,
        engines: Sequence[TextToSpeech],
        *,
        first_audio_timeout_ms: float,
        retry_after_s: float,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``first_audio_timeout_ms``: how long a voice may let its listener wait, to begin or to go on. ``retry_after_s``: how
        long one that failed is left alone while there is another."""
        if not engines:
            raise ValueError("a relay needs an engine")
        self._engines = tuple(engines)
        self._timeout_ms = first_audio_timeout_ms
        self._retry_after_s = retry_after_s
        self._now_s = now_s
        self._rests_until_s: dict[TextToSpeech, float] = {}
        self._paces: dict[TextToSpeech, float] = {}

    @property
    def name(self) -> str:
        """Of the engine that would be taken now."""
        return self._in_order()[0].name

    def _in_order(self) -> list[TextToSpeech]:
        """Those that don't rest, then those that do: a voice that failed is better than none."""
        now_s = self._now_s()
        return sorted(self._engines, key=lambda engine: self._rests_until_s.get(engine, now_s) > now_s)

    async def warm_up(self) -> None:
        """Warm all up. One that can't be is logged and rests, as long as one is left: else raises Unavailable. Raises
        ConfigurationError for any: that is to be mended, not to be got round."""
        outcomes = await asyncio.gather(*(engine.warm_up() for engine in self._engines), return_exceptions=True)
        failed = 0
        for engine, outcome in zip(self._engines, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                failed += 1
                self._rest(engine)
                _log.warning("speech.voice_not_ready", engine=engine.name, reason=str(outcome))
            elif outcome is not None:
                raise outcome
        if failed == len(self._engines):
            raise Unavailable("no voice can be warmed up")

    async def close(self) -> None:
        """Close every engine. One that can't be closed is left behind, and logged."""
        for engine in self._engines:
            try:
                await within(engine.close(), _CLOSE_MS)
            except Exception as error:  # noqa: BLE001 -- see above
                _log.warning("speech.not_closed", engine=engine.name, reason=type(error).__name__)

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Raises Unavailable when every engine has failed."""
        engines = self._in_order()
        for index, engine in enumerate(engines):
            said_ms = 0.0
            try:
                async with closed_after(engine.speak(text, audio, speed=speed)) as chunks:
                    while (chunk := await _next(chunks, self._timeout_ms)) is not None:
                        said_ms += len(chunk) / audio.frame_bytes * FRAME_MS
                        yield chunk
                self._done(engine, text, said_ms * speed)
                return
            except Exception as error:  # noqa: BLE001 -- whatever a voice dies of, the caller is to hear the next
                self._lost(engine, error, said_ms, engines[index + 1 : index + 2])
            if said_ms:
                text = unsaid(text, said_ms * speed, self._paces.get(engine, _FIRST_PACE))
                if not text:
                    return
        raise Unavailable("no voice is left")

    def _done(self, engine: TextToSpeech, text: str, said_ms: float) -> None:
        """A whole text was said, in ``said_ms`` at the usual speed: the engine is well, and tells how fast it speaks."""
        self._rests_until_s.pop(engine, None)
        estimates_ms = _ends_ms(text.split())
        if estimates_ms and estimates_ms[-1] >= _PACE_FROM_MS:
            pace = min(_SLOWEST, max(_FASTEST, (said_ms - _LEAD_IN_MS) / estimates_ms[-1]))
            self._paces[engine] = (1 - _PACE_WEIGHT) * self._paces.get(engine, pace) + _PACE_WEIGHT * pace

    def _lost(self, engine: TextToSpeech, error: Exception, said_ms: float, next_engines: Sequence[TextToSpeech]) -> None:
        self._rest(engine)
        expected = isinstance(error, ThroughlineError)
        _log.warning(
            "speech.voice_lost",
            engine=engine.name,
            reason=str(error) if expected else type(error).__name__,
            said_ms=round(said_ms),
            next=next_engines[0].name if next_engines else "none",
            exc_info=None if expected else error,
        )

    def _rest(self, engine: TextToSpeech) -> None:
        self._rests_until_s[engine] = self._now_s() + self._retry_after_s


async def _next(chunks: AsyncIterator[bytes], timeout_ms: float) -> bytes | None:
    """The next chunk, None at the end. Raises Unavailable after ``timeout_ms``."""
    try:
        return await next_within(chunks, timeout_ms)
    except asyncio.TimeoutError:
        raise Unavailable("too_slow") from None
