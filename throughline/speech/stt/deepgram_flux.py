"""Listening with Deepgram's Flux models, which judge by themselves when a speaker is done.

Protocol: developers.deepgram.com/docs/flux (``/v2/listen``). Each ``TurnInfo`` message has all words of the turn so far:
``StartOfTurn``, ``Update``, ``EagerEndOfTurn`` and ``TurnResumed`` become interim reports, ``EndOfTurn`` the final one that ends the
turn. An ``EagerEndOfTurn`` is marked as such: Flux thinks that the speaker may be done, with the words that ``EndOfTurn`` will have if
it comes; ``TurnResumed`` takes it back. ``Update`` comes every quarter of a second whether anything has changed or not, and each is
reported: as long as Flux says that the turn goes on, nobody need ask for its end. Where none comes in the middle of a turn, though
audio is sent, the line has stalled, and the caller need not wait until ``stall_timeout_ms`` has passed.

The company's own words are told at the beginning and at each question: see ``deepgram_terms``.

Flux has no keep-alive message. Where no audio comes, silence is sent: that keeps the line, and lets a turn end whose last words
were followed by nothing.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from throughline.domain.key_terms import NO_TERMS, KeyTerms
from throughline.domain.transcripts import AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ProtocolError, Unavailable
from throughline.speech.stt.deepgram_audio import Allowance, Control
from throughline.speech.stt.deepgram_line import ENCODINGS, Account, Connection, Line, milliseconds, number, word, words
from throughline.speech.stt.deepgram_terms import TermsTold
from throughline.speech.stt.protocol import SttStream

if TYPE_CHECKING:
    from deepgram.listen.v2.socket_client import AsyncV2SocketClient

_SILENCE_AFTER_MS = 1000
_UPDATES_MS = 320  # an update's quarter of a second, and one of the steps of 80 ms in which Flux decides
_UPDATE_LATE_MS = 400  # on the way: several times what it takes there and back, and a packet that is sent once more
_NO_REPORT = frozenset({"Connected", "Warning"})
_GOES_ON = frozenset({"StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed"})


class DeepgramFlux:
    """The listening engine."""

    demo = False

    def __init__(
        self,
        key: str,
        *,
        url: str,
        model: str,
        eot_threshold: float,
        eot_timeout_ms: int,
        open_timeout_ms: float,
        stall_timeout_ms: float,
        silence_after_ms: int = _SILENCE_AFTER_MS,
        eager_eot_threshold: float = 0,
        terms: KeyTerms = NO_TERMS,
    ) -> None:
        """``eot_threshold``: how sure Flux must be that the turn is over, 0.5 to 0.9; ``eot_timeout_ms``: silence that ends it however
        unsure. ``eager_eot_threshold``: how sure to say so beforehand, 0.3 to ``eot_threshold``; 0: never. ``silence_after_ms``: for
        how long no audio may come before silence is sent in its place."""
        self.name = f"deepgram {model}"
        self._account = Account(key, url)
        self._model = model
        self._eot_threshold = eot_threshold
        self._eot_timeout_ms = eot_timeout_ms
        self._open_timeout_ms = open_timeout_ms
        self._stall_timeout_ms = stall_timeout_ms
        self._silence_after_ms = silence_after_ms
        self._allowance = Allowance(_UPDATE_LATE_MS, stall_timeout_ms)
        self._eager_eot_threshold = eager_eot_threshold
        self._terms = terms

    async def warm_up(self) -> None:
        """Import the SDK. Deepgram is not asked: that it is out of reach now says nothing of the first call."""
        await self._account.client()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def open(self, audio: AudioFormat) -> SttStream:
        """Listen to one call. Raises Unavailable: ``key_refused``, ``no_credit``, ``limit_reached``, ``timed_out`` ..."""
        client = await self._account.client()
        opening: AbstractAsyncContextManager[AsyncV2SocketClient] = client.listen.v2.connect(
            model=self._model,
            encoding=ENCODINGS[audio.encoding],
            sample_rate=audio.sample_rate_hz,
            eot_threshold=self._eot_threshold,
            eot_timeout_ms=self._eot_timeout_ms,
            eager_eot_threshold=self._eager_eot_threshold or None,
            keyterm=list(self._terms.all()) or None,
        )
        connection = await Connection.open(opening, engine=self.name, timeout_ms=self._open_timeout_ms)
        dialect = _Flux(self._silence_after_ms, TermsTold(self._terms, changes=True, engine=self.name))
        return Line(
            connection,
            dialect,
            audio,
            engine=self.name,
            stall_timeout_ms=self._stall_timeout_ms,
            allowance=self._allowance,
        )


class _Flux:
    """How Flux is spoken to and understood."""

    least_ms = 80  # what Deepgram advises: Flux decides in steps of it
    idle = Control.SILENCE
    updates_ms: float | None = _UPDATES_MS

    def __init__(self, idle_ms: int, terms: TermsTold) -> None:
        self.idle_ms = idle_ms
        self._terms = terms
        self.in_turn = False  # words were reported that are not final yet

    def expect(self, expectation: Expectation) -> bool:
        """See Dialect."""
        return self._terms.expect(expectation)

    async def send(self, socket: AsyncV2SocketClient, control: Control) -> None:
        """Send a control message; silence is sent as audio."""
        if control is Control.FLUSH:
            await socket.send_force_end_turn()
        elif control is Control.CONFIGURE and (terms := self._terms.to_tell()) is not None:
            await socket.send_configure({"type": "Configure", "keyterms": terms})

    def take(self, message: Any) -> Transcript | None:
        """What a message reports."""
        kind = getattr(message, "type", None)
        if kind == "TurnInfo":
            return self._turn_info(message)
        if kind == "Error":
            raise Unavailable(f"error_message ({word(getattr(message, 'code', None))})")
        if kind == "ConfigureSuccess":
            self._terms.answered()
            return None
        if kind == "ConfigureFailure":
            self._terms.refused(word(getattr(message, "code", None)))
            return None
        if kind in _NO_REPORT:
            return None
        raise ProtocolError("unknown message")

    def _turn_info(self, message: Any) -> Transcript | None:
        event = getattr(message, "event", None)
        is_end = event == "EndOfTurn"
        if not isinstance(event, str) or not (is_end or event in _GOES_ON):
            raise ProtocolError("unknown event")
        text = words(getattr(message, "transcript", None))
        was_interim, self.in_turn = self.in_turn, bool(text) and not is_end
        if not text and not was_interim:  # silence is not told, words taken back are
            return None
        until_ms = milliseconds(getattr(message, "audio_window_end", None))
        is_eager = event == "EagerEndOfTurn"
        confidence = _confidence(message)
        return Transcript(text, is_end, end_of_turn=is_end, confidence=confidence, until_ms=until_ms, eager=is_eager)


def _confidence(message: Any) -> float | None:
    """The mean of the words' own: comparable with Nova's, which is for a whole utterance too, and between long and short turns.
    The least of them would make every long turn a doubtful one."""
    heard = getattr(message, "words", None)
    known = [number(getattr(item, "confidence", None), 1) for item in heard] if isinstance(heard, list) else []
    sure = [value for value in known if value is not None]
    return sum(sure) / len(sure) if sure else None
