"""Card numbers are taken out, other numbers stay. The cards are the test numbers that payment companies publish."""

import pytest

from throughline.nlu.card_numbers import without_card_numbers

pytestmark = pytest.mark.unit

VISA_SPOKEN = "four two four two four two four two four two four two four two four two"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("4242424242424242", "X"),
        ("it's 4242 4242 4242 4242, thanks", "it's X, thanks"),
        ("4242-4242-4242-4242", "X"),
        ("amex 3782 822463 10005 exp 12 26", "amex X exp 12 26"),
        ("5555 5555 5555 4444 and 6011 1111 1111 1117", "X and X"),
        (f"my card is {VISA_SPOKEN} okay", "my card is X okay"),
        ("97201 and 4242424242424242", "97201 and X"),
    ],
)
def test_a_card_number_is_taken_out(text: str, left: str) -> None:
    assert without_card_numbers(text, "X") == left


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4243",  # the check digit is wrong
        "503 555 0142 97201",
        "five oh three five five five oh one four two and nine seven two oh one",
        "my code is 12345678 and my reference 284193",
        "+4242424242424242",
        "no numbers at all, but a sentence that is long enough to be looked at for them, word by word",
        "",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert without_card_numbers(text, "X") == text
