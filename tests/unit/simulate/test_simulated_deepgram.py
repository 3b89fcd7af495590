"""The simulated Deepgram: as strict as the vendor, in the vendor's shapes, and with an ear for what it was taught alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from throughline.domain.transcripts import TELEPHONE, WIDEBAND
from throughline.simulate.deepgram_dialects import Dialect, Flux, Message, Nova, audio_format, fault_in
from throughline.simulate.deepgram_hearing import Hearing, Recordings
from throughline.speech import vendor_sdks

pytestmark = pytest.mark.unit

PAYLOADS = Path(__file__).parents[2] / "contract" / "payloads" / "deepgram"
WORD_FRAMES = 12
FORMAT = {"encoding": "mulaw", "sample_rate": "8000"}
NOVA = {
    "model": "nova-3",
    **FORMAT,
    "interim_results": "true",
    "vad_events": "true",
    "utterance_end_ms": "1000",
    "endpointing": "100",
}
FLUX = {"model": "flux-general-en", **FORMAT}


def voice(text: str, seed: str = "") -> bytes:
    """A noise of its own for each word."""
    return b"".join(random.Random(seed + word).randbytes(160 * WORD_FRAMES) for word in text.split())  # noqa: S311 - no secret


def silence(ms: int) -> bytes:
    return b"\xff" * (8 * ms)


def taught(*sentences: str) -> Recordings:
    recordings = Recordings()
    for sentence in sentences:
        recordings.teach(sentence, TELEPHONE, voice(sentence))
    return recordings


def transcripts(messages: list[Message]) -> list[tuple[str, str]]:
    """What happened and what was heard, where anything was."""
    told = []
    for message in messages:
        if message["type"] == "TurnInfo":
            told.append((message["event"], message["transcript"]))
        elif message["type"] == "Results":
            final = "speech_final" if message["speech_final"] else "final" if message["is_final"] else "interim"
            told.append((final, message["channel"]["alternatives"][0]["transcript"]))
        else:
            told.append((message["type"], ""))
    return [(kind, text) for kind, text in told if text or kind not in ("interim", "Update")]


class TestHearing:
    def heard(self, recordings: Recordings, audio: bytes) -> str:
        hearing = Hearing(recordings, TELEPHONE)
        list(hearing.frames(audio))
        return " ".join(word.text for word in hearing.words)

    def test_what_was_taught_is_understood_word_by_word(self) -> None:
        recordings = taught("one two three")
        assert self.heard(recordings, voice("one two three")) == "one two three"
        assert self.heard(recordings, voice("one two three")[: 160 * 20]) == "one two"
        assert self.heard(recordings, voice("one two three")[: 160 * 14]) == "one"

    def test_a_named_silence_lies_between_its_words(self) -> None:
        recordings = Recordings()
        audio = voice("five oh") + silence(400) + voice("seventeen")  # of which the letters alone would take a part of "oh"
        recordings.teach("five oh [400] seventeen", TELEPHONE, audio)
        assert self.heard(recordings, audio[: len(voice("five oh")) + 160 * 20]) == "five oh"
        assert self.heard(recordings, audio) == "five oh seventeen"

    def test_the_rest_of_a_stream_that_was_cut_has_the_rest_of_the_words(self) -> None:
        recordings = taught("one two three")
        assert self.heard(recordings, voice("one two three")[160 * 11 :]) == "two three"
        assert self.heard(recordings, voice("one two three")[160 * 20 :]) == "three"

    def test_sentences_that_begin_alike_are_told_apart_as_soon_as_they_differ(self) -> None:
        recordings = taught("one two three", "one two four five")
        assert self.heard(recordings, voice("one two")) == "one two"
        assert self.heard(recordings, voice("one two four five")) == "one two four five"

    def test_one_thing_after_another_is_heard(self) -> None:
        recordings = taught("one two", "three")
        assert self.heard(recordings, voice("three") + voice("one two") + voice("three")) == "three one two three"

    def test_a_word_said_twice_is_heard_twice(self) -> None:
        assert self.heard(taught("yes"), voice("yes") + silence(100) + voice("yes")) == "yes yes"

    def test_what_was_not_taught_is_noise(self) -> None:
        assert self.heard(taught("one two three"), voice("one two three", seed="another voice")) == ""

    def test_taught_twice_is_known_once(self) -> None:
        recordings = taught("one", "one")
        assert len(recordings.places(voice("one")[:160])) == 1


class TestNova:
    def test_an_utterance_from_its_beginning_to_its_end(self) -> None:
        nova = Nova(taught("one two"), NOVA, lambda: 260)
        messages = list(nova.heard(silence(300) + voice("one two") + silence(1200)))
        assert transcripts(messages) == [
            ("SpeechStarted", ""),
            ("interim", "one"),
            ("interim", "one two"),
            ("speech_final", "one two"),
            ("UtteranceEnd", ""),
        ]
        final = messages[-2]
        assert round(1000 * (final["start"] + final["duration"])) == 300 + 480 + 260
        assert messages[-1]["last_word_end"] == 0.78

    def test_it_does_not_find_the_end_before_the_client_wants_it_to(self) -> None:
        nova = Nova(taught("one"), {**NOVA, "endpointing": "500"}, lambda: 260)
        final = next(message for message in nova.heard(voice("one") + silence(700)) if message.get("speech_final"))
        assert round(1000 * final["duration"]) == 240 + 500

    def test_words_of_a_long_utterance_become_final_while_it_goes_on(self) -> None:
        text = " ".join(f"word{n}" for n in range(25))
        messages = list(Nova(taught(text), NOVA, lambda: 260).heard(voice(text) + silence(300)))
        finals = [message for message in messages if message.get("is_final")]
        assert [message["speech_final"] for message in finals] == [False, True]
        assert " ".join(message["channel"]["alternatives"][0]["transcript"] for message in finals) == text
        assert finals[1]["start"] == pytest.approx(finals[0]["start"] + finals[0]["duration"])

    def test_noise_gets_empty_results(self) -> None:
        messages = list(Nova(taught("one"), NOVA, lambda: 260).heard(voice("noise " * 30)))
        assert {message["type"] for message in messages} == {"Results"}
        assert {message["channel"]["alternatives"][0]["transcript"] for message in messages} == {""}
        assert {message["is_final"] for message in messages} == {False, True}

    def test_finalize_ends_the_utterance(self) -> None:
        nova = Nova(taught("one two"), NOVA, lambda: 260)
        list(nova.heard(voice("one two")))
        told = list(nova.told({"type": "Finalize"}))
        assert transcripts(told) == [("final", "one two")]
        assert told[0]["from_finalize"]
        assert transcripts(list(nova.told({"type": "Finalize"}))) == [("final", "")]
        assert list(nova.told({"type": "KeepAlive"})) == []

    def test_closing_gives_the_rest_and_a_summary(self) -> None:
        nova = Nova(taught("one two"), NOVA, lambda: 260)
        list(nova.heard(voice("one two")))
        assert transcripts(list(nova.told({"type": "CloseStream"}))) == [("final", "one two"), ("Metadata", "")]

    def test_what_it_is_not_told_in_its_own_words_is_an_error(self) -> None:
        nova = Nova(taught(), NOVA, lambda: 260)
        assert [message["type"] for message in nova.told({"type": "ForceEndTurn"})] == ["Error"]


class TestFlux:
    def test_a_turn_from_its_beginning_to_its_end(self) -> None:
        flux = Flux(taught("one two"), FLUX, lambda: 260)
        messages = [*flux.opened(), *flux.heard(silence(300) + voice("one two") + silence(1000))]
        told = transcripts(messages)
        assert told[0] == ("Connected", "")
        assert told[1] == ("StartOfTurn", "one")
        assert set(told[2:-1]) <= {("Update", "one"), ("Update", "one two")}
        assert told[-1] == ("EndOfTurn", "one two")
        end = next(message for message in messages if message.get("event") == "EndOfTurn")
        assert round(1000 * end["audio_window_end"]) == 300 + 480 + 260
        assert end["trigger"] == "model"
        assert [message["sequence_id"] for message in messages] == list(range(len(messages)))

    def test_turns_are_counted(self) -> None:
        flux = Flux(taught("one"), FLUX, lambda: 260)
        messages = list(flux.heard((voice("one") + silence(500)) * 2))
        assert [message["turn_index"] for message in messages if message["event"] == "EndOfTurn"] == [0, 1]

    def test_a_turn_can_be_ended_by_force_once(self) -> None:
        flux = Flux(taught("one"), FLUX, lambda: 260)
        list(flux.heard(voice("one")))
        assert [message["trigger"] for message in flux.told({"type": "ForceEndTurn"})] == ["manual"]
        assert list(flux.told({"type": "ForceEndTurn"})) == []

    def test_long_silence_ends_a_turn_however_unsure(self) -> None:
        flux = Flux(taught("one"), {**FLUX, "eot_timeout_ms": "500"}, lambda: 4000)
        end = [message for message in flux.heard(voice("one") + silence(700)) if message["event"] == "EndOfTurn"]
        assert [message["trigger"] for message in end] == ["timeout"]

    def test_what_it_is_not_told_in_its_own_words_is_an_error(self) -> None:
        flux = Flux(taught(), FLUX, lambda: 260)
        assert [message["type"] for message in flux.told({"type": "KeepAlive"})] == ["Error"]


class TestQueries:
    @pytest.mark.parametrize(("path", "query"), [("/v1/listen", NOVA), ("/v2/listen", FLUX)])
    def test_what_is_right_is_taken(self, path: str, query: dict[str, str]) -> None:
        assert fault_in(path, query) is None
        assert audio_format(query) == TELEPHONE
        assert audio_format({**query, "encoding": "linear16", "sample_rate": "16000"}) == WIDEBAND

    @pytest.mark.parametrize(
        ("path", "query", "fault"),
        [
            ("/v1/listen", {**NOVA, "model": "flux-general-en"}, "invalid value for model"),
            ("/v1/listen", {**NOVA, "encoding": "l16"}, "invalid value for encoding"),
            ("/v1/listen", {**NOVA, "endpointing": "soon"}, "invalid value for endpointing"),
            ("/v1/listen", {**NOVA, "interim_results": "True"}, "invalid value for interim_results"),
            ("/v1/listen", {**NOVA, "utterance_end_ms": "500"}, "invalid value for utterance_end_ms"),
            ("/v1/listen", {**NOVA, "interim_results": "false"}, "utterance_end_ms needs interim_results"),
            ("/v1/listen", {"model": "nova-3", "encoding": "mulaw"}, "missing parameter sample_rate"),
            ("/v2/listen", {**FLUX, "model": "nova-3"}, "invalid value for model"),
            ("/v2/listen", {**FLUX, "eot_threshold": "0.4"}, "invalid value for eot_threshold"),
            ("/v2/listen", {**FLUX, "interim_results": "true"}, "unknown parameter interim_results"),
        ],
    )
    def test_what_is_wrong_is_named(self, path: str, query: dict[str, str], fault: str) -> None:
        assert fault_in(path, query) == fault


def shape(value: Any) -> Any:
    """The keys and types of a message; of a list, those of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)


@pytest.mark.parametrize(
    ("dialect", "file", "names"),
    [
        (
            Nova(taught("one two"), NOVA, lambda: 260),
            "listen_v1",
            ["interim", "speech_final", "speech_started", "utterance_end"],
        ),
        (Flux(taught("one two"), FLUX, lambda: 260), "listen_v2", ["connected", "start_of_turn", "update", "end_of_turn"]),
    ],
    ids=["nova", "flux"],
)
def test_its_messages_look_like_the_vendors(dialect: Dialect, file: str, names: list[str]) -> None:
    payloads = json.loads((PAYLOADS / f"{file}.json").read_text())
    messages = [*dialect.opened(), *dialect.heard(voice("one two") + silence(1300)), dialect.error()]
    shapes = [shape(message) for message in messages]
    for name in names:
        assert shape(payloads[name]) in shapes


@pytest.mark.parametrize(
    ("dialect", "version"), [(Nova(taught("one"), NOVA, lambda: 260), "v1"), (Flux(taught("one"), FLUX, lambda: 260), "v2")]
)
def test_the_sdk_finds_every_field_it_knows(dialect: Dialect, version: str) -> None:
    vendor_sdks.prepare()
    from deepgram.core.unchecked_base_model import construct_type
    from deepgram.listen.v1.socket_client import V1SocketClientResponse
    from deepgram.listen.v2.socket_client import V2SocketClientResponse

    union: Any = V1SocketClientResponse if version == "v1" else V2SocketClientResponse
    messages = [*dialect.opened(), *dialect.heard(voice("one") + silence(1300)), *dialect.told({"type": "CloseStream"})]
    for message in [*messages, dialect.error()]:
        known = construct_type(type_=union, object_=message)
        type(known).validate(message)
