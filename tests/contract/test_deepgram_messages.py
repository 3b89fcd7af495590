"""Every message that Deepgram sends, through the real SDK, and what becomes of it. And messages that it should never send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contract.deepgram_calls import KEY, flux, nova, reports_until, reports_until_lost
from throughline.domain.transcripts import TELEPHONE, Transcript
from throughline.errors import Unavailable
from throughline.simulate.deepgram import DeepgramServer
from throughline.speech.stt.protocol import SttStream

pytestmark = pytest.mark.contract

PAYLOADS = Path(__file__).parent / "payloads" / "deepgram"
NOVA: dict[str, dict[str, Any]] = json.loads((PAYLOADS / "listen_v1.json").read_text())
FLUX: dict[str, dict[str, Any]] = json.loads((PAYLOADS / "listen_v2.json").read_text())
LAST = "That is all."

Told = tuple[str, bool, bool, int]
"""Text, final, end of turn, quiet before it in ms."""


@pytest.fixture
async def server() -> AsyncIterator[DeepgramServer]:
    async with DeepgramServer(key=KEY) as server:
        yield server


def results(text: Any = LAST, **changed: Any) -> str:
    """Nova's final words, changed as told."""
    best = {**NOVA["speech_final"]["channel"]["alternatives"][0], "transcript": text, **changed.pop("best", {})}
    return json.dumps({**NOVA["speech_final"], "channel": {"alternatives": [best]}, **changed})


def end_of_turn(text: Any = LAST, **changed: Any) -> str:
    """Flux's final words, changed as told."""
    return json.dumps({**FLUX["end_of_turn"], "transcript": text, **changed})


async def nova_hears(server: DeepgramServer, frames: Sequence[str | bytes]) -> tuple[SttStream, list[Transcript]]:
    server.misbehave([*frames, results()], times=1)
    stream = await nova(server).open(TELEPHONE)
    return stream, (await reports_until(stream, LAST))[:-1]


async def flux_hears(server: DeepgramServer, frames: Sequence[str | bytes]) -> tuple[SttStream, list[Transcript]]:
    server.misbehave([*frames, end_of_turn()], times=1)
    stream = await flux(server).open(TELEPHONE)
    return stream, (await reports_until(stream, LAST))[:-1]


def told(reports: list[Transcript]) -> list[Told]:
    return [(report.text, report.final, report.end_of_turn, report.quiet_ms) for report in reports]


WORDS = "My washing machine leaks."
INTERIM: Told = ("My washing machine", False, False, 0)
FINAL: Told = (WORDS, True, False, 0)
QUIET: Told = (WORDS, True, False, 300)
OVER: Told = (WORDS, True, True, 0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["interim"], [INTERIM]),
        (["final"], [FINAL]),
        (["speech_final"], [QUIET]),
        (["from_finalize"], [FINAL]),
        (["empty"], []),
        (["empty_final"], []),
        (["empty_speech_final"], []),
        (["speech_started"], []),
        (["metadata"], []),
        (["configure_success"], []),
        (["configure_failure"], []),
        (["utterance_end"], []),
        (["interim", "interim", "final", "empty_speech_final"], [INTERIM, INTERIM, FINAL, ("", True, False, 300)]),
        (["speech_final", "empty_speech_final"], [QUIET]),
        (["speech_final", "utterance_end"], [QUIET, ("", True, True, 0)]),
        (["speech_final", "utterance_end", "utterance_end"], [QUIET, ("", True, True, 0)]),
    ],
    ids=lambda value: "-".join(value) if value and isinstance(value[0], str) else "",
)
async def test_nova(server: DeepgramServer, names: list[str], expected: list[Told]) -> None:
    stream, reports = await nova_hears(server, [json.dumps(NOVA[name]) for name in names])
    assert told(reports) == expected
    await stream.close()


async def test_nova_takes_words_back_once(server: DeepgramServer) -> None:
    """What looked like words was a noise: it must not stay in anybody's ear. That it is still no word need not be told again."""
    stream, reports = await nova_hears(
        server, [json.dumps(NOVA[name]) for name in ("interim", "empty", "empty", "empty_final")]
    )
    assert told(reports) == [INTERIM, ("", False, False, 0)]
    await stream.close()
    stream, reports = await nova_hears(server, [json.dumps(NOVA[name]) for name in ("interim", "empty_final")])
    assert told(reports) == [INTERIM, ("", True, False, 0)]
    await stream.close()


async def test_nova_does_not_end_a_turn_whose_words_are_on_their_way(server: DeepgramServer) -> None:
    names = ["speech_final", "interim", "utterance_end", "final", "utterance_end"]
    stream, reports = await nova_hears(server, [json.dumps(NOVA[name]) for name in names])
    assert told(reports) == [QUIET, INTERIM, FINAL, ("", True, True, 0)]
    await stream.close()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["update_before_speech"], []),
        (["start_of_turn"], [("My", False, False, 0)]),
        (["update"], [INTERIM]),
        (["eager_end_of_turn"], [(WORDS, False, False, 0)]),
        (["turn_resumed"], [(WORDS, False, False, 0)]),
        (["end_of_turn"], [OVER]),
        (["end_of_turn_forced"], [OVER]),
        (["end_of_turn_new_trigger"], [OVER]),
        (["end_of_turn_empty"], []),
        (["update", "end_of_turn_empty"], [INTERIM, ("", True, True, 0)]),
        (["connected", "warning", "configure_success", "configure_failure"], []),
    ],
    ids=lambda value: "-".join(value) if value and isinstance(value[0], str) else "",
)
async def test_flux(server: DeepgramServer, names: list[str], expected: list[Told]) -> None:
    stream, reports = await flux_hears(server, [json.dumps(FLUX[name]) for name in names])
    assert told(reports) == expected
    await stream.close()


async def test_every_kind_of_message_is_tested() -> None:
    """The SDK's own list of what may come."""
    from deepgram.listen.v1 import socket_client as v1
    from deepgram.listen.v2 import socket_client as v2

    for payloads, union in ((NOVA, v1.V1SocketClientResponse), (FLUX, v2.V2SocketClientResponse)):
        kinds = {model.__fields__["type"].default for model in union.__args__}
        assert {message["type"] for message in payloads.values()} == kinds


async def test_an_error_is_the_end(server: DeepgramServer) -> None:
    server.misbehave([json.dumps(NOVA["final"]), json.dumps(NOVA["error"]), results()], times=1)
    server.misbehave([json.dumps(FLUX["error"])], times=1)
    reports: list[Transcript] = []
    stream = await nova(server).open(TELEPHONE)
    with pytest.raises(Unavailable, match=r"^deepgram nova-3: error_message \(SchemaError\)$"):
        await reports_until_lost(stream, reports)
    assert told(reports) == [FINAL]
    with pytest.raises(Unavailable):  # however often one asks
        await reports_until_lost(stream, reports)
    await stream.close()
    stream = await flux(server).open(TELEPHONE)
    with pytest.raises(Unavailable, match=r"^deepgram flux-general-en: error_message \(INTERNAL_SERVER_ERROR\)$"):
        await reports_until_lost(stream, reports)
    await stream.close()


async def test_how_sure_it_is(server: DeepgramServer) -> None:
    stream, reports = await nova_hears(server, [json.dumps(NOVA["speech_final"])])
    assert reports[0].confidence == 0.99964225
    await stream.close()
    stream, reports = await flux_hears(server, [json.dumps(FLUX["end_of_turn"])])
    assert reports[0].confidence == pytest.approx((0.99 + 0.98 + 0.97 + 0.86) / 4)
    await stream.close()


ODD = [
    "",
    "no json",
    "{",
    "5",
    "null",
    '"text"',
    "[]",
    "[" * 50_000,
    "{}",
    b"\x00\xff",
    '{"type": 5}',
    '{"type": "Results"}',
    '{"type": "Results", "channel": "none"}',
    '{"type": "Results", "channel": {"alternatives": {}}}',
    '{"type": "Results", "channel": {"alternatives": []}}',
    '{"type": "Results", "channel": {"alternatives": ["words"]}}',
    '{"type": "Results", "channel": {"alternatives": [{"transcript": ["words"]}]}}',
    '{"type": "TurnInfo"}',
    '{"type": "TurnInfo", "event": "Update"}',
    '{"type": "TurnInfo", "event": ["EndOfTurn"], "transcript": "words"}',
    '{"type": "TurnInfo", "event": "TurnMelted", "transcript": "words"}',
    '{"type": "SomethingNew", "transcript": "words", "_fields_set": 1, "self": 2}',
]


@pytest.mark.parametrize("hears", [nova_hears, flux_hears])
async def test_what_makes_no_sense_is_ignored_and_counted(server: DeepgramServer, hears: Any) -> None:
    stream, reports = await hears(server, ODD)
    assert reports == []
    with capture_logs() as logs:
        await stream.close()
    assert [(line["event"], line["count"]) for line in logs] == [("speech.messages_ignored", len(ODD))]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1, 7, 10**400, None, "high", [0.5]], ids=lambda value: str(value)[:5]
)
async def test_numbers_that_are_none_are_left_out(server: DeepgramServer, value: Any) -> None:
    words = [{"word": "Yes", "confidence": value}]
    stream, reports = await nova_hears(server, [results("Yes.", start=value, best={"confidence": value})])
    assert (reports[0].text, reports[0].confidence) == ("Yes.", None)
    assert reports[0].until_ms in (None, 0.0)
    await stream.close()
    stream, reports = await flux_hears(server, [end_of_turn("Yes.", words=words, audio_window_end=value)])
    assert (reports[0].text, reports[0].confidence) == ("Yes.", None)
    await stream.close()


async def test_a_text_without_end_is_cut(server: DeepgramServer) -> None:
    stream, reports = await nova_hears(server, [results("word " * 20_000)])
    assert len(reports[0].text) < 4001
    assert set(reports[0].text.split()) == {"word"}
    await stream.close()


async def test_a_message_without_end_ends_the_line() -> None:
    async with DeepgramServer(key=KEY, latency_ms=100) as server:
        server.misbehave([results("Yes."), results("word " * 40_000)])
        stream = await nova(server).open(TELEPHONE)
        with pytest.raises(Unavailable, match=r"connection_lost \(1009"):
            await reports_until_lost(stream, [])
        await stream.close()


async def test_flux_says_when_somebody_may_be_done_and_takes_it_back(server: DeepgramServer) -> None:
    names = ["update", "eager_end_of_turn", "turn_resumed", "eager_end_of_turn", "end_of_turn"]
    stream, reports = await flux_hears(server, [json.dumps(FLUX[name]) for name in names])
    assert [report.eager for report in reports] == [False, True, False, True, False]
    assert [report.final for report in reports] == [False, False, False, False, True]
    await stream.close()
