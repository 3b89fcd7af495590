"""The secret that all servers of one database share: codes and callers stand in the record only as digests under it.

What always holds: the record knows which secret it is, by a digest of a fixed word, so that a server with another one is told at its
start instead of silently refusing every code the others have issued.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import sqlalchemy as sa

from throughline.domain.network_address import one_party
from throughline.errors import ConfigurationError, Problem
from throughline.record.database import Database, OnDatabase
from throughline.record.schema import marks

_CHECK = "secret"  # the mark's name
_MEND = (
    "Set the environment variable that `database.secret_env` names to the same value on every server, or copy var/secret. "
    "To change it on purpose stop every server and delete the row 'secret' of the table marks: open codes end with that."
)


class Keyed(OnDatabase):
    """What stands on the common secret."""

    def __init__(self, database: Database, committed: Callable[[str, int], None]) -> None:
        super().__init__(database, committed)
        self._secret: bytes | None = None

    def use_secret(self, secret: bytes | str) -> None:
        """The key for codes and callers. Raises ConfigurationError for a second, different one."""
        key = secret.encode() if isinstance(secret, str) else secret
        if self._secret is not None and not hmac.compare_digest(self._secret, key):
            raise ConfigurationError([Problem("record secret", "it was opened with another one before.", "Use one secret.")])
        self._secret = key

    def check_secret(self) -> None:
        """Once the schema is up to date: is our secret that of the other servers? The first one's is. Raises ConfigurationError."""
        ours = self._keyed_digest("check", "throughline")
        known = self._marked_secret()
        if known is None:
            with self._database.writing() as connection:
                self._database.insert_unless_there(connection, marks, {"name": _CHECK, "value": ours})
            known = self._marked_secret()
        if known is None or not hmac.compare_digest(known, ours):
            raise ConfigurationError([Problem("record secret", "the servers of this database use another one.", _MEND)])

    def _marked_secret(self) -> str | None:
        with self._database.reading() as connection:
            found: str | None = connection.execute(sa.select(marks.c.value).where(marks.c.name == _CHECK)).scalar()
        return found

    def _caller_digest(self, caller: str, *, vouched: bool) -> str:
        """Who ``caller`` is (a telephone number or a network address), for counting. A number that nobody vouches for is another caller
        than the same one vouched for: who borrows a customer's number does not use up the customer's tries."""
        return self._keyed_digest("vouched caller" if vouched else "caller", one_party(caller))

    def _keyed_digest(self, purpose: str, value: str) -> str:
        if self._secret is None:
            mend = "Open the record with secret=..., as bootstrap does."
            raise ConfigurationError([Problem("record", "one-time codes and callers need a secret key.", mend)])
        return hmac.new(self._secret, f"{purpose}\0{value}".encode(), hashlib.sha256).hexdigest()
