"""Listening with Deepgram's Nova models: words as they are said, final ones where the speaker pauses.

Protocol: developers.deepgram.com/reference/speech-to-text/listen-streaming (``/v1/listen``). What its messages become:

    Results, is_final false    interim: the words since the last final ones
    Results, is_final true     final; with ``speech_final`` the speaker had been quiet for ``endpointing_ms``
    UtteranceEnd               an empty final that ends the turn: in noise, silence is never found, but gaps between words are

Numbers are left as words and ``smart_format`` stays off: with it Deepgram holds back a final that looks like the beginning of a
date or a number for up to three seconds (its changelog of 2 April 2025), and these are just what callers are asked for. Our own
grammar (nlu/spoken_text) reads "nine seven two oh one" and "half past two" as they are said. Punctuation is on: names get their
capitals, and the caller's own words are read by people.

The company's own words are told at the beginning and at each question: see ``deepgram_terms``.
"""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from throughline.domain.key_terms import NO_TERMS, KeyTerms
from throughline.domain.transcripts import AudioFormat, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ProtocolError, Unavailable
from throughline.speech.stt.deepgram_audio import Control
from throughline.speech.stt.deepgram_line import ENCODINGS, Account, Connection, Line, milliseconds, number, word, words
from throughline.speech.stt.deepgram_terms import TermsTold
from throughline.speech.stt.protocol import SttStream

if TYPE_CHECKING:
    from deepgram.listen.v1.socket_client import AsyncV1SocketClient

_KEEP_ALIVE_MS = 4000  # Deepgram advises three to five seconds, and hangs up after ten
_NO_REPORT = frozenset({"Metadata", "SpeechStarted"})
_REGIONAL = re.compile(r"\w+://api\.\w+\.deepgram\.com")  # these take no key terms on an open stream yet


class DeepgramNova:
    """The listening engine."""

    demo = False

    def __init__(
        self,
        key: str,
        *,
        url: str,
        model: str,
        language: str,
        endpointing_ms: int,
        utterance_end_ms: int,
        open_timeout_ms: float,
        stall_timeout_ms: float,
        keep_alive_ms: int = _KEEP_ALIVE_MS,
        terms: KeyTerms = NO_TERMS,
    ) -> None:
        """``endpointing_ms``: silence after which words are final. ``utterance_end_ms``: a gap between words that ends the turn.
        ``keep_alive_ms``: for how long no audio may come before Deepgram is told that we are still there. ``terms`` are for Nova-3 only."""
        self.name = f"deepgram {model}"
        self._account = Account(key, url)
        self._model = model
        self._language = language
        self._endpointing_ms = endpointing_ms
        self._utterance_end_ms = utterance_end_ms
        self._open_timeout_ms = open_timeout_ms
        self._stall_timeout_ms = stall_timeout_ms
        self._keep_alive_ms = keep_alive_ms
        self._terms = terms if model.startswith("nova-3") else NO_TERMS
        self._changes_terms = _REGIONAL.match(url) is None

    async def warm_up(self) -> None:
        """Import the SDK. Deepgram is not asked: that it is out of reach now says nothing of the first call."""
        await self._account.client()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def open(self, audio: AudioFormat) -> SttStream:
        """Listen to one call. Raises Unavailable: ``key_refused``, ``no_credit``, ``limit_reached``, ``timed_out`` ..."""
        client = await self._account.client()
        opening: AbstractAsyncContextManager[AsyncV1SocketClient] = client.listen.v1.connect(
            model=self._model,
            language=self._language,
            encoding=ENCODINGS[audio.encoding],
            sample_rate=audio.sample_rate_hz,
            channels=1,
            interim_results=True,
            endpointing=self._endpointing_ms,
            utterance_end_ms=self._utterance_end_ms,
            vad_events=True,
            punctuate=True,
            keyterm=list(self._terms.all()) or None,
        )
        connection = await Connection.open(opening, engine=self.name, timeout_ms=self._open_timeout_ms)
        terms = TermsTold(self._terms, changes=self._changes_terms, engine=self.name)
        dialect = _Nova(self._endpointing_ms, self._keep_alive_ms, terms)
        return Line(connection, dialect, audio, engine=self.name, stall_timeout_ms=self._stall_timeout_ms)


class _Nova:
    """How Nova is spoken to and understood."""

    least_ms = 20
    idle = Control.KEEP_ALIVE
    updates_ms: float | None = None  # interim results come when there are any
    in_turn = False

    def __init__(self, endpointing_ms: int, idle_ms: int, terms: TermsTold) -> None:
        self.idle_ms = idle_ms
        self._terms = terms
        self._endpointing_ms = endpointing_ms
        self._interim = False  # words were reported that are not final yet
        self._final = False  # final ones were reported since the speaker was last known to be quiet
        self._turn = False  # and since the last end of a turn
        self._until_ms: float | None = None

    def expect(self, expectation: Expectation) -> bool:
        """See Dialect."""
        return self._terms.expect(expectation)

    async def send(self, socket: AsyncV1SocketClient, control: Control) -> None:
        """Send a control message."""
        if control is Control.FLUSH:
            await socket.send_finalize()
        elif control is Control.KEEP_ALIVE:
            await socket.send_keep_alive()
        elif (terms := self._terms.to_tell()) is not None:
            from deepgram.listen.v1.types import ListenV1Configure

            await socket.send_configure(ListenV1Configure(keyterms=terms))

    def take(self, message: Any) -> Transcript | None:
        """What a message reports: see the table above."""
        kind = getattr(message, "type", None)
        if kind == "Results":
            return self._results(message)
        if kind == "UtteranceEnd":
            return self._utterance_end()
        if kind == "ConfigureSuccess":
            self._terms.answered()
            return None
        if kind == "ConfigureFailure":
            self._terms.refused(word(getattr(message, "code", None)))
            return None
        if kind == "Error":
            variant = word(getattr(message, "variant", None))
            if self._terms.refused(variant):  # so do servers that do not know the message
                return None
            raise Unavailable(f"error_message ({variant})")
        if kind in _NO_REPORT:
            return None
        raise ProtocolError("unknown message")

    def _results(self, message: Any) -> Transcript | None:
        alternatives = getattr(getattr(message, "channel", None), "alternatives", None)
        if not isinstance(alternatives, list) or not alternatives:
            raise ProtocolError("no alternatives")
        best = alternatives[0]
        text = words(getattr(best, "transcript", None))
        confidence = number(getattr(best, "confidence", None), 1) if text else None
        until_ms = milliseconds(getattr(message, "start", None), getattr(message, "duration", None))
        if getattr(message, "is_final", None) is not True:
            was_interim, self._interim = self._interim, bool(text)
            worth_telling = self._interim or was_interim  # words taken back are told, silence is not
            return Transcript(text, final=False, confidence=confidence, until_ms=until_ms) if worth_telling else None
        is_quiet = getattr(message, "speech_final", None) is True
        worth_telling = bool(text) or self._interim or (is_quiet and self._final)
        self._interim = False
        self._final = not is_quiet and (self._final or bool(text))
        self._turn = self._turn or bool(text)
        self._until_ms = until_ms
        if not worth_telling:
            return None
        return Transcript(
            text, True, quiet_ms=self._endpointing_ms if is_quiet else 0, confidence=confidence, until_ms=until_ms
        )

    def _utterance_end(self) -> Transcript | None:
        """Deepgram counts the gap from the last *final* word: while others are on their way, the speaker is not done."""
        if self._interim or not self._turn:
            return None
        self._final = self._turn = False
        return Transcript("", final=True, end_of_turn=True, until_ms=self._until_ms)
