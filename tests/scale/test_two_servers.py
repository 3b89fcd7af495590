"""Two servers on one record: a customer can't tell which of them answers, nor that one of them died."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.e2e import story
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.e2e.voice import Voice
from tests.scale.conftest import House
from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import PHONE
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.scale

MOST_TURNS = 14


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
            await until(lambda: any(said in str(message.get("text")) for message in chat.messages))
        await finish_in_chat(whole, chat, contact)


async def test_a_chat_goes_on_where_its_server_died_over_a_message(whole: House) -> None:
    first, _ = whole.servers
    async with chat_on(first, whole) as chat:
        await chat.ask("My washing machine leaks")
        contact = whole.record.chat_session(chat.session_id or "").contact_id
        await chat.say("it's a Bosch")
        await until(lambda: _stored(whole, contact, "it's a Bosch"), 5)
        other = whole.killed(first)
    async with chat_on(other, whole, chat.session_id) as again:
        await until(lambda: whole.record.unfinished_messages() == [], 40)
        facts = {fact.slot: fact.value for fact in whole.record.facts(contact)}
        assert facts["brand"] == "Bosch", "the message was taken after all, once"
        words = [event.data["text"] for event in story.events_of(whole.record, contact, "user")]
        assert words == ["My washing machine leaks", "it's a Bosch"]
        assert again.session_id == chat.session_id
        await finish_in_chat(whole, again, contact)


def _stored(house: House, contact: str, text: str) -> bool:
    left = [message.turn.text for message in house.record.unfinished_messages()]
    said = [event.data["text"] for event in story.events_of(house.record, contact, "user")]
    return text in left or text in said


async def test_a_call_goes_on_where_its_server_died(whole: House, voice: Voice) -> None:
    first, second = whole.servers
    async with whole.line().call(from_="+15035550114", to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await voice.audio("my washing machine is leaking", TELEPHONE))
        await caller.wait_answer()
        before = whole.record.phone_call(call.sid).session
        assert before is not None
        asked = story.open_question(whole.record, before.contact_id)
        assert asked is not None
        whole.lead_to(second, first)
        whole.killed(first)
        await until(lambda: len(call.streams) == 2, 20)
        caller = call.streams[-1]
        await caller.wait_quiet()
        after = whole.record.phone_call(call.sid).session
        assert after is not None and after.contact_id == before.contact_id
        assert story.open_question(whole.record, after.contact_id) == asked, "it goes on with the question that was open"
        await caller.say(await voice.audio(story.answer_to(asked), TELEPHONE))
        await caller.wait_answer()
        assert asked in {fact.slot for fact in whole.record.facts(after.contact_id)}
        assert story.open_question(whole.record, after.contact_id) not in (asked, None)
        assert story.asked_again(whole.record, after.contact_id) == []


async def test_messages_find_a_server_whose_action_server_lives(whole: House) -> None:
    first, second = whole.servers
    first.kill("actions")
    await until(lambda: not first.runs, 30)
    async with ChatCustomer(whole.public) as chat:
        answers = " ".join(await chat.ask("My oven is broken"))
        assert "oven" in answers, "the second server has taken it"
    assert second.runs
