"""Times of day and parts of the day. The company works by day, from 07:00, unless a test says otherwise."""

from __future__ import annotations

from datetime import datetime, time

import pytest

from throughline.nlu.spoken_grammar import Reading, find

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 22, 10, 0)  # noqa: DTZ001  the customer's wall clock
BY_DAY = Reading(day_starts=time(7))


def read(text: str, expected: str = "free", reading: Reading = BY_DAY) -> list[tuple[object, str | None]]:
    return [(item.value, item.role) for item in find(text, NOW, reading, expected=expected) if item.kind == "time"]


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("2:30 pm", "14:30"),
        ("2:30", "14:30"),
        ("2.30pm", "14:30"),
        ("at two", "14:00"),
        ("at 10", "10:00"),
        ("at 7", "07:00"),
        ("ten o'clock", "10:00"),
        ("half past two", "14:30"),
        ("quarter to nine", "08:45"),
        ("quarter of three", "14:45"),
        ("ten past one", "13:10"),
        ("twenty to 2 am", "01:40"),
        ("five oh five pm", "17:05"),
        ("twelve thirty", "12:30"),
        ("12 am", "00:00"),
        ("12:15 p.m.", "12:15"),
        ("8 in the morning", "08:00"),
        ("9 at night", "21:00"),
        ("around 5ish", "17:00"),
        ("thursday five thirty", "17:30"),
        ("in the morning at 6", "06:00"),
        ("tomorrow morning at 6", "06:00"),
        ("at 1430", "14:30"),
        ("at noon", "12:00"),
        ("midnight", "00:00"),
        ("in 2 hours", "12:00"),
        ("in half an hour", "10:30"),
        ("any time after 3", "15:00"),
        ("19:45", "19:45"),
    ],
)
def test_a_time(said: str, value: str) -> None:
    assert read(said) == [(value, None)]


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("between 10 and 12", "10:00", "12:00"),
        ("from 9 to 12", "09:00", "12:00"),
        ("4 to 6 pm", "16:00", "18:00"),
        ("9am-11am", "09:00", "11:00"),
        ("between 2 and 4 in the afternoon", "14:00", "16:00"),
        ("from 10 to 2 pm", "10:00", "14:00"),
        ("8 to 10 tomorrow", "08:00", "10:00"),
    ],
)
def test_a_range_gives_its_start_and_marks_its_end(said: str, first: str, last: str) -> None:
    assert read(said) == [(first, None), (last, "until")]


def test_a_bare_hour_is_a_time_only_where_one_was_asked_for() -> None:
    assert read("2", "time") == [("14:00", None)]
    assert read("9 or so", "time") == [("09:00", None)]
    assert read("8 to 11", "time") == [("08:00", None), ("11:00", "until")]
    assert read("2") == []


def test_without_a_start_of_the_day_hours_are_taken_as_they_stand() -> None:
    assert read("at two", reading=Reading()) == [("02:00", None)]


@pytest.mark.parametrize(
    "said",
    [
        "25:00",
        "at 5 main street",
        "for 2 hours",
        "two washers",
        "12:75",
        "2026-11-24",
        "97201",
        "it is from 2019",
        "by 2 people",
        "in 5000 hours",
    ],
)
def test_what_is_no_time(said: str) -> None:
    assert read(said) == []


def test_the_time_of_a_past_day_is_marked() -> None:
    assert read("it broke yesterday at 5 pm") == [("17:00", "since")]
    assert read("since 3 pm") == [("15:00", "since")]


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("friday morning", [("morning", None)]),
        ("in the afternoon", [("afternoon", None)]),
        ("tonight", [("evening", None)]),
        ("after work", [("evening", None)]),
        ("before noon", [("morning", None)]),
        ("good morning", []),
        ("good morning, the afternoon please", [("afternoon", None)]),
        ("8 in the evening", []),
        ("monday morning it started to smell", [("morning", "since")]),
        ("since last night", [("evening", "since")]),
        ("morning or afternoon", [("morning", None), ("afternoon", "alternative")]),
        ("not in the morning", [("morning", "excluded")]),
    ],
)
def test_parts_of_the_day(said: str, parts: list[tuple[str, str | None]]) -> None:
    assert [(item.value, item.role) for item in find(said, NOW, BY_DAY) if item.kind == "part_of_day"] == parts
