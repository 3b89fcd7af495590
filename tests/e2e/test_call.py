"""What happens in a call of the running product: interruptions, both channels at once, hanging up."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e import story
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.e2e.voice import Voice
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import PHONE
from throughline.record import Record
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.e2e

WITHIN_S = 20
CALLER = "+15035550111"


async def test_both_at_once(stack: Stack, record: Record) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("my dryer is making a noise")
        contact = record.chat_session(chat.session_id or "").contact_id
        assert story.open_question(record, contact) == "brand"
        token = stack.page_call(chat.session_id).json()["token"]
        async with stack.page_caller(token) as caller:
            await caller.wait_quiet()
            await chat.ask("it's a Miele")
            await caller.type("since yesterday")
            await caller.wait_answer()
            facts = {fact.slot: fact for fact in record.facts(contact)}
            assert facts["brand"].value == "Miele"
            assert facts["since"].channel == PHONE
            assert story.asked_again(record, contact) == [], "the call knew what was typed"
            shown = [str(message.get("text")) for message in chat.messages]
            assert any(text.endswith("since yesterday") for text in shown), "the chat shows what was said"
            answer = story.said_by_assistant(record, contact, PHONE)[-1]
            assert any(text.endswith(answer) for text in shown), "and what was answered"


async def test_an_interruption_stops_the_assistant_is_understood_and_only_what_was_heard_counts(
    stack: Stack, record: Record, voice: Voice
) -> None:
    async with stack.line().call(from_=CALLER, to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.first_frame()
        await asyncio.sleep(0.5)
        await caller.say(await voice.audio("my washing machine is leaking", TELEPHONE))
        await caller.wait_answer()
        contact = record.latest_conversations(limit=1)[0].contact_id
        said = [event.data["text"] for event in story.events_of(record, contact, "user")]
        assert said == ["my washing machine is leaking"], "every word, from the first, though spoken over the welcome"
        facts = {fact.slot: fact.value for fact in record.facts(contact)}
        assert facts == {"appliance": "washing machine", "problem": "leaking"}
        assert story.open_question(record, contact) == "brand", "the next question, and nothing that was just said"
        welcome, answer = story.events_of(record, contact, "bot")
        heard = record.heard([welcome.event_id, answer.event_id])
        assert caller.clears == 1, "the welcome was interrupted, and nothing after it"
        assert not heard[welcome.event_id].complete
        assert 0 < len(heard[welcome.event_id].text_heard) < len(str(welcome.data["text"]))
        assert str(welcome.data["text"]).startswith(heard[welcome.event_id].text_heard)
        assert heard[answer.event_id].complete
        assert call.violations == [], "nothing but what Twilio takes goes to a telephone"


async def test_hanging_up_ends_the_session_and_keeps_what_was_said(stack: Stack, record: Record) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("my dryer is making a noise")
        token = stack.page_call(chat.session_id).json()["token"]
        async with stack.page_caller(token) as caller:
            await caller.wait_quiet()
            await caller.type("it's a Miele")
            await caller.first_frame()
        contact = record.chat_session(chat.session_id or "").contact_id
        session_id = story.events_of(record, contact, "bot")[-1].session_id
        for _ in range(WITHIN_S * 10):
            if record.session(session_id or "").ended_at is not None:
                break
            await asyncio.sleep(0.1)
        assert record.session(session_id or "").ended_at is not None
        assert "Miele" in [fact.value for fact in record.facts(contact)]
        assert await chat.ask("since yesterday"), "the chat goes on"
        assert story.asked_again(record, contact) == []
