"""The trials' scripted callers: they answer what they are asked."""

from __future__ import annotations

import pytest

from benchmarks.scripted_callers import HELD_OUT, TUNED, Line, Questions, calls, next_line, scripts

pytestmark = pytest.mark.unit

SLOTS = ("brand", "postcode", "visit_day", "visit_time")
OPENING, BRAND, COSTS, POSTCODE = (
    Line("my washer leaks"),
    Line("it's a [450] bosch", "brand"),
    Line("what do you charge"),
    Line("nine seven two oh one", "postcode"),
)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Which brand is the washing machine?", "brand"),
        ("Okay, since Saturday, November twenty eighth. What's your ZIP code?", "postcode"),
        ("The five digits of your ZIP code, please. You can also key them in.", "postcode"),
        ("Which day suits you? The next free days are Monday and Tuesday.", "visit_day"),
        ("On Monday, we can come between 8 and 10 or between 12 and 2. Which is best?", "visit_time"),
        ("A visit is 89 dollars.", ""),
    ],
)
def test_what_is_asked_is_told_by_the_words(said: str, asked: str) -> None:
    assert Questions(SLOTS).asked(said) == asked


@pytest.mark.parametrize(
    ("left", "asked", "said"),
    [
        ([OPENING, BRAND, COSTS, POSTCODE], "", OPENING),
        ([BRAND, COSTS, POSTCODE], "brand", BRAND),
        ([BRAND, POSTCODE, COSTS], "postcode", POSTCODE),
        ([BRAND, COSTS, POSTCODE], "postcode", COSTS),
        ([BRAND, COSTS, POSTCODE], "visit_day", COSTS),
        ([BRAND, POSTCODE], "visit_day", BRAND),
    ],
)
def test_what_is_asked_is_answered_and_own_questions_are_put_in_their_place(left: list[Line], asked: str, said: Line) -> None:
    assert next_line(left, asked) == said


@pytest.mark.parametrize("name", [TUNED, HELD_OUT])
def test_every_line_is_labelled_with_a_question_or_with_none(name: str) -> None:
    labels = {line.answers for call in calls(name) for line in call}
    assert labels == {
        "",
        "appliance",
        "problem",
        "brand",
        "since",
        "urgent",
        "customer_name",
        "postcode",
        "visit_day",
        "visit_time",
    }
    assert not any(":" in text for script in scripts(name) for text in script)
