"""What the call's machine wants done: plain data that ``session.py`` carries out in order.

Messages to the other side (``media_streams.Message``) are effects too.
"""

from __future__ import annotations

from dataclasses import dataclass

from throughline.call.media_streams import Message
from throughline.domain.turns import Expectation

REASONS = (
    "completed",  # the dialogue ended the call
    "transferred",  # the dialogue passed it to a person
    "hung_up",  # the caller did
    "line_lost",  # the socket closed without a word: the caller may still be there
    "silence",  # nobody answered
    "too_long",  # the longest call's length
    "refused",  # never admitted
    "protocol_error",  # the other side broke the protocol
    "listening_lost",  # the recogniser failed twice
    "speaking_lost",  # no voice on a telephone
    "too_slow",  # the socket took nothing more
    "failed",  # the dialogue or this program failed
    "cancelled",  # the server is stopping
)
"""Why calls end: what ``CallPort.ended`` and the page are told."""


@dataclass(frozen=True)
class AskBegin:
    """Await ``port.begin()``; its outcome goes to ``machine.result`` or ``machine.failed``."""


@dataclass(frozen=True)
class AskTurn:
    """Await ``port.turn(...)``, likewise."""

    text: str
    source: str
    confidence: float | None = None


@dataclass(frozen=True)
class AskPrompt:
    """Await ``port.prompt(name)``, likewise."""

    name: str


@dataclass(frozen=True)
class Foresee:
    """Tell ``port.foresee`` what the next turn may be."""

    text: str


@dataclass(frozen=True)
class Rehearse:
    """Await ``port.rehearse``: this is the turn, unless the caller goes on soon. Its outcome goes to ``machine.rehearsed``."""

    text: str


@dataclass(frozen=True)
class Withdraw:
    """Tell ``port.withdraw``: the turn that is with the dialogue goes on. Its outcome comes all the same."""


@dataclass(frozen=True)
class Speak:
    """Make the speech for ``text``, which is written for the voice, after what was asked for before. It goes to ``machine.audio`` under
    ``speech_id``. ``speed``: how fast it is said; 1.0 is as usual."""

    speech_id: int
    text: str
    speed: float = 1.0


@dataclass(frozen=True)
class PrepareSpeech:
    """Begin with the speech for ``text``, which will probably be asked for next. Nothing of it goes to the machine before it is."""

    text: str
    speed: float = 1.0


@dataclass(frozen=True)
class StopSpeaking:
    """Make no more of any speech asked for."""


@dataclass(frozen=True)
class Heard:
    """Tell ``port.heard``."""

    event_id: str
    text_heard: str
    complete: bool


@dataclass(frozen=True)
class Expect:
    """Tell the recogniser what comes next."""

    expectation: Expectation


@dataclass(frozen=True)
class FlushListening:
    """Make the recogniser say what it has."""


@dataclass(frozen=True)
class Rated:
    """Tell ``port.rated``: from 1, the worst, to 5."""

    rating: int


@dataclass(frozen=True)
class TurnTimed:
    """The stages of one turn in order, in milliseconds. ``quiet_ms``: for how long the caller had been quiet when the turn was taken to be
    over, None where it was not spoken; ``endpoint_ms``: from the report of their last words until then; ``turn_ms``: with the dialogue;
    ``first_audio_ms``: from its answer to the first audio of it. ``message_id`` is the turn's in the record."""

    source: str
    endpoint_ms: float
    turn_ms: float
    first_audio_ms: float
    quiet_ms: float | None = None
    message_id: str = ""

    @property
    def stages(self) -> dict[str, float]:
        """Milliseconds by stage, to a tenth."""
        stages = {"endpoint_ms": self.endpoint_ms, "turn_ms": self.turn_ms, "first_audio_ms": self.first_audio_ms}
        if self.quiet_ms is not None:
            stages["quiet_ms"] = self.quiet_ms
        return {stage: round(time_ms, 1) for stage, time_ms in stages.items()}


@dataclass(frozen=True)
class HangUp:
    """The call is over: send what is queued and close. ``last_turns`` is what the caller had said and nobody has answered: it
    still goes to the dialogue, which may have been told the one thing that was missing."""

    reason: str
    last_turns: tuple[AskTurn, ...] = ()


Ask = AskBegin | AskTurn | AskPrompt
Effect = (
    Message
    | Ask
    | Foresee
    | Rehearse
    | Withdraw
    | Speak
    | PrepareSpeech
    | StopSpeaking
    | Heard
    | Expect
    | FlushListening
    | Rated
    | TurnTimed
    | HangUp
)
