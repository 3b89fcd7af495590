"""A Rime account and a voice of it: what both ways to it (``rime_http``, ``rime_socket``) say alike, and how its refusals read.

Sources: docs.rime.ai/api-reference/mistv3/http and .../websockets-json, .../docs/errors, .../docs/custom-pauses,
.../docs/custom-pronunciation, .../docs/spell, .../docs/speed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from throughline.domain.transcripts import AudioFormat
from throughline.speech.http_client import checked_key, what_failed, word_for_status
from throughline.speech.tts.vendor_speech import words_of

LONGEST_PASSAGE = 450
"""Characters. Mist and Arcana take 500 at once, Coda more."""

_OBEYED = re.compile(r"[<>{}\[\]＜＞｛｝［］﹤﹥\x00-\x1f\x7f]|(?<=spell)\s*[(（﹙]", re.IGNORECASE)

_SLOWEST, _FASTEST = 0.5, 2.0
"""Rime names no bounds; beyond these nobody understands much."""
_SLOWER_IS_MORE = ("v1", "mist", "mistv2")
"""Models whose ``speedAlpha`` is how long speech takes; to all others it is how fast it goes. These have a ``timeScaleFactor`` too, but
not on websockets."""

_STATUS = re.compile(r"\s*([345]\d\d)\b")


def as_words(text: str) -> str:
    """``text`` without what Rime's models may obey instead of saying it: `<500>` is a pause, `{k1Ast0xm}` a pronunciation, words in
    square brackets are said at another speed, and `spell(...)` letter by letter. We switch none of these on, and some models obey some
    all the same."""
    return words_of(text, _OBEYED)


def within_bounds(speed: float) -> float:
    """The speed nearest to ``speed`` that we ask Rime for."""
    return round(min(_FASTEST, max(_SLOWEST, speed)), 2)


@dataclass(frozen=True)
class Account:
    """A key and a voice."""

    key: str
    model: str
    voice: str
    language: str

    def headers(self) -> dict[str, str]:
        """What lets us in. Raises Failed for a key that can be none."""
        return {"Authorization": f"Bearer {checked_key(self.key.strip())}"}

    def asked(self, audio: AudioFormat, speed: float) -> dict[str, str | int | float]:
        """The voice, the rate of ``audio``, and where it isn't the usual one, the speed."""
        asked: dict[str, str | int | float] = {
            "speaker": self.voice,
            "modelId": self.model,
            "lang": self.language,
            "samplingRate": audio.sample_rate_hz,
        }
        if speed != 1.0:
            asked["speedAlpha"] = round(1 / speed, 3) if self.model in _SLOWER_IS_MORE else speed
        return asked

    def __repr__(self) -> str:
        return f"Account({self.model}, {self.voice})"


def word_for(error: Exception) -> str:
    """One word for what went wrong."""
    word = what_failed(error)
    return "request_refused" if word == "not_found" else word


def word_for_refusal(status: int, text: str) -> str:
    """One word for a refusal: its class by the status, and where that is a bad request, by what the text is about. Rime's texts are
    plain, such as ``Speaker not found``; there are no codes. ``invalid subscription`` comes with 401, too."""
    lower = text.lower()
    if "subscription" in lower or "quota" in lower or "credit" in lower:
        return "quota_used_up"
    if status in (400, 404, 422) and ("speaker" in lower or "voice" in lower):
        return "voice_unknown"
    if status in (400, 404, 422) and "model" in lower:
        return "model_unknown"
    return word_for_status(400 if status == 404 else status)


def why_closed(code: int, reason: str) -> str:
    """One word for a websocket that Rime closed. The reason usually begins with the status that HTTP would have given."""
    status = _STATUS.match(reason)
    if status:
        return word_for_refusal(int(status.group(1)), reason)
    return "broken_down" if code == 1011 else "connection_lost"
