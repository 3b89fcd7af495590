"""The files trainers edit fit each other and the actions."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from throughline.domain.facts import FACTS
from throughline.domain.privacy import placeholders
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

# Only ever read on a screen.
_NEVER_HEARD = {"utter_history_customer", "utter_link_text"}
_LINKS = re.compile(r"https?://|\]\(|<[^>]+>|\*\*|^- ", re.MULTILINE)


def load(path: str) -> Any:
    return YAML(typ="safe").load(Path(path).read_text())


DOMAIN = load("domain.yml")
ACTIONS = {name for action in DOMAIN["actions"] for name in (action if isinstance(action, dict) else {action})}
CONFIG = load("config.yml")
BUSINESS = load_business(Path("data/business"))
# Questions that name something: days, windows, visits, what may be agreed.
NAMING = {"visit_day", "visit_time", "call_day", "call_time", "which_visit", "sure"}
# The intents that lead to the form by a rule.
BEGINNING = {
    step["intent"]
    for file in Path("data/rules").glob("*.yml")
    for rule in load(str(file))["rules"]
    for step in rule["steps"]
    if "intent" in step and any(other.get("action") == "journey_form" for other in rule["steps"])
}
SPOKEN = {
    name: [variant["text"] for variant in variants if variant.get("channel") == "phone"] or [variants[0]["text"]]
    for name, variants in DOMAIN["responses"].items()
    if name not in _NEVER_HEARD
}


def said_by_actions() -> set[str]:
    """Every response named in the actions' code."""
    named = set()
    for file in Path("actions").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"utter_[a-z_0-9]+[a-z0-9]", node.value)
            ):
                named.add(node.value)
    return named - {"utter_action"}  # a key of Rasa's metadata


def test_every_response_that_actions_use_exists() -> None:
    assert said_by_actions() <= set(DOMAIN["responses"])


def test_every_question_can_be_put_and_put_again() -> None:
    for slot in FACTS:
        assert f"utter_again_{slot}" in DOMAIN["responses"]
        if slot in NAMING:
            assert f"action_ask_{slot}" in ACTIONS
        else:
            assert {f"utter_ask_{slot}", f"utter_again_{slot}"} <= set(DOMAIN["responses"])


def test_the_form_may_ask_for_every_fact() -> None:
    assert tuple(DOMAIN["forms"]["journey_form"]["required_slots"]) == FACTS


def test_every_journey_can_begin_and_end() -> None:
    for journey in BUSINESS.journeys.journeys:
        assert journey.ends in ACTIONS
        for intent in journey.begins:
            assert intent in DOMAIN["intents"]
            assert intent in BEGINNING, f"no rule of data/rules begins the form with {intent}"
        if journey.ends == "action_open_case":
            assert journey.case
            assert f"utter_done_{journey.journey}" in DOMAIN["responses"]


@pytest.mark.parametrize("name", sorted(SPOKEN))
def test_what_is_heard_can_be_spoken(name: str) -> None:
    for text in SPOKEN[name]:
        assert not _LINKS.search(text), "no links, lists or markup for the ear"
        assert len(text) <= 220, "short"
        assert not re.search(r"\{(postcode|code|reference|day|days|windows|start|end|hours|callout|hourly)\}", text), (
            "spoken forms"
        )


def test_every_guess_can_be_asked_and_followed() -> None:
    for intent, action in BUSINESS.dialogue.guesses.items():
        assert intent in DOMAIN["intents"]
        assert f"utter_guess_{intent}" in DOMAIN["responses"]
        assert action in ACTIONS or action in DOMAIN["forms"]


def test_digressions_are_intents() -> None:
    assert set(BUSINESS.dialogue.digressions) <= set(DOMAIN["intents"])
    assert set(BUSINESS.dialogue.begin_with_fact) <= set(DOMAIN["intents"])


def test_the_recogniser_is_told_what_each_question_expects() -> None:
    assert set(BUSINESS.phone.expects) == set(FACTS)


def test_a_topic_is_answered_where_it_has_become_the_intent() -> None:
    (selector,) = (part for part in CONFIG["pipeline"] if part["name"].endswith("KnowledgeSelector"))
    (fallback,) = (part for part in CONFIG["pipeline"] if part["name"] == "FallbackClassifier")
    dialogue = BUSINESS.dialogue
    assert dialogue.topic_guess_confidence < dialogue.topic_confidence == selector["threshold"] == fallback["threshold"]


def test_two_matters_of_one_message_can_both_be_taken() -> None:
    (selector,) = (part for part in CONFIG["pipeline"] if part["name"].endswith("KnowledgeSelector"))
    journeys = BUSINESS.journeys
    for intent in selector["matters"]:
        assert journeys.begun_by(intent) or intent in BUSINESS.dialogue.guesses
        assert (journeys.begun_by(intent) is None) == (intent in selector["questions"])
    for intent, other in selector["same_matter"].items():
        assert journeys.begun_by(intent) is journeys.begun_by(other)


def test_understanding_and_business_share_their_time_zone() -> None:
    (grammar,) = (part for part in CONFIG["pipeline"] if part["name"].endswith("SpokenEntityExtractor"))
    assert grammar["timezone"] == BUSINESS.company.timezone


def test_every_appliance_has_its_other_names() -> None:
    synonyms = {entry["synonym"] for entry in load("data/nlu/words.yml")["nlu"] if "synonym" in entry}
    assert set(BUSINESS.services) <= synonyms


def test_no_conversation_is_ever_thought_to_be_over() -> None:
    assert DOMAIN["session_config"]["session_expiration_time"] == 0


def test_what_is_said_in_passing_exists() -> None:
    assert set(BUSINESS.dialogue.passing) <= set(DOMAIN["responses"])


def test_every_twin_for_what_belongs_to_a_response_and_needs_no_value() -> None:
    twins = {
        name for name in DOMAIN["responses"] if name.endswith("_again") and name.removesuffix("_again") in DOMAIN["responses"]
    }
    assert {"utter_call_welcome_again", "utter_greet_again"} <= twins
    assert not {name for name in twins if placeholders(DOMAIN["responses"][name])}
    assert "action_repeat" in {name for action in DOMAIN["actions"] if isinstance(action, dict) for name in action}


@pytest.mark.parametrize("name", sorted(SPOKEN))
def test_no_sign_that_only_an_eye_can_read_reaches_the_voice(name: str) -> None:
    for text in SPOKEN[name]:
        spoken = BUSINESS.lexicon.spoken(text)
        assert not re.search(r"[&@#$%*_/|~^]|\d:\d|\d{5}", re.sub(r"\{[^}]*\}", "", spoken))
