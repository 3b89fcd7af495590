"""The whole path with the vendors' own SDKs: a Twilio number, Deepgram listening, ElevenLabs speaking, each a local server that speaks
the vendor's protocol."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import story
from tests.e2e.conftest import Voice
from tests.e2e.elsewhere import elsewhere
from tests.e2e.stack import COMPANY_NUMBER, Stack
from throughline import record as record_room
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import PHONE
from throughline.record import Record, Session
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import KEY_REFUSED, ElevenLabsServer
from throughline.simulate.twilio import Party, PlacedCall, TwilioApi, TwilioLine

pytestmark = pytest.mark.e2e

DEEPGRAM_KEY, ELEVENLABS_KEY = "deepgram-key-of-the-tests", "elevenlabs-key-of-the-tests"
PERSON = "+15035550188"
RESTS_S = 1
MOST_TURNS = 14
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass
class Line:
    """The running product at its vendors."""

    stack: Stack
    deepgram: DeepgramServer
    elevenlabs: ElevenLabsServer
    twilio: TwilioLine
    api: TwilioApi
    voice: Voice
    record: Record

    def call(self, from_: str) -> PlacedCall:
        return self.twilio.call(from_=from_, to=COMPANY_NUMBER, stir="TN-Validation-Passed-A")

    async def recording(self, text: str) -> bytes:
        """``text`` in the customer's voice, which Deepgram will understand."""
        audio = await self.voice.audio(text, TELEPHONE)
        self.deepgram.teach(text, TELEPHONE, audio)
        return audio

    def session(self, call: PlacedCall) -> Session:
        session = self.record.phone_call(call.sid).session
        assert session is not None
        return session

    def heard_from(self, call: PlacedCall) -> list[str]:
        """What the customer said in the call, as the dialogue got it."""
        session = self.session(call)
        events = story.events_of(self.record, session.contact_id, "user")
        return [str(event.data["text"]) for event in events if event.session_id == session.session_id]

    @property
    def log(self) -> str:
        return (self.stack.folder / "rasa.log").read_text(errors="replace")


def running(folder: Path, voice: Voice, model: str) -> Iterator[Line]:
    stack = Stack(
        folder,
        settings={
            "speech": {"retry_after_s": RESTS_S, "stall_timeout_ms": 1500, "deepgram": {"model": model}},
            "twilio": {"transfer_to": PERSON},
        },
        always_open=True,
    )
    twilio = stack.line()
    twilio.parties[PERSON] = Party("completed")
    with (
        DeepgramServer(key=DEEPGRAM_KEY) as deepgram,
        ElevenLabsServer(key=ELEVENLABS_KEY) as elevenlabs,
        elsewhere(TwilioApi(twilio)) as api,
    ):
        stack.environment = {
            "DEEPGRAM_API_KEY": DEEPGRAM_KEY,
            "DEEPGRAM_URL": deepgram.url,
            "ELEVENLABS_API_KEY": ELEVENLABS_KEY,
            "ELEVENLABS_URL": elevenlabs.url,
            "TWILIO_API_URL": api.url,
        }
        stack.start()
        record = record_room.open(stack.database_url, secret=stack.secret)
        try:
            yield Line(stack, deepgram, elevenlabs, twilio, api, voice, record)
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def nova(tmp_path_factory: pytest.TempPathFactory, voice: Voice) -> Iterator[Line]:
    yield from running(tmp_path_factory.mktemp("nova"), voice, "nova-3")


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory, voice: Voice) -> Iterator[Line]:
    yield from running(tmp_path_factory.mktemp("flux"), voice, "flux-general-en")


@pytest.fixture
def line(nova: Line) -> Iterator[Line]:
    """The line where it doesn't matter which of Deepgram's models listens."""
    yield nova
    nova.deepgram.behave()
    nova.elevenlabs.behave()
    nova.api.fault = ""


@pytest.fixture(params=["nova", "flux"])
def either(request: pytest.FixtureRequest) -> Line:
    chosen: Line = request.getfixturevalue(request.param)
    return chosen


async def test_start_in_the_chat_and_go_on_by_telephone(either: Line) -> None:
    async with ChatCustomer(either.stack.address) as chat:
        await chat.ask("My dishwasher won't drain")
        await chat.ask("My name is Maria Lopez, 97201")
        answer = " ".join(await chat.ask("can I go on by phone?"))
        code = re.search(r"\b(\d{4}) ?(\d{4})\b", answer)
        assert code, answer
        contact = either.record.chat_session(chat.session_id or "").contact_id
        spoken = [" ".join(DIGITS[int(digit)] for digit in group) for group in code.groups()]

        async with either.call("+15035550130") as call:
            caller = await call.stream()
            await caller.wait_quiet()
            await caller.say(await either.recording(", ".join(spoken)))
            await caller.wait_answer()
            resumed = " ".join(story.said_by_assistant(either.record, contact, PHONE))
            assert "Maria" in resumed
            assert "dishwasher" in resumed
            for _ in range(MOST_TURNS):
                slot = story.open_question(either.record, contact)
                if slot is None:
                    break
                await caller.say(await either.recording(story.answer_to(slot)))
                await caller.wait_answer()
            goodbye = await either.recording("no thank you, goodbye")
            await caller.say(goodbye)
            await call.over(40)

    assert len(either.record.calendar.visits_of(contact)) == 1
    assert len(either.record.crm.cases_of(contact)) == 1
    assert story.asked_again(either.record, contact) == []
    assert call.violations == []
    assert call.errors == []
    visit = either.deepgram.visits[-1]
    assert visit.path == ("/v2/listen" if visit.query["model"].startswith("flux") else "/v1/listen")
    asked = [one.text for one in either.elevenlabs.asked]
    assert any("booked" in text for text in asked)
    assert all(one.output_format == "ulaw_8000" for one in either.elevenlabs.asked)
    ended = [(request.method, request.fields.get("Status")) for request in either.api.requests]
    assert ("POST", "completed") in ended, "the call was ended by Twilio's API"


async def test_an_interruption_in_mid_sentence(either: Line) -> None:
    async with either.call("+15035550131") as call:
        caller = await call.stream()
        await caller.first_frame()
        await asyncio.sleep(1)
        await caller.say(await either.recording("my washing machine is leaking"))
        await caller.wait_answer()
        contact = either.session(call).contact_id
        assert either.heard_from(call) == ["my washing machine is leaking"]
        welcome, *_ = story.events_of(either.record, contact, "bot")
        heard = either.record.heard([welcome.event_id])[welcome.event_id]
        assert caller.clears == 1
        assert not heard.complete
        assert str(welcome.data["text"]).startswith(heard.text_heard)
        assert heard.text_heard
        assert story.open_question(either.record, contact) == "brand"
    assert call.violations == []


async def test_words_outlive_a_connection_that_is_lost_in_mid_utterance(either: Line) -> None:
    recording = await either.recording("my washing machine is leaking badly")
    either.deepgram.misbehave("drop", after=3, times=1)
    before = either.deepgram.connections
    async with either.call("+15035550132") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(recording)
        await caller.wait_answer()
        assert either.heard_from(call) == ["my washing machine is leaking badly"], "every word, once"
    assert either.deepgram.connections == before + 2


async def test_vendors_that_refuse_their_keys_are_replaced(line: Line) -> None:
    line.deepgram.misbehave(401)
    line.elevenlabs.misbehave(KEY_REFUSED)
    recording = await line.recording("my washing machine is leaking")
    async with line.call("+15035550133") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        assert len(caller.heard) > 160 * 50 * 3, "the embedded voice says the greeting"
        await caller.say(recording)
        await caller.wait_answer()
        assert line.heard_from(call) == ["my washing machine is leaking"], "the embedded ear understood it"
    assert line.log.count("key_refused") >= 2
    assert DEEPGRAM_KEY not in line.log
    assert ELEVENLABS_KEY not in line.log
    await asyncio.sleep(RESTS_S)


async def test_vendors_that_stall_are_replaced(line: Line) -> None:
    line.deepgram.misbehave("stall", times=1)
    line.elevenlabs.misbehave("stall", times=1)
    recording = await line.recording("my washing machine is leaking since yesterday evening, and it is getting worse")
    async with line.call("+15035550134") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        assert len(caller.heard) > 160 * 50 * 3
        await caller.say(recording)
        await caller.wait_answer()
        (said,) = line.heard_from(call)
        assert "washing machine" in said
    await asyncio.sleep(RESTS_S)


async def test_a_caller_who_asks_for_a_person_is_put_through(line: Line) -> None:
    async with line.call("+15035550135") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await line.recording("I want to talk to a person please"))
        await call.over(40)
        contact = line.session(call).contact_id
        (handoff,) = line.record.handoffs(contact)
    assert call.dialled == [PERSON]
    assert handoff.packet["call_back_to"] == "+15035550135"
    assert line.session(call).end_reason == "transferred"
    assert call.errors == []


async def test_where_twilios_api_is_down_the_caller_is_put_through_all_the_same(line: Line) -> None:
    line.api.fault = "error"
    async with line.call("+15035550136") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await line.recording("I want to talk to a person please"))
        await call.over(40)
    assert call.dialled == [PERSON]
    assert "Redirect" in call.verbs
