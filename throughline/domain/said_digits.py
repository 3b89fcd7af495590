"""Numbers of which each digit counts (codes, ZIP codes, telephone numbers): as they are written, and digit by digit as they are said."""

from __future__ import annotations

import re

from throughline.domain.words import Said

_GROUP = 4  # people keep about four digits in mind


def digits(text: str) -> Said:
    """``97201`` as it is, and as ``9 7 2 0 1``: digit by digit, long ones in groups."""
    size = {5: 5, 6: 3}.get(len(text), _GROUP)
    groups = [text[start : start + size] for start in range(0, len(text), size)]
    return Said(" ".join(groups) if len(text) > 6 else text, ", ".join(" ".join(group) for group in groups))


def phone_number(e164: str) -> Said:
    """``(503) 555-0123`` as it is written, digit by digit in its groups as it is said; a number of another country as it is."""
    if not re.fullmatch(r"\+1\d{10}", e164):
        return Said(e164, digits(e164.removeprefix("+")).spoken)
    area, exchange, line = e164[2:5], e164[5:8], e164[8:]
    return Said(f"({area}) {exchange}-{line}", ", ".join(" ".join(group) for group in (area, exchange, line)))
