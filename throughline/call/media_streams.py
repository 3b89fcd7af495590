"""Twilio Media Streams, without a socket: JSON text in, events out; messages in, JSON text out.

The first thing a call's bytes meet, and the last. Messages and fields are Twilio's ("Media Streams - WebSocket messages",
bidirectional streams); our own page speaks the same and a little more: it may send 16 kHz linear PCM and typed ``text``, and
it is told captions, the call's state and the engine. None of that is given to or taken from a stream not admitted as a page.

Always holds:
- Whatever arrives, ``receive`` returns an event, or None for what is ignored, or raises ProtocolError with one word.
- The order is ``connected`` (may be missing), ``start`` once, then everything else, until ``stop``.
- Nothing in an event is longer than the bounds below, and strings that name something are printable ASCII.
- Events unknown to us are ignored and counted: Twilio may add some.
- Audio comes out in the order of its numbers, and no message comes out twice, whatever order a carrier brings them in. Audio that comes
  late is left out: a gap of 20 ms is understood, syllables that have changed places are not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import ProtocolError

MAX_MESSAGE_CHARS = 16_384
MAX_PAYLOAD_BYTES = 8_192
"""A quarter of a second at 16 kHz. Twilio sends 160 bytes at a time, our page 640."""
MAX_NAME_CHARS = 128
"""Stream and call ids, mark names, and names of custom parameters."""
MAX_PARAMETERS = 16
MAX_PARAMETER_CHARS = 512
MAX_TOKEN_CHARS = 128
KEYS = frozenset("0123456789*#ABCD")

_REMEMBERED = 256
"""Of so many of the latest numbers it is known which have come. Older ones are left out."""
_MOST_LATE = 250
"""So many late ones in a row, five seconds of audio, are no mishap on the way: the numbers mean nothing."""

_FORMATS = {("audio/x-mulaw", 8000, 1): TELEPHONE, ("audio/l16", 16000, 1): WIDEBAND}


@dataclass(frozen=True)
class Connected:
    """The socket speaks Media Streams."""


@dataclass(frozen=True)
class Start:
    """A call's stream begins. ``audio`` is the format of both directions."""

    stream_sid: str
    call_sid: str
    audio: AudioFormat
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The single-use token among the parameters, empty where there is none."""
        return self.parameters.get("token", "")


@dataclass(frozen=True)
class Media:
    """The caller's audio, in the stream's format."""

    audio: bytes


@dataclass(frozen=True)
class Dtmf:
    """A key the caller pressed: one of KEYS."""

    digit: str


@dataclass(frozen=True)
class Mark:
    """To the other side: name this point of the audio. From it: everything up to there has been played or cleared."""

    name: str


@dataclass(frozen=True)
class Text:
    """What the customer typed into the page instead of saying it."""

    text: str


@dataclass(frozen=True)
class Stop:
    """The call has ended on the other side."""


Event = Connected | Start | Media | Dtmf | Mark | Text | Stop


@dataclass(frozen=True)
class Audio:
    """Audio for the caller, in the stream's format."""

    audio: bytes


@dataclass(frozen=True)
class Clear:
    """Forget all audio that has not been played."""


@dataclass(frozen=True)
class Caption:
    """To the page: what ``who`` (``customer`` or ``assistant``) says. One that is not final is replaced by the next."""

    who: str
    text: str
    final: bool


@dataclass(frozen=True)
class Shown:
    """To the page: the call's state, with the reason once it is over."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Engine:
    """To the page: who listens, and whether only well enough for a demonstration."""

    stt: str
    demo: bool


Message = Audio | Mark | Clear | Caption | Shown | Engine


class MediaStream:
    """One connection's codec and the rules of its order."""

    def __init__(self) -> None:
        self._connected = False
        self._start: Start | None = None
        self._stopped = False
        self._page = False
        self._sequence = -1
        self._came: deque[int] = deque(maxlen=_REMEMBERED)
        self._late_in_a_row = 0
        self.late = 0
        """Messages left out because they came twice, or audio after later audio."""
        self.ignored = 0
        """Messages of a kind unknown to us."""

    def admit(self, *, page: bool) -> None:
        """Say what the token has let in. Raises ProtocolError when the stream's audio format is not allowed for it."""
        if self._start is None:
            raise ProtocolError("not_started")
        if self._start.audio != TELEPHONE and not page:
            raise ProtocolError("format_for_pages_only")
        self._page = page

    def receive(self, message: str) -> Event | None:
        """What one message says; None when it is nothing to us. Raises ProtocolError."""
        body = _object_of(message)
        name = body.get("event")
        if not isinstance(name, str):
            raise ProtocolError("no_event")
        if self._stopped:
            raise ProtocolError("after_stop")
        if name == "connected":
            return self._receive_connected()
        if name == "start":
            return self._receive_start(body)
        if self._start is None:
            raise ProtocolError("before_start")
        return self._receive_in_call(name, body)

    def _receive_connected(self) -> Connected:
        if self._connected or self._start is not None:
            raise ProtocolError("second_connected")
        self._connected = True
        return Connected()

    def _receive_start(self, body: Mapping[str, Any]) -> Start:
        if self._start is not None:
            raise ProtocolError("second_start")
        self._is_in_place(body)
        start = _mapping(body, "start")
        stream_sid = _name(start, "streamSid")
        if body.get("streamSid", stream_sid) != stream_sid:
            raise ProtocolError("other_stream")
        call_sid = _name(start, "callSid") if "callSid" in start else ""
        self._start = Start(stream_sid, call_sid, _audio_format(start), _parameters(start))
        return self._start

    def _receive_in_call(self, name: str, body: Mapping[str, Any]) -> Event | None:
        assert self._start is not None  # noqa: S101 -- receive() has checked it
        if body.get("streamSid", self._start.stream_sid) != self._start.stream_sid:
            raise ProtocolError("other_stream")
        if not self._is_in_place(body):
            return None
        if name == "media":
            return self._media(_mapping(body, "media"))
        if name == "dtmf":
            return _dtmf(_mapping(body, "dtmf"))
        if name == "mark":
            return Mark(_name(_mapping(body, "mark"), "name"))
        if name == "stop":
            self._stopped = True
            return Stop()
        if name == "text" and self._page:
            return _text(body)
        self.ignored += 1
        return None

    def _media(self, media: Mapping[str, Any]) -> Media | None:
        if media.get("track", "inbound") != "inbound":
            self.ignored += 1  # our own voice, which a stream of both tracks would bring back
            return None
        payload = media.get("payload")
        if not isinstance(payload, str):
            raise ProtocolError("no_payload")
        try:
            audio = base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError):
            raise ProtocolError("payload_not_base64") from None
        if len(audio) > MAX_PAYLOAD_BYTES:
            raise ProtocolError("payload_too_long")
        if self._start is not None and self._start.audio.encoding == "l16" and len(audio) % 2:
            raise ProtocolError("half_a_sample")
        return Media(audio)

    def _is_in_place(self, body: Mapping[str, Any]) -> bool:
        """Whether a message is to be taken, by its number. Twilio numbers its messages upwards, in strings, all but ``connected``; over its
        one socket none can overtake another, but whoever stands between may have mixed them up before. Raises ProtocolError."""
        if "sequenceNumber" not in body:
            return True
        text = body["sequenceNumber"]
        if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > 12:
            raise ProtocolError("bad_sequence")
        number = int(text)
        if number > self._sequence:
            self._sequence, self._late_in_a_row = number, 0
        elif body.get("event") != "stop":
            is_known = number in self._came or number < self._sequence - _REMEMBERED
            if is_known or body.get("event") == "media":
                self.late += 1
                self._late_in_a_row += 1
                if self._late_in_a_row > _MOST_LATE:
                    raise ProtocolError("sequence_went_back")
                return False
        self._came.append(number)
        return True

    def send(self, message: Message) -> str | None:
        """``message`` as JSON text; None for a page's message where there is no page. Raises ProtocolError before ``start``."""
        if self._start is None:
            raise ProtocolError("not_started")
        sid = self._start.stream_sid
        body: dict[str, Any]
        if isinstance(message, Audio):
            body = {"event": "media", "streamSid": sid, "media": {"payload": base64.b64encode(message.audio).decode("ascii")}}
        elif isinstance(message, Mark):
            body = {"event": "mark", "streamSid": sid, "mark": {"name": message.name}}
        elif isinstance(message, Clear):
            body = {"event": "clear", "streamSid": sid}
        elif not self._page:
            return None
        elif isinstance(message, Caption):
            body = {"event": "caption", "who": message.who, "text": message.text, "final": message.final}
        elif isinstance(message, Shown):
            body = {"event": "state", "state": message.state}
            if message.reason:
                body["reason"] = message.reason
        else:
            body = {"event": "engine", "stt": message.stt, "demo": message.demo}
        return json.dumps(body, separators=(",", ":"))


def _object_of(message: object) -> Mapping[str, Any]:
    if not isinstance(message, str):
        raise ProtocolError("not_text")
    if len(message) > MAX_MESSAGE_CHARS:
        raise ProtocolError("message_too_long")
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):  # deep nesting overflows the parser's stack
        raise ProtocolError("not_json") from None
    if not isinstance(body, dict):
        raise ProtocolError("not_an_object")
    return body


def _mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise ProtocolError(f"no_{key}")
    return value


def _printable(value: object, limit: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit and value.isascii() and value.isprintable()


def _name(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not _printable(value, MAX_NAME_CHARS):
        raise ProtocolError(f"bad_{key}")
    return value


def _audio_format(start: Mapping[str, Any]) -> AudioFormat:
    media_format = _mapping(start, "mediaFormat")
    values = (media_format.get("encoding"), media_format.get("sampleRate"), media_format.get("channels"))
    if not isinstance(values[0], str) or not all(type(value) is int for value in values[1:]):
        raise ProtocolError("bad_mediaFormat")
    audio = _FORMATS.get(values)  # type: ignore[arg-type]  # checked just above
    if audio is None:
        raise ProtocolError("unknown_format")
    return audio


def _parameters(start: Mapping[str, Any]) -> Mapping[str, str]:
    parameters = start.get("customParameters") or {}
    if not isinstance(parameters, dict) or len(parameters) > MAX_PARAMETERS:
        raise ProtocolError("bad_customParameters")
    for name, value in parameters.items():
        limit = MAX_TOKEN_CHARS if name == "token" else MAX_PARAMETER_CHARS
        if not _printable(name, MAX_NAME_CHARS) or (value != "" and not _printable(value, limit)):
            raise ProtocolError("bad_customParameters")
    return parameters


def _dtmf(dtmf: Mapping[str, Any]) -> Dtmf:
    digit = dtmf.get("digit")
    if not isinstance(digit, str) or digit not in KEYS:
        raise ProtocolError("bad_digit")
    return Dtmf(digit)


def _text(body: Mapping[str, Any]) -> Text:
    text = body.get("text")
    if not isinstance(text, str):
        raise ProtocolError("no_text")
    # Control characters and lone surrogates (JSON allows both) can be neither shown, stored nor spoken.
    return Text(" ".join("".join(c if c.isprintable() else " " for c in text).split()))
