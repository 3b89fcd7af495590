"""Media Streams against a call as Twilio documents it: in order, with losses, repetitions and changes of every kind."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.call.media_streams import (
    KEYS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_PARAMETERS,
    MAX_PAYLOAD_BYTES,
    Connected,
    Dtmf,
    Mark,
    Media,
    MediaStream,
    Start,
    Stop,
    Text,
)
from throughline.domain.transcripts import TELEPHONE
from throughline.errors import ProtocolError

pytestmark = pytest.mark.unit

RECORDED = Path(__file__).parents[2] / "contract" / "payloads" / "twilio" / "media_stream.jsonl"
CALL: list[dict[str, Any]] = [json.loads(line) for line in RECORDED.read_text().splitlines()]
IN_CALL = CALL[2:-1]
STOP = CALL[-1]

ENDLESS = 10**400
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2**63, -(2**64), ENDLESS, 1e308, float("nan"), float("inf"), "", "0", "1" * 13, "٣", "²"])
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["\ud800", "\udfff\ud800", "\0", "\u2028", "MZ\n", "x" * 600, "=", "////", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything in a message."""
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


PLACES = [(number, path) for number, message in enumerate(CALL) for path in places(message)]


def changed(message: dict[str, Any], path: tuple[Any, ...], value: Any, *, remove: bool = False) -> dict[str, Any]:
    changed_message = copy.deepcopy(message)
    inside: Any = changed_message
    for key in path[:-1]:
        inside = inside[key]
    if remove:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return changed_message


def outcome(stream: MediaStream, message: str) -> str:
    """What a message leads to: the event's name, ``ignored``, or the protocol error's word. Nothing else may happen."""
    try:
        event = stream.receive(message)
    except ProtocolError as error:
        assert str(error).isidentifier(), "one word, safe to log and to record"
        return f"error: {error}"
    check_bounds(event)
    return "ignored" if event is None else type(event).__name__


def check_bounds(event: object) -> None:
    """No event carries more than the bounds allow, nor what cannot be stored or logged."""
    if isinstance(event, Media):
        assert len(event.audio) <= MAX_PAYLOAD_BYTES
    elif isinstance(event, Mark):
        assert event.name.isascii() and event.name.isprintable() and len(event.name) <= MAX_NAME_CHARS
    elif isinstance(event, Dtmf):
        assert event.digit in KEYS
    elif isinstance(event, Text):
        assert event.text.isprintable()
        event.text.encode()  # no lone surrogates
    elif isinstance(event, Start):
        assert len(event.parameters) <= MAX_PARAMETERS
        for word in (event.stream_sid, event.call_sid, *event.parameters, *event.parameters.values()):
            assert word.isascii() and (word.isprintable() or not word)
    else:
        assert event is None or isinstance(event, (Connected, Stop))


def started(*, page: bool = False) -> MediaStream:
    stream = MediaStream()
    for message in CALL[:2]:
        stream.receive(json.dumps(message))
    stream.admit(page=page)
    return stream


def test_the_recorded_call_is_understood_to_the_byte() -> None:
    stream = MediaStream()
    events = [stream.receive(json.dumps(message)) for message in CALL]
    start = events[1]
    assert isinstance(start, Start)
    assert (start.audio, start.token) == (TELEPHONE, "let-me-in")
    assert start.call_sid == CALL[1]["start"]["callSid"]
    audio = b"".join(event.audio for event in events if isinstance(event, Media))
    assert audio == b"".join(base64.b64decode(m["media"]["payload"]) for m in CALL if m["event"] == "media")
    assert [event for event in events if isinstance(event, Mark)] == [Mark("sentence-1"), Mark("sentence-2")]
    assert [event for event in events if isinstance(event, Dtmf)] == [Dtmf("4"), Dtmf("#")]
    assert isinstance(events[-1], Stop)
    assert stream.ignored == 0


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.sets(st.integers(0, len(IN_CALL) - 1)))
def test_losses_are_no_fault(lost: set[int]) -> None:
    stream = started()
    kept = [message for number, message in enumerate(IN_CALL) if number not in lost]
    names = {"media": "Media", "mark": "Mark", "dtmf": "Dtmf"}
    assert [outcome(stream, json.dumps(message)) for message in kept] == [names[message["event"]] for message in kept]
    assert outcome(stream, json.dumps(STOP)) == "Stop"


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.sampled_from(IN_CALL), max_size=12))
def test_nothing_is_taken_twice_and_no_audio_after_later_audio(messages: list[dict[str, Any]]) -> None:
    """In any order, and any of them again: audio is taken if its number is above every number before it, all else once."""
    stream, highest, came = started(), 1, {1}
    for message in messages:
        number = int(message["sequenceNumber"])
        taken = outcome(stream, json.dumps(message)) in ("Media", "Mark", "Dtmf")
        assert taken == (number > highest or (number not in came and message["event"] != "media"))
        highest = max(highest, number)
        if taken:
            came.add(number)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.permutations([*CALL[:4], STOP]))
def test_no_order_lets_anything_in_before_start_or_after_stop(messages: list[dict[str, Any]]) -> None:
    stream, running = MediaStream(), False
    for message in messages:
        led_to = outcome(stream, json.dumps(message))
        if not running:
            assert led_to in ("Connected", "Start", "error: before_start", "error: after_stop", "error: second_connected")
        if led_to in ("Start", "Stop"):
            running = led_to == "Start"


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.sampled_from(PLACES), JSON_VALUES, st.booleans(), st.booleans())
def test_any_change_at_any_place_is_taken_within_bounds_or_refused(
    place: tuple[int, tuple[Any, ...]], value: Any, remove: bool, page: bool
) -> None:
    number, path = place
    stream = MediaStream() if number < 2 else started(page=page)
    message = changed(CALL[number], path, value, remove=remove)
    assert outcome(stream, json.dumps(message))
    still = outcome(stream, json.dumps(STOP))
    assert still in ("Stop", "error: before_start", "error: sequence_went_back", "error: other_stream", "error: after_stop")


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.sampled_from(CALL), st.integers(0, 300), st.text(max_size=20), st.integers(0, 20))
def test_text_that_is_cut_or_overwritten_anywhere(message: dict[str, Any], at: int, garbage: str, gone: int) -> None:
    text = json.dumps(message)
    assert outcome(started(), text[:at] + garbage + text[at + gone :])


@pytest.mark.parametrize(
    ("message", "led_to"),
    [
        ("[" * 16_000, "error: not_json"),
        ('{"event":' * 1500, "error: not_json"),
        ('{"event":"media","media":' + "[" * 900 + "]" * 900 + "}", "error: no_media"),
        ('{"event":"news","x":' + "9" * 5000 + "}", "error: not_json"),
        ('{"event":"news","x":' + "9" * 4000 + "}", "ignored"),
        ('{"event":"news","x":1e99999}', "ignored"),
        ('{"event":"news","x":NaN}', "ignored"),
        ('{"event":"news\\ud800"}', "ignored"),
        ('{"event":"stop\\u0000"}', "ignored"),
        ('\ufeff{"event":"stop"}', "error: not_json"),
        ('{"event":"dtmf","event":"stop"}', "Stop"),
        ('{"event":"media","media":{"payload":"' + "A" * (MAX_MESSAGE_CHARS - 40) + '"}}', "error: payload_too_long"),
        ('{"event":"media","media":{"payload":"AAAA\\n"}}', "error: payload_not_base64"),
        ('{"event":"media","media":{"payload":"-_-_"}}', "error: payload_not_base64"),
        ('{"event":"media","media":{"payload":""}}', "Media"),
        ('{"event":"dtmf","dtmf":{"digit":"١"}}', "error: bad_digit"),
        ('{"event":"mark","mark":{"name":"\\ud800"}}', "error: bad_name"),
        ('{"event":"stop","sequenceNumber":"٣"}', "error: bad_sequence"),
        ('{"event":"stop","sequenceNumber":true}', "error: bad_sequence"),
        ('{"event":"stop","streamSid":["MZ"]}', "error: other_stream"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_oddities_of_json(message: str, led_to: str) -> None:
    assert outcome(started(), message) == led_to


def test_ten_megabytes_are_refused() -> None:
    assert outcome(started(), "[" * 10_000_000) == "error: message_too_long"
