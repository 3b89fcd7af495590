"""What both ways to ElevenLabs (``elevenlabs``, ``elevenlabs_socket``) have alike: what its models would obey, how fast they
speak, and how its refusals read.

Sources: help.elevenlabs.io, "Do pauses and SSML phoneme tags work with the API?"; elevenlabs.io/docs, "Voice settings", and
.../docs/api-reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from throughline.speech.tts.vendor_speech import words_of

_OBEYED = re.compile(r"[<>\[\]＜＞［］﹤﹥\x00-\x1f\x7f]|[&＆](?=#?\w+;)")

_SLOWEST, _FASTEST = 0.7, 1.2  # what it takes

_WORDS_BY_CODE = {
    "invalid_api_key": "key_refused",
    "missing_permissions": "key_not_permitted",
    "quota_exceeded": "quota_used_up",
    "payment_required": "not_in_plan",
    "voice_not_found": "voice_unknown",
    "voice_id_does_not_exist": "voice_unknown",
    "model_not_found": "model_unknown",
    "model_id_does_not_exist": "model_unknown",
    "too_many_concurrent_requests": "limit_reached",
    "rate_limit_exceeded": "limit_reached",
    "system_busy": "limit_reached",
    "input_timeout_exceeded": "connection_lost",
    "something_went_wrong": "broken_down",
}
_WORDS_BY_STATUS = {
    401: "key_refused",
    402: "quota_used_up",
    403: "key_not_permitted",
    404: "voice_unknown",
    422: "request_refused",
    429: "limit_reached",
}


def as_words(text: str) -> str:
    """``text`` without what ElevenLabs' models would obey instead of saying it.

    Angle brackets make `<break>` (all models but v3) and `<phoneme>` (the English ones), square ones make v3's audio tags, entities
    could become either. Their full-width twins go too: a text normaliser may turn them into the real ones.
    """
    return words_of(text, _OBEYED)


def within_bounds(speed: float) -> float:
    """The speed nearest to ``speed`` that ElevenLabs takes."""
    return round(min(_FASTEST, max(_SLOWEST, speed)), 2)


def word_for(status: int, body: Any) -> str:
    """A refusal's word. Bodies are ``{"detail": {"status", "message"}}``, newer ones with ``code`` and ``type`` beside them, or
    ``{"detail": [...]}`` where a field of the request is wrong; anything may stand in the place of a body."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    if isinstance(detail, Mapping):
        for code in (detail.get("status"), detail.get("code")):
            if isinstance(code, str) and code in _WORDS_BY_CODE:
                return _WORDS_BY_CODE[code]
    if status in _WORDS_BY_STATUS:
        return _WORDS_BY_STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    return "broken_down" if status >= 500 else "request_refused"


def word_for_code(code: object) -> str:
    """A refusal's word where there is a code alone, as in a message of the websocket."""
    return _WORDS_BY_CODE.get(code, "request_refused") if isinstance(code, str) else "request_refused"
