"""The chat has the customer called: the telephone rings, somebody picks up and says that it is them, and the call goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from tests.e2e import story
from tests.e2e.vendor_line import VendorLine
from tests.waiting import until
from throughline.domain.assurance import CALL_BACK, CODE, Assurance
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.twilio import Party, PlacedCall

pytestmark = pytest.mark.e2e

MOST_TURNS = 14
SECRETS = ("Maria", "Lopez", "dishwasher", "drain", "97201", "everything from before")


@pytest.fixture
def line(nova: VendorLine) -> Iterator[VendorLine]:
    yield nova
    nova.api.fault = ""


async def proves(line: VendorLine, chat: ChatCustomer, number: str) -> str:
    """A call from ``number`` gives the chat's code; whose chat it is. Nothing more of it was said by phone then."""
    await chat.ask("My dishwasher won't drain")
    await chat.ask("My name is Maria Lopez, 97201")
    answer = " ".join(await chat.ask("can I go on by phone?"))
    code = re.search(r"\b(\d{4}) ?(\d{4})\b", answer)
    assert code, answer
    contact = line.record.chat_session(chat.session_id or "").contact_id
    async with line.call(number) as call:
        caller = await call.stream()
        await caller.first_frame()
        await caller.key("".join(code.groups()))
        since = datetime.now(timezone.utc) - timedelta(days=1)
        await until(lambda: [one.value for one in line.record.verified_numbers(contact, since=since)] == [number])
        await caller.wait_answer()
    return contact


def said_in(line: VendorLine, call: PlacedCall) -> list[str]:
    """What the assistant said in this call."""
    session = line.session(call)
    events = story.events_of(line.record, session.contact_id, "bot")
    return [str(event.data["text"]) for event in events if event.session_id == session.session_id]


def told_in_chat(line: VendorLine, contact: str) -> str:
    return " ".join(story.said_by_assistant(line.record, contact, WEB_CHAT))


async def test_the_telephone_rings_and_the_call_goes_on_with_the_next_question(line: VendorLine) -> None:
    number = "+15035550160"
    async with ChatCustomer(line.stack.address) as chat:
        contact = await proves(line, chat, number)
        answer = " ".join(await chat.ask("call me"))
        assert "calling you now at your number" in answer, "who is in the chat has shown nobody who they are"
        assert "calling you now" in " ".join(await chat.ask("call me please")), "asked twice"
        async with line.twilio.pick_up(number) as call:
            caller = await call.stream()
            await caller.wait_quiet()
            session = line.session(call)
            assert session.contact_id != contact
            assert session.assurance is Assurance.CLAIMED
            (greeting,) = said_in(line, call)
            assert "calling as you asked in our chat" in greeting
            await caller.say(await line.recording("yes please"))
            await caller.wait_answer()
            assert line.session(call).contact_id == contact
            assert line.session(call).assurance is Assurance.POSSESSED
            resumed = " ".join(said_in(line, call)[1:])
            assert "Maria" in resumed
            await until(
                lambda: str(chat.messages).count("good to hear you") == 2
            )  # as after the first call: the chat sees this one
            assert "dishwasher" in resumed
            assert story.open_question(line.record, contact) == "brand"
            assert "Which brand" in resumed
            for _ in range(MOST_TURNS):
                slot = story.open_question(line.record, contact)
                if slot is None:
                    break
                await caller.say(await line.recording(story.answer_to(slot)))
                await caller.wait_answer()
            await caller.say(await line.recording("no thank you, goodbye"))
            await call.over(40)
    assert len(line.record.calendar.visits_of(contact)) == 1
    assert story.asked_again(line.record, contact) == []
    assert (call.violations, call.errors) == ([], [])
    assert [one.to for one in line.twilio.calls.values()].count(number) == 1, "they were called once"
    (address,) = [one for one in line.record.addresses_of(contact) if one.value == number]
    assert address.proof == CALL_BACK
    assert "didn't tell us" not in told_in_chat(line, contact)
    logged = line.log + (line.stack.folder / "actions.log").read_text(errors="replace")
    assert number not in logged


@pytest.mark.parametrize(("outcome", "told"), [("no-answer", "nobody answered"), ("busy", "line was busy")])
async def test_the_chat_is_told_that_nobody_answered(line: VendorLine, outcome: str, told: str) -> None:
    number = "+15035550161" if outcome == "busy" else "+15035550162"
    line.twilio.parties[number] = Party(outcome)
    async with ChatCustomer(line.stack.address) as chat:
        contact = await proves(line, chat, number)
        await chat.ask("call me")
        await until(lambda: told in told_in_chat(line, contact))
        assert story.open_question(line.record, contact) == "brand", "and the question is still open"
        await chat.ask("it's a Bosch")
        assert story.open_question(line.record, contact) == "since"


async def test_a_machine_that_picks_up_hears_nothing_of_anybody(line: VendorLine) -> None:
    number = "+15035550163"
    async with ChatCustomer(line.stack.address) as chat:
        contact = await proves(line, chat, number)
        heard_before = len(story.said_by_assistant(line.record, contact, PHONE))
        await chat.ask("call me")
        async with line.twilio.pick_up(number) as call:
            caller = await call.stream()
            await caller.first_frame()
            await caller.say(await line.recording("hello you have reached my mailbox please leave a message"))
            await caller.wait_quiet()
            await caller.say(await line.recording("at the tone please record your message"))
            await caller.wait_answer()
            await caller.say(await line.recording("to end the recording press the pound key"))
            await call.over(60)
            said, session = said_in(line, call), line.session(call)
        assert session.contact_id != contact
        assert session.assurance is Assurance.CLAIMED
        assert session.end_reason == "completed"
        assert ["calling as you asked" in said[0], "say yes, or no" in said[1], "hang up for now" in said[2]] == [True] * 3
        assert len(said) == 3
        assert not [secret for secret in SECRETS for text in said if secret in text]
        assert len(story.said_by_assistant(line.record, contact, PHONE)) == heard_before
        await until(lambda: "didn't tell us that it was you" in str(chat.messages))
        assert "mailbox" not in str(chat.messages)
    (address,) = [one for one in line.record.addresses_of(contact) if one.value == number]
    assert address.proof == CODE, "a machine proves nothing"


async def test_a_stream_that_breaks_before_they_have_said_who_they_are(line: VendorLine) -> None:
    number = "+15035550164"
    async with ChatCustomer(line.stack.address) as chat:
        contact = await proves(line, chat, number)
        await chat.ask("call me")
        async with line.twilio.pick_up(number) as call:
            caller = await call.stream()
            await caller.wait_quiet()
            caller.cut()
            again = await call.stream(2)
            await again.wait_quiet()
            assert ["calling as you asked" in text for text in said_in(line, call)] == [True], "asked again, and no more"
            assert line.session(call).contact_id != contact
            await again.say(await line.recording("yes please"))
            await again.wait_answer()
            assert line.session(call).contact_id == contact
            again.cut()
            last = await call.stream(3)
            await last.wait_quiet()
            assert line.session(call).contact_id == contact
            assert "Maria" in " ".join(said_in(line, call)), "the same call goes on with them"
    assert call.verbs == ["Connect", "Redirect", "Connect", "Redirect", "Connect"]


async def test_a_chat_without_a_number_is_offered_the_other_ways(line: VendorLine) -> None:
    async with ChatCustomer(line.stack.address) as chat:
        answer = " ".join(await chat.ask("can you call me?"))
    assert "sure is yours" in answer
    assert re.search(r"\b(\d{4}) ?(\d{4})\b", answer), "a code to call with"


async def test_where_twilios_api_is_down_no_call_is_promised(line: VendorLine) -> None:
    async with ChatCustomer(line.stack.address) as chat:
        await proves(line, chat, "+15035550165")
        line.api.fault = "error"
        answer = " ".join(await chat.ask("call me"))
    assert "can't call you just now" in answer
    assert "calling you now" not in answer
