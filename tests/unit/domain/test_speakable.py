"""Days, times, numbers and lists: once for the eye, once for the ear."""

from __future__ import annotations

from datetime import date, datetime, time, timezone

import pytest

from throughline.domain import said_digits, speakable
from throughline.domain.company import Business
from throughline.domain.words import Said

pytestmark = pytest.mark.unit

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("text", "shown", "spoken"),
    [
        ("97201", "97201", "9 7 2 0 1"),
        ("246484", "246484", "2 4 6, 4 8 4"),
        ("61474421", "6147 4421", "6 1 4 7, 4 4 2 1"),
    ],
)
def test_digits_are_said_one_by_one(text: str, shown: str, spoken: str) -> None:
    assert said_digits.digits(text) == Said(shown, spoken)


def test_a_day_has_its_weekday_and_no_figures_for_the_ear(business: Business) -> None:
    said = speakable.day(date(2026, 11, 26), business.words, TODAY)
    assert said == Said("Thursday, November 26", "Thursday, November twenty sixth")


def test_tomorrow_is_said_to_be_tomorrow(business: Business) -> None:
    said = speakable.day(date(2026, 11, 23), business.words, TODAY)
    assert said == Said("Monday, November 23 (tomorrow)", "Monday, that's tomorrow")


@pytest.mark.parametrize(
    ("value", "shown", "spoken"),
    [
        (time(8), "8 am", "8"),
        (time(12), "12 pm", "12"),
        (time(14, 30), "2:30 pm", "2 30"),
        (time(9, 5), "9:05 am", "9 oh 5"),
        (time(0, 15), "12:15 am", "12 15"),
    ],
)
def test_times(business: Business, value: time, shown: str, spoken: str) -> None:
    assert speakable.clock(value, business.words, half_of_day=False) == Said(shown, spoken)


def test_a_window(business: Business) -> None:
    begin = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
    said = speakable.window(begin, begin.replace(hour=14), business.words)
    assert said == Said("between 12 pm and 2 pm", "between 12 and 2")


def test_money_is_words_for_the_ear(business: Business) -> None:
    assert speakable.money(89, business.words, business.company) == Said("$89", "89 dollars")


def test_lists_are_joined_before_the_last() -> None:
    parts = [Said("a", "A"), Said("b", "B"), Said("c", "C")]
    assert speakable.joined(parts, "and") == Said("a, b and c", "A, B and C")
    assert speakable.joined(parts[:1], "and") == parts[0]
    assert speakable.joined([], "and") == Said("", "")


def test_office_hours_name_rows_of_days(business: Business) -> None:
    assert speakable.office_hours(business.hours, business.words).shown.startswith(
        "Monday to Friday 7:30 am to 6 pm and Saturday"
    )
