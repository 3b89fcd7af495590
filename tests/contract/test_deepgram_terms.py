"""What Deepgram is told to listen for, at the beginning and at each question, and what becomes of a refusal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.contract.deepgram_calls import KEY, SENTENCE, final_words, flux, nova, reports_until, said, silence
from tests.waiting import until
from throughline.domain.key_terms import KeyTerms
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import Expectation
from throughline.errors import Unavailable
from throughline.simulate.deepgram import DeepgramServer
from throughline.speech.stt.protocol import SpeechToText
from throughline.speech.stt.relay import SttRelay

pytestmark = pytest.mark.contract

Engine = Callable[..., SpeechToText]
TERMS = KeyTerms(always=("Harbor Appliance", "Dee"), by_slot={"brand": ("Bosch", "KitchenAid"), "appliance": ("ice maker",)})
BRAND, FREE = Expectation("name", "brand"), Expectation("free", "problem")
PAYLOADS: dict[str, Any] = json.loads((Path(__file__).parent / "payloads/deepgram/listen_v1.json").read_text())


@pytest.fixture
async def server() -> AsyncIterator[DeepgramServer]:
    async with DeepgramServer(key=KEY) as server:
        yield server


both = pytest.mark.parametrize("engine", [nova, flux], ids=["nova", "flux"])


@both
async def test_all_terms_go_with_the_request(server: DeepgramServer, engine: Engine) -> None:
    stream = await engine(server, terms=TERMS).open(TELEPHONE)
    assert server.visits[0].keyterms == list(TERMS.all())
    await stream.close()


@both
async def test_a_question_with_terms_of_its_own_is_told_once_and_the_next_one_has_all_again(
    server: DeepgramServer, engine: Engine
) -> None:
    stream = await engine(server, terms=TERMS).open(TELEPHONE)
    visit = server.visits[0]
    stream.expect(FREE)  # known already
    stream.expect(BRAND)
    stream.send(silence(200))
    await until(lambda: visit.keyterms == ["Bosch", "KitchenAid", "Harbor Appliance", "Dee"])
    stream.expect(BRAND)
    stream.send(silence(200))
    stream.expect(FREE)
    stream.send(silence(200))
    await until(lambda: visit.keyterms == list(TERMS.all()))
    assert visit.controls == ["Configure", "Configure"]
    await stream.close()


@both
async def test_without_terms_nothing_is_told(server: DeepgramServer, engine: Engine) -> None:
    stream = await engine(server).open(TELEPHONE)
    stream.expect(BRAND)
    stream.send(said(SENTENCE, server))
    await reports_until(stream, "yesterday.")
    assert (server.visits[0].keyterms, "Configure" in server.visits[0].controls) == ([], False)
    await stream.close()


async def test_models_before_nova_3_are_told_nothing(server: DeepgramServer) -> None:
    stream = await nova(server, model="nova-2", terms=TERMS).open(TELEPHONE)
    stream.expect(BRAND)
    stream.send(said(SENTENCE, server))
    assert final_words(await reports_until(stream, "yesterday.")) == SENTENCE
    assert server.visits[0].keyterms == []
    await stream.close()


@both
async def test_the_terms_are_told_again_to_who_takes_over(server: DeepgramServer, engine: Engine) -> None:
    server.misbehave("drop", after=3, times=1)
    stream = await SttRelay([engine(server, terms=TERMS)], open_timeout_ms=5000, retry_after_s=30).open(TELEPHONE)
    stream.expect(BRAND)
    stream.send(said(SENTENCE, server))
    assert final_words(await reports_until(stream, "yesterday.")) == SENTENCE
    await until(lambda: len(server.visits) == 2 and server.visits[1].keyterms[:1] == ["Bosch"])
    await stream.close()


@pytest.mark.parametrize("answer", ["configure_failure", "error"])
async def test_a_server_that_takes_no_terms_later_goes_on_listening(server: DeepgramServer, answer: str) -> None:
    """Older ones know no Configure, and say that they did not understand."""
    stream = await nova(server, terms=TERMS).open(TELEPHONE)
    with capture_logs() as logs:
        stream._dialect.expect(BRAND)  # type: ignore[attr-defined]
        assert stream._dialect._terms.to_tell()  # type: ignore[attr-defined]
        assert stream._dialect.take(message_of(PAYLOADS[answer])) is None  # type: ignore[attr-defined]
    assert [line["event"] for line in logs] == ["speech.key_terms_refused"]
    stream.expect(FREE)
    stream.send(said(SENTENCE, server))
    assert final_words(await reports_until(stream, "yesterday.")) == SENTENCE
    assert "Configure" not in server.visits[0].controls
    with pytest.raises(Unavailable):
        stream._dialect.take(message_of(PAYLOADS["error"]))  # type: ignore[attr-defined]
    await stream.close()


def message_of(payload: dict[str, Any]) -> Any:
    """``payload`` as the SDK hands it on, as far as it is looked at."""
    return type("Message", (), payload)()


@pytest.mark.parametrize(
    ("url", "changes"),
    [("wss://api.deepgram.com", True), ("wss://api.eu.deepgram.com", False), ("https://api.in.deepgram.com", False)],
)
def test_regional_addresses_are_told_no_others_later(url: str, changes: bool) -> None:
    engine = nova(type("Nowhere", (), {"url": url})(), terms=TERMS)  # type: ignore[arg-type]
    assert engine._changes_terms is changes


async def test_eager_ends_of_turn_are_asked_for_where_they_are_wanted(server: DeepgramServer) -> None:
    for eager, expected in [(0.4, "0.4"), (0, None)]:
        stream = await flux(server, eager_eot_threshold=eager).open(TELEPHONE)
        assert server.visits[-1].query.get("eager_eot_threshold") == expected
        stream.send(said(SENTENCE, server))
        reports = await reports_until(stream, "yesterday.")
        assert [report.text for report in reports if report.eager] == ([SENTENCE] if eager else [])
        await stream.close()


async def test_who_goes_on_speaking_was_not_done(server: DeepgramServer) -> None:
    stream = await flux(server, eager_eot_threshold=0.4).open(TELEPHONE)
    first, second = said("My washing machine", server)[:-6400], said("leaks.", server)
    stream.send(first + silence(160) + second[2400:])
    reports = await reports_until(stream, "leaks.")
    texts = [(report.text, report.eager) for report in reports]
    assert ("My washing machine", True) in texts
    after = texts[texts.index(("My washing machine", True)) + 1 :]
    assert not after[0][1], "taken back"
    assert final_words(reports) == "My washing machine leaks."
    await stream.close()
