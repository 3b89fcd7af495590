"""What a Whisper model is told before it listens: whichever way it is reached, it goes on in the manner of the text before, digits as
digits, and spells the names that it has just read."""

from __future__ import annotations

from collections.abc import Iterable

from throughline.domain.turns import Expectation

_MOST_CHARACTERS = 400
"""Of terms. Whisper looks at its latest 224 tokens only, and more terms would push out the manner, or be read aloud into silence."""

_MANNER = {
    "code": "My code is 4 8 2 1 3 3 7 7.",
    "digits": "My number is 5 0 3 2 1 7.",
    "phone_number": "My number is 503-555-0142.",
    "postcode": "My ZIP code is 97201.",
    "reference": "My reference is 503217.",
    "name": "My name is Dana Reyes.",
    "date": "Thursday, November 26th.",
    "time": "At 2:30 in the afternoon.",
    "yes_no": "Yes. No.",
}


def manner(expectation: Expectation) -> str:
    """What the caller might have said just before. Empty where anything may come."""
    return _MANNER.get(expectation.kind, "")


def listed(terms: Iterable[str]) -> str:
    """``terms`` in a row, as many as are looked at. Empty for none."""
    text = ""
    for term in terms:
        longer = f"{text}, {term}" if text else term
        if len(longer) > _MOST_CHARACTERS:
            break
        text = longer
    return text


def prompt(expectation: Expectation, terms: Iterable[str]) -> str:
    """Both in one text, the manner last: what is too long loses its beginning."""
    names = listed(terms)
    return " ".join(part for part in (f"{names}." if names else "", manner(expectation)) if part)
