"""How it was: asked once, answered by a key or a word, or not at all."""

import pytest

from throughline.call.rating import Rating

pytestmark = pytest.mark.unit


def asked() -> Rating:
    rating = Rating(asks=True, wait_ms=7000)
    assert rating.next_prompt() == "utter_ask_rating"
    return rating


def test_it_is_asked_once_and_waited_for() -> None:
    rating = asked()
    assert rating.next_prompt() is None
    assert not rating.is_over(1000)
    assert not rating.is_over(6999)
    assert rating.is_over(7000)


@pytest.mark.parametrize("key", "12345")
def test_a_key_answers(key: str) -> None:
    rating = asked()
    assert rating.key(key) == int(key)
    assert rating.next_prompt() == "utter_rated"
    assert rating.next_prompt() is None
    assert rating.is_over(0)


@pytest.mark.parametrize("key", "06789*#A")
def test_another_key_does_not(key: str) -> None:
    rating = asked()
    assert rating.key(key) is None
    assert rating.open


@pytest.mark.parametrize(
    ("text", "given"), [("four", 4), ("I'd say a 5, thanks", 5), ("ten", None), ("two or three", None), ("hm", None)]
)
def test_a_number_that_is_said_answers(text: str, given: int | None) -> None:
    assert asked().words(text) == given


def test_nobody_is_asked_where_the_company_does_not() -> None:
    rating = Rating(asks=False, wait_ms=7000)
    assert rating.next_prompt() is None
    assert rating.key("4") is None
    assert rating.is_over(0)
