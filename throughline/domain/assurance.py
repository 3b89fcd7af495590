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
