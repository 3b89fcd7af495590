"""The demo recogniser on real audio: chosen sentences, said by the embedded voice, at the page's 16 kHz.

What else it understands is for benchmarks/speech.py to tell; here are the words of a guided call, chosen so that both ways in which
espeak-ng says them (it takes two, see test_espeak.py) are understood, 24 times of 24. "Maria" was taken for "Murray" 5 times of 24.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from throughline.domain.transcripts import WIDEBAND, Transcript
from throughline.speech.audio import Framer
from throughline.speech.stt import pocketsphinx_models
from throughline.speech.stt.pocketsphinx_ear import PocketsphinxEar, chosen, digits_in
from throughline.speech.stt.pocketsphinx_files import DICTIONARY
from throughline.speech.tts.espeak import EspeakTts

pytestmark = pytest.mark.unit

TRAINING = """version: "3.1"
nlu:
- intent: inform
  examples: |
    - yes
    - since yesterday
    - it's a [bosch](brand)
    - my [washing machine](appliance) leaks
    - no the [dryer](appliance)
    - i'm [dana reyes](person_name)
    - i want to talk to a person
    - what are your opening hours
    - i don't know
    - nothing else thank you
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nlu")
    (folder / "nlu.yml").write_text(TRAINING, encoding="utf-8")
    return pocketsphinx_models.prepare(folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def ear(models: Path) -> PocketsphinxEar:
    return PocketsphinxEar(models, WIDEBAND)


async def _speech(text: str) -> bytes:
    return b"".join([chunk async for chunk in EspeakTts().speak(text, WIDEBAND)])


def said(text: str) -> bytes:
    """The words between silences of 300 and 700 ms."""
    return bytes(32 * 300) + asyncio.run(_speech(text)) + bytes(32 * 700)


def hear(ear: PocketsphinxEar, audio: bytes) -> list[Transcript]:
    return [report for frame in Framer(WIDEBAND.frame_bytes).push(audio) for report in ear.hear(frame)]


@pytest.mark.parametrize(
    ("kind", "text", "heard"),
    [
        ("yes_no", "Yes.", {"yes"}),
        ("yes_no", "No, thank you.", {"no thank you"}),
        ("free", "My washing machine leaks.", {"my washing machine leaks"}),
        ("free", "It's a Bosch.", {"it's a bosch"}),
        ("free", "Since yesterday.", {"since yesterday"}),
        ("date", "Friday afternoon.", {"friday afternoon"}),
        ("time", "Two in the afternoon.", {"two in the afternoon"}),
        ("name", "It's Linda Thompson.", {"it's linda thompson"}),
        ("postcode", "It's 9 7 2 1 4", {"it's nine seven two one four"}),
        ("code", "4 8 2 1 3 3 7 7", {"four eight two one three three seven seven"}),
    ],
)
def test_the_answers_of_a_guided_call_are_heard(ear: PocketsphinxEar, kind: str, text: str, heard: set[str]) -> None:
    ear.expect(kind)
    assert {report.text for report in hear(ear, said(text)) if report.final} == heard


@pytest.mark.parametrize("kind", ["yes_no", "code", "postcode", "date", "name"])
def test_the_caller_may_say_something_else_than_was_asked(ear: PocketsphinxEar, kind: str) -> None:
    ear.expect(kind)
    assert [report.text for report in hear(ear, said("I want to talk to a person.")) if report.final] == [
        "i want to talk to a person"
    ]


def test_interim_hypotheses_come_while_the_caller_speaks(ear: PocketsphinxEar) -> None:
    reports = hear(ear, said("My washing machine leaks."))
    assert [report.final for report in reports] == [False] * (len(reports) - 1) + [True]
    assert len(reports) >= 3


def test_the_same_audio_gives_the_same_transcripts(models: Path) -> None:
    audio = said("What are your opening hours?")
    assert hear(PocketsphinxEar(models, WIDEBAND), audio) == hear(PocketsphinxEar(models, WIDEBAND), audio)


def test_silence_is_nothing(ear: PocketsphinxEar) -> None:
    assert hear(ear, bytes(32 * 2000)) == []
    assert ear.flush() == []


def test_an_unknown_kind_is_heard_as_free_speech(ear: PocketsphinxEar) -> None:
    ear.expect("../../etc/passwd")
    assert hear(ear, said("It's a Bosch."))[-1] == Transcript("it's a bosch", final=True)


def test_models_are_made_once_for_the_same_sentences(tmp_path: Path) -> None:
    nlu, cache = tmp_path / "nlu", tmp_path / "cache"
    nlu.mkdir()
    (nlu / "nlu.yml").write_text(TRAINING, encoding="utf-8")
    first = pocketsphinx_models.prepare(nlu, cache)
    made_at = first.stat().st_mtime_ns
    assert pocketsphinx_models.prepare(nlu, cache) == first
    assert first.stat().st_mtime_ns == made_at
    (nlu / "nlu.yml").write_text(TRAINING + "    - the freezer is warm\n", encoding="utf-8")
    second = pocketsphinx_models.prepare(nlu, cache)
    assert second != first
    assert "freezer" in (second / DICTIONARY).read_text()
    assert sorted(path.name for path in cache.iterdir()) == sorted([first.name, second.name])


class TestChoice:
    @pytest.mark.parametrize(
        ("text", "count"), [("nine seven", 2), ("double four one", 3), ("my code is oh one", 2), ("yes", 0)]
    )
    def test_counts_digits(self, text: str, count: int) -> None:
        assert digits_in(text) == count

    def test_whole_digits_that_sound_alike_win(self) -> None:
        assert chosen("i need seven two oh one", "nine seven two oh one", 5) == "nine seven two oh one"

    @pytest.mark.parametrize(
        ("free", "strict"),
        [
            ("i want to talk to a person", "five one eight two two"),
            ("no the dryer", "two double nine one one"),
            ("four eight two one", "four eight two"),
            ("yes", ""),
        ],
    )
    def test_another_sentence_or_half_a_number_stays_what_it_is(self, free: str, strict: str) -> None:
        assert chosen(free, strict, 5) == free
