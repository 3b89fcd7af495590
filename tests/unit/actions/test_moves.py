"""Going on elsewhere: codes, resuming, persons, parting."""

from __future__ import annotations

from typing import Any

import pytest

from actions.goodbye import Goodbye
from actions.offer_phone import OfferPhone
from actions.redeem_code import RedeemCode
from actions.request_person import RequestPerson
from actions.resume import Resume
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application
from throughline.domain.turns import PHONE

pytestmark = pytest.mark.unit


def on_the_phone(app: Application) -> Conversation:
    """Somebody who calls, and whom we don't know."""
    contact = app.record.create_contact()
    return Conversation(contact, app.record.open_session(contact, PHONE).session_id, channel=PHONE)


def requests(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["metadata"]["request"] for event in events if "metadata" in event]


async def test_a_code_from_the_chat_asks_for_the_merge(talk: Conversation, app: Application) -> None:
    offered = await talk.hears("can I call you", "move_to_phone").do(OfferPhone())
    code = offered.values[0]["code"].replace(" ", "")
    caller = on_the_phone(app)
    done = await caller.hears(code, "give_code", code=code).do(RedeemCode())
    assert done.said == ["utter_code_accepted"]
    assert requests(done.events) == [{"kind": "merge", "into": talk.contact_id, "because": "code"}]

    again = await on_the_phone(app).hears(code, "give_code", code=code).do(RedeemCode())
    assert again.said == ["utter_code_used"]


async def test_one_tap_calls_us_and_keys_the_code(talk: Conversation, app: Application) -> None:
    offered = await talk.hears("can I call you", "move_to_phone").do(OfferPhone())
    code = offered.values[0]["code"].replace(" ", "")
    assert offered.values[0]["call_link"] == f"tel:{app.business.company.phone},,{code}"
    caller = on_the_phone(app)
    assert (await caller.hears(code, "give_code", code=code).do(RedeemCode())).said == ["utter_code_accepted"]


async def test_wrong_codes_are_answered_until_there_were_too_many(app: Application) -> None:
    caller = on_the_phone(app).hears("11111111", "give_code", code="11111111")
    said = [(await caller.do(RedeemCode())).said[0] for _ in range(4)]
    assert said == ["utter_code_unknown"] * 3 + ["utter_code_too_many"]


async def test_having_a_code_without_saying_it_is_asked_for(app: Application) -> None:
    assert (await on_the_phone(app).hears("i have a code", "give_code").do(RedeemCode())).said == ["utter_code_ask"]


async def test_who_is_on_the_phone_is_not_sent_there(app: Application) -> None:
    assert (await on_the_phone(app).hears("can I call you", "move_to_phone").do(OfferPhone())).said == ["utter_phone_already"]


async def test_the_open_question_is_not_put_again_after_an_offer(talk: Conversation) -> None:
    done = await talk.asks("brand").hears("can I call you", "move_to_phone").do(OfferPhone())
    assert [event["event"] for event in done.events] == ["active_loop", "followup"]
    assert done.events[-1]["name"] == "action_listen"


async def test_a_stranger_is_welcomed(talk: Conversation) -> None:
    assert (await talk.do(Resume())).said == ["utter_call_welcome"]


async def test_who_has_told_nothing_yet_is_no_stranger_once_found(talk: Conversation) -> None:
    assert (await talk.hears("hello", "greet").do(Resume())).said == ["utter_resume", "utter_resume_open"]


async def test_a_caller_who_may_be_somebody_is_asked_for_a_proof_whatever_they_said(talk: Conversation) -> None:
    assert (await talk.know(ui_claim=True).hears("hello", "greet").do(Resume())).said == ["utter_call_claimed"]


async def test_an_open_booking_goes_on_with_its_question(talk: Conversation) -> None:
    talk.know(appliance="dryer", customer_name="Dana Reyes", postcode="97201").asks("problem")
    done = await talk.do(Resume())
    assert done.said == ["utter_resume", "utter_resume_known", "utter_ask_problem"]
    assert done.values[0]["comma_name"] == ", Dana"
    assert done.values[1]["known_spoken"] == "the dryer and ZIP code 9 7 2 0 1", "the name is in the greeting"
    assert (done.slots, done.asks) == ({}, "problem")
    assert done.events[0]["event"] == "active_loop"


async def test_days_are_read_from_the_calendar_when_a_booking_goes_on(talk: Conversation) -> None:
    facts = {"appliance": "dryer", "problem": "x", "brand": "LG", "since": "2026-11-01", "urgent": False}
    done = await talk.know(**facts, customer_name="Dana", postcode="97201").asks("visit_day").do(Resume())
    assert done.said[-1] == "utter_ask_visit_day"
    assert done.values[-1]["days"] == "Monday, November 23 (today) and Tuesday, November 24 (tomorrow)"


async def test_a_conversation_at_a_persons_desk_is_said_to_be_there(talk: Conversation) -> None:
    done = await talk.know(appliance="dryer", ui_handed_over=True).do(Resume())
    assert done.said == ["utter_resume", "utter_resume_person"]


async def test_a_person_is_asked_for_once_per_message(talk: Conversation, app: Application) -> None:
    talk.know(appliance="dryer").asks("problem").hears("a person please", "ask_person")
    done = await talk.do(RequestPerson())
    await talk.do(RequestPerson())
    (handoff,) = app.record.handoffs(talk.contact_id)
    assert handoff.packet["open_question"] == "problem"
    assert handoff.session_id == talk.session_id
    assert done.said == ["utter_person_now"], "it is Monday, ten o'clock"
    assert done.asks is None


async def test_goodbye_ends_a_call_and_no_chat(talk: Conversation, app: Application) -> None:
    assert requests((await talk.hears("bye", "goodbye").do(Goodbye())).events) == []
    assert requests((await on_the_phone(app).hears("bye", "goodbye").do(Goodbye())).events) == [{"kind": "end_call"}]
