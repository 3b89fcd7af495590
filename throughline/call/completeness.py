"""Whether what a caller has said so far is an answer, the beginning of one, or may be either.

``turn_taking.py`` asks, for every report of the recogniser, and waits the shorter or the longer for it. Pure: whether a day was told does
not depend on today.

Always holds: where in doubt, the answer is OPEN. Taking somebody to be done who is not costs them the rest of their sentence; waiting
costs a moment.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from enum import Enum

from throughline.call.keypad import DIGITS_OF
from throughline.domain.listening import ListeningWords, begins_with, ends_with, plain, without
from throughline.domain.turns import Expectation
from throughline.nlu.spoken_grammar import find
from throughline.nlu.spoken_text import SpokenText

_NUMBERS = ("postcode", "reference", "code", "phone_number")
_ANSWERED_BY = {"date": ("date", "since", "part_of_day"), "time": ("time", "part_of_day")}
_NO_NUMBERS = ("free", "yes_no", "choice", "name")
_LONGEST_NAME = 3  # words
_PERSON = "customer_name"  # after a person's first name the last one may come
_LONGEST_CHOICE = 4
_SHORTEST_QUESTION = 4  # words: "how much is it"
_LONGEST_BESIDE = 3  # words beside a day or a time: "thursday would be better"
_LONGEST_SHORT_ANSWER = 3  # words beside the yes or the no: "yes please do that"
_ANY_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)
_HANGING = re.compile(r"(?:\.\.\.|…|[,:–—-])\s*$")  # how a recogniser that punctuates writes a sentence that goes on
_DIGITS_AT_END = re.compile(r"(?:\b\d\b ?){2,}$")  # read out one by one: a number is being told


class Completeness(Enum):
    """How far somebody is with what they are saying."""

    UNFINISHED = "unfinished"
    OPEN = "open"
    COMPLETE = "complete"


def judge(text: str, expectation: Expectation, words: ListeningWords) -> Completeness:
    """How far ``text`` is as an answer to what the dialogue expects."""
    said = plain(text)
    if not said:
        return Completeness.OPEN
    explained = expectation.slot in words.explained  # a yes may be only the beginning; what is understood tells a no
    if expectation.kind == "yes_no" and not explained and not without(said, words.short_answers):
        return Completeness.COMPLETE  # "yes it is" too
    if _HANGING.search(text) or ends_with(said, words.unfinished):
        return Completeness.UNFINISHED
    if expectation.kind in _NUMBERS:
        return _of_number(text, expectation.kind)
    if expectation.kind in _NO_NUMBERS and _is_cut_number(text):
        return Completeness.UNFINISHED  # they tell a number all the same
    if _is_question(said, words) or (expectation.kind != "yes_no" and ends_with(said, words.finished)):
        return Completeness.COMPLETE
    return Completeness.COMPLETE if _is_whole(text, said, expectation, words) else Completeness.OPEN


def _is_question(said: tuple[str, ...], words: ListeningWords) -> bool:
    """ "Okay, and how long does it take": what comes before a question is no part of it."""
    first = next((place for place, word in enumerate(said) if word not in words.hesitations), len(said))
    return len(said) - first >= _SHORTEST_QUESTION and begins_with(said[first:], words.questions)


def _of_number(text: str, kind: str) -> Completeness:
    found = find(text, _ANY_DAY, expected="reference" if kind == "reference" else "free")
    if any(item.kind == kind for item in found):
        return Completeness.COMPLETE
    digits = sum(character.isdigit() for character in SpokenText(text).text)
    return Completeness.UNFINISHED if 0 < digits < DIGITS_OF[kind] else Completeness.OPEN


def _is_whole(text: str, said: tuple[str, ...], expectation: Expectation, words: ListeningWords) -> bool:
    kind = expectation.kind
    if kind == "yes_no" and expectation.slot not in words.explained:
        rest = without(said, words.short_answers)
        return len(rest) < len(said) and len(rest) <= _LONGEST_SHORT_ANSWER
    if kind == "choice":
        return len(said) <= _LONGEST_CHOICE and not begins_with(said, words.beginnings)
    if kind == "name":
        named = without(said, words.unfinished)  # "it's Daniel" is one name
        return (expectation.slot != _PERSON or len(named) > 1) and len(said) <= _LONGEST_NAME
    if kind == "digits":
        return any(item.kind == "phone_number" for item in find(text, _ANY_DAY))
    if kind in _ANSWERED_BY:
        found = [item for item in find(text, _ANY_DAY, expected=kind) if item.kind in _ANSWERED_BY[kind]]
        beside = text
        for item in sorted(found, key=lambda item: -item.start):
            beside = f"{beside[: item.start]} {beside[item.end :]}"
        return bool(found) and len(without(plain(beside), words.hesitations)) <= _LONGEST_BESIDE
    return False


def _is_cut_number(text: str) -> bool:
    """It ends within a number that is read out digit by digit, and is not one of those we know by its length."""
    end = _DIGITS_AT_END.search(SpokenText(text).text.rstrip(" ."))
    if end is None:
        return False
    found = find(text, _ANY_DAY)
    return not any(item.kind in ("postcode", "code", "phone_number") and item.end >= len(text.rstrip(" .")) for item in found)
