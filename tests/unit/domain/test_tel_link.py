"""The tap-to-call link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughline.domain.tel_link import is_dialable, is_e164, tel_link

pytestmark = pytest.mark.unit


def test_the_code_is_keyed_after_the_pauses() -> None:
    assert tel_link("+15035550142", "48213377", pauses=2) == "tel:+15035550142,,48213377"
    assert tel_link("+442079460123", "00000001", pauses=1) == "tel:+442079460123,00000001"


@pytest.mark.parametrize(
    "number",
    [
        "",
        "5035550142",
        "+0035550142",
        "+1 503 555 0142",
        "+1503",
        "+1234567890123456",
        "+1503555014x",
        "+15035550142\n",
        "tel:+15035550142",
        "+1٥035550142",
    ],
)
def test_a_number_that_is_not_e164_is_refused(number: str) -> None:
    assert not is_e164(number)
    with pytest.raises(ValueError, match=r"E\.164"):
        tel_link(number, "48213377", pauses=2)


@pytest.mark.parametrize("code", ["", "4821 3377", "48213377#", "*72", "48213377\n", "٤٨٢١٣٣٧٧", "1" * 21])
def test_a_code_of_anything_but_digits_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        tel_link("+15035550142", code, pauses=2)


@pytest.mark.parametrize("pauses", [0, -1])
def test_the_code_never_becomes_part_of_the_number(pauses: int) -> None:
    with pytest.raises(ValueError, match="pause"):
        tel_link("+15035550142", "48213377", pauses=pauses)


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True).filter(str.isascii), st.integers(0, 99_999_999), st.integers(1, 10))
def test_every_link_is_let_through_and_says_what_it_dials(number: str, code: int, pauses: int) -> None:
    link = tel_link(number, f"{code:08d}", pauses=pauses)
    assert is_dialable(link)
    assert link.removeprefix("tel:").split(",") == [number, *[""] * (pauses - 1), f"{code:08d}"]


@pytest.mark.parametrize(
    "address", ["tel:911", "tel:+15035550142", "tel:+1-503-555-0142", "tel:(503)555-0142", "TEL:+15035550142,1"]
)
def test_plain_numbers_are_dialable(address: str) -> None:
    assert is_dialable(address)


@pytest.mark.parametrize(
    "address",
    [
        "tel:",
        "tel:*21*5035550142%23",
        "tel:**21*1#",
        "tel:%2A21",
        "tel:+15035550142;123",
        "tel:+15035550142,,1#",
        "tel:+1503,,",
        "tel:,,1",
        "tel:javascript",
        "tel:+15035550142,,1,,2",
        "tel:1234 5",
        "sms:+15035550142",
    ],
)
def test_what_could_do_more_than_call_is_not(address: str) -> None:
    assert not is_dialable(address)
