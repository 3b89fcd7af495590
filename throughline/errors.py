"""Every error Throughline raises on purpose.

One tree, so that a caller can tell what to do without knowing who failed:

    ThroughlineError
    +-- ConfigurationError   a file or setting is wrong: stop at start and say how to mend it
    +-- Unavailable          something outside did not answer in time: take the next best thing
    |   +-- Overtaken        somebody else was faster: begin again from what is there now
    |   +-- Postponed        it is kept, and will be done without being asked for again
    +-- Rejected             the input is refused: tell the sender why, nothing was changed
    +-- ProtocolError        the other side broke the protocol: close this connection, no other

Adapters translate the errors of the libraries they use into these. This module imports nothing of the project.
"""

from __future__ import annotations

from dataclasses import dataclass


class ThroughlineError(Exception):
    """Root of every error raised on purpose. Its text never quotes what a person said or who they are: it may be logged."""

    may_be_logged = True


@dataclass(frozen=True)
class Problem:
    """One fault in something a person edits: where it stands, what is wrong, how to mend it.

    ``where`` is ``file:line key`` (as much of it as is known).
    """

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} Mend: {self.mend}"


class ConfigurationError(ThroughlineError):
    """Files or settings are wrong. Carries every problem found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Unavailable(ThroughlineError):
    """Something outside this process did not answer, or not in time."""


class Overtaken(Unavailable):
    """What this was to change was changed by somebody else since it was read. Nothing was changed."""


class Postponed(Unavailable):
    """What a customer said is stored, and its turn could not be finished now. It will be, by whoever can."""


class Rejected(ThroughlineError):
    """Input is refused. ``reason`` is a short machine-readable word, safe to log and to send back."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class ProtocolError(ThroughlineError):
    """The other side sent something its protocol does not allow."""
