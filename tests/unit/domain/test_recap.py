"""What a customer has told us, read back."""

from __future__ import annotations

from datetime import date

import pytest

from throughline.domain import recap
from throughline.domain.company import Business

pytestmark = pytest.mark.unit

TODAY = date(2026, 11, 22)
SLOTS = {
    "postcode": "97201",
    "appliance": "washing machine",
    "problem": "leaks",
    "customer_name": "Dana Reyes",
    "visit_day": "2026-11-26",
    "urgent": False,
    "brand": None,
    "requested_slot": "brand",
    "ui_visit": "246484",
}


def test_only_facts_that_are_known_are_told_in_the_order_of_the_form() -> None:
    assert list(recap.told(SLOTS)) == ["appliance", "problem", "urgent", "customer_name", "postcode", "visit_day"]


def test_in_one_breath(business: Business) -> None:
    said = recap.in_one_breath(recap.told(SLOTS), business.words, TODAY, without=("customer_name",))
    assert said is not None
    assert said.shown == (
        "the washing machine, the problem: leaks, not urgent, ZIP code 97201 and a visit on Thursday, November 26"
    )
    assert "9 7 2 0 1" in said.spoken
    assert "twenty sixth" in said.spoken


def test_nothing_known_says_nothing(business: Business) -> None:
    assert recap.in_one_breath({}, business.words, TODAY) is None


def test_a_fact_nobody_knows_is_not_worth_saying(business: Business) -> None:
    assert recap.phrase("brand", business.words.unknown, business.words, TODAY) is None


@pytest.mark.parametrize(("value", "part"), [("2026-11-15", "Sunday, November 15"), ("last winter", "last winter")])
def test_since_is_a_day_or_the_customers_own_words(business: Business, value: str, part: str) -> None:
    said = recap.phrase("since", value, business.words, TODAY)
    assert said is not None
    assert part in said.shown


def test_a_part_of_the_day_is_a_time_until_a_window_is_chosen(business: Business) -> None:
    said = recap.phrase("visit_time", "morning", business.words, TODAY)
    assert said is not None
    assert said.shown == "in the morning"


def test_a_time_in_the_customers_own_words_is_told_in_them(business: Business) -> None:
    said = recap.in_one_breath({"visit_time": "the first one"}, business.words, TODAY)
    assert said is not None
    assert "the first one" in said.shown
    assert "the first one" in said.spoken
