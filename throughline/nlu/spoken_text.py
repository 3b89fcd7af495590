"""What someone typed or said, rewritten so that a rule can read it: small letters, figures for number words, one space between words.

    "Half past two on the Twenty-Fourth of November, please."  ->  "half past 2 on the 24th of november , please |"
    "nine seven two oh one"                                    ->  "9 7 2 0 1"

Every rule of the spoken-form grammar (`spoken_dates`, `spoken_times`, `spoken_digits`) reads this form and never the raw text, so typed and
spoken input need one set of rules. Each word of the canonical text knows the characters it came from: `SpokenText.source`
gives a match's span in the original. Pure; the same text always gives the same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SENTENCE_END = "|"

# fmt: off
_UNIT_NAMES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
_ORDINAL_NAMES = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth",
    "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
]
_TEN_NAMES = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
_UNITS = {name: value for value, name in enumerate(_UNIT_NAMES)} | {"nought": 0, "naught": 0}
_TENS = {name: 10 * value for value, name in enumerate(_TEN_NAMES, 2)} | {"fourty": 40}
_ORDINAL_UNITS = {name: value for value, name in enumerate(_ORDINAL_NAMES, 1)}
_ORDINAL_TENS = {"twentieth": 20, "thirtieth": 30}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_ZERO_LETTERS = ("oh", "o")

# The spellings people really type, brought to one. A short form that is also a word of its own ("sat", "sun", "wed", "may",
# "march", "second") stays as it is: the rules decide from its neighbours.
_SPELLINGS = {
    "mon": "monday",
    "tue": "tuesday",
    "tues": "tuesday",
    "weds": "wednesday",
    "wensday": "wednesday",
    "wednsday": "wednesday",
    "wendesday": "wednesday",
    "thu": "thursday",
    "thur": "thursday",
    "thurs": "thursday",
    "thrusday": "thursday",
    "fri": "friday",
    "saterday": "saturday",
    "jan": "january",
    "feb": "february",
    "apr": "april",
    "jun": "june",
    "jul": "july",
    "aug": "august",
    "sep": "september",
    "sept": "september",
    "oct": "october",
    "nov": "november",
    "dec": "december",
    "tommorow": "tomorrow",
    "tomorow": "tomorrow",
    "tommorrow": "tomorrow",
    "tmrw": "tomorrow",
    "tmr": "tomorrow",
    "yday": "yesterday",
    "tonite": "tonight",
    "oclock": "o'clock",
    "mornings": "morning",
    "afternoons": "afternoon",
    "evenings": "evening",
    "hr": "hour",
    "hrs": "hours",
    "min": "minute",
    "mins": "minutes",
}

_PIECE = re.compile(
    r"(?P<meridiem>(?<![a-z])[ap]\s?\.\s?m\b\.?|(?<![a-z])[ap]m\b\.?|(?<=\d)[ap]\s?m\b\.?|(?<=\d\s)[ap] m\b)"
    r"|(?P<ordinal>\d+(?:st|nd|rd|th)\b)"
    r"|(?P<mixed>(?=[a-z]*\d)(?=\d*[a-z])[a-z\d]*[a-z]\d[a-z\d]*)"  # wf45k: a model number, not a number
    r"|(?P<figures>\d+)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<stop>[.!?;…\n](?=\s|$))"
    r"|(?P<sign>[^\w\s])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Word:
    text: str
    start: int
    end: int
    spelled: bool = False  # a number that was written or said as a word


@dataclass(frozen=True)
class Found:
    """Something the grammar recognised: ``value`` is canonical, ``start`` and ``end`` are characters of the original text."""

    kind: str
    value: str | int
    start: int
    end: int
    role: str | None = None


class SpokenText:
    """The canonical ``text`` of an original, with the way back."""

    def __init__(self, original: str) -> None:
        self.original = original
        self._words = list(_with_numbers(list(_pieces(original))))
        self.text = " ".join(word.text for word in self._words)
        self._starts: list[int] = []
        position = 0
        for word in self._words:
            self._starts.append(position)
            position += len(word.text) + 1

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The original's characters behind ``text[start:end]``. The span must hold at least one whole word."""
        inside = self._inside(start, end)
        return inside[0].start, inside[-1].end

    def was_spelled(self, start: int, end: int) -> bool:
        """Whether ``text[start:end]`` is a number that stood there as a word."""
        return all(word.spelled for word in self._inside(start, end))

    def _inside(self, start: int, end: int) -> list[_Word]:
        return [
            word
            for word, first in zip(self._words, self._starts, strict=True)
            if first < end and first + len(word.text) > start
        ]


def _pieces(original: str) -> Iterator[_Word]:
    for match in _PIECE.finditer(original):
        raw = match.group().lower().replace("’", "'")
        if match.lastgroup == "meridiem":
            raw = raw[0] + "m"
        elif match.lastgroup == "stop":
            raw = SENTENCE_END
        elif match.lastgroup == "word":
            raw = _SPELLINGS.get(raw, raw)
        elif match.lastgroup == "ordinal":
            raw = raw.lstrip("0") or raw
        yield _Word(raw, match.start(), match.end())


def _with_numbers(words: list[_Word]) -> Iterator[_Word]:
    """Number words as figures; what makes one number becomes one word."""
    index = 0
    while index < len(words):
        made, used = _number_at(words, index)
        yield from made
        index += used


def _number_at(words: list[_Word], index: int) -> tuple[list[_Word], int]:
    """What the words from ``index`` become, and how many of them that uses."""
    word = words[index]
    following = words[index + 1].text if index + 1 < len(words) else ""
    if word.text in _REPEATS and (digit := _digit(following)) is not None:
        last = words[index + 1]
        half = [_Word(digit, word.start, last.end, spelled=True)]
        return half * _REPEATS[word.text], 2
    if word.text in _ZERO_LETTERS and _beside_digit(words, index):
        return [_Word("0", word.start, word.end, spelled=True)], 1
    if word.text in _ORDINAL_UNITS or word.text in _ORDINAL_TENS:
        return [_ordinal(word, 0, word.start)], 1
    if word.text in _UNITS or word.text in _TENS:
        return _spelled_number(words, index)
    return [word], 1


def _spelled_number(words: list[_Word], index: int) -> tuple[list[_Word], int]:
    """A cardinal or ordinal of several words: "twenty four", "twenty-fourth", "one hundred and five", "two thousand"."""
    value, used = _below_hundred(words, index)
    end = index + used
    step = _after_hyphen(words, end)
    if words[end - 1].text in _TENS and step < len(words) and _ORDINAL_UNITS.get(words[step].text, 10) < 10:
        return [_ordinal(words[step], value, words[index].start)], step + 1 - index
    value, end = _below_thousand(words, value, end)
    if end < len(words) and words[end].text == "thousand":
        value, end = value * 1000, end + 1
        step = _after_and(words, end)
        if step < len(words) and words[step].text in _UNITS | _TENS:
            rest, used = _below_hundred(words, step)
            rest, end = _below_thousand(words, rest, step + used)
            value += rest
    return [_Word(str(value), words[index].start, words[end - 1].end, spelled=True)], end - index


def _below_thousand(words: list[_Word], value: int, end: int) -> tuple[int, int]:
    """``value``, with the "hundred" that may follow it at ``end`` and what that may be followed by. Also where it ends."""
    if end == len(words) or words[end].text != "hundred":
        return value, end
    step = _after_and(words, end + 1)
    if step < len(words) and words[step].text in _UNITS | _TENS:
        rest, used = _below_hundred(words, step)
        return value * 100 + rest, step + used
    return value * 100, end + 1


def _below_hundred(words: list[_Word], index: int) -> tuple[int, int]:
    first = words[index].text
    if first in _UNITS:
        return _UNITS[first], 1
    step = _after_hyphen(words, index + 1)
    if step < len(words) and 1 <= _UNITS.get(words[step].text, 0) <= 9:
        return _TENS[first] + _UNITS[words[step].text], step + 1 - index
    return _TENS[first], 1


def _after_and(words: list[_Word], index: int) -> int:
    return index + 1 if index < len(words) and words[index].text == "and" else index


def _after_hyphen(words: list[_Word], index: int) -> int:
    """The index of the next word, over a hyphen that touches both ("twenty-four", not "twenty - four")."""
    if index < len(words) and words[index].text == "-" and words[index - 1].end == words[index].start:
        return index + 1
    return index


def _ordinal(word: _Word, tens: int, start: int) -> _Word:
    value = tens + (_ORDINAL_UNITS.get(word.text) or _ORDINAL_TENS[word.text])
    ending = "th" if 10 < value % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return _Word(f"{value}{ending}", start, word.end, spelled=True)


def _digit(text: str) -> str | None:
    if text in _ZERO_LETTERS:
        return "0"
    if len(text) == 1 and text.isdecimal():
        return text
    return str(_UNITS[text]) if _UNITS.get(text, 10) < 10 else None


def _beside_digit(words: list[_Word], index: int) -> bool:
    """Whether a number stands before or after, other "oh"s and commas aside: "oh oh seven", "two, oh, one", and not "oh no"."""
    for step in (-1, 1):
        at = index + step
        while 0 <= at < len(words) and (words[at].text in _ZERO_LETTERS or words[at].text == ","):
            at += step
        if 0 <= at < len(words) and (words[at].text.isdecimal() or words[at].text in _UNITS | _TENS | _REPEATS):
            return True
    return False
