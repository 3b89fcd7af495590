"""The telephone line as its callers and its company have it: a Twilio number, answered."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest

from tests.e2e import story
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.waiting import until
from throughline.domain.assurance import CODE, Assurance
from throughline.domain.turns import PHONE
from throughline.record import Record
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.e2e

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


async def test_a_call_is_answered_and_hung_up(stack: Stack, record: Record) -> None:
    async with stack.line().call(from_="+15035550120", to=COMPANY_NUMBER, stir="TN-Validation-Passed-A") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        session = record.phone_call(call.sid).session
        assert session is not None
        assert session.assurance is Assurance.ANONYMOUS
        assert session.detail["attestation"] == "TN-Validation-Passed-A"
        call.hang_up()
        await call.over()
    assert call.errors == []
    assert call.violations == []
    assert call.verbs == ["Connect"]
    assert record.phone_call(call.sid).ended_at is not None
    await until(lambda: record.session(session.session_id).end_reason == "hung_up")


async def test_a_known_number_hears_nothing_before_it_has_proved_itself(stack: Stack, record: Record) -> None:
    number = "+15035550122"
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("my dishwasher is leaking, it's a Bosch")
        await chat.ask("My name is Maria Lopez, 97201")
        answer = " ".join(await chat.ask("can I go on by phone?"))
        code = re.search(r"\b(\d{4}) ?(\d{4})\b", answer)
        assert code, answer
        contact = record.chat_session(chat.session_id or "").contact_id
        async with stack.line().call(from_=number, to=COMPANY_NUMBER) as first:
            caller = await first.stream()
            await caller.first_frame()
            await caller.key("".join(code.groups()))
            await until(lambda: record.callers_known(number, proofs=[CODE], since=LONG_AGO) == [contact])

    async with stack.line().call(from_=number, to=COMPANY_NUMBER) as second:
        caller = await second.stream()
        await caller.wait_quiet()
        session = record.phone_call(second.sid).session
        assert session is not None
        assert session.contact_id != contact
        assert session.assurance is Assurance.CLAIMED
        greeting = " ".join(story.said_by_assistant(record, session.contact_id, PHONE))
        assert "recent chat" in greeting
        for secret in ("Maria", "Lopez", "dishwasher", "Bosch", "97201", "leaking"):
            assert secret not in greeting
        await caller.key("97209#")
        await caller.wait_answer()
        wrong = " ".join(story.said_by_assistant(record, session.contact_id, PHONE))
        assert "doesn't match" in wrong
        assert "Maria" not in wrong
        await caller.key("97201#")
        await caller.wait_answer()
        assert record.session(session.session_id).contact_id == contact
        assert record.session(session.session_id).assurance is Assurance.POSSESSED
        resumed = story.said_by_assistant(record, contact, PHONE)[-3:]
        assert "Maria" in " ".join(resumed)
        assert "dishwasher" in " ".join(resumed)
    logged = "".join(file.read_text(errors="replace") for file in stack.folder.glob("*.log"))
    for secret in ("".join(code.groups()), number, "97201", "97209", "Maria", "dishwasher"):
        assert secret not in logged


async def test_somebody_elses_number_is_not_recognised(stack: Stack, record: Record) -> None:
    async with stack.line().call(from_="+15035550123", to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        session = record.phone_call(call.sid).session
        assert session is not None
        assert session.assurance is Assurance.ANONYMOUS
        assert "recent chat" not in " ".join(story.said_by_assistant(record, session.contact_id, PHONE))


async def test_a_stream_that_breaks_is_opened_again_and_the_call_goes_on(stack: Stack, record: Record) -> None:
    async with stack.line().call(from_="+15035550124", to=COMPANY_NUMBER) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.key("97201#")
        await caller.wait_answer()
        first = record.phone_call(call.sid).session
        assert first is not None
        caller.cut()
        again = await call.stream(2)
        await again.wait_quiet()
        second = record.phone_call(call.sid).session
        assert second is not None
        assert second.session_id != first.session_id
        assert second.contact_id == first.contact_id
        assert record.session(first.session_id).end_reason in ("line_lost", "cancelled")
        resumed = [event.data["text"] for event in story.events_of(record, second.contact_id, "bot")]
        assert "good to hear you" in " ".join(str(text) for text in resumed[-3:]), "it goes on where it stopped"
    assert call.verbs == ["Connect", "Redirect", "Connect"]
