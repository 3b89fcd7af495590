"""Which pieces of what is said on the phone are known before anybody calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.domain.phone_wording import PhoneWording, phone_wording
from throughline.domain.sentences import sentences_of
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

TEXTS = (
    "Our office is closed just now. A colleague will get back to you when we open, {opens}.",
    "I have everything from before: {known}.",
    "Okay, {fact}.",
    "Thank you{comma_name}, I've passed that on as you said it. Anything else?",
)
WORDING = phone_wording(TEXTS, opening_chars=10)


def test_sentences_without_a_value_are_fixed() -> None:
    assert WORDING.fixed == {"Our office is closed just now.", "Anything else?"}


def test_an_opening_ends_at_a_comma_or_colon_before_the_first_value_and_is_no_shorter_than_asked_for() -> None:
    assert WORDING.openings == {"A colleague will get back to you when we open,", "I have everything from before:"}
    assert "Okay," in phone_wording(TEXTS, opening_chars=5).openings


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "I have everything from before: the oven, and your name.",
            ["I have everything from before:", "the oven, and your name."],
        ),
        ("Our office is closed just now. Goodbye for now.", ["Our office is closed just now.", "Goodbye for now."]),
        ("I have everything from before:", ["I have everything from before:"]),
        ("Okay, the oven.", ["Okay, the oven."]),
        ("", []),
    ],
)
def test_what_is_said_comes_in_pieces_that_are_the_text_again(text: str, pieces: list[str]) -> None:
    assert WORDING.pieces_of(text) == pieces
    assert " ".join(pieces) == text


def test_a_fixed_sentence_is_one_piece_even_where_it_begins_like_another() -> None:
    both = phone_wording(["I'm sorry, {zip} is too far.", "I'm sorry, that is too far."], opening_chars=5)
    assert both.pieces_of("I'm sorry, that is too far.") == ["I'm sorry, that is too far."]
    assert both.pieces_of("I'm sorry, 97201 is too far.") == ["I'm sorry,", "97201 is too far."]


def test_without_a_wording_there_are_sentences() -> None:
    text = "I have everything from before: this. And that is all."
    assert PhoneWording().pieces_of(text) == sentences_of(text)


def test_only_fixed_pieces_are_kept_as_the_voice_is_given_them() -> None:
    lexicon = load_business(Path("data/business")).lexicon
    wording = phone_wording(
        ["Come to Miele. Is that right?", "You said {wish}."], fillers=["One moment."], opening_chars=5, lexicon=lexicon
    )
    assert wording.to_keep == ("Come to Meela.", "Is that right?", "One moment.")
