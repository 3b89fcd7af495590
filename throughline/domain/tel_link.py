"""The tap-to-call link: our number, and the one-time code keyed by the caller's own telephone once the call is answered.

RFC 3966 knows no pauses in a ``tel:`` address (RFC 2806 did, as ``p``), but the two systems that make up nearly all mobile phones, Android
(PhoneNumberUtils.PAUSE) and iOS, take a comma for two seconds of silence and send the digits behind it as keypad tones. A ``;`` would make
them ask the caller first. There is no closing ``#``: iOS dials no address with ``#`` or ``*`` in it (Apple URL Scheme Reference, "Phone
Links"), and the keypad takes a code's eight digits as complete soon after the last of them.
"""

from __future__ import annotations

import re

PAUSE = ","
PAUSE_S = 2

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_CODE = re.compile(r"[0-9]{1,20}")
# What a link of ours or of a trainer's may dial: a number as people write it, and tones after pauses. Never ``*`` or ``#``, with which a
# telephone can be told to divert its calls.
_DIALABLE = re.compile(r"tel:\+?[0-9(][0-9().-]{1,30}(?:,{1,20}[0-9]{1,20})?", re.IGNORECASE)


def is_e164(number: str) -> bool:
    """Whether ``number`` is written as ITU E.164 has it, with its plus: ``+15035550142``."""
    return _E164.fullmatch(number) is not None


def tel_link(number: str, code: str, *, pauses: int) -> str:
    """``tel:+15035550142,,48213377``: calls ``number`` and keys ``code`` after ``pauses`` times two seconds.

    Raises ValueError for a number that is not E.164, a code that is not all digits, and less than one pause.
    """
    if not is_e164(number):
        raise ValueError("the number is not E.164")
    if _CODE.fullmatch(code) is None:
        raise ValueError("the code is not all digits")
    if pauses < 1:
        raise ValueError("without a pause the code would be part of the number")
    return f"tel:{number}{PAUSE * pauses}{code}"


def is_dialable(address: str) -> bool:
    """Whether a ``tel:`` address dials a number, and perhaps tones after pauses, and does nothing else."""
    return _DIALABLE.fullmatch(address) is not None
