"""What is particular to Whisper: where its model may come from, and what happens when the machine is too slow.

That a real model is loaded and used is in tests/contract/test_stt.py.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contract.tiny_whisper import make_tiny_whisper
from throughline.domain.key_terms import NO_TERMS, KeyTerms
from throughline.domain.transcripts import WIDEBAND, Transcript
from throughline.domain.turns import Expectation
from throughline.errors import ConfigurationError, Unavailable
from throughline.speech.stt.protocol import SttStream
from throughline.speech.stt.whisper import WhisperStt, is_whisper_model
from throughline.speech.tts.espeak import EspeakTts

pytestmark = pytest.mark.unit


class TestDirectory:
    @pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
    async def test_a_missing_file_is_named_and_nothing_is_fetched(self, tmp_path: Path, missing: str) -> None:
        (make_tiny_whisper(tmp_path) / missing).unlink()
        assert not is_whisper_model(tmp_path)
        with pytest.raises(ConfigurationError, match=f"{missing} missing"):
            await WhisperStt(tmp_path).warm_up()

    async def test_a_name_is_not_taken_for_a_model_on_the_hub(self) -> None:
        with pytest.raises(ConfigurationError, match="fetch-whisper"):
            await WhisperStt(Path("small.en")).warm_up()

    async def test_a_broken_file_is_a_fault_of_the_settings(self, tmp_path: Path) -> None:
        (make_tiny_whisper(tmp_path) / "model.bin").write_bytes(b"nonsense")
        with pytest.raises(ConfigurationError, match="cannot be loaded"):
            await WhisperStt(tmp_path).open(WIDEBAND)

    def test_a_whole_one_is_known(self, tmp_path: Path) -> None:
        assert is_whisper_model(make_tiny_whisper(tmp_path))
        assert not is_whisper_model(None)


class FakeModel:
    """Stands for the loaded model: keeps what it was asked, and answers once it is let go."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self.go = threading.Event()
        self.go.set()
        self._fails = fails

    def transcribe(self, _samples: object, **asked: Any) -> tuple[list[SimpleNamespace], None]:
        self.asked.append(asked)
        self.go.wait(10)
        if self._fails:
            raise RuntimeError("out of memory")
        return [SimpleNamespace(text=f" words {len(self.asked)} ", avg_logprob=-0.5)], None


def engine_with(model: FakeModel, terms: KeyTerms = NO_TERMS) -> WhisperStt:
    engine = WhisperStt(Path("unused"), terms=terms)
    engine._model = model
    return engine


async def until_final(stream: SttStream) -> AsyncIterator[Transcript]:
    async for report in stream.transcripts():
        yield report
        if report.final:
            return


async def said(text: str) -> bytes:
    return bytes(9600) + b"".join([chunk async for chunk in EspeakTts().speak(text, WIDEBAND)]) + bytes(32000)


async def test_the_expectation_of_an_utterance_shapes_how_it_is_written() -> None:
    model = FakeModel()
    stream = await engine_with(model).open(WIDEBAND)
    stream.expect(Expectation("code"))
    stream.send(await said("four eight two one"))
    assert [report async for report in until_final(stream)]
    await stream.close()
    assert "4 8 2 1" in model.asked[-1]["initial_prompt"]
    assert model.asked[-1]["max_new_tokens"] > 0


async def test_confidence_is_the_mean_probability_of_a_token() -> None:
    stream = await engine_with(FakeModel()).open(WIDEBAND)
    stream.send(await said("hello there"))
    report = await stream.transcripts().__anext__()
    await stream.close()
    assert (report.text, report.final) == ("words 1", True)
    assert report.confidence == pytest.approx(0.607, abs=0.001)


async def test_a_machine_too_slow_loses_the_oldest_utterances() -> None:
    model = FakeModel()
    model.go.clear()
    stream = await engine_with(model).open(WIDEBAND)
    for _ in range(8):
        stream.send(await said("hello there"))
    model.go.set()
    finals: list[Transcript] = []
    async for report in stream.transcripts():
        finals.append(report)
        if len(finals) == 5:  # the one that was at work, and the four that could wait
            break
    stream.send(await said("hello there"))
    assert (await stream.transcripts().__anext__()).text == "words 6"
    await stream.close()


async def test_a_model_that_fails_is_lost_to_the_call() -> None:
    stream = await engine_with(FakeModel(fails=True)).open(WIDEBAND)
    stream.send(await said("hello there"))
    with pytest.raises(Unavailable, match="out of memory"):
        _ = [report async for report in stream.transcripts()]
    await stream.close()


async def test_the_companys_words_are_told_with_the_question_that_they_belong_to() -> None:
    model = FakeModel()
    terms = KeyTerms(always=("Harbor",), by_slot={"brand": ("Bosch", "Miele")})
    stream = await engine_with(model, terms=terms).open(WIDEBAND)
    stream.expect(Expectation("name", "brand"))
    stream.send(await said("it's a bosch"))
    assert [report async for report in until_final(stream)]
    assert model.asked[-1]["hotwords"] == "Bosch, Miele, Harbor"
    assert "Dana Reyes" in model.asked[-1]["initial_prompt"]
    await stream.close()


async def test_reports_say_how_far_into_the_call_they_reach() -> None:
    stream = await engine_with(FakeModel()).open(WIDEBAND)
    speech = await said("hello there")
    sent_ms = 0.0
    for _ in range(2):
        stream.send(speech)
        report = [report async for report in until_final(stream)][-1]
        assert report.until_ms is not None
        assert sent_ms < report.until_ms <= sent_ms + 20 * len(speech) / WIDEBAND.frame_bytes
        sent_ms += 20 * len(speech) / WIDEBAND.frame_bytes
    await stream.close()
