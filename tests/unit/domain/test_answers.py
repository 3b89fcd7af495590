"""What was said, read as the answer to the open question."""

from __future__ import annotations

from typing import Any

import pytest

from throughline.domain import answers
from throughline.domain.answers import Said
from throughline.domain.company import Business

pytestmark = pytest.mark.unit


def entity(text: str, kind: str, words: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """Rasa's dict for an entity."""
    start = text.index(words)
    return {"entity": kind, "value": value or words, "start": start, "end": start + len(words), **more}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("dana reyes", "Dana Reyes"),
        ("My name is Jennifer O'Neill.", "Jennifer O'Neill"),
        ("it's John McDonald, thanks", "John McDonald"),
        ("um yeah this is mei chen speaking", "Mei Chen"),
        ("Hannah Müller-Weiß", "Hannah Müller-Weiß"),
    ],
)
def test_a_name_is_what_is_left_without_its_wrapping(business: Business, text: str, name: str) -> None:
    assert answers.answer("customer_name", Said(text, "inform"), business) == name


@pytest.mark.parametrize("text", ["what is that", "97201", "", "I do not want to tell you my name right now", "yes please"])
def test_what_does_not_look_like_a_name_is_none(business: Business, text: str) -> None:
    assert answers.answer("customer_name", Said(text, "inform"), business) is None


@pytest.mark.parametrize(
    ("text", "found", "name"),
    [
        ("I'm Ana Ruiz in 97214", "Ruiz", "Ana Ruiz"),
        ("my name is ana ruiz, thursday would be good", None, "Ana Ruiz"),
        ("i'm not sure", None, None),
        ("i'm home all day", None, None),
    ],
)
def test_an_introduction_gives_the_whole_name(business: Business, text: str, found: str | None, name: str | None) -> None:
    entities = [entity(text, "person_name", found)] if found else []
    assert (
        answers.volunteered(Said(text, "inform", entities), {}, business, business.journeys.usual).get("customer_name") == name
    )


@pytest.mark.parametrize(
    ("intent", "urgent"),
    [("affirm", True), ("urgent", True), ("deny", False), ("not_urgent", False), ("inform", None), ("dont_know", None)],
)
def test_yes_and_no_answer_whether_it_is_urgent(business: Business, intent: str, urgent: bool | None) -> None:
    assert answers.answer("urgent", Said("...", intent), business) is urgent


def test_no_with_a_fact_in_it_is_about_the_fact(business: Business) -> None:
    text = "no the dryer"
    said = Said(text, "deny", [entity(text, "appliance", "dryer")])
    assert answers.answer("urgent", said, business) is None
    assert answers.volunteered(said, {"appliance": "washing machine"}, business, business.journeys.usual) == {
        "appliance": "dryer"
    }


@pytest.mark.parametrize(
    ("text", "urgent"),
    [
        ("yes of course there are kids in the house", True),
        ("No, we can manage", False),
        ("yesterday's news", None),
        ("what?", None),
    ],
)
def test_a_longer_yes_or_no_is_known_by_how_it_begins(business: Business, text: str, urgent: bool | None) -> None:
    assert answers.answer("urgent", Said(text, "nlu_fallback"), business) is urgent


def test_of_two_days_the_one_we_did_not_know_counts(business: Business) -> None:
    text = "not thursday friday"
    said = Said(text, "correct", [entity(text, "date", "thursday", "2026-11-26"), entity(text, "date", "friday", "2026-11-27")])
    assert answers.volunteered(said, {"visit_day": "2026-11-26"}, business, business.journeys.usual) == {
        "visit_day": "2026-11-27"
    }
    turned = Said("friday instead of thursday", "correct", list(reversed(said.entities)))
    assert answers.volunteered(turned, {"visit_day": "2026-11-26"}, business, business.journeys.usual) == {
        "visit_day": "2026-11-27"
    }


def test_the_end_of_a_range_is_not_the_time(business: Business) -> None:
    text = "between ten and twelve"
    entities = [entity(text, "time", "ten", "10:00"), entity(text, "time", "twelve", "12:00", role="until")]
    assert answers.volunteered(Said(text, "inform", entities), {}, business, business.journeys.usual) == {"visit_time": "10:00"}


def test_free_words_answer_without_the_facts_among_them(business: Business) -> None:
    text = "well, it rattles, 97201"
    said = Said(text, "inform", [entity(text, "postcode", "97201")])
    assert answers.answer("problem", said, business) == "it rattles"


@pytest.mark.parametrize("slot", ["problem", "brand", "since"])
def test_not_knowing_is_an_answer_to_what_one_may_not_know(business: Business, slot: str) -> None:
    assert answers.answer(slot, Said("i have no idea", "dont_know"), business) == business.words.unknown


@pytest.mark.parametrize("intent", ["affirm", "deny", "any_time", "urgent", "not_urgent"])
def test_yes_and_no_are_no_free_answers(business: Business, intent: str) -> None:
    assert answers.answer("brand", Said("not urgent", intent), business) is None


@pytest.mark.parametrize(("text", "digits"), [("97201", "97201"), ("9 7 2 0 1", "97201"), ("9720", None), ("my zip", None)])
def test_bare_digits_are_a_zip_code(business: Business, text: str, digits: str | None) -> None:
    assert answers.answer("postcode", Said(text, "inform"), business) == digits


@pytest.mark.parametrize(
    ("text", "position"),
    [("the first one", 0), ("the second one", 1), ("the last one", 2), ("the third", 2), ("later please", 2)],
)
def test_ordinals_choose_from_what_was_offered(business: Business, text: str, position: int) -> None:
    ordinal = answers.choice(Said(text, "inform"), business)
    assert answers.chosen(ordinal, 3, business) == position


def test_a_long_sentence_with_an_ordinal_in_it_is_no_choice(business: Business) -> None:
    assert answers.choice(Said("the first time it happened was in the summer", "inform"), business) is None


@pytest.mark.parametrize("text", ["whatever you have", "either is fine", "any time"])
def test_the_choice_can_be_left_to_us(business: Business, text: str) -> None:
    assert answers.answer("visit_day", Said(text, "inform"), business) == answers.ANY


@pytest.mark.parametrize(
    "text", ["I smell gas!", "there's a SMELL of gas", "it smells like rotten eggs", "The carbon monoxide alarm is beeping"]
)
def test_gas_is_noticed_in_any_message(business: Business, text: str) -> None:
    assert answers.about_gas(text, business)


@pytest.mark.parametrize("text", ["it's a gas stove", "the gasket leaks", "my gas bill"])
def test_gas_as_such_is_no_emergency(business: Business, text: str) -> None:
    assert not answers.about_gas(text, business)


@pytest.mark.parametrize(
    ("text", "appliance"),
    [
        ("my washing mashine is leaking", "washing machine"),
        ("the dishwaser", "dishwasher"),
        ("it's the refridgerator", "refrigerator"),
        ("my car is broken", None),
        ("it won't drive", None),
    ],
)
def test_a_slip_of_the_finger_still_names_the_appliance(business: Business, text: str, appliance: str | None) -> None:
    assert answers.volunteered(Said(text, "report_fault"), {}, business, business.journeys.usual).get("appliance") == appliance


@pytest.mark.parametrize(
    ("text", "figures", "name"),
    [
        ("Dan Brown nine seven two oh one", ("postcode", "nine seven two oh one"), "Dan Brown"),
        ("Dan Brown, 503 555 0142", ("phone_number", "503 555 0142"), "Dan Brown"),
        ("eleven", ("number", "eleven"), None),
    ],
)
def test_figures_are_no_part_of_a_name(text: str, figures: tuple[str, str], name: str | None, business: Business) -> None:
    kind, words = figures
    start = text.index(words)
    entities = ({"entity": kind, "value": words, "start": start, "end": start + len(words)},)
    assert answers.answer("customer_name", Said(text, "inform", entities), business) == name
