"""Actions say where their values are from, and nothing that was told in another visit becomes told in this one by their doing."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from actions.answer_area import AnswerArea
from actions.answer_visit import AnswerVisit
from actions.book_visit import BookVisit
from actions.change_visit import ChangeVisit
from actions.repeat import Repeat
from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application

pytestmark = pytest.mark.unit

ELSEWHERE = "s_elsewhere"
FACTS: dict[str, Any] = {
    "appliance": "dryer",
    "problem": "no heat",
    "brand": "Bosch",
    "since": "2026-11-20",
    "urgent": False,
    "customer_name": "Dana Reyes",
    "postcode": "97201",
    "visit_day": "2026-11-26",
    "visit_time": "10:00",
}


def told_elsewhere(talk: Conversation, **slots: Any) -> Conversation:
    """Facts from another visit."""
    talk.slots |= slots
    stored = {"event_id": "e_1", "session_id": ELSEWHERE}
    talk.events += [{"event": "slot", "name": name, "value": value, "metadata": stored} for name, value in slots.items()]
    return talk


def where_told(event: dict[str, Any]) -> str | None:
    return (event.get("metadata") or {}).get("told_in")


async def test_a_fact_that_a_question_replaced_is_put_back_as_told_where_it_was(talk: Conversation) -> None:
    told_elsewhere(talk, appliance="dryer", postcode="97201").asks("problem").hears(
        "do you come to 98660", "ask_area", postcode="98660"
    )
    talk.slots["postcode"] = "98660"  # as Rasa's mapping has set it
    done = await talk.do(ValidateJourneyForm())
    (event,) = [event for event in done.events if event["event"] == "slot"]
    assert (event["value"], where_told(event)) == ("97201", ELSEWHERE)


async def test_a_fact_that_is_only_brought_into_form_stays_told_where_it_was(talk: Conversation) -> None:
    told_elsewhere(talk, appliance="dryer", customer_name="dana reyes").hears(
        "it makes a noise", "report_fault", problem="a noise"
    )
    done = await talk.begins().do(ValidateJourneyForm())
    sources = {event["name"]: where_told(event) for event in done.events if event["event"] == "slot"}
    assert done.slots["customer_name"] == "Dana Reyes"
    assert sources["customer_name"] == ELSEWHERE
    assert sources["problem"] is None, "that was told just now"


async def test_what_stands_while_a_change_is_asked_for_is_told_where_it_was(talk: Conversation) -> None:
    told_elsewhere(talk, **FACTS, ui_visit="R1").hears("make it friday", "correct", date="2026-11-27")
    talk.slots["visit_day"] = "2026-11-27"
    done = await talk.do(ChangeVisit())
    (event,) = [event for event in done.events if event["event"] == "slot" and event["name"] == "visit_day"]
    assert (event["name"], event["value"], where_told(event)) == ("visit_day", "2026-11-26", ELSEWHERE)


async def test_a_booking_is_of_the_visit_that_made_it(talk: Conversation, app: Application) -> None:
    booked = await talk.know(**FACTS, ui_booking="b1").hears("ten", time="10:00").do(BookVisit())
    assert booked.values[0]["told_in"] == talk.session_id
    other = Conversation(talk.contact_id, app.record.open_session(talk.contact_id, "phone").session_id, channel="phone")
    known = await other.hears("when is it", "ask_visit").do(AnswerVisit())
    assert known.said == ["utter_visit_known"]
    assert known.values[0]["told_in"] == talk.session_id


async def test_an_answer_about_a_place_is_of_the_visit_that_asked(talk: Conversation) -> None:
    told_elsewhere(talk, postcode="97201")
    done = await talk.hears("do you come to 98660", "ask_area", postcode="98660").do(AnswerArea())
    assert done.values[0]["told_in"] == talk.session_id


async def test_what_was_said_last_is_said_again_as_of_its_own_visit(talk: Conversation) -> None:
    said = {"event": "bot", "text": "Your name is Dana.", "metadata": {"session_id": ELSEWHERE}}
    talk.events.append(said)
    done = await talk.hears("what", "repeat").do(Repeat())
    assert done.said == ["utter_said_again"]
    assert (done.values[0]["said"], done.values[0]["told_in"]) == ("Your name is Dana.", ELSEWHERE)


def test_no_action_says_words_of_its_own() -> None:
    """The gate refuses them; here is who would be refused."""
    for file in sorted(Path("actions").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            assert not (name.startswith("utter_") and name != "utter_message"), f"{file}:{node.lineno}"
            if name in ("utter_message", "_say"):
                given = {keyword.arg for keyword in node.keywords}
                assert not node.args, f"{file}:{node.lineno}"
                assert "response" in given, f"{file}:{node.lineno}"
                assert not given & {"text", "image", "json_message", "attachment", "buttons", "elements"}, (
                    f"{file}:{node.lineno}"
                )
