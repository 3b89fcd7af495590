"""The whole path with the vendors' own SDKs: a Twilio number, Deepgram listening, ElevenLabs speaking, each a local server that speaks
the vendor's protocol."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e import story
from tests.e2e.vendor_line import DEEPGRAM_KEY, ELEVENLABS_KEY, MOST_CALLS, PERSON, RESTS_S, VendorLine
from tests.waiting import until
from throughline.domain.turns import PHONE
from throughline.settings.business import load_business
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.elevenlabs import FAILED, KEY_REFUSED

pytestmark = pytest.mark.e2e

MOST_TURNS = 14
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture
def line(nova: VendorLine) -> Iterator[VendorLine]:
    """The line where it doesn't matter which of Deepgram's models listens."""
    yield nova
    nova.deepgram.behave()
    nova.elevenlabs.behave()
    nova.api.fault = ""


@pytest.fixture(params=["nova", "flux"])
def either(request: pytest.FixtureRequest) -> VendorLine:
    chosen: VendorLine = request.getfixturevalue(request.param)
    return chosen


async def test_start_in_the_chat_and_go_on_by_telephone(either: VendorLine) -> None:
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


async def test_an_interruption_in_mid_sentence(either: VendorLine) -> None:
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


async def test_words_outlive_a_connection_that_is_lost_in_mid_utterance(either: VendorLine) -> None:
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


async def test_vendors_that_refuse_their_keys_are_replaced(line: VendorLine) -> None:
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


async def test_vendors_that_stall_are_replaced(line: VendorLine) -> None:
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


async def test_a_caller_who_asks_for_a_person_is_put_through(line: VendorLine) -> None:
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


async def test_where_twilios_api_is_down_the_caller_is_put_through_all_the_same(line: VendorLine) -> None:
    line.api.fault = "error"
    async with line.call("+15035550136") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await line.recording("I want to talk to a person please"))
        await call.over(40)
    assert call.dialled == [PERSON]
    assert "Redirect" in call.verbs


async def test_where_twilios_api_is_down_a_call_that_is_over_is_hung_up_all_the_same(line: VendorLine) -> None:
    line.api.fault = "stall"
    async with line.call("+15035550137") as call:
        caller = await call.stream()
        await caller.first_frame()
        await caller.say(await line.recording("goodbye"))
        await call.over(40)
    assert call.verbs == ["Connect", "Redirect", "Hangup"]
    assert line.session(call).end_reason == "completed"


async def test_with_everything_down_the_caller_is_put_through(line: VendorLine) -> None:
    """Both vendors, Twilio's API, and a record that takes nothing more, in the middle of a call."""
    line.deepgram.misbehave(503)
    line.elevenlabs.misbehave(FAILED)
    line.api.fault = "error"
    async with line.call("+15035550138") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        locked = sqlite3.connect(line.stack.folder / "record.db", isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        try:
            await caller.key("97201#")
            await call.over(60)
        finally:
            locked.close()
    assert call.dialled == [PERSON]
    words = load_business(Path("data/business")).phone.line
    assert call.said == [words.trouble, words.put_through]
    await asyncio.sleep(RESTS_S)


async def test_of_more_callers_at_once_than_the_line_takes_the_rest_are_put_through(line: VendorLine) -> None:
    """All of them may have been told to connect before the first was let in."""
    words, more = load_business(Path("data/business")).phone.line, 3
    async with AsyncExitStack() as calling:
        calls = [line.call(f"+15035550{number}") for number in range(200, 200 + MOST_CALLS + more)]
        await asyncio.gather(*(calling.enter_async_context(call) for call in calls))
        await until(
            lambda: all(call.dialled or any(caller.last_audible_at for caller in call.streams) for call in calls), within_s=40
        )
        put_through = [call for call in calls if call.dialled]
        assert len(put_through) == more
        for call in put_through:
            assert call.dialled == [PERSON]
            assert call.said == [words.busy, words.put_through]
