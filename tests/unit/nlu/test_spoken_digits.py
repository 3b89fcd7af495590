"""Postcodes, telephone numbers, codes and numbers, read out or typed."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.nlu.spoken_grammar import find

pytestmark = pytest.mark.unit

always_the_same = settings(deadline=None, derandomize=True)  # no clock decides, no run differs from the next

NOW = datetime(2026, 11, 22, 10, 0)  # noqa: DTZ001  the customer's wall clock
DIGIT_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def read(text: str) -> list[tuple[str, object]]:
    return [(item.kind, item.value) for item in find(text, NOW)]


@pytest.mark.parametrize(
    "said",
    [
        "97201",
        "nine seven two oh one",
        "ninety seven two oh one",
        "nine, seven, two, oh, one",
        "nine seven two zero one",
        "9 7 2 0 1",
        "my zip code is 97201.",
        "it's nine seven two o one please",
        "97201-1234",
        "97201 1234",
        "apartment, 97201",
    ],
)
def test_a_postcode(said: str) -> None:
    assert read(said) == [("postcode", "97201")]


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("503-555-0142", "+15035550142"),
        ("(503) 555-0142", "+15035550142"),
        ("503.555.0142", "+15035550142"),
        ("1 503 555 0142", "+15035550142"),
        ("five oh three five five five oh one four two", "+15035550142"),
        ("503 triple five, oh one double four", "+15035550144"),
        ("+44 20 7946 0958", "+442079460958"),
        ("+1 (503) 555-0142", "+15035550142"),
    ],
)
def test_a_telephone_number(said: str, number: str) -> None:
    assert read(said) == [("phone_number", number)]


@pytest.mark.parametrize(
    "said", ["12345678", "1234 5678", "12-34-56-78", "one two three four five six seven eight", "12 34, 56 78"]
)
def test_a_code(said: str) -> None:
    assert read(said) == [("code", "12345678")]


def test_several_in_one_message() -> None:
    assert read("97201 and my phone is 503-555-0142") == [("postcode", "97201"), ("phone_number", "+15035550142")]
    assert read("97201 503 555 0142") == [("postcode", "97201"), ("phone_number", "+15035550142")]
    assert read("97201, 5 machines") == [("postcode", "97201"), ("number", 5)]


def test_a_correction_leaves_the_last_plain() -> None:
    found = find("97201 sorry 97210", NOW)
    assert [(item.value, item.role) for item in found] == [("97201", "excluded"), ("97210", None)]


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ("i have two washers", [2]),
        ("one hundred and five dollars", [105]),
        ("one", [1]),
        ("that one", []),
        ("the second one", []),
        ("one of them", []),
        ("9 7 2", []),  # part of something, not three amounts
        ("wf45k", []),
        ("2.5", []),
        ("thursday at 2", []),
        ("twice", []),
    ],
)
def test_numbers(said: str, numbers: list[int]) -> None:
    assert [value for kind, value in read(said) if kind == "number"] == numbers


@always_the_same
@given(st.text("0123456789", min_size=5, max_size=5))
def test_every_postcode_spoken_digit_by_digit(digits: str) -> None:
    spoken = " ".join(DIGIT_WORDS[int(digit)] for digit in digits)
    assert read(spoken) == [("postcode", digits)]


@always_the_same
@given(st.text("0123456789", min_size=8, max_size=8), st.booleans())
def test_every_code_spoken_digit_by_digit(digits: str, with_oh: bool) -> None:
    words = ["oh" if digit == "0" and with_oh else DIGIT_WORDS[int(digit)] for digit in digits]
    expected = [] if with_oh and set(digits) == {"0"} else [("code", digits)]
    assert read(" ".join(words)) == expected


@pytest.mark.parametrize(
    "said",
    [
        "my reference is 284193",
        "reference TL-284193",
        "the reference number is two eight four one nine three",
        "my confirmation number is 284 193",
        "booking number 28 41 93 please",
    ],
)
def test_a_reference_where_one_is_spoken_of(said: str) -> None:
    assert read(said) == [("reference", "284193")]


@pytest.mark.parametrize("said", ["284193", "two eight four, one nine three", "28 41 93", "it's 2 8 4 1 9 3", "TL 284193"])
def test_a_reference_where_one_was_asked_for(said: str) -> None:
    assert [(item.kind, item.value) for item in find(said, NOW, expected="reference")] == [("reference", "284193")]
    assert "reference" not in [kind for kind, _ in read(said)]


@pytest.mark.parametrize(
    "said", ["284193 97201", "it's 284193, and the zip is 97201", "two eight four one nine three nine seven two oh one"]
)
def test_a_reference_and_its_zip_code(said: str) -> None:
    found = [(item.kind, item.value) for item in find(said, NOW, expected="reference")]
    assert found == [("reference", "284193"), ("postcode", "97201")]


@pytest.mark.parametrize("said", ["bill 20417, it's wrong", "invoice number two oh four one seven", "my bill number is 20417"])
def test_a_bills_number_is_no_postcode(said: str) -> None:
    assert read(said) == [("bill_number", "20417")]


@pytest.mark.parametrize("said", ["the bill came to 97201", "your bill 12", "bill me at 97201"])
def test_what_only_stands_near_a_bill_is_not_its_number(said: str) -> None:
    assert "bill_number" not in dict(read(said))
