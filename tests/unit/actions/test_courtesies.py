"""When the two don't understand each other, or somebody else is meant."""

from __future__ import annotations

from typing import Any

import pytest

from actions.answer_abuse import AnswerAbuse
from actions.answer_language import AnswerLanguage
from actions.follow_guess import FollowGuess
from actions.for_someone_else import ForSomeoneElse
from actions.wrong_number import WrongNumber
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application
from throughline.domain.turns import PHONE

pytestmark = pytest.mark.unit


def followed_by(events: list[dict[str, Any]]) -> str | None:
    return next((event["name"] for event in events if event["event"] == "followup"), None)


def answered_with(talk: Conversation, action: str, *responses: str) -> Conversation:
    """``action`` was done for the latest message and said ``responses``."""
    talk.events.append({"event": "action", "name": action})
    talk.events += [{"event": "bot", "text": "...", "metadata": {"utter_action": response}} for response in responses]
    return talk


async def test_another_language_is_answered_with_the_offer_of_a_person_and_a_yes_gets_one(talk: Conversation) -> None:
    done = await talk.hears("habla español", "other_language").do(AnswerLanguage())
    assert done.said == ["utter_other_language", "utter_guess_ask_person"]
    answered_with(talk, "action_answer_language", *done.said).know(**done.slots)
    yes = await talk.hears("sí", "affirm").do(FollowGuess())
    assert (yes.said, followed_by(yes.events)) == ([], "action_request_person")


async def test_whoever_goes_on_in_another_language_gets_a_person(talk: Conversation) -> None:
    talk.hears("habla español", "other_language")
    answered_with(talk, "action_answer_language", "utter_other_language", "utter_guess_ask_person")
    done = await talk.know(ui_guess="ask_person").hears("no entiendo", "other_language").do(AnswerLanguage())
    assert (done.said, followed_by(done.events)) == ([], "action_request_person")
    assert done.slots == {"ui_guess": None}


async def test_after_something_else_another_language_is_answered_anew(talk: Conversation) -> None:
    answered_with(talk.hears("hola", "other_language"), "action_answer_language", "utter_other_language")
    answered_with(talk.hears("ok what are your hours", "ask_hours"), "action_answer_hours", "utter_hours")
    done = await talk.hears("no entiendo", "other_language").do(AnswerLanguage())
    assert done.said == ["utter_other_language", "utter_guess_ask_person"]


@pytest.mark.parametrize("action", [AnswerLanguage(), AnswerAbuse()])
async def test_in_the_form_a_yes_stays_the_answer_to_its_question(talk: Conversation, action: Any) -> None:
    intent = "other_language" if isinstance(action, AnswerLanguage) else "abuse"
    done = await talk.asks("urgent").hears("...", intent).do(action)
    assert done.said[-1] == "utter_say_person"
    assert done.events == []  # the rules put the open question again


async def test_an_insult_is_answered_once_and_then_left_alone(talk: Conversation) -> None:
    first = await talk.hears("you're useless", "abuse").do(AnswerAbuse())
    assert first.said == ["utter_abuse", "utter_guess_ask_person"]
    assert first.slots == {"ui_guess": "ask_person"}
    answered_with(talk, "action_answer_abuse", *first.said).know(**first.slots)
    second = await talk.hears("idiot", "abuse").do(AnswerAbuse())
    assert second.said == ["utter_abuse_again"]
    assert second.slots == {"ui_guess": None}


async def test_a_second_insult_in_the_form_gets_its_question_and_no_word_more(talk: Conversation) -> None:
    answered_with(talk.asks("brand").hears("idiot", "abuse"), "action_answer_abuse", "utter_abuse", "utter_say_person")
    done = await talk.hears("moron", "abuse").do(AnswerAbuse())
    assert (done.said, done.events) == ([], [])


@pytest.mark.parametrize(("channel", "ends"), [(PHONE, True), ("web_chat", False)])
async def test_a_wrong_number_ends_the_call_and_no_chat(app: Application, channel: str, ends: bool) -> None:
    contact = app.record.create_contact()
    talk = Conversation(contact, app.record.open_session(contact, channel).session_id, channel=channel)
    done = await talk.hears("sorry wrong number", "wrong_number").do(WrongNumber())
    assert done.said == ["utter_wrong_number"]
    assert [event["metadata"]["request"] for event in done.events if "metadata" in event] == [{"kind": "end_call"}] * ends


async def test_for_somebody_else_we_ask_what_is_broken_there(talk: Conversation) -> None:
    done = await talk.hears("it's for my neighbor Walter", "for_someone_else", person_name="Walter").do(ForSomeoneElse())
    assert (done.said, followed_by(done.events)) == (["utter_for_someone_else"], "action_listen")


async def test_for_somebody_else_an_appliance_begins_the_booking(talk: Conversation) -> None:
    words = "it's about my tenant's dishwasher"
    done = await talk.hears(words, "for_someone_else", appliance="dishwasher").do(ForSomeoneElse())
    assert (done.said, followed_by(done.events)) == (["utter_of_course"], "journey_form")


async def test_for_somebody_else_after_a_booked_visit_the_earlier_fault_is_put_away(talk: Conversation) -> None:
    talk.know(ui_visit="H4K7P2", appliance="oven", problem="won't light", customer_name="Dana")
    words = "and it's about my tenant's dishwasher"
    talk.slots["appliance"] = "dishwasher"
    done = await talk.hears(words, "for_someone_else", appliance="dishwasher").do(ForSomeoneElse())
    assert done.slots["ui_visit"] is None
    assert done.slots["problem"] is None
    assert not {"appliance", "customer_name"} & set(done.slots)
    assert followed_by(done.events) == "journey_form"


async def test_in_the_form_somebody_else_is_welcome_and_the_question_follows(talk: Conversation) -> None:
    done = await talk.asks("brand").hears("i'm calling for my mother", "for_someone_else").do(ForSomeoneElse())
    assert (done.said, done.events) == (["utter_of_course"], [])
