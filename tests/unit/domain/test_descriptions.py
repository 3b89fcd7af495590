"""What is told of a fault in the customer's own words is not asked for again."""

from __future__ import annotations

from typing import Any

import pytest

from throughline.domain import answers, descriptions
from throughline.domain.answers import Said
from throughline.domain.company import Business

pytestmark = pytest.mark.unit


def marked(text: str) -> tuple[str, list[dict[str, Any]]]:
    """``my [fridge](appliance) is warm`` as plain text and Rasa's entities."""
    plain, entities, rest = "", [], text
    while "[" in rest:
        before, _, rest = rest.partition("[")
        value, _, rest = rest.partition("](")
        kind, _, rest = rest.partition(")")
        start = len(plain) + len(before)
        entities.append({"entity": kind, "value": value, "start": start, "end": start + len(value)})
        plain += before + value
    return plain + rest, entities


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("my [fridge](appliance) is warm and everything is melting", "warm and everything is melting"),
        (
            "I need someone to look at my [dryer](appliance), it's a [Whirlpool](brand), making a loud squeal [since last week](since), "
            "not urgent, I'm [Dana Reyes](person_name) in [97209](postcode)",
            "making a loud squeal",
        ),
        ("the [oven](appliance) won't come on", "won't come on"),
        ("our [dryer](appliance) no longer works and i'm [Jo](person_name)", "no longer works"),
        ("the [washer](appliance) is dancing through the kitchen, please come quickly", "dancing through the kitchen"),
        ("hello, my [boiler](appliance): no pressure, it’s urgent", "no pressure"),
    ],
)
def test_the_words_behind_the_appliance_are_the_problem(business: Business, text: str, problem: str) -> None:
    assert descriptions.problem(*marked(text), business.dialogue) == problem


@pytest.mark.parametrize(
    "text",
    [
        "i need someone to look at my [dishwasher](appliance)",
        "can someone come out for my [furnace](appliance)",
        "my [oven](appliance) is broken, can you send somebody [tomorrow](date) in the morning",
        "can you fix a [freezer](appliance) as soon as possible",
        "i'd like a repair for the [dryer](appliance), my name is [Jo](person_name), zip code [97201](postcode)",
        "my [dryer](appliance) needs to be repaired, it's a [Bosch](brand) i think",
        "something is wrong with the [oven](appliance)!",
        "the machine squeals",  # no appliance: which machine it is has to be asked anyway
    ],
)
def test_small_words_are_no_problem(business: Business, text: str) -> None:
    assert descriptions.problem(*marked(text), business.dialogue) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("there's a puddle under my [washer](appliance)", "puddle under my washer"),
        ("Hello, steam is pouring out of the [boiler](appliance)!", "steam is pouring out of the boiler"),
        (
            "hi i'm [Jo](person_name) and there is burnt rubber smell near our [dryer](appliance)",
            "burnt rubber smell near our dryer",
        ),
        ("i'm calling about my [oven](appliance)", None),
        ("we have trouble with our old [dryer](appliance)", None),
        ("my mother's [dryer](appliance) is broken", None),  # one word is too little to be sure
    ],
)
def test_in_a_report_so_do_the_words_that_lead_up_to_it(business: Business, text: str, problem: str | None) -> None:
    assert descriptions.problem(*marked(text), business.dialogue, before=True) == problem
    assert descriptions.problem(*marked(text), business.dialogue) is None


@pytest.mark.parametrize(
    ("text", "urgent"),
    [
        ("my dryer squeals, not urgent", False),
        ("it's not that urgent really", False),
        ("No rush.", False),
        ("please come as soon as possible", True),
        ("This is URGENT", True),
        ("the dryer squeals", None),
        ("an insurgent dryer", None),
    ],
)
def test_urgency_said_in_passing(business: Business, text: str, urgent: bool | None) -> None:
    assert descriptions.urgent(text, business.dialogue) is urgent


def test_a_report_brings_all_that_it_tells(business: Business) -> None:
    said = Said(*_report("report_fault"))
    assert answers.volunteered(said, {}, business, business.journeys.usual) == {
        "appliance": "dryer", "brand": "Whirlpool", "problem": "making a loud squeal", "urgent": False,
    }  # fmt: skip


def test_what_was_found_or_known_is_not_replaced(business: Business) -> None:
    text, entities = marked("my [dryer](appliance) makes this [squealing noise](problem) all day")
    assert (
        answers.volunteered(Said(text, "report_fault", entities), {}, business, business.journeys.usual)["problem"]
        == "squealing noise"
    )
    assert "problem" not in answers.volunteered(
        Said(*_report("report_fault")), {"problem": "no heat"}, business, business.journeys.usual
    )


def test_other_messages_tell_no_problem(business: Business) -> None:
    assert "problem" not in answers.volunteered(Said(*_report("ask_prices")), {}, business, business.journeys.usual)


def test_small_words_taken_for_a_problem_are_none(business: Business) -> None:
    text, entities = marked("it's a [Samsung](brand) [I think](problem)")
    assert answers.volunteered(Said(text, "inform", entities), {}, business, business.journeys.usual) == {"brand": "Samsung"}


def test_two_descriptions_of_one_fault_are_one(business: Business) -> None:
    text, entities = marked("my [furnace](appliance) is [not working](problem) and it's [freezing](problem) in here")
    told = answers.volunteered(Said(text, "report_fault", entities), {}, business, business.journeys.usual)
    assert told["problem"] == "not working and it's freezing"


def test_a_part_of_the_appliance_is_no_other_appliance(business: Business) -> None:
    text, entities = marked("[burner](appliance) [won't light](problem)")
    known = {"appliance": "oven"}
    assert answers.volunteered(Said(text, "report_fault", entities), known, business, business.journeys.usual) == {
        "problem": "burner won't light"
    }
    assert (
        answers.volunteered(Said(text, "correct", entities), known, business, business.journeys.usual)["appliance"] == "burner"
    )
    assert (
        answers.volunteered(Said(text, "report_fault", entities), {}, business, business.journeys.usual)["appliance"]
        == "burner"
    )


def _report(intent: str) -> tuple[str, str, list[dict[str, Any]]]:
    text, entities = marked("my [dryer](appliance), a [Whirlpool](brand), making a loud squeal, not urgent")
    return text, intent, entities
