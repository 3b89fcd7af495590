"""What every listening engine keeps to (throughline/speech/stt/protocol.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.tiny_whisper import make_tiny_whisper
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat, Transcript
from throughline.domain.turns import EXPECTATIONS, Expectation
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.openai_whisper import TranscriptionServer
from throughline.speech.stt.deepgram_flux import DeepgramFlux
from throughline.speech.stt.deepgram_nova import DeepgramNova
from throughline.speech.stt.openai_whisper import OpenAiWhisper
from throughline.speech.stt.pocketsphinx import PocketsphinxStt
from throughline.speech.stt.protocol import SpeechToText, SttStream
from throughline.speech.stt.relay import SttRelay
from throughline.speech.stt.whisper import WhisperStt
from throughline.speech.tts.espeak import EspeakTts

pytestmark = pytest.mark.contract

PATIENCE_S = 60
TRAINING = "nlu:\n- intent: inform\n  examples: |\n    - my washing machine leaks\n    - it's a bosch\n    - since yesterday\n"


_SPOKEN: dict[tuple[str, AudioFormat], bytes] = {}
SENTENCES = ("My washing machine leaks.", "My washing machine", "Since yesterday.", "It's a Bosch.")


def pocketsphinx(folder: Path, _until_the_end: ExitStack) -> SpeechToText:
    (folder / "nlu").mkdir()
    (folder / "nlu" / "nlu.yml").write_text(TRAINING, encoding="utf-8")
    return PocketsphinxStt.from_training_data(folder / "nlu", cache=folder / "cache")


def whisper(folder: Path, _until_the_end: ExitStack) -> SpeechToText:
    """A real model with random weights: its words mean nothing, all the rest is the real thing."""
    return WhisperStt(make_tiny_whisper(folder / "tiny"))


def taught_deepgram(until_the_end: ExitStack) -> DeepgramServer:
    """A Deepgram that knows what is said here."""
    server = until_the_end.enter_context(in_thread(DeepgramServer(key="the key")))
    for audio in (TELEPHONE, WIDEBAND):
        for sentence in SENTENCES:
            server.teach(sentence, audio, asyncio.run(words(sentence, audio)))
    return server


def nova(_folder: Path, until_the_end: ExitStack) -> SpeechToText:
    return DeepgramNova(
        "the key",
        url=taught_deepgram(until_the_end).url,
        model="nova-3",
        language="en-US",
        endpointing_ms=300,
        utterance_end_ms=1000,
        open_timeout_ms=5000,
        stall_timeout_ms=30_000,
    )


def flux(_folder: Path, until_the_end: ExitStack) -> SpeechToText:
    return DeepgramFlux(
        "the key",
        url=taught_deepgram(until_the_end).url,
        model="flux-general-en",
        eot_threshold=0.7,
        eot_timeout_ms=5000,
        open_timeout_ms=5000,
        stall_timeout_ms=30_000,
    )


def openai(_folder: Path, until_the_end: ExitStack) -> SpeechToText:
    """A server that makes up its words; all the rest is the real thing."""
    server = until_the_end.enter_context(in_thread(TranscriptionServer(key="the-key")))
    engine = OpenAiWhisper(server.url, key="the-key", model="whisper-1", timeout_ms=20_000)
    until_the_end.callback(lambda: asyncio.run(engine.close()))
    return engine


def relay(folder: Path, until_the_end: ExitStack) -> SpeechToText:
    """What a call really has: several engines that look like one."""
    engines = [nova(folder, until_the_end), flux(folder, until_the_end)]
    return SttRelay(engines, open_timeout_ms=5000, retry_after_s=30)


@pytest.fixture(scope="module", params=[pocketsphinx, whisper, openai, nova, flux, relay], ids=lambda make: make.__name__)
def stt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpeechToText]:
    make: Callable[[Path, ExitStack], SpeechToText] = request.param
    with ExitStack() as until_the_end:
        yield make(tmp_path_factory.mktemp("engine"), until_the_end)


@pytest.fixture(params=[TELEPHONE, WIDEBAND], ids=lambda audio: f"{audio.encoding}-{audio.sample_rate_hz}")
def audio(request: pytest.FixtureRequest) -> AudioFormat:
    audio_format: AudioFormat = request.param
    return audio_format


@pytest.fixture
async def listening(stt: SpeechToText, audio: AudioFormat) -> AsyncIterator[SttStream]:
    stream = await stt.open(audio)
    yield stream
    await stream.close()


def silence(audio: AudioFormat, ms: int) -> bytes:
    return (b"\xff" if audio.encoding == "mulaw" else b"\x00") * (audio.frame_bytes * ms // 20)


async def words(text: str, audio: AudioFormat) -> bytes:
    """``text`` spoken, in whole frames, and each time with the same bytes: espeak by itself never says a thing twice alike."""
    if (text, audio) not in _SPOKEN:
        speech = b"".join([chunk async for chunk in EspeakTts().speak(text, audio)])
        _SPOKEN[text, audio] = speech + silence(audio, 20)[len(speech) % audio.frame_bytes :]
    return _SPOKEN[text, audio]


async def said(text: str, audio: AudioFormat) -> bytes:
    return silence(audio, 300) + await words(text, audio) + silence(audio, 1000)


async def until_final(stream: SttStream) -> list[Transcript]:
    """All reports up to the next final words. (That a turn is over may be reported without any.)"""
    reports: list[Transcript] = []
    async for report in stream.transcripts():
        if report.final and not report.text:
            continue
        reports.append(report)
        if report.final:
            break
    return reports


async def soon(result: Awaitable[list[Transcript]]) -> list[Transcript]:
    return await asyncio.wait_for(result, PATIENCE_S)


async def test_says_who_it_is_and_warms_up_as_often_as_asked(stt: SpeechToText) -> None:
    await stt.warm_up()
    await stt.warm_up()
    assert stt.name
    assert isinstance(stt.demo, bool)


async def test_an_utterance_is_reported_as_it_grows_and_once_as_final(listening: SttStream, audio: AudioFormat) -> None:
    speech = await said("My washing machine leaks.", audio)
    for start in range(0, len(speech), audio.frame_bytes):
        listening.send(speech[start : start + audio.frame_bytes])
    reports = await soon(until_final(listening))
    assert [report.final for report in reports] == [False] * (len(reports) - 1) + [True]
    assert all(report.text for report in reports)
    assert all(report.confidence is None or 0 <= report.confidence <= 1 for report in reports)
    sent_ms = 20 * len(speech) / audio.frame_bytes
    assert all(report.until_ms is None or 0 < report.until_ms <= sent_ms for report in reports)


async def test_two_utterances_are_two_finals(listening: SttStream, audio: AudioFormat) -> None:
    listening.send(await said("Since yesterday.", audio) + await said("It's a Bosch.", audio))
    assert (await soon(until_final(listening)))[-1].final
    assert (await soon(until_final(listening)))[-1].final


async def test_a_flush_ends_the_utterance_without_waiting_for_silence(listening: SttStream, audio: AudioFormat) -> None:
    listening.send(silence(audio, 200) + await words("My washing machine leaks.", audio))
    listening.flush()
    assert (await soon(until_final(listening)))[-1].final


async def test_silence_is_not_reported_not_even_when_flushed(listening: SttStream, audio: AudioFormat) -> None:
    listening.send(silence(audio, 1500))
    listening.flush()
    listening.send(await said("It's a Bosch.", audio))  # the first final is about this
    listening.flush()
    finals: list[Transcript] = []

    async def collect() -> None:
        async for report in listening.transcripts():
            if report.final and report.text:
                finals.append(report)

    collecting = asyncio.create_task(collect())
    for _ in range(PATIENCE_S * 20):
        if finals:
            break
        await asyncio.sleep(0.05)
    await listening.close()
    await collecting
    assert len(finals) == 1


@pytest.mark.parametrize("kind", EXPECTATIONS)
async def test_every_kind_of_expectation_is_understood(stt: SpeechToText, kind: str) -> None:
    stream = await stt.open(WIDEBAND)
    stream.expect(Expectation(kind, slot="anything"))
    stream.send(await said("Since yesterday.", WIDEBAND))
    assert (await soon(until_final(stream)))[-1].final
    await stream.close()


async def test_closing_ends_the_transcripts_and_may_be_done_twice(stt: SpeechToText, audio: AudioFormat) -> None:
    stream = await stt.open(audio)
    stream.send(await words("My washing machine", audio))

    async def all_reports() -> list[Transcript]:
        return [report async for report in stream.transcripts()]

    listening = asyncio.create_task(all_reports())
    await asyncio.sleep(0.05)
    await stream.close()
    await stream.close()
    assert not any(report.final for report in await soon(listening))
    stream.send(silence(audio, 20))  # late audio after the end of a call is nobody's fault
    stream.flush()
    stream.expect(Expectation())


async def test_more_audio_than_can_be_held_never_blocks_and_does_not_deafen(stt: SpeechToText) -> None:
    stream = await stt.open(WIDEBAND)
    for _ in range(60):
        stream.send(silence(WIDEBAND, 1000))  # a minute at once, without giving way
    stream.send(await said("It's a Bosch.", WIDEBAND))
    assert (await soon(until_final(stream)))[-1].final
    await stream.close()


async def test_calls_do_not_hear_each_other(stt: SpeechToText) -> None:
    speaking, silent = await stt.open(WIDEBAND), await stt.open(TELEPHONE)
    overheard: list[Transcript] = []

    async def overhear() -> None:
        overheard.extend([report async for report in silent.transcripts()])

    listening = asyncio.create_task(overhear())
    speaking.send(await said("My washing machine leaks.", WIDEBAND))
    silent.send(silence(TELEPHONE, 3000))
    assert (await soon(until_final(speaking)))[-1].final
    await speaking.close()
    await silent.close()
    await listening
    assert overheard == []
