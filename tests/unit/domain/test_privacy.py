"""What may be told to whom, told apart value by value."""

from __future__ import annotations

import pytest

from throughline.domain.assurance import Assurance
from throughline.domain.privacy import UNKNOWN, Kept, Privacy, Standing, Told, filled, may_be_told, placeholders, told_in

pytestmark = pytest.mark.unit

HERE, ELSEWHERE = "s_here", "s_elsewhere"
SLOT, VALUE = Kept(needs="possessed"), Kept(needs="possessed")
MADE = Kept(needs="possessed", of=("name", "place"))


def standing(level: str = "anonymous", *together: str) -> Standing:
    return Standing(Assurance.of(level), frozenset({HERE, *together}))


def told(values: dict[str, object] | None = None, told_in: str | None = UNKNOWN, **slots: tuple[object, str | None]) -> Told:
    """Slots as ``name=(value, source)``."""
    known = {name: value for name, (value, _) in slots.items()}
    return Told(known, lambda name: slots[name][1], values or {}, told_in)


@pytest.mark.parametrize(
    ("level", "may"), [("anonymous", False), ("claimed", False), ("possessed", True), ("authenticated", True)]
)
def test_what_was_told_elsewhere_needs_its_level(level: str, may: bool) -> None:
    assert may_be_told("name", SLOT, told(name=("Jo", ELSEWHERE)), standing(level)) is may


def test_what_was_told_here_needs_none() -> None:
    assert may_be_told("name", SLOT, told(name=("Jo", HERE)), standing())
    assert may_be_told("name", SLOT, told(name=("Jo", ELSEWHERE)), standing("anonymous", ELSEWHERE)), "in the same hands"


def test_what_nobody_classified_is_never_told() -> None:
    assert not may_be_told("name", None, told(name=("Jo", HERE)), standing("authenticated"))


def test_a_value_of_unknown_source_is_told_as_one_from_elsewhere() -> None:
    for source in (UNKNOWN, None):
        assert not may_be_told("name", SLOT, told(name=("Jo", source)), standing())
        assert may_be_told("name", SLOT, told(name=("Jo", source)), standing("possessed"))
    assert not may_be_told("day", VALUE, told({"day": "Friday"}), standing())


def test_who_says_a_response_says_where_its_values_are_from() -> None:
    assert may_be_told("day", VALUE, told({"day": "Friday"}, HERE), standing())
    assert not may_be_told("day", VALUE, told({"day": "Friday"}, ELSEWHERE), standing())


def test_what_the_conversation_knows_of_a_value_counts_before_what_is_said_of_it() -> None:
    assert not may_be_told("name", SLOT, told({"name": "Jo"}, HERE, name=("Jo", ELSEWHERE)), standing())
    assert may_be_told("name", SLOT, told({"name": "Jo"}, name=("Jo", HERE)), standing())
    assert may_be_told("name", SLOT, told({"name": "Al"}, HERE, name=("Jo", ELSEWHERE)), standing()), "another value"
    assert not may_be_told("made", MADE, told({"made": "Jo, 97201"}, HERE, name=("Jo", ELSEWHERE)), standing())


def test_a_value_for_the_ear_is_told_as_the_one_for_the_eye() -> None:
    privacy = Privacy({"place": SLOT}, {"day": VALUE}, "possessed", 60, "my card number")
    assert privacy.kept("place_spoken") is SLOT
    assert privacy.kept("day_spoken") is VALUE
    assert privacy.kept("spoken") is None
    both = {"place": "97201", "place_spoken": "9 7 2 0 1"}
    assert may_be_told("place_spoken", SLOT, told(both, place=("97201", HERE)), standing())
    assert not may_be_told("place_spoken", SLOT, told(both, place=("97201", ELSEWHERE)), standing())


def test_what_is_made_of_slots_was_told_where_each_of_them_was() -> None:
    made = {"made": "Jo, 97201"}
    assert may_be_told("made", MADE, told(made, name=("Jo", HERE), place=("97201", HERE)), standing())
    assert not may_be_told("made", MADE, told(made, name=("Jo", HERE), place=("97201", ELSEWHERE)), standing())
    assert may_be_told("made", MADE, told(made, name=("Jo", HERE), place=(None, ELSEWHERE)), standing()), "it isn't in it"
    assert not may_be_told("made", MADE, told(made), standing()), "of what, then?"


def test_places_are_found_and_filled_everywhere_and_once() -> None:
    response = {"text": "{a} {b}{a}", "buttons": [{"title": "x", "payload": "tel:{c}"}], "custom": {"deep": [{"{d}": "{e}"}]}}
    assert placeholders(response) == {"a", "b", "c", "e"}
    values = {"a": "{b}", "b": "{0[a]}", "c": 3, "e": "%s"}
    assert filled(response, values) == {
        "text": "{b} {0[a]}{b}",
        "buttons": [{"title": "x", "payload": "tel:3"}],
        "custom": {"deep": [{"{d}": "%s"}]},
    }
    assert response["text"] == "{a} {b}{a}", "a copy"


def test_a_stored_value_was_told_in_the_visit_that_its_event_names() -> None:
    assert told_in({"session_id": HERE}) == HERE
    assert told_in({"session_id": HERE, "told_in": ELSEWHERE}) == ELSEWHERE, "it was put back here"
    assert told_in({"session_id": None}) is None
    for nothing in (None, {}, {"event_id": "e_1"}):
        assert told_in(nothing) == UNKNOWN
