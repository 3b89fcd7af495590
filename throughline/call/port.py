"""What a call needs from outside: the dialogue behind it, a socket and a clock.

``channels/phone.py`` implements these with the runner, Sanic's websocket and the machine's clock; tests with plain objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from throughline.call.effects import TurnTimed
from throughline.call.media_streams import Start
from throughline.domain.turns import TurnResult


class SocketClosed(Exception):
    """The other side has gone. Raised by ``Socket.recv`` and ``Socket.send``."""


class Socket(Protocol):
    """One websocket of text messages."""

    async def recv(self) -> str:
        """The next message. Raises SocketClosed."""

    async def send(self, message: str) -> None:
        """Send one message; waits while the socket takes no more. Raises SocketClosed."""

    async def close(self) -> None:
        """Close. May be called twice, and after the other side has gone."""


class Clock(Protocol):
    """Time that never goes back. Its zero means nothing."""

    def now_ms(self) -> float:
        """Now."""

    async def sleep_until(self, at_ms: float) -> None:
        """Return at ``at_ms``; at once (but letting others run) when that has passed."""


@dataclass(frozen=True)
class Admission:
    """What the token lets in. ``page``: it is our own page, and the page's messages and 16 kHz audio are allowed. ``called``: we have
    called, and who has picked up has not said yet who they are: what they say before they have heard why we call answers nothing."""

    page: bool
    called: bool = False


class CallPort(Protocol):
    """The dialogue, as a call sees it.

    ``admit`` comes first, ``ended`` last and exactly once, whatever happened between, even when the call was never admitted.
    Of ``begin``, ``turn`` and ``prompt`` one runs at a time. Each may be cancelled when it takes too long: what it has begun
    to do in the record must then be finished all the same. All may raise ThroughlineError. ``turn`` may also be called when
    the caller has hung up, with the last words; nothing is spoken then.
    """

    async def admit(self, start: Start) -> Admission:
        """Let the call in by ``start.token``. Raises Rejected, and then nothing is sent to the other side."""

    async def begin(self) -> TurnResult:
        """The first words: the greeting, or what resumes the conversation."""

    async def turn(self, text: str, *, source: str, confidence: float | None) -> TurnResult:
        """What the caller said leads to. ``source`` is ``speech``, ``keypad`` or ``typed``."""

    async def foresee(self, text: str) -> bool:
        """The next turn may be ``text``: whatever of it has no effect may be done ahead. Whether that is all the caller has to say, as it
        is understood: an answer to what was asked, or something that is said whole."""

    async def rehearse(self, text: str) -> TurnResult:
        """What a turn ``text`` would be answered now, as far as that can be told; nothing comes of it, and its utterances are in no record.
        Raises ThroughlineError."""

    async def withdraw(self) -> None:
        """The turn that is under way was none yet: the caller speaks on. Where nothing has come of it so far, nothing does, and its result
        is ``withdrawn``; else it goes its way. Raises nothing."""

    async def prompt(self, name: str) -> TurnResult:
        """Say the domain's response ``name``, and record it as said. Where its ``expects`` is the default one, what was
        expected before stays expected."""

    async def heard(self, event_id: str, *, text_heard: str, complete: bool) -> None:
        """How much of an utterance the caller heard: ``text_heard`` is a beginning of its text, maybe empty. Called once
        for every utterance, in the order in which they were to be spoken."""

    async def rated(self, rating: int) -> None:
        """How the caller says that the call was: from 1, the worst, to 5."""

    async def timed(self, timed: TurnTimed) -> None:
        """How long each stage of a turn took, once its reply is heard."""

    async def ending(self, reason: str) -> None:
        """The call will be closed now, for ``reason`` as in ``ended``. What the caller's line does after that is settled here: it goes
        on the moment it is closed. Called at most once, and only for a call that was admitted."""

    async def ended(self, reason: str) -> None:
        """The call is over. ``reason`` is one word of ``throughline.call.effects.REASONS`` or of a ProtocolError."""
