"""Two matters in one message: the question is answered first, the first journey is taken, and the second one has its turn afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from actions.answer_hours import AnswerHours
from actions.answer_prices import AnswerPrices
from actions.follow_guess import FollowGuess
from actions.open_case import OpenCase
from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application

pytestmark = pytest.mark.unit

FORM = ValidateJourneyForm()
TWO = "i was billed twice and my fridge stopped cooling"


def about(talk: Conversation, text: str, *matters: tuple[str, str], **entities: Any) -> None:
    """A message about these matters: the intent and the words of each."""
    talk.hears(text, matters[0][0], **entities)
    talk.message["matters"] = [
        {"intent": intent, "confidence": 0.9, "start": text.index(words), "end": text.index(words) + len(words)}
        for intent, words in matters
    ]


def goes_on(talk: Conversation, events: list[dict[str, Any]]) -> None:
    talk.know(**{event["name"]: event["value"] for event in events if event["event"] == "slot"})


async def two_journeys(talk: Conversation) -> None:
    about(
        talk,
        TWO,
        ("dispute_bill", "i was billed twice"),
        ("report_fault", "my fridge stopped cooling"),
        problem="stopped cooling",
    )
    talk.message["entities"].append(
        {"entity": "appliance", "value": "refrigerator", "start": TWO.index("fridge"), "end": TWO.index("fridge") + 6}
    )
    done = await talk.begins().do(FORM)
    assert (done.slots["ui_journey"], done.slots["wish"]) == ("dispute", "i was billed twice"), "its own words, no others"
    assert done.slots["ui_next"] == {
        "intent": "report_fault",
        "facts": {"appliance": "refrigerator", "problem": "stopped cooling"},
    }
    goes_on(talk, done.events)
    talk.know(customer_name="Dana Reyes", phone_number="+15035550123", invoice="unknown", requested_slot=None)
    talk.hears("503 555 0123", "inform")


async def test_the_second_journey_is_offered_after_the_first(talk: Conversation) -> None:
    await two_journeys(talk)
    ended = await talk.do(OpenCase())
    assert ended.said == ["utter_done_dispute", "utter_next_matter"]
    assert ended.values[-1]["journey"] == "your repair"
    assert ended.slots["ui_guess"] == "report_fault"


async def test_a_yes_takes_it_up_with_what_was_told_of_it(talk: Conversation) -> None:
    await two_journeys(talk)
    goes_on(talk, (await talk.do(OpenCase())).events)
    talk.loop = None
    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_next_matter"}})
    yes = await talk.hears("yes please", "affirm").do(FollowGuess())
    assert yes.events[-1]["name"] == "journey_form"
    talk.events += [event for event in yes.events if event["event"] == "slot"]
    talk.slots |= yes.slots
    done = await talk.begins().do(FORM)
    assert (done.slots["appliance"], done.slots["problem"], done.asks) == ("refrigerator", "stopped cooling", "brand")
    assert done.slots["ui_next"] is None


async def test_a_no_leaves_it(talk: Conversation) -> None:
    await two_journeys(talk)
    goes_on(talk, (await talk.do(OpenCase())).events)
    talk.loop = None
    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_next_matter"}})
    no = await talk.hears("no that's fine", "deny").do(FollowGuess())
    assert no.said == ["utter_nothing_to_stop"]
    assert (no.slots["ui_guess"], no.slots["ui_next"]) == (None, None)


async def test_a_question_is_answered_and_the_journey_begins(talk: Conversation) -> None:
    text = "my oven is dead, how much is a visit"
    about(talk, text, ("ask_prices", "how much is a visit"), ("report_fault", "my oven is dead"), appliance="oven")
    done = await talk.do(AnswerPrices())
    assert done.events[-1]["name"] == "journey_form"
    goes_on(talk, done.events)
    begun = await talk.begins().do(FORM)
    assert (talk.slots["appliance"], begun.slots["problem"], begun.asks) == ("oven", "dead", "brand")
    assert "ui_next" not in begun.slots


async def test_two_questions_are_answered_one_after_the_other(talk: Conversation) -> None:
    text = "when do you open and what does a visit cost"
    about(talk, text, ("ask_hours", "when do you open"), ("ask_prices", "what does a visit cost"))
    done = await talk.do(AnswerHours())
    assert done.events[-1]["name"] == "action_answer_prices"
    talk.events.append({"event": "action", "name": "action_answer_hours"})
    assert (await talk.do(AnswerPrices())).events[-1]["name"] == "action_listen"


async def test_while_a_visit_is_looked_for_the_second_matter_is_not_lost(talk: Conversation, app: Application) -> None:
    text = "move my visit and also i was billed twice"
    about(talk, text, ("move_visit", "move my visit"), ("dispute_bill", "i was billed twice"))
    done = await talk.begins().do(FORM)
    assert done.said == ["utter_visit_elsewhere"]
    assert (done.slots["ui_journey"], done.slots["ui_finding"]) == ("move_visit", True)
    assert done.slots["ui_next"]["intent"] == "dispute_bill"
