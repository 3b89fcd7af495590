"""The keypad: keys become numbers."""

import pytest

from throughline.call.keypad import Keypad

pytestmark = pytest.mark.unit


def pad() -> Keypad:
    return Keypad(pause_ms=2500, whole_pause_ms=700, max_digits=20)


def press(keypad: Keypad, keys: str, at_ms: float = 0) -> list[str]:
    return [number for key in keys if (number := keypad.press(key, at_ms))]


@pytest.mark.parametrize(
    ("kind", "digits"),
    [("free", "12345678"), ("postcode", "97201"), ("postcode", "12345678"), ("phone_number", "5035550142"), ("choice", "2")],
)
def test_a_short_pause_ends_a_whole_number(kind: str, digits: str) -> None:
    keypad = pad()
    press(keypad, digits, 1000)
    assert keypad.tick(1699, kind) is None
    assert keypad.tick(1700, kind) == digits


def test_a_number_that_is_longer_than_a_code_is_not_cut() -> None:
    keypad = pad()
    press(keypad, "50355501", 1000)
    press(keypad, "42", 1600)
    assert keypad.tick(2300, "phone_number") == "5035550142"


def test_the_longest_number_ends_at_once() -> None:
    assert press(pad(), "1" * 20) == ["1" * 20]


def test_the_hash_key_ends_a_number() -> None:
    assert press(pad(), "97201#") == ["97201"]


def test_the_hash_key_alone_is_nothing() -> None:
    assert press(pad(), "#") == []


def test_a_pause_ends_a_number() -> None:
    keypad = pad()
    press(keypad, "9", 0)
    press(keypad, "7", 2000)
    assert keypad.tick(4499) is None
    assert keypad.gathering
    assert keypad.tick(4500) == "97"
    assert keypad.tick(9000) is None
    assert not keypad.gathering


def test_the_star_key_begins_anew() -> None:
    assert press(pad(), "123*97201#") == ["97201"]


def test_letters_do_nothing() -> None:
    assert press(pad(), "9A7BCD2#") == ["972"]


def test_a_number_may_be_taken_before_its_end() -> None:
    keypad = pad()
    press(keypad, "97")
    assert keypad.take() == "97"
    assert keypad.take() is None
