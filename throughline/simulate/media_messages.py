"""What Twilio takes from a server on a bidirectional Media Stream, and what our own page takes beside it.

Twilio passes over anything else and warns once a stream (error 31951: not JSON, an unsupported event, missing or unexpected fields, a
wrong structure, another streamSid; error 31924: audio that is not base64 mu-law). Source: twilio.com/docs/api/errors/31951 and 31924.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

_FIELDS = {
    "media": {"event", "streamSid", "media"},
    "mark": {"event", "streamSid", "mark"},
    "clear": {"event", "streamSid"},
}
_INNER = {"media": "payload", "mark": "name"}
_PAGE_EVENTS = ("caption", "state", "engine")
_FILE_HEADERS = (b"RIFF", b"ID3", b"OggS", b"fLaC", b".snd")


def fault_of(message: str | bytes, *, stream_sid: str, page: bool) -> str:
    """Why the other side would not take ``message``; empty if it does. ``page``: it is our own page."""
    if not isinstance(message, str):
        return "not text"
    try:
        body = json.loads(message)
    except ValueError:
        return "not JSON"
    if not isinstance(body, dict):
        return "not an object"
    event = body.get("event")
    if page and event in _PAGE_EVENTS:
        return ""
    if event not in _FIELDS:
        return f"unsupported event {event!r}"
    if set(body) != _FIELDS[event]:
        return f"{event} with the fields {sorted(body)}"
    if body["streamSid"] != stream_sid:
        return f"{event} for another stream"
    return _fault_inside(event, body)


def _fault_inside(event: str, body: dict[str, Any]) -> str:
    key = _INNER.get(event)
    if key is None:
        return ""
    inside = body[event]
    if not isinstance(inside, dict) or set(inside) != {key} or not isinstance(inside[key], str) or not inside[key]:
        return f"{event} without a {key} of its own"
    if event == "media":
        try:
            audio = base64.b64decode(inside[key], validate=True)
        except (binascii.Error, ValueError):
            return "media that is not base64"
        if audio.startswith(_FILE_HEADERS):
            return "media with the header of a sound file"
    return ""
