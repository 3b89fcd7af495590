"""Where long texts are cut."""

from __future__ import annotations

import pytest

from throughline.speech.tts.passages import passages

pytestmark = pytest.mark.unit


def test_short_text_stays_whole() -> None:
    assert list(passages("One. Two? Three!", limit=300)) == ["One. Two? Three!"]


def test_long_text_is_cut_at_sentences() -> None:
    assert list(passages("One two. Three four. Five.", limit=14)) == ["One two.", "Three four.", "Five."]


def test_a_long_sentence_is_cut_between_words_and_an_endless_word_anywhere() -> None:
    assert list(passages("one two three", limit=8)) == ["one two", "three"]
    assert list(passages("a" * 20, limit=8)) == ["a" * 8, "a" * 8, "a" * 4]


def test_nothing_is_lost() -> None:
    text = "We repair washers, dryers; ovens too. " * 40
    assert " ".join(passages(text, limit=300)).split() == text.split()
