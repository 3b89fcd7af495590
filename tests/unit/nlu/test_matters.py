"""Where a message may turn to another matter, and where it does not."""

from __future__ import annotations

import pytest

from throughline.nlu.matters import parts

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "I have to move my appointment and I also have a question about my bill",
            ["I have to move my appointment", "I also have a question about my bill"],
        ),
        ("My fridge is broken. How much is a visit?", ["My fridge is broken", "How much is a visit?"]),
        ("the dryer died on us and can you tell me your hours", ["the dryer died on us", "can you tell me your hours"]),
        ("please cancel my visit, what does that cost me", ["please cancel my visit", "what does that cost me"]),
    ],
)
def test_two_parts(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in parts(text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "my washer and dryer are leaking",
        "it's leaking and making a noise",
        "thursday and friday are fine with me",
        "yes. thank you so much",
        "no, thursday please",
        "",
        "hello",
        "I am here. You are there. We are all here. They are there too. It is so.",
    ],
)
def test_one_matter_stays_whole(text: str) -> None:
    assert parts(text) == []
