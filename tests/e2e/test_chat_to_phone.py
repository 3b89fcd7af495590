"""Start in chat, go on by phone, never repeat yourself: with a real browser and widget, and with a client that speaks Twilio's protocol."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e import story
from tests.e2e.page import open_page
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.e2e.voice import Voice
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.record import Record
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.e2e

MOST_TURNS = 14


def contact_of_chat(record: Record, session_id: str | None) -> str:
    assert session_id
    return record.chat_session(session_id).contact_id


def assert_booked_once(record: Record, contact: str) -> None:
    visits, cases = record.calendar.visits_of(contact), record.crm.cases_of(contact)
    assert len(visits) == 1
    assert len(cases) == 1
    assert [outcome.kind for outcome in record.outcomes(contact)].count("visit_booked") == 1
    assert story.asked_again(record, contact) == []
    channels = {event.channel for event in story.events_of(record, contact, "user", "bot")}
    assert channels == {WEB_CHAT, PHONE}
    living = {record.resolve(event.contact_id) for event in story.events_of(record, contact, "user", "bot")}
    assert living == {contact}


async def test_in_the_browser(stack: Stack, record: Record, voice: Voice, pictures: Path) -> None:
    async with open_page(stack.page) as page:
        await page.ask_in_chat("Hi, my washing machine is leaking")
        await page.ask_in_chat("I'm Dana Reyes in 97201")
        await page.ask_in_chat(f"{story.a_weekday()} would be good")
        contact = contact_of_chat(record, await page.session_id())
        known = {fact.slot for fact in record.facts(contact)}
        assert {"appliance", "problem", "customer_name", "postcode", "visit_day"} <= known
        await page.screenshot(pictures / "chat.png")

        await page.continue_by_phone()
        await page.wait_for_state("listening", timeout_ms=60_000)
        greeting = " ".join(line.text for line in await page.captions() if line.who == "assistant")
        assert "Dana" in greeting
        assert "washing machine" in greeting
        for _ in range(MOST_TURNS):
            slot = story.open_question(record, contact)
            if slot is None:
                break
            said = len(await page.captions())
            await page.speak(await voice.wav(story.answer_to(slot)))
            await page.wait_for_captions(said + 2)
            await page.wait_for_state("listening", "over", timeout_ms=60_000)
        await page.screenshot(pictures / "phone.png")
        assert_booked_once(record, contact)
        confirmation = [line.text for line in await page.captions() if line.who == "assistant"][-1]
        assert "booked" in confirmation
        await page.hang_up()
        chat = " ".join(line.text for line in await page.chat_messages())
        assert "booked" in chat, "the chat shows the call's turns"
        assert page.problems == []


async def test_with_a_telephone_and_the_code_keyed(stack: Stack, record: Record, voice: Voice) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("My dishwasher won't drain")
        await chat.ask("My name is Maria Lopez, 97201")
        answer = " ".join(await chat.ask("can I go on by phone?"))
        code = re.search(r"\b(\d{4}) ?(\d{4})\b", answer)
        assert code, answer
        contact = contact_of_chat(record, chat.session_id)

        async with stack.line().call(from_="+15035550112", to=COMPANY_NUMBER) as call:
            caller = await call.stream()
            await caller.wait_quiet()
            await caller.key("".join(code.groups()))
            await caller.wait_answer()
            resumed = " ".join(story.said_by_assistant(record, contact, PHONE))
            assert "Maria" in resumed
            assert "dishwasher" in resumed
            for _ in range(MOST_TURNS):
                slot = story.open_question(record, contact)
                if slot is None:
                    break
                await caller.say(await voice.audio(story.answer_to(slot), TELEPHONE))
                await caller.wait_answer()
            assert_booked_once(record, contact)
            assert call.violations == [], "nothing but Twilio's messages goes to a telephone"


async def test_call_first_and_chat_after(stack: Stack, record: Record, voice: Voice) -> None:
    async with stack.line().call(from_="+15035550113", to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await voice.audio("my washing machine is leaking", TELEPHONE))
        await caller.wait_answer()
        await caller.say(await voice.audio("it's a Bosch", TELEPHONE))
        await caller.wait_answer()
        await caller.say(await voice.audio("can I continue in the chat", TELEPHONE))
        await caller.wait_answer()
        called = next(one.contact_id for one in record.latest_conversations(limit=1))
        spoken = story.said_by_assistant(record, called, PHONE)[-1]
    digits = re.sub(r"\D", "", spoken)[:8]
    assert len(digits) == 8, spoken
    async with ChatCustomer(stack.address) as chat:
        answers = await chat.ask(f"I was on the phone, my code is {digits}")
        contact = contact_of_chat(record, chat.session_id)
        assert contact == called
        assert "washing machine" in " ".join(answers)
        for _ in range(MOST_TURNS):
            slot = story.open_question(record, contact)
            if slot is None:
                break
            await chat.ask(story.answer_to(slot))
        assert_booked_once(record, contact)
