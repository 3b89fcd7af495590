"""How sure we are who somebody is, how we came to be, and how often somebody may be wrong about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from types import MappingProxyType


class Assurance(IntEnum):
    """Ordered: a higher level may do everything a lower one may."""

    ANONYMOUS = 0
    CLAIMED = 1  # a caller id, a typed number, a proof that has lapsed
    POSSESSED = 2  # a one-time code, a signed link, a call we placed to a verified number
    AUTHENTICATED = 3  # the website's signed login

    @property
    def word(self) -> str:
        """The lower-case name, as stored in the record."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Assurance:
        """The level named ``word``. Raises KeyError for an unknown one."""
        return cls[word.upper()]


# How we know that somebody is reached at an address (``proof``), and why two contacts are one (``reason`` of a merge).
CALLER_ID = "caller_id"  # a call came from there, by its own account
ATTESTED = "attested"  # the caller's telephone company vouches for it (STIR/SHAKEN, full attestation)
FACT = "fact"  # a call from there knew a fact of the contact whose number it is
CODE = "code"  # a call from there gave a one-time code
LINK = "link"  # a signed link that was sent there was opened
CALL_BACK = "call_back"  # a call that we placed to a verified number was answered
LOGIN = "login"  # the website's signed login
OPERATOR = "operator"  # a person of the company has looked into it

LEVELS: Mapping[str, Assurance] = MappingProxyType(
    {
        CALLER_ID: Assurance.CLAIMED,
        ATTESTED: Assurance.CLAIMED,
        FACT: Assurance.POSSESSED,
        CODE: Assurance.POSSESSED,
        LINK: Assurance.POSSESSED,
        CALL_BACK: Assurance.POSSESSED,
        LOGIN: Assurance.AUTHENTICATED,
    }
)
"""How sure each proof makes us, the weakest first: of two proofs of one address the later in this order counts."""

MERGING = frozenset({OPERATOR, *(proof for proof, level in LEVELS.items() if level >= Assurance.POSSESSED)})
"""Only these make one person of two contacts. A number is none of them, whoever vouches for it."""

FALSE_NUMBER = "TN-Validation-Failed"
"""How an attestation begins that says of the caller's number that it is not theirs (STIR/SHAKEN, as Twilio tells it)."""

VERIFIED_NUMBER = (FACT, CODE, LINK, CALL_BACK)
"""Proofs by which a telephone number is so surely a contact's that we call it when they ask us to."""

PROVEN_NUMBER = (ATTESTED, *VERIFIED_NUMBER)
"""Proofs by which a telephone number may claim to be a contact's. A claim opens nothing: it only lets us ask."""

# STIR/SHAKEN as Twilio tells it (twilio.com/docs/voice/trusted-calling-with-shakenstir): only A says that the caller may use the number.
FULL_ATTESTATION = "TN-Validation-Passed-A"
FALSE_NUMBER = "TN-Validation-Failed"


def strength(proof: str) -> int:
    """How much ``proof`` says of whose an address is, to compare two by. One we don't know says least."""
    return list(LEVELS).index(proof) if proof in LEVELS else -1


@dataclass(frozen=True)
class TryLimits:
    """How often one may be wrong about a code or a fact: in one session; in an hour, one caller over all sessions; and all callers
    together (``alarm_tries`` within ``alarm_within``), after which that way is closed to everybody for ``closed_for``."""

    per_session: int
    per_caller: int
    alarm_tries: int
    alarm_within: timedelta
    closed_for: timedelta
