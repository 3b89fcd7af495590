"""What the voice is given for what is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from throughline.domain.lexicon import Lexicon
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

LEXICON = load_business(Path("data/business")).lexicon


def lexicon(**terms: str) -> Lexicon:
    return replace(LEXICON, terms=terms)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Come to 120 NE Alberta St.", "Come to 120 Northeast Alberta Street"),
        ("120 ne alberta st, apt 4b", "120 Northeast alberta Street, apartment 4 b"),
        ("4500 SE Cesar Chavez Blvd", "4500 Southeast Cesar Chavez Boulevard"),
        ("17 Oak Ave #3", "17 Oak Avenue number 3"),
        ("Ste. 12", "suite 12"),
        ("Dr. Reyes in St. Johns", "Dr. Reyes in St. Johns"),
        ("ZIP code 97201", "Zip code 9 7 2 0 1"),
        ("97201-1234", "9 7 2 0 1, 1 2 3 4"),
        ("dana.reyes@example-mail.com, please", "dana dot reyes at example dash mail dot com, please"),
        ("a_b+c@x.org", "a underscore b plus c at x dot org"),
        ("Call (503) 555-0142.", "Call 5 0 3, 5 5 5, 0 1 4 2."),
        ("+15035550142", "5 0 3, 5 5 5, 0 1 4 2"),
        ("503.555.0142 or 503 555 0142", "5 0 3, 5 5 5, 0 1 4 2 or 5 0 3, 5 5 5, 0 1 4 2"),
        ("$89", "89 dollars"),
        ("$1", "1 dollar"),
        ("$1,389.50 in all", "1389 dollars 50 cents in all"),
        ("12500 dollars", "12500 dollars"),
        ("It costs $12,500.", "It costs 12500 dollars."),
        ("at 10:30 am", "at 10 30 AM"),
        ("10:05", "10 oh 5"),
        ("8:00 to 17:45", "8 to 17 45"),
        ("I am here at 6 pm", "I am here at 6 PM"),
        ("model WF45-T6000", "model W F 4 5 T 6 0 0 0"),
        ("A4BX12", "A, 4 B X 1 2"),
        ("5G and MP3 and 2x4", "5G and MP3 and 2x4"),
        ("call 9 1 1", "call 9 1 1"),
        ("in 90 days, 2.5 hours", "in 90 days, 2.5 hours"),
    ],
)
def test_numbers_addresses_and_signs_are_written_for_the_ear(written: str, spoken: str) -> None:
    assert LEXICON.spoken(written) == spoken


def test_a_term_counts_as_a_whole_word_in_any_case() -> None:
    said = lexicon(GE="G E", Miele="Meela")
    assert said.spoken("A GE, a ge and the MIELE's door; the gear, ge1") == "A G E, a G E and the Meela's door; the gear, ge1"


def test_of_terms_that_overlap_the_longest_counts_and_none_is_looked_for_in_another() -> None:
    said = lexicon(**{"Fisher & Paykel": "Fisher and Pie kel", "&": "and", "and": "AND"})
    assert said.spoken("Fisher & Paykel & me") == "Fisher and Pie kel and me"


@pytest.mark.parametrize(
    "text", ["<break time='10s'/>", "[whispers] hi", "&lt;phoneme&gt;", "{name}", "a < b", "\\1 \\g<0> (?i)"]
)
def test_a_customers_markup_is_neither_made_nor_obeyed(text: str) -> None:
    """What it is to be read as the engines decide; here nothing becomes markup that was none."""
    said = replace(LEXICON, terms={}).spoken(text)
    assert [sign for sign in said if sign in "<>[]{}&\\"] == [sign for sign in text if sign in "<>[]{}&\\"]


def test_what_a_term_becomes_is_taken_literally() -> None:
    assert lexicon(X="\\1 \\g<0>").spoken("an X") == "an \\1 \\g<0>"


def test_a_company_without_terms_says_what_is_written() -> None:
    bare = replace(LEXICON, terms={}, streets={}, directions={}, units={})
    assert bare.spoken("120 NE Oak St, apt 4 & more") == "120 NE Oak St, apt 4 & more"


def test_a_long_text_takes_no_long_time() -> None:
    """Nothing a customer says may hold up a call: these would, if a pattern tried them in many ways."""
    for text in ("1 " * 4000, "a@" * 4000, "1-" * 4000, "A1-" * 3000, "12 a " * 3000, "(503) " * 2000, "a." * 4000 + "@"):
        assert LEXICON.spoken(text)
