"""Digits that stand for a thing and not for an amount: postcodes, telephone numbers, one-time codes. And, last, plain numbers.

A run is a row of figures with nothing but blanks, hyphens, commas, brackets or points between them, the way they are read out or typed in
groups. What a run is depends on how many digits it has: 5 (or 5 and 4) a US postcode, 8 a one-time code, 10 (or 11 with a
leading 1) a US telephone number, any length behind a plus sign an international one; 6 a reference, where one is spoken of or was
asked for. A run that is nothing as a whole is cut into pieces that are ("97201, 503 555 0142"). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from throughline.nlu.spoken_text import Found, SpokenText

_SEPARATORS = r"(?: ?[-,().] ?| )*"
_RUN = re.compile(rf"(?P<plus>\+ )?(?<![\w:/])(?<!\$ )\(? ?\d+\b(?:{_SEPARATORS}\d+\b)*(?! ?[:/%]| (?:am|pm|o'clock)\b)")
_FIGURES = re.compile(r"\d+")
_NUMBER = re.compile(r"(?<![\d.:/-] )(?<![\d.])\d+(?! [.:/] ?\d)\b")
_POINTS = re.compile(r"\b(?:the|this|that|which|no|any|some|each|every|another|good|bad|new|old|\d+(?:st|nd|rd|th)) $")
_ONE_OF = re.compile(r"^ (?:of|more|thing|moment|second|sec|minute|that|is|with)\b")

_OF_A_REFERENCE = re.compile(r"\b(?:reference|ref|confirmation|(?:booking|appointment|visit|case) (?:number|no|id))\b")

_OF_A_BILL = re.compile(r"\b(?:bill|invoice)(?: number| no| id)?(?: is| was|,| :| #)? ?$")
_BILL_DIGITS = range(4, 10)

POSTCODE_DIGITS = 5
REFERENCE_DIGITS = 6
EXTENDED_POSTCODE = re.compile(r"\d{5}(?: - | )\d{4}")
CODE_DIGITS = 8
NATIONAL_PHONE_DIGITS = 10
_E164_DIGITS = range(8, 16)  # ITU-T E.164: at most 15; fewer than 8 is nobody's number
_LONGEST_PIECE = 15  # figures: every digit of the longest number by itself
_TELLING_LENGTH = 5  # figures written in one piece that may be something by themselves


def find_identifiers(words: SpokenText, *, reference_expected: bool = False) -> Iterator[Found]:
    """Postcodes (5 digits), phone numbers (E.164), codes (8 digits), references (6 digits) and, where they
    are spoken of, bills' numbers (4 to 9) in ``words``, in order."""
    # Six digits may be half of a telephone number, or a price: alone they are nothing.
    references = reference_expected or _OF_A_REFERENCE.search(words.text) is not None
    for run in _RUN.finditer(words.text):
        digits = "".join(_FIGURES.findall(run.group()))
        if _OF_A_BILL.search(words.text[: run.start()]) and len(digits) in _BILL_DIGITS:
            yield Found("bill_number", digits, *words.source(*run.span()))
            continue
        for start, end in _readable(run, references):
            kind, value = _classify(words.text[start:end], references)
            if kind:
                yield Found(kind, value, *words.source(start, end))


def find_numbers(words: SpokenText) -> Iterator[Found]:
    """Amounts. A spelled "one" that only points at something ("the second one") is left out, and so is a row of single digits."""
    for run in _RUN.finditer(words.text):
        if len(_FIGURES.findall(run.group())) > 2:
            continue  # an identifier that was cut off or misheard
        for match in _NUMBER.finditer(words.text, run.start(), run.end()):
            before, after = words.text[: match.start()], words.text[match.end() :]
            pointing = _POINTS.search(before) or _ONE_OF.match(after)
            if match.group() == "1" and words.was_spelled(*match.span()) and pointing:
                continue
            yield Found("number", int(match.group()), *words.source(*match.span()))


def _readable(run: re.Match[str], references: bool) -> Iterator[tuple[int, int]]:
    """The spans of the run that are something: all of it, cut where that makes every piece something, else single telling figures."""
    figures = [match.span() for match in _FIGURES.finditer(run.string, *run.span())]
    figures[0] = (run.start(), figures[0][1])  # with its plus sign or bracket
    pieces = _cut(run.string, figures, references)
    if pieces is None:
        pieces = [span for span in figures if span[1] - span[0] >= _TELLING_LENGTH]
    yield from pieces


def _cut(text: str, figures: list[tuple[int, int]], references: bool) -> list[tuple[int, int]] | None:
    """The figures gathered, in order, into pieces that are all something, the first as long as can be; None where that can't be done."""
    if not figures:
        return []
    for count in range(min(len(figures), _LONGEST_PIECE), 0, -1):
        span = (figures[0][0], figures[count - 1][1])
        rest = _cut(text, figures[count:], references) if _classify(text[slice(*span)], references)[0] else None
        if rest is not None:
            return [span, *rest]
    return None


def _classify(run: str, references: bool) -> tuple[str, str]:
    """Kind and canonical value of a row of figures; ("", "") when it is nothing. ``references``: six digits are one."""
    digits = "".join(_FIGURES.findall(run))
    count = len(digits)
    if "+" in run:
        return ("phone_number", f"+{digits}") if count in _E164_DIGITS else ("", "")
    if count == POSTCODE_DIGITS or EXTENDED_POSTCODE.fullmatch(run.strip()):
        return "postcode", digits[:POSTCODE_DIGITS]
    if count == CODE_DIGITS:
        return "code", digits
    if count == REFERENCE_DIGITS and references:
        return "reference", digits
    # North American area codes and exchanges begin with 2 to 9 (NANPA).
    national = digits[1:] if count == NATIONAL_PHONE_DIGITS + 1 and digits[0] == "1" else digits
    if len(national) == NATIONAL_PHONE_DIGITS and national[0] in "23456789" and national[3] in "23456789":
        return "phone_number", f"+1{national}"
    return "", ""
