"""Taking back a turn whose caller speaks on.

Stands between a call and the runner. What always holds: a turn is taken back whole or not at all. It can be taken back until an action
has been called that may have an effect outside the conversation, or its events are being saved; from then on it goes its way.
"""

from __future__ import annotations

from contextvars import ContextVar

_ONLY_LOOK = (
    "validate_",
    "action_ask_",
    "action_answer_",
    "action_tell_",
    "action_extract_slots",
    "action_clarify",
    "action_repeat",
    "action_wait",
    "action_change_speed",
    "action_new_fault",
    "action_goodbye",
)
"""How the names of actions begin that have no effect outside the conversation. What they ask the server for in their events is carried out
after the turn."""


def only_looks(action: str) -> bool:
    """Whether an action of this name has no effect outside the conversation."""
    return action.startswith(_ONLY_LOOK)


class Withdrawn(Exception):
    """The turn was taken back."""


class Withdrawal:
    """Whether one turn is to be taken back, and whether it still can be."""

    def __init__(self) -> None:
        self._wanted = False
        self._settled = False

    def ask(self) -> None:
        """Take it back, if that is still possible."""
        self._wanted = True

    def before_action(self, name: str) -> None:
        """An action is about to be called. Raises Withdrawn."""
        self.check()
        if not only_looks(name):
            self._settled = True

    def before_saving(self) -> None:
        """The turn's events are about to be saved. Raises Withdrawn."""
        self.check()
        self._settled = True

    def check(self) -> None:
        """Raises Withdrawn where the turn was to be taken back in time."""
        if self._wanted and not self._settled:
            raise Withdrawn


current: ContextVar[Withdrawal | None] = ContextVar("withdrawal", default=None)
"""That of the turn at hand."""
