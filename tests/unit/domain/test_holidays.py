"""Days of the year that have a name."""

from __future__ import annotations

from datetime import date

import pytest

from throughline.domain import holidays

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "year", "day"),
    [
        ("12-25", 2026, date(2026, 12, 25)),
        ("4th thursday of november", 2026, date(2026, 11, 26)),
        ("4th thursday of november", 2027, date(2027, 11, 25)),
        ("last monday of may", 2027, date(2027, 5, 31)),
        ("1st monday of september", 2026, date(2026, 9, 7)),
        ("02-29", 2027, None),
    ],
)
def test_in_a_year(text: str, year: int, day: date | None) -> None:
    assert holidays.in_year(text, year) == day


@pytest.mark.parametrize("text", ["13-01", "5th monday of may", "4th thursday of", "christmas", "2026-12-25", ""])
def test_what_is_no_day_of_the_year(text: str) -> None:
    assert not holidays.is_day_of_year(text)
    with pytest.raises(ValueError, match="no day of the year"):
        holidays.in_year(text, 2026)


def test_the_next_one() -> None:
    assert holidays.coming("12-25", date(2026, 12, 25)) == date(2026, 12, 25)
    assert holidays.coming("12-25", date(2026, 12, 26)) == date(2027, 12, 25)
    assert holidays.coming("02-29", date(2026, 1, 1)) == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("are you open on New Year’s Eve?", "New Year's Eve"),
        ("open new years day", "New Year's Day"),
        ("happy new year", "New Year"),
        ("what are your hours", None),
        ("my newyear", None),
    ],
)
def test_which_is_spoken_of(text: str, name: str | None) -> None:
    assert holidays.spoken_of(text, ["New Year", "New Year's Day", "New Year's Eve"]) == name
