"""How sure we are who somebody is."""

from __future__ import annotations

from enum import IntEnum


class Assurance(IntEnum):
    """Ordered: a higher level may do everything a lower one may."""

    ANONYMOUS = 0
    CLAIMED = 1  # a caller id, a typed number
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


# How we know that somebody is reached at an address (``proof``).
CALLER_ID = "caller_id"  # a call came from there, by its own account
ATTESTED = "attested"  # the caller's telephone company vouches for it (STIR/SHAKEN, full attestation)
CODE = "code"  # a call from there gave a one-time code
FACT = "fact"  # a call from there knew a fact of the contact whose number it is
LOGIN = "login"  # the website's signed login

PROVEN_NUMBER = (ATTESTED, CODE, FACT)
"""Proofs by which a telephone number may claim to be a contact's. A claim opens nothing: it only lets us ask."""
