"""A whole call fed with anything: it ends in order with a reason, or it goes on, and the call beside it notices nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.call.test_call_session import LOST, Call, media, said, settle
from tests.unit.call.test_media_streams_recorded import CALL, JSON_VALUES, PLACES, changed
from throughline.call.effects import REASONS
from throughline.call.media_streams import MediaStream, Start, Stop
from throughline.call.session import CallSession
from throughline.errors import ProtocolError

pytestmark = pytest.mark.unit

HANDSHAKE = [json.dumps(message) for message in CALL[:2]]
FRAMES = [json.dumps(message) for message in CALL[2:]]
TYPED = json.dumps({"event": "text", "text": "it leaks"})

ANYTHING = st.one_of(
    st.sampled_from(FRAMES + HANDSHAKE),
    st.builds(
        lambda place, value, remove: json.dumps(changed(CALL[place[0]], place[1], value, remove=remove)),
        st.sampled_from(PLACES),
        JSON_VALUES,
        st.booleans(),
    ),
    st.text(max_size=30),
    st.sampled_from(["[" * 16_000, "x" * 20_000, "9" * 5000, '{"event":"news"}', TYPED, TYPED.replace("it leaks", "\ud800")]),
)
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("comes"), ANYTHING),
        st.tuples(st.just("comes"), st.sampled_from(FRAMES)),
        st.tuples(st.just("passes"), st.sampled_from(["20", "100", "400"])),
        st.tuples(st.just("is heard"), st.sampled_from(["it leaks", "yes", ""])),
    ),
    max_size=12,
)


def first_fault(messages: list[str], *, page: bool) -> str | None:
    """What the codec alone says: the first message that breaks the protocol, or ``stop``."""
    stream = MediaStream()
    for message in messages:
        try:
            event = stream.receive(message)
            if isinstance(event, Start):
                stream.admit(page=page)
        except ProtocolError as error:
            return str(error)
        if isinstance(event, Stop):
            return "stop"
    return None


class AnyCall(Call):
    """A call to which anything may happen, from its first message on."""

    async def hold(self, handshake: list[str], happenings: list[tuple[str, str]]) -> list[str]:
        """Let it all happen until the call is over. Returns the messages that came."""
        session = CallSession(self.socket, self.port, self.stt, self.tts, self.settings, self.clock)
        self.running = asyncio.ensure_future(session.run())
        came = list(handshake)
        for message in handshake:
            await self.caller(message)
        await settle(100)
        for what, value in happenings:
            if self.running.done():
                break
            if what == "comes":
                came.append(value)
                await self.caller(value)
            elif what == "passes":
                await self.clock.advance(int(value))
            elif self.stt.ears:
                await self.says(value)
        return came


@settings(deadline=None, derandomize=True, max_examples=80)
@given(HAPPENINGS, st.booleans(), st.integers(0, 2))
def test_after_anything_a_call_ends_in_order_and_with_the_reason_it_deserves(
    happenings: list[tuple[str, str]], page: bool, shaken: int
) -> None:
    async def scenario() -> None:
        call = AnyCall()
        call.port.page = page
        came = await call.hold(HANDSHAKE[:shaken], happenings)
        await call.caller(LOST)
        reason = await call.over()
        assert reason in REASONS
        fault = first_fault(came, page=page)
        assert reason == {None: "line_lost", "stop": "hung_up"}.get(fault, "protocol_error")
        assert not call.socket.sent or call.port.of("admit"), "nothing is sent before somebody has been let in"

    asyncio.run(asyncio.wait_for(scenario(), 20))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.tuples(st.just("comes"), ANYTHING), max_size=8))
def test_the_call_beside_it_loses_no_audio_and_no_word(happenings: list[tuple[str, str]]) -> None:
    async def scenario() -> None:
        other, hostile = Call(), AnyCall()
        await other.greeted()
        spoken = b""
        hostile_call = asyncio.ensure_future(hostile.hold(HANDSHAKE, happenings))
        for number in range(20):
            frame = bytes([number]) * 160
            spoken += frame
            await other.caller(media(frame))
        await other.says("it leaks")
        await other.clock.advance(800)
        await hostile_call
        assert other.stt.ears[0].audio == spoken
        assert other.port.of("turn") == [("it leaks", "speech", None)]
        await hostile.caller(LOST)
        await asyncio.wait_for(hostile.running, 5)
        await other.caller(LOST)
        assert await other.over() == "line_lost"

    asyncio.run(asyncio.wait_for(scenario(), 20))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 8000))
def test_of_the_audio_that_comes_every_byte_is_heard_once_and_in_order(kept: list[bool], size: int) -> None:
    """Frames of any length; some are lost on the way, with their numbers."""

    async def scenario() -> None:
        call = Call()
        await call.greeted()
        heard = b""
        for number, is_kept in enumerate(kept):
            frame = bytes([number]) * (size if number % 2 else 160)
            if is_kept:
                await call.caller({**media(frame), "sequenceNumber": str(number + 2)})
                heard += frame
        assert call.stt.ears[0].audio == heard
        await call.caller(LOST)
        assert await call.over() == "line_lost"

    asyncio.run(asyncio.wait_for(scenario(), 20))


@pytest.mark.parametrize("before", [[], HANDSHAKE[:1], HANDSHAKE])
@pytest.mark.parametrize(
    "garbage",
    [
        "[" * 16_000,
        "[" * 10_000_000,
        '{"event":' * 1500,
        "9" * 5000,
        json.dumps({"event": "media", "media": {"payload": "A" * 16_000}}),
        json.dumps({"event": "dtmf", "dtmf": {"digit": "\ud800"}}),
        json.dumps({"event": ["start"]}),
    ],
    ids=["deep", "10 MB", "deep objects", "a long number", "long audio", "half a character", "no name"],
)
async def test_one_broken_message_ends_its_call_whenever_it_comes(before: list[str], garbage: str) -> None:
    call = AnyCall()
    await call.hold(before, [("comes", garbage)])
    assert await call.over() == "protocol_error"
    if before != HANDSHAKE:
        assert call.stt.ears == [] and call.tts.spoken == [], "nobody was let in, so nothing was bought"


async def test_a_flood_of_messages_leaves_the_call_beside_it_its_time() -> None:
    other, flood = Call(), Call()
    await other.greeted()
    await flood.greeted()
    for number in range(5000):
        flood.socket.incoming.put_nowait({"event": "news", "streamSid": "MZ1", "sequenceNumber": str(number + 2)})
    frame = b"\x11" * 160
    for _ in range(10):
        await other.caller(media(frame))
    assert other.stt.ears[0].audio == frame * 10, "heard while the flood is still being worked off"
    assert flood.socket.incoming.qsize() > 0
    for call in (flood, other):
        call.socket.incoming.put_nowait(LOST)
    await asyncio.wait_for(flood.running, 10)
    assert await other.over() == "line_lost"


async def test_keys_without_end_are_turns_of_bounded_length_until_too_many_wait() -> None:
    call = Call()
    await call.greeted()
    call.port.held = asyncio.Event()
    for _ in range(400):
        await call.caller({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "5"}})
        if call.running.done() or call.socket.closed:
            break
    call.port.held.set()
    assert await call.over() == "protocol_error"
    assert {text for text, *_ in call.port.of("turn")} == {"5" * call.settings.keypad_max_digits}


async def test_marks_nobody_has_set_are_nothing() -> None:
    call = Call()
    call.socket.plays = False
    call.port.greeting = said("one two three four five six seven eight")
    await call.start()
    for name in ("sentence-99", "another", "sentence-1 "):
        await call.caller({"event": "mark", "streamSid": "MZ1", "mark": {"name": name}})
    await call.clock.advance(200)
    await call.caller(LOST)
    assert await call.over() == "line_lost"
    ((_, heard, complete),) = call.port.of("heard")
    assert not complete and len(heard.split()) < 8, "a made-up mark proves nothing as heard"
