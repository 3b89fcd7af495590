"""Typed and spoken text in one form, with the way back to the original."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.nlu.spoken_text import SpokenText

pytestmark = pytest.mark.unit

always_the_same = settings(deadline=None, derandomize=True)  # no clock decides, no run differs from the next


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        ("Half past two on the Twenty-Fourth of November, please.", "half past 2 on the 24th of november , please |"),
        ("nine seven two oh one", "9 7 2 0 1"),
        ("ninety seven two oh one", "97 2 0 1"),
        ("double seven triple oh five", "7 7 0 0 0 5"),
        ("one hundred and five", "105"),
        ("two thousand twenty six", "2026"),
        ("three thousand four hundred and twelve", "3412"),
        ("twenty twenty six", "20 26"),
        ("one twenty", "1 20"),
        ("the thirty first", "the 31st"),
        ("twenty - one", "20 - 1"),
        ("5:15pm or 5 P.M.", "5 : 15 pm or 5 pm"),
        ("Thurs, Nov 26", "thursday , november 26"),
        ("tommorow", "tomorrow"),
        ("oh no", "oh no"),
        ("my WF45K washer", "my wf45k washer"),
        ("10 a meter", "10 a meter"),
        ("", ""),
        ("?!", "? |"),
    ],
)
def test_canonical_form(said: str, canonical: str) -> None:
    assert SpokenText(said).text == canonical


def test_a_span_leads_back_to_the_original_characters() -> None:
    words = SpokenText("We'd like the Twenty-Fourth, ok?")
    start = words.text.index("24th")
    first, last = words.source(start, start + 4)
    assert words.original[first:last] == "Twenty-Fourth"


def test_digits_from_one_spoken_word_share_its_span() -> None:
    words = SpokenText("it is double seven")
    start, end = words.source(len("it is "), len("it is 7 7"))
    assert words.original[start:end] == "double seven"


def test_whether_a_number_was_a_word() -> None:
    words = SpokenText("one or 1")
    assert words.was_spelled(0, 1)
    assert not words.was_spelled(5, 6)


@always_the_same
@given(st.text(max_size=200))
def test_any_text_has_a_form_whose_every_word_leads_back_into_it(original: str) -> None:
    words = SpokenText(original)
    position = 0
    for word in words.text.split():
        at = words.text.index(word, position)
        start, end = words.source(at, at + len(word))
        assert 0 <= start < end <= len(original)
        position = at + len(word)
