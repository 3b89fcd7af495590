"""What every speaking engine keeps to (throughline/speech/tts/protocol.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.simulate.elevenlabs import VOICE_ID, ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.rime import VOICE, RimeServer
from throughline.speech.audio import mulaw_to_l16
from throughline.speech.tts.cache import CachedTts
from throughline.speech.tts.elevenlabs import ElevenLabsTts
from throughline.speech.tts.elevenlabs_socket import ElevenLabsSocketTts
from throughline.speech.tts.espeak import EspeakTts
from throughline.speech.tts.protocol import TextToSpeech
from throughline.speech.tts.relay import TtsRelay
from throughline.speech.tts.rime_account import Account
from throughline.speech.tts.rime_http import RimeHttpTts
from throughline.speech.tts.rime_socket import RimeSocketTts
from throughline.speech.tts.speech_store import SpeechStore

pytestmark = pytest.mark.contract

SENTENCE = "Thanks. When would you like us to come?"


@pytest.fixture(scope="module")
def elevenlabs() -> Iterator[ElevenLabsServer]:
    """ElevenLabs' protocol on this machine, the embedded voice behind it."""
    with in_thread(ElevenLabsServer(key="key", first_byte_ms=1, pace=0)) as server:
        yield server


@pytest.fixture(scope="module")
def rime() -> Iterator[RimeServer]:
    """Rime's protocols, likewise."""
    with in_thread(RimeServer(key="key", first_byte_ms=1, pace=0)) as server:
        yield server


class Closing(Protocol):
    async def close(self) -> None: ...


@pytest.fixture(params=["espeak", "elevenlabs", "elevenlabs-websocket", "rime-http", "rime-websocket", "relay", "kept"])
async def tts(
    request: pytest.FixtureRequest, elevenlabs: ElevenLabsServer, rime: RimeServer, tmp_path: Path
) -> AsyncIterator[TextToSpeech]:
    vendor = ElevenLabsTts(
        "key", url=elevenlabs.url, voice_id=VOICE_ID, model="eleven_flash_v2_5", first_audio_timeout_ms=10_000
    )
    vendor_socket = ElevenLabsSocketTts(
        "key", url=elevenlabs.url, voice_id=VOICE_ID, model="eleven_flash_v2_5", first_audio_timeout_ms=10_000
    )
    account = Account("key", model="mistv3", voice=VOICE, language="eng")
    rime_http = RimeHttpTts(account, url=rime.url, first_audio_timeout_ms=10_000)
    rime_socket = RimeSocketTts(account, url=rime.ws_url, first_audio_timeout_ms=10_000)
    relay = TtsRelay([vendor, EspeakTts()], first_audio_timeout_ms=10_000, retry_after_s=30)
    kept = CachedTts(EspeakTts(), SpeechStore(tmp_path, most_bytes=10_000_000), voice="")
    kept.keep(["Hello.", "Yes.", SENTENCE, SENTENCE * 3, "word " * 300])  # some of what is said below
    engines: dict[str, TextToSpeech] = {
        "espeak": EspeakTts(),
        "elevenlabs": vendor,
        "elevenlabs-websocket": vendor_socket,
        "rime-http": rime_http,
        "rime-websocket": rime_socket,
        "relay": relay,
        "kept": kept,
    }
    yield engines[request.param]
    closing: list[Closing] = [vendor, vendor_socket, rime_http, rime_socket]
    for engine in closing:
        await engine.close()


async def said(tts: TextToSpeech, text: str, audio: AudioFormat = WIDEBAND) -> bytes:
    return b"".join([chunk async for chunk in tts.speak(text, audio)])


def seconds(speech: bytes, audio: AudioFormat) -> float:
    return len(speech) / audio.frame_bytes / 50


async def test_has_a_name_and_warms_up_as_often_as_asked(tts: TextToSpeech) -> None:
    await tts.warm_up()
    await tts.warm_up()
    assert tts.name


@pytest.mark.parametrize("audio", [TELEPHONE, WIDEBAND], ids=lambda audio: f"{audio.encoding}-{audio.sample_rate_hz}")
async def test_speaks_in_the_format_asked_for_loud_enough_and_unclipped(tts: TextToSpeech, audio: AudioFormat) -> None:
    speech = await said(tts, SENTENCE, audio)
    assert 1.5 < seconds(speech, audio) < 5
    linear = mulaw_to_l16(speech) if audio.encoding == "mulaw" else speech
    samples = np.frombuffer(linear, dtype="<i2").astype(float)
    assert 1000 < samples.std() < 8000
    assert np.mean(np.abs(samples) >= 32124) < 0.001  # mu-law's largest value


async def test_speech_comes_in_chunks_as_it_is_made(tts: TextToSpeech) -> None:
    chunks = [chunk async for chunk in tts.speak(SENTENCE, WIDEBAND)]
    assert len(chunks) > 5
    assert all(chunks)


async def test_longer_text_is_longer_speech(tts: TextToSpeech) -> None:
    assert len(await said(tts, SENTENCE * 3)) > 2.5 * len(await said(tts, SENTENCE))


async def test_slower_is_longer_and_faster_shorter_as_far_as_the_engine_can(tts: TextToSpeech) -> None:
    lengths = []
    for speed in (0.1, 0.7, 0.85, 1.0, 1.2):
        lengths.append(sum([len(chunk) async for chunk in tts.speak(SENTENCE * 3, WIDEBAND, speed=speed)]))
    assert lengths[0] > 0.999 * lengths[1]  # where it is the same speed, the embedded voice is some samples shorter or longer
    assert lengths[1] > lengths[2] > lengths[3] > lengths[4]
    assert lengths[1] == pytest.approx(lengths[3] / 0.7, rel=0.2)


async def test_a_very_long_text_is_said_to_its_end(tts: TextToSpeech) -> None:
    whole = await said(tts, SENTENCE + " " + "word " * 400, TELEPHONE)
    assert seconds(whole, TELEPHONE) > 60


async def test_closing_the_speech_leaves_the_engine_usable(tts: TextToSpeech) -> None:
    speech = tts.speak("word " * 500, WIDEBAND)
    assert await speech.__anext__()
    await speech.aclose()  # type: ignore[attr-defined]
    assert seconds(await said(tts, "Yes."), WIDEBAND) < 1.5


async def test_a_cancelled_listener_leaves_the_engine_usable(tts: TextToSpeech) -> None:
    listening = asyncio.create_task(said(tts, "word " * 2000))
    await asyncio.sleep(0.01)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert seconds(await said(tts, "Yes."), WIDEBAND) < 1.5


async def test_several_calls_speak_at_once_each_with_its_own_words(tts: TextToSpeech) -> None:
    texts = ["Yes.", SENTENCE, SENTENCE * 3]
    alone = [len(await said(tts, text)) for text in texts]
    together = [len(speech) for speech in await asyncio.gather(*(said(tts, text) for text in texts))]
    assert together == pytest.approx(alone, rel=0.02)


async def test_the_loop_goes_on_while_the_engine_works(tts: TextToSpeech) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    chunks = len([chunk async for chunk in tts.speak("word " * 300, WIDEBAND)])
    ticking.cancel()
    assert ticks > chunks / 2


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\x00"])
async def test_nothing_to_say_is_hardly_any_audio(tts: TextToSpeech, text: str) -> None:
    assert seconds(await said(tts, text), WIDEBAND) < 0.1


@pytest.mark.parametrize("text", ["<b>bold</b>", "a & b < c", "José, 50 % — “ok”…", "🙂 fine", "7 4 1 2", "x" * 700])
async def test_any_text_can_be_said(tts: TextToSpeech, text: str) -> None:
    assert seconds(await said(tts, text), WIDEBAND) > 0.2


async def test_markup_is_words(tts: TextToSpeech) -> None:
    plain = await said(tts, "Hello.")
    assert len(await said(tts, "<break time='10s'/>Hello.")) > len(plain) * 2  # read out
    assert seconds(await said(tts, "<break time='10s'/>Hello."), WIDEBAND) < 9  # not obeyed
