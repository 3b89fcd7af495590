"""What a Whisper model is told before it listens."""

from __future__ import annotations

import pytest

from throughline.domain.turns import EXPECTATIONS, Expectation
from throughline.speech.stt.prompts import listed, manner, prompt

pytestmark = pytest.mark.unit


def test_names_come_first_and_the_manner_last() -> None:
    assert prompt(Expectation("postcode"), ["Harbor", "Dee"]) == "Harbor, Dee. My ZIP code is 97201."
    assert prompt(Expectation("postcode"), []) == "My ZIP code is 97201."
    assert prompt(Expectation("free"), ["Harbor"]) == "Harbor."
    assert prompt(Expectation("free"), []) == ""


@pytest.mark.parametrize("kind", EXPECTATIONS)
def test_whatever_is_expected_the_prompt_is_short_enough_to_be_looked_at(kind: str) -> None:
    text = prompt(Expectation(kind), [f"Brand{n}" for n in range(100)])
    assert len(text) < 450
    assert text.endswith(manner(Expectation(kind)))


@pytest.mark.parametrize("kind", ["code", "digits", "phone_number", "postcode", "reference"])
def test_numbers_are_written_in_digits(kind: str) -> None:
    assert any(character.isdigit() for character in manner(Expectation(kind)))


def test_terms_are_never_cut_in_two() -> None:
    terms = [f"Term number {n}" for n in range(100)]
    assert listed(terms).split(", ") == terms[: len(listed(terms).split(", "))]
