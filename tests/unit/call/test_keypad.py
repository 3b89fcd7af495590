"""The keypad: keys become numbers."""

import pytest

from throughline.call.keypad import Keypad

pytestmark = pytest.mark.unit


def pad() -> Keypad:
    return Keypad(pause_ms=2500, max_digits=8)


def press(keypad: Keypad, keys: str, at_ms: float = 0) -> list[str]:
    return [number for key in keys if (number := keypad.press(key, at_ms))]


def test_eight_digits_end_at_once() -> None:
    assert press(pad(), "12345678") == ["12345678"]


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
