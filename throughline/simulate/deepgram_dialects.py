"""What the simulated Deepgram answers, message by message: ``/v1/listen`` (Nova) and ``/v2/listen`` (Flux). Pure.

Shapes and rules are those of developers.deepgram.com/reference/speech-to-text and .../docs/flux/state, of deepgram-sdk's types, and
of messages that users have published; tests/contract/payloads/deepgram has examples. Everything goes by the time of the audio:
in a call the answers come when they would, and in a replay as fast as its audio.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from throughline.domain.transcripts import AudioFormat
from throughline.simulate.deepgram_hearing import Hearing, Recordings, Word

Message = dict[str, Any]

NOVA_MODELS = (
    "nova-3",
    "nova-3-general",
    "nova-3-medical",
    "nova-2",
    "nova-2-general",
    "nova-2-phonecall",
    "nova-2-conversationalai",
)
FLUX_MODELS = ("flux-general-en", "flux-general-multi")
_ENCODINGS = {"mulaw": "mulaw", "linear16": "l16"}
_RATES_HZ = (8000, 16000, 24000, 44100, 48000)

_EMPTY_EVERY_MS = 1000
_LONGEST_SEGMENT_MS = 4000  # then words become final though the speaker goes on
_UPDATE_EVERY_MS = 240


class Dialect(Protocol):
    """One connection's side of a protocol."""

    hearing: Hearing

    def opened(self) -> Iterator[Message]:
        """What it says first."""

    def heard(self, audio: bytes) -> Iterator[Message]:
        """What it says to some audio."""

    def told(self, message: Message) -> Iterator[Message]:
        """What it says to a control message."""

    def error(self) -> Message:
        """That something went wrong inside."""


def _flag(value: str) -> bool:
    return value in ("true", "false")


def _between(least: float, most: float) -> Callable[[str], bool]:
    def holds(value: str) -> bool:
        try:
            return least <= float(value) <= most
        except ValueError:
            return False

    return holds


def _one_of(*values: object) -> Callable[[str], bool]:
    return lambda value: value in map(str, values)


_AUDIO = {"encoding": _one_of(*_ENCODINGS), "sample_rate": _one_of(*_RATES_HZ)}
QUERIES: dict[str, dict[str, Callable[[str], bool]]] = {
    "/v1/listen": {
        **_AUDIO,
        "model": _one_of(*NOVA_MODELS),
        "language": _one_of("en", "en-US", "en-GB", "en-AU", "en-IN", "en-NZ", "multi"),
        "channels": _one_of(1),
        "endpointing": lambda value: value == "false" or _between(10, 5000)(value),
        "utterance_end_ms": _between(1000, 5000),
        **dict.fromkeys(("interim_results", "vad_events", "punctuate", "smart_format", "numerals"), _flag),
    },
    "/v2/listen": {
        **_AUDIO,
        "model": _one_of(*FLUX_MODELS),
        "eot_threshold": _between(0.5, 1.0),
        "eot_timeout_ms": _between(500, 10_000),
        "eager_eot_threshold": _between(0.3, 0.9),
    },
}
_MOST_KEYTERMS = 100
_MOST_KEYTERM_TOKENS = 500


def fault_in(path: str, query: Mapping[str, str]) -> str | None:
    """What is wrong with a request, None if nothing is. Stricter than the vendor, who lets unknown parameters pass."""
    rules = QUERIES[path]
    for name, value in query.items():
        if name not in rules:
            return f"unknown parameter {name}"
        if not rules[name](value):
            return f"invalid value for {name}"
    if float(query.get("eager_eot_threshold", 0)) > float(query.get("eot_threshold", 0.7)):
        return "eager_eot_threshold must not be above eot_threshold"
    for name in ("model", "encoding", "sample_rate"):
        if name not in query:
            return f"missing parameter {name}"
    if "utterance_end_ms" in query and query.get("interim_results") != "true":
        return "utterance_end_ms needs interim_results"
    return None


def fault_in_keyterms(model: str, keyterms: Sequence[object]) -> str | None:
    """What is wrong with the key terms for ``model``, None if nothing is. Tokens are counted as words of four letters at most."""
    if not keyterms:
        return None
    if not model.startswith(("nova-3", "flux")):
        return "Keyterms are not supported for this model"
    if not all(isinstance(term, str) and term.strip() for term in keyterms):
        return "invalid value for keyterm"
    if sum(-(-len(word) // 4) for term in keyterms for word in str(term).split()) > _MOST_KEYTERM_TOKENS:
        return "Keyterm limit exceeded. The maximum number of tokens across all keyterms is 500."
    return f"more than {_MOST_KEYTERMS} keyterms" if len(keyterms) > _MOST_KEYTERMS else None


def audio_format(query: Mapping[str, str]) -> AudioFormat:
    """What audio a request announces."""
    return AudioFormat(_ENCODINGS[query["encoding"]], int(query["sample_rate"]))


def _confidence(text: str) -> float:
    """How sure a word is: the same for the same word."""
    return round(0.9 + random.Random(text).random() / 10, 7)  # noqa: S311 -- no secret


class Nova:
    """``/v1/listen``."""

    def __init__(self, recordings: Recordings, query: Mapping[str, str], endpoint_ms: Callable[[], float]) -> None:
        """``endpoint_ms``: for how long the next speaker must be quiet."""
        self.hearing = Hearing(recordings, audio_format(query))
        endpointing = query.get("endpointing", "10")
        self._asked_ms = float("inf") if endpointing == "false" else float(endpointing)
        self._endpoint_ms = endpoint_ms
        self._pause_ms = 0.0
        self._model = query.get("model", "")
        self._interim = query.get("interim_results") == "true"
        self._vad = query.get("vad_events") == "true"
        self._gap_ms = float(query.get("utterance_end_ms", "inf"))
        self._request = str(uuid.uuid4())
        self._said = 0  # words of the utterance that are final
        self._shown: list[str] = []
        self._from_ms = 0.0
        self._told_ms = 0.0
        self._word_end_ms: float | None = None  # of the last final word whose turn has not ended

    def opened(self) -> Iterator[Message]:
        """Nothing."""
        yield from ()

    def heard(self, audio: bytes) -> Iterator[Message]:
        """Results, and what goes with them."""
        for known in self.hearing.frames(audio):
            now_ms = self.hearing.now_ms
            words = self.hearing.words[self._said :]
            if known and not self._pause_ms:
                self._pause_ms = max(self._asked_ms, self._endpoint_ms())
                if self._vad:
                    yield {"type": "SpeechStarted", "channel": [0, 1], "timestamp": now_ms / 1000}
            if self._is_over():
                yield self._final(words, now_ms, speech_final=True)
            elif self._interim and [word.text for word in words] != self._shown:
                self._shown = [word.text for word in words]
                yield self._results(words, now_ms, is_final=False)
            elif now_ms - self._from_ms >= _LONGEST_SEGMENT_MS and (whole := [word for word in words if word.whole]):
                yield self._final(whole, whole[-1].end_ms, speech_final=False)
            elif now_ms - self._from_ms >= _LONGEST_SEGMENT_MS and self.hearing.last_known_ms is None:
                yield self._final([], now_ms, speech_final=False)
            elif self._interim and not words and now_ms - self._told_ms >= _EMPTY_EVERY_MS:
                yield self._results([], now_ms, is_final=False)
            if self._word_end_ms is not None and not words and now_ms - self._word_end_ms >= self._gap_ms:
                yield {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": self._word_end_ms / 1000}
                self._word_end_ms = None

    def told(self, message: Message) -> Iterator[Message]:
        """Finalize, KeepAlive, Configure and CloseStream; anything else is an error of the schema."""
        kind = message.get("type")
        if kind in ("Finalize", "CloseStream"):
            words = self.hearing.words[self._said :]
            if words or kind == "Finalize":
                yield self._final(words, self.hearing.now_ms, speech_final=False, from_finalize=kind == "Finalize")
            self._begin_utterance()
        if kind == "CloseStream":
            yield self._metadata()
        elif kind == "Configure":
            yield self._configured(message)
        elif kind not in ("Finalize", "KeepAlive"):
            yield {**self.error(), "message": str(message)[:200]}

    def _configured(self, message: Message) -> Message:
        keyterms = message.get("keyterms", [])
        wrong = fault_in_keyterms(self._model, keyterms) if isinstance(keyterms, list) else "no list"
        if wrong:
            code = "CONFIGURE_KEYTERMS_NOT_SUPPORTED" if "not supported" in wrong else "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
            return {"type": "ConfigureFailure", "request_id": self._request, "code": code, "description": wrong}
        return {"type": "ConfigureSuccess", "request_id": self._request, "keyterms": keyterms}

    def error(self) -> Message:
        """As the vendor says that it did not understand."""
        return {"type": "Error", "variant": "SchemaError", "description": "Could not deserialize last text message"}

    def _is_over(self) -> bool:
        last_ms = self.hearing.last_known_ms
        return last_ms is not None and self.hearing.now_ms - last_ms >= self._pause_ms

    def _begin_utterance(self) -> None:
        self.hearing.start_afresh()
        self._said, self._shown, self._pause_ms = 0, [], 0.0

    def _final(self, words: list[Word], until_ms: float, *, speech_final: bool, from_finalize: bool = False) -> Message:
        message = self._results(words, until_ms, is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        self._from_ms = until_ms
        self._said += len(words)
        self._shown = [word.text for word in self.hearing.words[self._said :]]
        if words:
            self._word_end_ms = words[-1].end_ms
        if speech_final:
            self._begin_utterance()
        return message

    def _results(self, words: list[Word], until_ms: float, **marks: bool) -> Message:
        self._told_ms = self.hearing.now_ms
        spoken: list[Message] = [
            {
                "word": word.text.strip(".,?!").lower(),
                "start": word.start_ms / 1000,
                "end": word.end_ms / 1000,
                "confidence": _confidence(word.text),
                "punctuated_word": word.text,
            }
            for word in words
        ]
        sure = sorted(word["confidence"] for word in spoken)
        best = {
            "transcript": " ".join(word.text for word in words),
            "confidence": sure[len(sure) // 2] if sure else 0.0,
            "words": spoken,
        }
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": round((until_ms - self._from_ms) / 1000, 6),
            "start": round(self._from_ms / 1000, 6),
            "is_final": marks["is_final"],
            "speech_final": marks.get("speech_final", False),
            "channel": {"alternatives": [best]},
            "metadata": {
                "request_id": self._request,
                "model_info": {"name": "general-nova-3", "version": "2025-04-17.21547", "arch": "nova-3"},
                "model_uuid": "40bd3654-e622-47c4-a111-63a61b23bfe8",
            },
            "from_finalize": marks.get("from_finalize", False),
        }

    def _metadata(self) -> Message:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request,
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "created": "2026-11-22T12:00:00.000Z",
            "duration": self.hearing.now_ms / 1000,
            "channels": 1,
        }


class Flux:
    """``/v2/listen``."""

    def __init__(
        self,
        recordings: Recordings,
        query: Mapping[str, str],
        endpoint_ms: Callable[[], float],
        is_mistaken: Callable[[], bool] = lambda: True,
    ) -> None:
        """``endpoint_ms``: after how long a silence the next turn is taken to be over. ``is_mistaken``: whether it takes the next pause
        within somebody's words for the end of them; if not, only the timeout ends them there."""
        self.hearing = Hearing(recordings, audio_format(query))
        self._is_mistaken = is_mistaken
        self._pauses: dict[int, bool] = {}  # taken for an end, or not
        self._endpoint_ms = endpoint_ms
        self._timeout_ms = float(query.get("eot_timeout_ms", "5000"))
        self._pause_ms = self._timeout_ms
        self._is_eager = "eager_eot_threshold" in query
        self._eager_at_ms: float | None = None  # what was heard last when it was said that the turn may be over
        self._query = dict(query)
        self._request = str(uuid.uuid4())
        self._sequence = 0
        self._turn = 0
        self._under_way = False
        self._from_ms = 0.0
        self._told_ms = 0.0

    def opened(self) -> Iterator[Message]:
        """A greeting."""
        yield self._numbered({"type": "Connected"})

    def heard(self, audio: bytes) -> Iterator[Message]:
        """The turn's events, and an update every quarter of a second."""
        for _ in self.hearing.frames(audio):
            now_ms, last_ms = self.hearing.now_ms, self.hearing.last_known_ms
            if self.hearing.words and not self._under_way:
                self._under_way = True
                self._pause_ms = min(self._endpoint_ms(), self._timeout_ms)
                yield self._turn_info("StartOfTurn")
            elif last_ms is not None and now_ms - last_ms >= self._pause_ms and self._takes_it_for_the_end(now_ms - last_ms):
                if self._under_way:
                    yield self._end_of_turn("model" if self._pause_ms < self._timeout_ms else "timeout")
                self.hearing.start_afresh()
            elif self._under_way and self._eager_at_ms is not None and last_ms != self._eager_at_ms:
                self._eager_at_ms = None
                yield self._turn_info("TurnResumed")
            elif self._may_be_over(now_ms, last_ms):
                self._eager_at_ms = last_ms
                yield self._turn_info("EagerEndOfTurn")
            elif now_ms - self._told_ms >= _UPDATE_EVERY_MS:
                yield self._turn_info("Update")

    def _may_be_over(self, now_ms: float, last_ms: float | None) -> bool:
        """True once in a turn's pause, when half of it is over."""
        quiet_ms = 0.0 if last_ms is None else now_ms - last_ms
        return self._is_eager and self._under_way and self._eager_at_ms is None and quiet_ms >= self._pause_ms / 2

    def _configured(self, message: Message) -> Message:
        keyterms = message.get("keyterms", [])
        if not isinstance(keyterms, list) or fault_in_keyterms(self._query["model"], keyterms):
            return self._numbered({"type": "ConfigureFailure", "code": "INVALID_CONFIGURATION", "description": "keyterms"})
        thresholds = {
            name: float(self._query[name])
            for name in ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")
            if name in self._query
        }
        return self._numbered({"type": "ConfigureSuccess", "thresholds": thresholds, "keyterms": keyterms})

    def told(self, message: Message) -> Iterator[Message]:
        """ForceEndTurn, Configure and CloseStream; anything else is an error."""
        kind = message.get("type")
        if kind == "ForceEndTurn":
            if self._under_way:
                yield self._end_of_turn("manual")
        elif kind == "Configure":
            yield self._configured(message)
        elif kind == "CloseStream":
            yield self._turn_info("Update")
        else:
            yield self.error()

    def error(self) -> Message:
        """As the vendor reports a failure of its own."""
        return self._numbered(
            {"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "An internal server error occurred."}
        )

    def _takes_it_for_the_end(self, silent_ms: float) -> bool:
        pause = self.hearing.pause
        if pause is None or silent_ms >= self._timeout_ms:
            return True
        if pause not in self._pauses:
            self._pauses[pause] = self._is_mistaken()
        return self._pauses[pause]

    def _end_of_turn(self, trigger: str) -> Message:
        self._pauses.clear()
        message = {**self._turn_info("EndOfTurn"), "trigger": trigger}
        self.hearing.start_afresh()
        self._under_way = False
        self._eager_at_ms = None
        self._turn += 1
        self._from_ms = self.hearing.now_ms
        return message

    def _turn_info(self, event: str) -> Message:
        self._told_ms = self.hearing.now_ms
        words = self.hearing.words
        return self._numbered(
            {
                "type": "TurnInfo",
                "event": event,
                "turn_index": self._turn,
                "audio_window_start": self._from_ms / 1000,
                "audio_window_end": self.hearing.now_ms / 1000,
                "transcript": " ".join(word.text for word in words),
                "words": [
                    {
                        "word": word.text,
                        "confidence": _confidence(word.text),
                        "start": word.start_ms / 1000,
                        "end": word.end_ms / 1000,
                    }
                    for word in words
                ],
                "end_of_turn_confidence": {"EndOfTurn": 0.85, "EagerEndOfTurn": 0.5}.get(event, 0.05),
            }
        )

    def _numbered(self, message: Message) -> Message:
        numbered = {**message, "request_id": self._request, "sequence_id": self._sequence}
        self._sequence += 1
        return numbered
