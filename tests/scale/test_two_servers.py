"""Two servers on one record: a customer can't tell which of them answers, nor that one of them died."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest
import requests

from tests.e2e import story
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.e2e.voice import Voice
from tests.scale.conftest import House
from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import PHONE
from throughline.simulate.call import Caller
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.twilio import PlacedCall

pytestmark = pytest.mark.scale

MOST_TURNS = 14
PATIENT_S = 60.0
"""For two whole products on however few cores."""

LEFT_OVER_S = 90.0
"""A message is looked for where it is 15 s old; its turn needs what every turn needs."""

either = pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])


def chat_on(server: Stack, house: House, session_id: str | None = None) -> ChatCustomer:
    return ChatCustomer(server.address, origin=house.public, session_id=session_id)


async def code_of(chat: ChatCustomer) -> str:
    answer = " ".join(await chat.ask("can I go on by phone?"))
    code = re.search(r"\b(\d{4}) ?(\d{4})\b", answer)
    assert code, answer
    return "".join(code.groups())


async def finish_in_chat(house: House, chat: ChatCustomer, contact: str) -> None:
    for _ in range(MOST_TURNS):
        slot = story.open_question(house.record, contact)
        if slot is None:
            break
        await chat.ask(story.answer_to(slot))
    assert len(house.record.calendar.visits_of(contact)) == 1
    assert [outcome.kind for outcome in house.record.outcomes(contact)].count("visit_booked") == 1
    assert story.asked_again(house.record, contact) == []
    assert house.record.unfinished_messages() == []


async def test_a_chat_on_one_server_and_the_call_on_the_other_both_at_once(whole: House, voice: Voice) -> None:
    first, second = whole.servers
    async with chat_on(first, whole) as chat:
        await chat.ask("My dishwasher won't drain")
        await chat.ask("My name is Maria Lopez, 97201")
        code = await code_of(chat)
        contact = whole.record.chat_session(chat.session_id or "").contact_id
        whole.lead_to(second)
        async with whole.line().call(from_="+15035550112", to=COMPANY_NUMBER) as call:
            caller = await call.stream()
            await caller.wait_quiet()
            await caller.key(code)
            await caller.wait_answer()
            session = whole.record.phone_call(call.sid).session
            assert session is not None and session.contact_id == contact
            resumed = " ".join(story.said_by_assistant(whole.record, contact, PHONE))
            assert "Maria" in resumed and "dishwasher" in resumed

            slot = story.open_question(whole.record, contact)
            assert slot is not None
            speech = await voice.audio(story.answer_to(slot), TELEPHONE)
            await asyncio.gather(caller.say(speech), chat.ask("what are your opening hours?"))
            await caller.wait_answer()
            said = story.said_by_assistant(whole.record, contact, PHONE)[-1]
            await until(lambda: any(said in str(message.get("text")) for message in chat.messages), PATIENT_S)
        await finish_in_chat(whole, chat, contact)


@either
async def test_a_chat_goes_on_where_its_server_died_over_a_message(whole: House, which: int) -> None:
    dying = whole.servers[which]
    async with chat_on(dying, whole) as chat:
        await chat.ask("My washing machine leaks")
        contact = whole.record.chat_session(chat.session_id or "").contact_id
        with dying.standing_still("actions"):  # or the turn could be over before
            await chat.say("it's a Bosch")
            await until(lambda: unfinished(whole) == ["it's a Bosch"])
            other = whole.killed(dying)
            assert unfinished(whole) == ["it's a Bosch"]
            assert "brand" not in {fact.slot for fact in whole.record.facts(contact)}
    async with chat_on(other, whole, chat.session_id) as again:
        await until(lambda: unfinished(whole) == [], LEFT_OVER_S)
        facts = {fact.slot: fact.value for fact in whole.record.facts(contact)}
        assert facts["brand"] == "Bosch", "the message was taken after all, once"
        words = [event.data["text"] for event in story.events_of(whole.record, contact, "user")]
        assert words == ["My washing machine leaks", "it's a Bosch"]
        assert again.session_id == chat.session_id
        await finish_in_chat(whole, again, contact)


def unfinished(house: House) -> list[str]:
    """The texts of the messages whose turns are not over."""
    return [message.turn.text for message in house.record.unfinished_messages()]


@either
async def test_a_call_goes_on_where_its_server_died(whole: House, voice: Voice, which: int) -> None:
    dying, other = whole.servers[which], whole.servers[1 - which]
    whole.lead_to(dying, other)
    async with whole.line().call(from_=f"+1503555011{4 + which}", to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await voice.audio("my washing machine is leaking", TELEPHONE))
        await caller.wait_answer()
        before = whole.record.phone_call(call.sid).session
        assert before is not None
        asked = story.open_question(whole.record, before.contact_id)
        assert asked is not None
        whole.killed(dying)
        caller = await connected_again(call)
        after = whole.record.phone_call(call.sid).session
        assert after is not None and after.contact_id == before.contact_id
        assert story.open_question(whole.record, after.contact_id) == asked, "it goes on with the question that was open"
        await caller.say(await voice.audio(story.answer_to(asked), TELEPHONE))
        await caller.wait_answer()
        assert asked in {fact.slot for fact in whole.record.facts(after.contact_id)}
        assert story.open_question(whole.record, after.contact_id) not in (asked, None)
        assert story.asked_again(whole.record, after.contact_id) == []


async def connected_again(call: PlacedCall) -> Caller:
    """The call's next stream, once the assistant has said there how it goes on."""
    caller = await call.stream(2, PATIENT_S)
    await caller.wait_quiet()
    return caller


@pytest.mark.parametrize(("dies", "number"), [("the chat's server", "+15035550116"), ("the call's server", "+15035550117")])
async def test_a_chat_and_its_call_elsewhere_go_on_where_either_server_died(
    whole: House, voice: Voice, dies: str, number: str
) -> None:
    first, second = whole.servers
    async with contextlib.AsyncExitStack() as opened:
        page = await opened.enter_async_context(chat_on(first, whole))
        await page.ask("My dishwasher won't drain")
        code = await code_of(page)
        contact = whole.record.chat_session(page.session_id or "").contact_id
        whole.lead_to(second, first)
        call = await opened.enter_async_context(whole.line().call(from_=number, to=COMPANY_NUMBER))
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.key(code)
        await caller.wait_answer()
        if dies == "the chat's server":
            page = await opened.enter_async_context(chat_on(whole.killed(first), whole, page.session_id))
        else:
            whole.killed(second)
            caller = await connected_again(call)
        slot = story.open_question(whole.record, contact)
        assert slot is not None
        await caller.say(await voice.audio(story.answer_to(slot), TELEPHONE))
        await caller.wait_answer()
        assert slot in {fact.slot for fact in whole.record.facts(contact)}
        if (
            dies == "the chat's server"
        ):  # of a call that was connected again the page sees nothing yet: test_record_standings.py
            said = story.said_by_assistant(whole.record, contact, PHONE)[-1]
            await until(lambda: any(said in str(message.get("text")) for message in page.messages), PATIENT_S)
        assert whole.record.chat_session(page.session_id or "").contact_id == contact
        call.hang_up()
        await finish_in_chat(whole, page, contact)


@either
async def test_messages_find_a_server_whose_action_server_lives(whole: House, which: int) -> None:
    without, other = whole.servers[which], whole.servers[1 - which]
    whole.lead_to(without, other)
    without.kill("actions")
    await until(lambda: not without.runs, PATIENT_S)
    async with ChatCustomer(whole.public) as chat:
        answers = " ".join(await chat.ask("My oven is broken"))
        assert "oven" in answers, "the other server has taken it"
    assert other.runs


async def test_a_server_that_is_told_to_stop_lets_its_call_go_on_and_hands_it_over(whole: House, voice: Voice) -> None:
    stopping, other = whole.servers
    async with whole.line().call(from_="+15035550118", to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        stopping.begin_to_stop()
        await until(lambda: draining(stopping), PATIENT_S)

        refused = page_call(stopping, whole)
        assert refused.status_code == 503
        assert refused.json()["error"] == "busy"
        assert refused.json()["message"]
        async with whole.line().call(from_="+15035550119", to=COMPANY_NUMBER) as late:  # where this server is still asked
            whole.lead_to(other)  # as whoever distributes connections does once /health says so
            taken = await late.stream()
            await taken.wait_quiet()
            assert late.verbs[0] == "Connect"
            assert late.said == []

        await caller.say(await voice.audio("my washing machine is leaking", TELEPHONE))
        await caller.wait_answer()
        assert len(call.streams) == 1, "it goes on where it is"
        before = whole.record.phone_call(call.sid).session
        assert before is not None
        asked = story.open_question(whole.record, before.contact_id)
        assert asked is not None

        caller = await connected_again(call)
        after = whole.record.phone_call(call.sid).session
        assert after is not None and after.contact_id == before.contact_id
        assert whole.record.session(before.session_id).end_reason == "cancelled"
        assert story.open_question(whole.record, after.contact_id) == asked
        await caller.say(await voice.audio(story.answer_to(asked), TELEPHONE))
        await caller.wait_answer()
        assert asked in {fact.slot for fact in whole.record.facts(after.contact_id)}
        assert story.asked_again(whole.record, after.contact_id) == []
    await until(lambda: not stopping.runs, PATIENT_S)


def draining(server: Stack) -> bool:
    """Whether it says that it is to stop."""
    return bool(requests.get(f"{server.address}/health", timeout=5).json()["draining"])


def page_call(server: Stack, house: House) -> requests.Response:
    """A page asks for a call."""
    url = f"{server.address}/webhooks/phone/page-call"
    return requests.post(url, json={"session_id": None}, headers={"Origin": house.public}, timeout=10)
