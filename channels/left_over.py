"""What a crash or a failed save has left unfinished, and the look for it that every server takes again and again.

A message is stored before its turn is taken. Where the turn did not get to its end, whoever holds the contact's lock next finishes it:
the runner before a newer message, a call that goes on, or this look. Several servers may find the same message: under the lock they see
that it is finished. What always holds: a customer's words are never dropped; no action is taken for words that are too old, on a call
that is long over, that a caller was asked to say again and did, or at which servers have died again and again: those are answered with an
apology.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone

from throughline import log
from throughline.domain.turns import PHONE
from throughline.record.entries import LeftOver
from throughline.settings.server import Settings

_log = log.get_logger("channels")

LOOK_EVERY_S = 5.0

_MOST_ATTEMPTS = 2
_SURELY_LEFT = timedelta(seconds=15)
"""Longer than a turn takes: a message that old is nobody's any more. One that is still somebody's only costs us the wait for its lock."""


def is_worth_finishing(left: LeftOver, attempts: int, now: datetime, settings: Settings) -> bool:
    """Whether the turn of ``left`` is to be taken, by this attempt, or only to be apologised for."""
    return attempts <= _MOST_ATTEMPTS and is_in_time(left, now, settings)


def is_in_time(left: LeftOver, now: datetime, settings: Settings) -> bool:
    """Whether its customer may still wait for it."""
    within_s = settings.phone.finish_within_s if left.turn.channel == PHONE else settings.chat.finish_within_s
    return now - left.received_at <= timedelta(seconds=within_s)


class LeftOvers:
    """The look for them. ``finish(before=...)`` finishes what was stored before a moment, None means everything; how many that were."""

    def __init__(self, finish: Callable[..., Awaitable[int]]) -> None:
        self._finish = finish
        self._is_first = True  # what is there at the start was left by the server that ran here before

    async def look(self) -> None:
        """Finish what nobody else does. Raises Unavailable."""
        before = None if self._is_first else datetime.now(timezone.utc) - _SURELY_LEFT
        self._is_first = False
        if finished := await self._finish(before=before):
            _log.info("left_over.finished", turns=finished)
