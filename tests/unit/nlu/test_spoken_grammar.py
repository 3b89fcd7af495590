"""What the grammar finds together in whole messages, and what several days mean."""

from __future__ import annotations

import itertools
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.nlu.spoken_grammar import EXPECTED, KINDS, Reading, find

pytestmark = pytest.mark.unit

always_the_same = settings(deadline=None, derandomize=True)  # no clock decides, no run differs from the next

NOW = datetime(2026, 11, 22, 10, 0)  # noqa: DTZ001  the customer's wall clock
BY_DAY = Reading(day_starts=time(7))


def read(text: str) -> list[tuple[object, ...]]:
    return [(item.kind, item.value, text[item.start : item.end], item.role) for item in find(text, NOW, BY_DAY)]


def test_a_whole_message() -> None:
    assert read("It's leaking since yesterday. I'm in 97201, next Thursday at half past two, call 503 555 0142") == [
        ("since", "2026-11-21", "yesterday", None),
        ("postcode", "97201", "97201", None),
        ("date", "2026-11-26", "next Thursday", None),
        ("time", "14:30", "half past two", None),
        ("phone_number", "+15035550142", "503 555 0142", None),
    ]


def test_a_whole_message_as_a_recogniser_writes_it() -> None:
    assert read("i'm in nine seven two oh one and the day after tomorrow in the morning would be good") == [
        ("postcode", "97201", "nine seven two oh one", None),
        ("date", "2026-11-24", "the day after tomorrow", None),
        ("part_of_day", "morning", "morning", None),
    ]


@pytest.mark.parametrize(
    ("said", "roles"),
    [
        ("tuesday or wednesday", {"2026-11-24": None, "2026-11-25": "alternative"}),
        ("not tuesday, wednesday", {"2026-11-24": "excluded", "2026-11-25": None}),
        ("tuesday, no wait, wednesday", {"2026-11-24": "excluded", "2026-11-25": None}),
        ("tuesday sorry i mean wednesday", {"2026-11-24": "excluded", "2026-11-25": None}),
        ("any day but friday", {"2026-11-27": "excluded"}),
        ("move it from tuesday to thursday", {"2026-11-24": "excluded", "2026-11-26": None}),
        ("wednesday instead of tuesday", {"2026-11-25": None, "2026-11-24": "excluded"}),
    ],
)
def test_of_several_days_one_is_the_wish(said: str, roles: dict[str, str | None]) -> None:
    assert {value: role for _kind, value, _text, role in read(said)} == roles


@always_the_same
@given(st.text(max_size=120), st.sampled_from(EXPECTED))
def test_any_text_is_read_without_error_and_no_character_twice(text: str, expected: str) -> None:
    found = [item for item in find(text, NOW, BY_DAY, expected=expected) if item.kind != "part_of_day"]
    assert all(item.kind in KINDS and 0 <= item.start < item.end <= len(text) for item in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))


_FRAGMENTS = [
    "97201",
    "next",
    "thursday",
    "at",
    "2",
    "half past",
    "since",
    "the",
    "5th",
    "of",
    "may",
    ":",
    "/",
    "-",
    "pm",
    "12",
    "double",
    "oh",
    "nine",
]


@always_the_same
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=12), st.sampled_from(EXPECTED))
def test_fragments_in_any_order_are_read_without_error(fragments: list[str], expected: str) -> None:
    text = " ".join(fragments)
    found = [item for item in find(text, NOW, BY_DAY, expected=expected) if item.kind != "part_of_day"]
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("thursday", "since"),
        ("it began on monday", "since"),
        ("thursday would be good", "date"),
        ("could you come on friday", "date"),
        ("thursday works for me", "date"),
    ],
)
def test_a_wish_is_no_answer_to_since_when(text: str, kind: str) -> None:
    now = datetime(2026, 11, 22, 9, tzinfo=ZoneInfo("America/Los_Angeles"))
    assert [found.kind for found in find(text, now, expected="since")] == [kind]
