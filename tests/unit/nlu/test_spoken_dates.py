"""Which day is meant. The present is Sunday, 22 November 2026, ten in the morning, unless a test says otherwise."""

from __future__ import annotations

from datetime import datetime

import pytest

from throughline.nlu.spoken_grammar import Reading, find

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 22, 10, 0)  # noqa: DTZ001  the customer's wall clock


def read(text: str, expected: str = "free", now: datetime = NOW, *, day_first: bool = False) -> list[tuple[str, object]]:
    kinds = ("date", "since")
    found = find(text, now, Reading(day_first=day_first), expected=expected)
    return [(item.kind, item.value) for item in found if item.kind in kinds]


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("today", "2026-11-22"),
        ("tomorrow please", "2026-11-23"),
        ("the day after tomorrow", "2026-11-24"),
        ("thursday", "2026-11-26"),
        ("sunday", "2026-11-29"),  # today is one: the next is meant
        ("thurs afternoon", "2026-11-26"),
        ("on sat", "2026-11-28"),
        ("this friday", "2026-11-27"),
        ("next friday", "2026-11-27"),  # weeks begin on Monday, so tomorrow's week is the next
        ("monday next week", "2026-11-23"),
        ("next week on wednesday", "2026-11-25"),
        ("a week from thursday", "2026-12-03"),
        ("thursday in two weeks", "2026-12-10"),
        ("in three days", "2026-11-25"),
        ("in a couple of weeks", "2026-12-06"),
        ("ten days from now", "2026-12-02"),
        ("a fortnight today", "2026-12-06"),
        ("next week", "2026-11-23"),
        ("november 26", "2026-11-26"),
        ("November the twenty-sixth", "2026-11-26"),
        ("the 26th of november", "2026-11-26"),
        ("thursday, the 26th", "2026-11-26"),
        ("thursday the twenty sixth of november", "2026-11-26"),
        ("the twenty sixth", "2026-11-26"),
        ("on the third", "2026-12-03"),
        ("the 5th of next month", "2026-12-05"),
        ("january 9th", "2027-01-09"),
        ("dec 1st 2026", "2026-12-01"),
        ("december first twenty twenty six", "2026-12-01"),
        ("2026-11-24", "2026-11-24"),
        ("11/24", "2026-11-24"),
        ("11/24/26", "2026-11-24"),
        ("24/11/2026", "2026-11-24"),  # there is no 24th month
        ("24.11.2026", "2026-11-24"),
        ("february 29", "2028-02-29"),
        ("friday the 17th", "2027-09-17"),
        ("thanksgiving", "2026-11-26"),
        ("are you open on memorial day", "2027-05-31"),
        ("new year's eve", "2026-12-31"),
    ],
)
def test_a_day_to_come(said: str, day: str) -> None:
    assert read(said) == [("date", day)]


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("since yesterday", "2026-11-21"),
        ("the day before yesterday", "2026-11-20"),
        ("since last night", "2026-11-21"),
        ("since monday", "2026-11-16"),
        ("since last monday", "2026-11-16"),
        ("last friday", "2026-11-20"),
        ("monday last week", "2026-11-09"),
        ("it broke on thursday", "2026-11-19"),
        ("it started leaking this morning", "2026-11-22"),
        ("on monday it stopped working", "2026-11-16"),
        ("three days ago", "2026-11-19"),
        ("a couple of weeks ago", "2026-11-08"),
        ("two hours ago", "2026-11-22"),
        ("for about three days", "2026-11-19"),
        ("it has been leaking for two weeks", "2026-11-08"),
        ("about a week now", "2026-11-15"),
        ("a month or so", "2026-10-22"),
        ("it's been 3 days", "2026-11-19"),
        ("over the past few days", "2026-11-19"),
        ("since last week", "2026-11-15"),
        ("since november 3rd", "2026-11-03"),
        ("november 3rd", "2026-11-03"),  # this month's 3rd has passed
        ("since the third", "2026-11-03"),
        ("since october", "2026-10-01"),
        ("since december", "2025-12-01"),
    ],
)
def test_a_day_when_it_began(said: str, day: str) -> None:
    assert read(said) == [("since", day)]


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("it broke yesterday, can you come thursday", [("since", "2026-11-21"), ("date", "2026-11-26")]),
        ("my dryer stopped heating can you come thursday", [("date", "2026-11-26")]),
        ("my washing machine is leaking thursday would be good", [("date", "2026-11-26")]),
        ("it broke on tuesday so come next tuesday", [("since", "2026-11-17"), ("date", "2026-11-24")]),
        ("leaking since monday. thursday is best", [("since", "2026-11-16"), ("date", "2026-11-26")]),
    ],
)
def test_the_words_decide_which_way_a_day_lies(said: str, days: list[tuple[str, str]]) -> None:
    assert read(said) == days


@pytest.mark.parametrize(
    ("said", "expected", "day"),
    [
        ("monday", "since", ("since", "2026-11-16")),
        ("monday", "date", ("date", "2026-11-23")),
        ("the fifth", "since", ("since", "2026-11-05")),
        ("5", "date", ("date", "2026-12-05")),
        ("the second", "date", ("date", "2026-12-02")),
        ("wed", "date", ("date", "2026-11-25")),
        ("april", "date", ("date", "2027-04-01")),
        ("tomorrow", "since", ("date", "2026-11-23")),
    ],
)
def test_what_was_asked_for_decides_what_the_words_leave_open(said: str, expected: str, day: tuple[str, str]) -> None:
    assert read(said, expected) == [day]


@pytest.mark.parametrize(
    "said",
    [
        "the second one please",
        "the second floor",
        "first thing",
        "the second",
        "the machine sat there in the sun",
        "i may come",
        "i'm away for two weeks",
        "may i ask something",
        "at 5 main street",
        "one",
        "30 february",
        "13/32",
        "in 99999999999999999999 days",
        "9999999 years ago",
    ],
)
def test_what_is_no_day(said: str) -> None:
    assert read(said) == []


def test_the_companys_order_of_day_and_month() -> None:
    assert read("12/04") == [("date", "2026-12-04")]
    assert read("12/04", day_first=True) == [("date", "2027-04-12")]


def test_next_weekday_is_the_one_in_the_following_week() -> None:
    tuesday = datetime(2022, 3, 15, 9, 0)  # noqa: DTZ001
    assert read("next thursday", now=tuesday) == [("date", "2022-03-24")]
    assert read("thursday", now=tuesday) == [("date", "2022-03-17")]
    assert read("next monday", now=tuesday) == [("date", "2022-03-21")]


def test_the_weekend_seen_from_each_side() -> None:
    friday, saturday = datetime(2026, 11, 20, 9, 0), datetime(2026, 11, 21, 9, 0)  # noqa: DTZ001
    assert read("this weekend", now=friday) == [("date", "2026-11-21")]
    assert read("this weekend", now=saturday) == [("date", "2026-11-21")]
    assert read("next weekend", now=friday) == [("date", "2026-11-28")]
    assert read("last weekend", now=friday) == [("since", "2026-11-14")]


def test_a_month_later_than_the_31st_is_the_months_last() -> None:
    assert read("in a month", now=datetime(2027, 1, 31, 9, 0)) == [("date", "2027-02-28")]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("since thanksgiving", "2025-11-27"),
        ("it broke on thanksgiving", "2025-11-27"),
        ("it started last thanksgiving", "2025-11-27"),
        ("since labor day", "2026-09-07"),
        ("it's been dripping since last tuesday", "2026-11-17"),
        ("since last christmas", "2025-12-25"),
    ],
)
def test_a_feast_or_a_weekday_since_when_is_past(said: str, day: str) -> None:
    assert read(said) == [("since", day)]


def test_a_few_days_after_thanksgiving_it_was_this_years() -> None:
    assert read("since thanksgiving", now=datetime(2026, 11, 29, 10, 0)) == [("since", "2026-11-26")]  # noqa: DTZ001
