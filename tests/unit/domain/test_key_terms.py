"""Which of the company's own words a recogniser is told, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.domain.key_terms import MOST_TERMS, MOST_TOKENS, KeyTerms, is_term, key_terms, tokens
from throughline.domain.turns import Expectation
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

TERMS = KeyTerms(always=("Harbor", "Dee"), by_slot={"brand": ("Bosch", "Harbor"), "appliance": ("fridge",)})


def test_a_question_with_terms_of_its_own_is_told_these_first_and_no_others() -> None:
    assert TERMS.expected(Expectation("name", "brand")) == ("Bosch", "Harbor", "Dee")


def test_where_anything_may_come_all_are_told_once() -> None:
    everything = ("Harbor", "Dee", "Bosch", "fridge")
    assert TERMS.all() == everything
    for expectation in (Expectation(), Expectation("free", "problem"), Expectation("name", "customer_name")):
        assert TERMS.expected(expectation) == everything


def test_without_terms_there_is_nothing_to_tell() -> None:
    assert KeyTerms().expected(Expectation("name", "brand")) == ()


@pytest.mark.parametrize(
    "text", ["Bosch", "ice maker", "O'Neill", "A. O. Smith", "Black & Decker", "José", "24/7", "KitchenAid"]
)
def test_what_can_be_listened_for(text: str) -> None:
    assert is_term(text)


@pytest.mark.parametrize(
    "text", ["", " ", " Bosch", "Bosch, Miele", "a;b", "two\nlines", "term:0.5", "<b>", "x" * 51, "&keyterm=x"]
)
def test_what_cannot(text: str) -> None:
    assert not is_term(text)


def test_tokens_are_rather_counted_too_many() -> None:
    assert tokens(["LG", "Bosch", "heat pump"]) == 1 + 2 + 2 + 2


def test_the_companys_own_names_are_told_without_being_listed() -> None:
    business = load_business(Path("data/business"))
    terms = key_terms(business)
    assert {business.company.name, "Dee", "Salem"} <= set(terms.always)
    assert {"heat pump", "fridge"} <= set(terms.by_slot["appliance"])
    assert "Bosch" in terms.expected(Expectation("name", "brand"))
    assert len(terms.all()) <= MOST_TERMS
    assert tokens(terms.all()) <= MOST_TOKENS
