"""Media Streams: what may be said over the socket, in which order, and that nothing else gets through."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.call.media_streams import (
    MAX_MESSAGE_CHARS,
    MAX_PAYLOAD_BYTES,
    Audio,
    Caption,
    Clear,
    Connected,
    Dtmf,
    Engine,
    Mark,
    Media,
    MediaStream,
    Shown,
    Start,
    Stop,
    Text,
)
from throughline.domain.transcripts import TELEPHONE, WIDEBAND
from throughline.errors import ProtocolError

pytestmark = pytest.mark.unit

SID = "MZ18ad3ab5a668481ce02b83e7395059f0"
LET_IN = "one-time"
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}


def start_of(**fields: Any) -> dict[str, Any]:
    """A start message as Twilio's documentation shows it."""
    start = {
        "accountSid": "AC00000000000000000000000000000000",
        "streamSid": SID,
        "callSid": "CA00000000000000000000000000000000",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": LET_IN},
    }
    return {"event": "start", "sequenceNumber": "1", "start": {**start, **fields}, "streamSid": SID}


def media_of(audio: bytes, number: int = 2, **fields: Any) -> dict[str, Any]:
    payload = base64.b64encode(audio).decode()
    media = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": payload, **fields}
    return {"event": "media", "sequenceNumber": str(number), "media": media, "streamSid": SID}


WIDEBAND_FORMAT = {"encoding": "audio/l16", "sampleRate": 16000, "channels": 1}


def feed(stream: MediaStream, message: object) -> object:
    return stream.receive(message if isinstance(message, str) else json.dumps(message))


def started(*, page: bool = False, **fields: Any) -> MediaStream:
    stream = MediaStream()
    feed(stream, CONNECTED)
    feed(stream, start_of(**fields))
    stream.admit(page=page)
    return stream


def refused(stream: MediaStream, message: object) -> str:
    with pytest.raises(ProtocolError) as caught:
        feed(stream, message)
    return str(caught.value)


def test_a_call_as_twilio_sends_it() -> None:
    stream = MediaStream()
    assert feed(stream, CONNECTED) == Connected()
    start = feed(stream, start_of())
    assert start == Start(SID, "CA00000000000000000000000000000000", TELEPHONE, {"token": LET_IN})
    assert isinstance(start, Start)
    assert start.token == LET_IN
    assert feed(stream, media_of(b"\xff" * 160)) == Media(b"\xff" * 160)
    dtmf = {"event": "dtmf", "streamSid": SID, "sequenceNumber": "5", "dtmf": {"track": "inbound_track", "digit": "1"}}
    assert feed(stream, dtmf) == Dtmf("1")
    assert feed(stream, {"event": "mark", "sequenceNumber": "6", "streamSid": SID, "mark": {"name": "m"}}) == Mark("m")
    stop = {"event": "stop", "sequenceNumber": "7", "streamSid": SID, "stop": {"accountSid": "AC", "callSid": "CA"}}
    assert feed(stream, stop) == Stop()
    assert refused(stream, media_of(b"", 8)) == "after_stop"


class TestOrder:
    """A carrier may lose, double and mix up what it brings."""

    def numbers(self, stream: MediaStream, *numbers: int) -> list[int]:
        """Of messages of audio with these numbers, in the order in which they come, those that are taken."""
        taken = [feed(stream, media_of(bytes([number % 256]), number)) for number in numbers]
        return [event.audio[0] for event in taken if isinstance(event, Media)]

    def test_audio_is_taken_in_its_order(self) -> None:
        stream = started()
        assert self.numbers(stream, 2, 4, 3, 5, 5, 9, 8, 10) == [2, 4, 5, 9, 10]
        assert stream.late == 3

    def test_a_key_that_comes_late_counts_once(self) -> None:
        stream = started()
        self.numbers(stream, 2, 4)
        dtmf = {"event": "dtmf", "streamSid": SID, "sequenceNumber": "3", "dtmf": {"digit": "1"}}
        assert feed(stream, dtmf) == Dtmf("1")
        assert feed(stream, dtmf) is None

    def test_numbers_that_mean_nothing_end_the_call(self) -> None:
        stream = started()
        self.numbers(stream, 1000, *range(2, 252))
        assert refused(stream, media_of(b"\xff", 252)) == "sequence_went_back"

    def test_what_came_before_start_is_not_taken_after_it(self) -> None:
        assert self.numbers(started(), 1, 0) == []


def test_what_we_send_names_the_stream() -> None:
    stream = started()
    assert json.loads(stream.send(Audio(b"\x00\x01")) or "") == {
        "event": "media",
        "streamSid": SID,
        "media": {"payload": "AAE="},
    }
    assert json.loads(stream.send(Mark("m")) or "") == {"event": "mark", "streamSid": SID, "mark": {"name": "m"}}
    assert json.loads(stream.send(Clear()) or "") == {"event": "clear", "streamSid": SID}


def test_a_telephone_is_told_nothing_of_the_pages() -> None:
    stream = started()
    assert stream.send(Caption("assistant", "Hello", final=True)) is None
    assert stream.send(Shown("listening")) is None
    assert stream.send(Engine("fake", demo=True)) is None


def test_a_page_is_shown_captions_state_and_engine() -> None:
    stream = started(page=True)

    def sent(message: Caption | Shown | Engine) -> object:
        return json.loads(stream.send(message) or "")

    assert sent(Caption("customer", "It leaks", final=False)) == {
        "event": "caption",
        "who": "customer",
        "text": "It leaks",
        "final": False,
    }
    assert sent(Shown("listening")) == {"event": "state", "state": "listening"}
    assert sent(Shown("over", "silence")) == {"event": "state", "state": "over", "reason": "silence"}
    assert sent(Engine("fake", demo=True)) == {"event": "engine", "stt": "fake", "demo": True}


def test_wideband_audio_is_for_pages_only() -> None:
    assert feed(started(page=True, mediaFormat=WIDEBAND_FORMAT), media_of(b"\0\0" * 320)) == Media(b"\0\0" * 320)
    stream = MediaStream()
    start = feed(stream, start_of(mediaFormat=WIDEBAND_FORMAT))
    assert isinstance(start, Start)
    assert start.audio == WIDEBAND
    with pytest.raises(ProtocolError, match="format_for_pages_only"):
        stream.admit(page=False)


def test_typed_text_is_for_pages_only() -> None:
    text = {"event": "text", "text": "97201"}
    assert feed(started(page=True), text) == Text("97201")
    telephone = started()
    assert feed(telephone, text) is None
    assert telephone.ignored == 1


def test_typed_text_keeps_only_what_can_be_shown_and_stored() -> None:
    stream = started(page=True)
    assert feed(stream, {"event": "text", "text": " no,\u0000 the\n\tdryer \ud800"}) == Text("no, the dryer")


def test_unknown_events_are_ignored_and_counted() -> None:
    stream = started()
    assert feed(stream, {"event": "news", "streamSid": SID}) is None
    assert feed(stream, media_of(b"\xff", track="outbound")) is None
    assert stream.ignored == 2


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not_json"),
        ("{", "not_json"),
        ("[" * 10_000, "not_json"),
        ("[]", "not_an_object"),
        ('{"event": 1}', "no_event"),
        ("x" * (MAX_MESSAGE_CHARS + 1), "message_too_long"),
        (CONNECTED, "second_connected"),
        (start_of(), "second_start"),
        ({**media_of(b"\xff"), "streamSid": "MZother"}, "other_stream"),
        ({**media_of(b"\xff"), "sequenceNumber": 2}, "bad_sequence"),
        ({**media_of(b"\xff"), "sequenceNumber": "-2"}, "bad_sequence"),
        ({**media_of(b"\xff"), "sequenceNumber": "9" * 13}, "bad_sequence"),
        ({"event": "media", "streamSid": SID}, "no_media"),
        (media_of(b"", payload=None), "no_payload"),
        (media_of(b"", payload="=== "), "payload_not_base64"),
        (media_of(b"", payload="é"), "payload_not_base64"),
        (media_of(b"\xff" * (MAX_PAYLOAD_BYTES + 1)), "payload_too_long"),
        ({"event": "dtmf", "dtmf": {"digit": "12"}}, "bad_digit"),
        ({"event": "dtmf", "dtmf": {"digit": ""}}, "bad_digit"),
        ({"event": "mark", "mark": {"name": "m" * 129}}, "bad_name"),
        ({"event": "text", "text": 1}, "no_text"),
    ],
)
def test_what_breaks_the_protocol_is_named(message: object, reason: str) -> None:
    assert refused(started(page=True), message) == reason


@pytest.mark.parametrize("event", ["media", "dtmf", "mark", "stop", "text", "news"])
def test_nothing_comes_before_start(event: str) -> None:
    assert refused(MediaStream(), {"event": event}) == "before_start"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"streamSid": ""}, "bad_streamSid"),
        ({"streamSid": "MZ\n"}, "bad_streamSid"),
        ({"callSid": 7}, "bad_callSid"),
        ({"mediaFormat": None}, "no_mediaFormat"),
        ({"mediaFormat": {"encoding": "audio/x-mulaw"}}, "bad_mediaFormat"),
        ({"mediaFormat": {"encoding": [], "sampleRate": 8000, "channels": 1}}, "bad_mediaFormat"),
        ({"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": True}}, "bad_mediaFormat"),
        ({"mediaFormat": {"encoding": "audio/l16", "sampleRate": 48000, "channels": 1}}, "unknown_format"),
        ({"customParameters": ["token"]}, "bad_customParameters"),
        ({"customParameters": {"token": "t" * 129}}, "bad_customParameters"),
        ({"customParameters": {"token": "\ud800"}}, "bad_customParameters"),
        ({"customParameters": {f"p{n}": "" for n in range(17)}}, "bad_customParameters"),
    ],
)
def test_a_faulty_start_is_refused(fields: dict[str, Any], reason: str) -> None:
    message = start_of(**fields)
    del message["streamSid"]
    assert refused(MediaStream(), message) == reason


def test_a_start_for_another_stream_is_refused() -> None:
    assert refused(MediaStream(), {**start_of(), "streamSid": "MZother"}) == "other_stream"


def test_half_a_sample_is_refused() -> None:
    assert refused(started(page=True, mediaFormat=WIDEBAND_FORMAT), media_of(b"\0\0\0")) == "half_a_sample"


def test_a_start_without_token_has_an_empty_one() -> None:
    message = start_of()
    del message["start"]["customParameters"]
    start = feed(MediaStream(), message)
    assert isinstance(start, Start)
    assert start.token == ""


def test_nothing_is_sent_before_start() -> None:
    with pytest.raises(ProtocolError, match="not_started"):
        MediaStream().send(Clear())
    with pytest.raises(ProtocolError, match="not_started"):
        MediaStream().admit(page=True)


_KEYS = st.sampled_from(
    [
        "start",
        "media",
        "mark",
        "dtmf",
        "text",
        "payload",
        "name",
        "digit",
        "streamSid",
        "mediaFormat",
        "customParameters",
        "token",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS | st.text(max_size=9), inner, max_size=4),
    max_leaves=6,
)
_EVENTS = st.sampled_from(["connected", "start", "media", "dtmf", "mark", "text", "stop", "news"])
_MESSAGES = st.builds(lambda event, body: {**body, "event": event}, _EVENTS, st.dictionaries(_KEYS, _VALUES, max_size=4))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.text(max_size=60) | _MESSAGES, max_size=6))
def test_any_garbage_is_an_event_or_a_protocol_error(messages: list[Any]) -> None:
    for stream in (MediaStream(), started(), started(page=True)):
        for message in messages:
            try:
                event = feed(stream, message)
            except ProtocolError as error:
                assert str(error).isprintable()
            else:
                assert event is None or isinstance(event, (Connected, Start, Media, Dtmf, Mark, Text, Stop))
