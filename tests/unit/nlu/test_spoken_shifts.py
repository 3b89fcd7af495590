"""Days counted from another one: how far, and what is none."""

from __future__ import annotations

from datetime import datetime

import pytest

from throughline.nlu.spoken_grammar import find

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 22, 10, 0)  # noqa: DTZ001  the customer's wall clock


def shifts(text: str) -> list[object]:
    return [item.value for item in find(text, NOW) if item.kind == "day_shift"]


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("one day later", 1),
        ("a day earlier please", -1),
        ("could you come two days later instead", 2),
        ("the day after that", 1),
        ("the day before would be better", -1),
        ("the week after", 7),
        ("the following day", 1),
        ("push it back a week", 7),
        ("can we move it up by two days", -2),
        ("same time next week", 7),
        ("the same time the following week please", 7),
        ("a fortnight later", 14),
    ],
)
def test_how_far(said: str, days: int) -> None:
    assert shifts(said) == [days]
    assert not [item for item in find(said, NOW) if item.kind in ("date", "since", "number")], "and it is nothing else"


@pytest.mark.parametrize(
    "said",
    [
        "the day after tomorrow",
        "the day after christmas",
        "two days after you fixed it",
        "an hour later",
        "next week",
        "later",
        "two days ago",
    ],
)
def test_what_names_its_own_day(said: str) -> None:
    assert shifts(said) == []


def test_the_hour_stays() -> None:
    assert [item.kind for item in find("same time next week", NOW)] == ["same_time", "day_shift"]
