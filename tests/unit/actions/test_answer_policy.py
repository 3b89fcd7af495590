"""What the company has written is said; what it has not written is not made up."""

from __future__ import annotations

import pytest

from actions.answer_policy import AnswerPolicy
from actions.clarify import Clarify
from actions.follow_guess import FollowGuess
from tests.unit.actions.conftest import Conversation
from throughline.bootstrap import Application

pytestmark = pytest.mark.unit

TOPIC = "warranty.md#Our warranty on repairs"


def about(talk: Conversation, text: str, confidence: float, intent: str = "ask_policy") -> Conversation:
    talk.hears(text, intent)
    talk.message["knowledge"] = [{"topic": TOPIC, "confidence": confidence}]
    return talk


async def test_the_page_is_said_for_the_eye_and_for_the_ear_with_its_source(talk: Conversation, app: Application) -> None:
    done = await about(talk, "do you guarantee your work", 0.8).do(AnswerPolicy())
    assert done.said == ["utter_policy"]
    topic = app.knowledge[TOPIC]
    values = done.values[0]
    assert (values["answer"], values["answer_spoken"]) == (topic.answer, topic.spoken)
    assert (values["source"], values["topic"]) == (topic.title, topic.heading)


async def test_what_no_page_says_is_not_made_up(talk: Conversation) -> None:
    assert (await about(talk, "do you have a policy for that", 0.2).do(AnswerPolicy())).said == ["utter_policy_unknown"]


async def test_a_page_that_is_gone_since_the_model_was_trained_is_not_made_up(talk: Conversation) -> None:
    talk.hears("how do you feel about llamas", "ask_policy")
    talk.message["knowledge"] = [{"topic": "pets.md#Llamas", "confidence": 0.9}]
    assert (await talk.do(AnswerPolicy())).said == ["utter_policy_unknown"]


async def test_an_unsure_topic_is_asked_about_and_a_yes_answers(talk: Conversation, app: Application) -> None:
    asked = await about(talk, "is it on you if it dies on me", 0.44, "nlu_fallback").do(Clarify())
    assert asked.said == ["utter_guess_ask_policy"]
    assert asked.values[0]["topic"] == app.knowledge[TOPIC].heading
    assert asked.slots == {"ui_guess": "ask_policy", "ui_topic": TOPIC}

    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_guess_ask_policy"}})
    yes = await talk.know(**asked.slots).hears("yes", "affirm").do(FollowGuess())
    assert yes.events[-1]["name"] == "action_answer_policy"
    done = await talk.do(AnswerPolicy())
    assert done.said == ["utter_policy"]
    assert done.slots == {"ui_topic": None}


async def test_a_no_forgets_the_topic(talk: Conversation) -> None:
    talk.know(ui_guess="ask_policy", ui_topic=TOPIC)
    talk.events.append({"event": "bot", "metadata": {"utter_action": "utter_guess_ask_policy"}})
    done = await talk.hears("no", "deny").do(FollowGuess())
    assert done.said == ["utter_rephrase_other"]
    assert done.slots == {"ui_guess": None, "ui_topic": None}


async def test_what_is_like_no_topic_is_not_asked_about(talk: Conversation) -> None:
    about(talk, "qwzx vbnm", 0.3, "nlu_fallback")
    talk.message["intent_ranking"] = [{"name": "ask_policy", "confidence": 0.3}, {"name": "ask_hours", "confidence": 0.42}]
    done = await talk.do(Clarify())
    assert done.said == ["utter_guess_ask_hours"], "there is no topic to name in the question"
