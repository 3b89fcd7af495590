"""What the booking form makes of a message."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import NOW, Conversation
from throughline.bootstrap import Application
from throughline.domain import scheduling
from throughline.domain.scheduling import Wanted, Working

pytestmark = pytest.mark.unit

FORM = ValidateJourneyForm()
KNOWN: dict[str, Any] = {"appliance": "dryer", "problem": "no heat", "brand": "Bosch", "since": "2026-11-20", "urgent": False}
PLACED = {**KNOWN, "customer_name": "Dana Reyes", "postcode": "97201"}


async def test_facts_of_the_first_message_are_kept_without_an_echo(talk: Conversation) -> None:
    done = await talk.hears("my dryer leaks", "report_fault", appliance="dryer", problem="leaks").begins().do(FORM)
    assert done.slots["appliance"] == "dryer"
    assert done.slots["problem"] == "leaks"
    assert done.slots["ui_booking"], "the booking has a name from its first moment"
    assert done.said == []


async def test_an_answer_is_kept_and_more_than_was_asked_is_said_back(talk: Conversation) -> None:
    talk.know(appliance="dryer", problem="no heat").asks("brand")
    done = await talk.hears("Bosch, and I'm in 97201", brand="Bosch", postcode="97201").do(FORM)
    assert done.slots == {"brand": "Bosch", "postcode": "97201"}
    assert done.said == ["utter_noted"]
    assert done.values[0]["fact_spoken"] == "ZIP code 9 7 2 0 1"


async def test_a_correction_is_said_back(talk: Conversation) -> None:
    talk.know(appliance="washing machine", problem="leaks").asks("urgent")
    done = await talk.hears("no, the dryer", "deny", appliance="dryer").do(FORM)
    assert done.slots == {"appliance": "dryer"}, "and urgency is not answered by it"
    assert done.said == ["utter_noted"]


async def test_a_question_is_no_answer(talk: Conversation) -> None:
    talk.know(appliance="dryer").asks("problem")
    done = await talk.hears("how much is it", "ask_prices").do(FORM)
    assert done.kinds() == ["action_execution_rejected"]


async def test_a_question_about_another_place_does_not_move_the_customer(talk: Conversation) -> None:
    talk.know(**PLACED).asks("visit_day").hears("do you come to 98660", "ask_area", postcode="98660")
    talk.slots["postcode"] = "98660"  # as Rasa's mapping has set it
    done = await talk.do(FORM)
    assert done.slots == {"postcode": "97201"}


async def test_coming_back_from_a_question_changes_nothing(talk: Conversation) -> None:
    talk.know(appliance="dryer").asks("problem").hears("how much is it", "ask_prices")
    talk.events.append({"event": "action", "name": "action_answer_prices"})
    done = await talk.do(FORM)
    assert (done.slots, done.asks) == ({}, "problem"), "and the open question is put again"


@pytest.mark.parametrize("asked", ["problem", "brand", "visit_time"])
async def test_gas_ends_the_form_whatever_was_asked(talk: Conversation, asked: str) -> None:
    talk.know(**PLACED).asks(asked)
    done = await talk.hears("it smells like gas here", "report_fault", problem="smells like gas").do(FORM)
    assert (done.slots, done.asks) == ({}, None)
    assert done.events[-1] == {"event": "followup", "timestamp": None, "name": "action_gas_emergency"}


@pytest.mark.parametrize("words", ["washing machine", "Washing Machine"])
async def test_only_what_we_repair_is_an_appliance(talk: Conversation, words: str) -> None:
    assert (await talk.hears(words, appliance=words).begins().do(FORM)).slots["appliance"] == "washing machine"


async def test_what_we_do_not_repair_is_said(talk: Conversation) -> None:
    talk.know(problem="broken").asks("appliance")
    done = await talk.hears("the television", appliance="television").do(FORM)
    assert done.said == ["utter_appliance_unknown"]
    assert "appliance" not in done.slots or done.slots["appliance"] is None


@pytest.mark.parametrize(("postcode", "response"), [("90210", "utter_outside_area"), ("9720", "utter_postcode_again")])
async def test_a_place_we_do_not_serve_is_said_at_once(talk: Conversation, postcode: str, response: str) -> None:
    talk.know(**KNOWN).asks("postcode").hears(postcode, postcode=postcode)
    talk.slots["postcode"] = postcode
    done = await talk.do(FORM)
    assert done.said == [response]
    assert done.slots == {"postcode": None}


async def test_an_answer_that_is_none_is_left_to_the_rules(talk: Conversation) -> None:
    talk.know(**KNOWN).asks("postcode")
    assert (await talk.hears("it is somewhere in town").do(FORM)).events == []


async def test_a_day_when_nobody_is_free_is_said(talk: Conversation, app: Application) -> None:
    thanksgiving, business = date(2026, 11, 26), app.business
    portland = business.territory_of("97201")
    assert portland
    working = Working(business.hours, ZoneInfo(business.company.timezone), business.travel)
    for who in business.qualified("dryer", portland):
        for slot in scheduling.free_slots(thanksgiving, Wanted([who], 90, NOW, None), [], working):
            app.record.calendar.book(slot, talk.contact_id, {}, idempotency_key=f"{who.technician}{slot.start}")
    talk.know(**PLACED).asks("visit_day")
    done = await talk.hears("thursday", date="2026-11-26").do(FORM)
    assert done.said == ["utter_day_full"]
    assert done.slots == {"visit_day": None}


@pytest.mark.parametrize(
    ("said", "entities", "clock"),
    [
        ("in the morning", {"part_of_day": "morning"}, "08:00"),
        ("two in the afternoon", {"time": "14:00"}, "14:00"),
        ("half past nine", {"time": "09:30"}, "08:00"),
        ("the last one", {"time": "13:00"}, "16:00"),
        ("whatever you have", {}, "08:00"),
    ],
)
async def test_a_time_becomes_a_window_that_is_free(
    talk: Conversation, said: str, entities: dict[str, str], clock: str
) -> None:
    talk.know(**PLACED, visit_day="2026-11-26").asks("visit_time")
    assert (await talk.hears(said, **entities).do(FORM)).slots == {"visit_time": clock}


async def test_a_time_outside_working_hours_is_refused(talk: Conversation) -> None:
    talk.know(**PLACED, visit_day="2026-11-26").asks("visit_time")
    done = await talk.hears("at nine in the evening", time="21:00").do(FORM)
    assert done.said == ["utter_time_full"]


async def test_the_first_day_is_the_first_that_was_offered(talk: Conversation) -> None:
    talk.know(**PLACED).asks("visit_day")
    assert (await talk.hears("the second one", date="2026-12-02").do(FORM)).slots == {"visit_day": "2026-11-24"}


async def test_an_urgent_visit_may_be_today(talk: Conversation) -> None:
    talk.know(**{**PLACED, "urgent": True}).asks("visit_day")
    done = await talk.hears("as soon as possible", "urgent").do(FORM)
    assert done.slots["visit_day"] == "2026-11-23"


async def test_another_fault_does_not_bring_back_what_was_withdrawn(talk: Conversation) -> None:
    talk.know(**PLACED, visit_day="2026-11-26", visit_time="08:00").hears(
        "my oven is broken too", "report_fault", appliance="oven"
    )
    talk.events.append({"event": "action", "name": "action_new_fault"})
    talk.slots |= {"appliance": "oven"} | dict.fromkeys(("problem", "brand", "since", "urgent", "visit_day", "visit_time"))
    done = await talk.begins().do(FORM)
    assert not {"problem", "brand", "since", "urgent", "visit_day", "visit_time"} & {
        name for name, value in done.slots.items() if value
    }
    assert talk.slots["customer_name"] == "Dana Reyes"


async def test_nothing_to_book_begins_no_booking(talk: Conversation) -> None:
    done = await talk.hears("blub blub").begins().do(FORM)
    assert done.events[-1]["name"] == "action_clarify"
