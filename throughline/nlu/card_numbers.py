"""Payment card numbers in what somebody typed, keyed or said: found, and taken out before anything keeps them.

A card number is 15 digits of American Express or 16 of Visa, Mastercard or Discover, in groups or one by one, with the check digit of
ISO/IEC 7812-1 (Luhn). Other numbers that people tell, one after the other, rarely make one. Pure.
"""

from __future__ import annotations

import re
from itertools import accumulate

from throughline.nlu.spoken_text import SpokenText

_RUN = re.compile(r"(?<!\+ )(?<![\w/])\d+(?:(?: [-,.])? \d+)*")
_FIGURES = re.compile(r"\d+")
_CARD = re.compile(r"3[47]\d{13}|(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|64[4-9]\d|65\d{2})\d{12}")
_LONGEST = 16


def without_card_numbers(text: str, instead: str) -> str:
    """``text`` with ``instead`` in the place of every card number."""
    if sum(character.isdigit() for character in text) < _LONGEST - 1 and len(text.split()) < _LONGEST - 1:
        return text  # too little for one, in figures and in words
    words = SpokenText(text)
    for start, end in reversed([span for run in _RUN.finditer(words.text) for span in _cards(run)]):
        first, last = words.source(start, end)
        text = f"{text[:first]}{instead}{text[last:]}"
    return text


def _cards(run: re.Match[str]) -> list[tuple[int, int]]:
    """Where in the canonical text the cards of one run of figures are."""
    groups = [(match.start() + run.start(), match.group()) for match in _FIGURES.finditer(run.group())]
    found, first = list[tuple[int, int]](), 0
    while first < len(groups):
        lengths = list(accumulate(len(figures) for _, figures in groups[first : first + _LONGEST]))
        fitting = [first + count for count, length in enumerate(lengths) if length in (15, 16)]
        last = next((last for last in reversed(fitting) if _is_card("".join(f for _, f in groups[first : last + 1]))), None)
        if last is not None:
            found.append((groups[first][0], groups[last][0] + len(groups[last][1])))
        first = first + 1 if last is None else last + 1
    return found


def _is_card(digits: str) -> bool:
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
