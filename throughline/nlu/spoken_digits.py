"""Digits that stand for a thing and not for an amount: postcodes, telephone numbers, one-time codes. And, last, plain numbers.

A run is a row of figures with nothing but blanks, hyphens, commas, brackets or points between them, the way they are read out or typed in
groups. What a run is depends on how many digits it has: 5 (or 5 and 4) a US postcode, 8 a one-time code, 10 (or 11 with a
leading 1) a US telephone number, any length behind a plus sign an international one. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from throughline.nlu.spoken_text import Found, SpokenText

_SEPARATORS = r"(?: ?[-,().] ?| )*"
_RUN = re.compile(rf"(?P<plus>\+ )?(?<![\d:/$])\(? ?\d+(?:{_SEPARATORS}\d+)*(?! ?[:/%]| (?:am|pm|o'clock)\b)")
_NUMBER = re.compile(r"(?<![\d.:/-] )(?<![\d.])\d+(?! [.:/] ?\d)\b")
_DETERMINERS = re.compile(r"\b(?:the|this|that|which|no|any|some|each|every|another|\d+(?:st|nd|rd|th)) $")
_ONE_OF = re.compile(r"^ (?:of|more|thing|moment|second|sec|minute)\b")

POSTCODE_DIGITS = 5
EXTENDED_POSTCODE_DIGITS = 9
CODE_DIGITS = 8
NATIONAL_PHONE_DIGITS = 10
_E164_DIGITS = range(8, 16)  # ITU-T E.164: at most 15; fewer than 8 is nobody's number


def find_identifiers(words: SpokenText) -> Iterator[Found]:
    """Postcodes (5 digits), phone numbers (E.164) and codes (8 digits) in ``words``, in order."""
    for match in _RUN.finditer(words.text):
        digits = "".join(re.findall(r"\d+", match.group()))
        kind, value = _classify(digits, match.group(), international=match["plus"] is not None)
        if kind is None:
            continue
        start, end = words.source(match.start(), match.end())
        yield Found(kind, value, start, end)


def find_numbers(words: SpokenText) -> Iterator[Found]:
    """Amounts. A spelled "one" that only points at something ("the second one") is left out."""
    for match in _NUMBER.finditer(words.text):
        before, after = words.text[: match.start()], words.text[match.end() :]
        pointing = _DETERMINERS.search(before) or _ONE_OF.match(after) or before
        if match.group() == "1" and words.was_spelled(*match.span()) and pointing:
            continue
        start, end = words.source(*match.span())
        yield Found("number", int(match.group()), start, end)


def _classify(digits: str, run: str, *, international: bool) -> tuple[str | None, str]:
    count = len(digits)
    if international:
        return ("phone_number", f"+{digits}") if count in _E164_DIGITS else (None, "")
    if count == POSTCODE_DIGITS:
        return "postcode", digits
    if count == EXTENDED_POSTCODE_DIGITS and "-" in run:
        return "postcode", digits[:POSTCODE_DIGITS]
    if count == CODE_DIGITS:
        return "code", digits
    # North American area codes and exchanges begin with 2 to 9 (NANPA).
    national = digits[1:] if count == NATIONAL_PHONE_DIGITS + 1 and digits[0] == "1" else digits
    if len(national) == NATIONAL_PHONE_DIGITS and national[0] in "23456789" and national[3] in "23456789":
        return "phone_number", f"+1{national}"
    return None, ""
