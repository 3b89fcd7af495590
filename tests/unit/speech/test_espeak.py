"""The embedded voice, used for real: what it says, and what it must never obey."""

from __future__ import annotations

import sys
import threading

import numpy
import pytest

from throughline.domain.transcripts import TELEPHONE, WIDEBAND
from throughline.errors import ConfigurationError, Unavailable
from throughline.speech import espeak_library
from throughline.speech.espeak_library import Voice
from throughline.speech.tts.espeak import EspeakTts

pytestmark = pytest.mark.unit


async def spoken(text: str, tts: EspeakTts | None = None) -> bytes:
    return b"".join([piece async for piece in (tts or EspeakTts()).speak(text, WIDEBAND)])


def seconds(audio: bytes) -> float:
    return len(audio) / 2 / 16000


def loudness(audio: bytes) -> numpy.ndarray:
    """The loudness of each 20 ms."""
    samples = numpy.frombuffer(audio, "<i2").astype(float)
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return numpy.sqrt((frames**2).mean(axis=1))


def alike(one: bytes, other: bytes) -> bool:
    """Said with the same words in the same way: as long but for one turn of the voice's tone, and loud and soft at the same times.

    espeak-ng carries its voice's phase over from text to text and ends a vowel with a whole turn (10.6 ms at this pitch), so the
    same words come out in two lengths 11 ms apart: one time in eight, measured over 3,000.
    """
    if abs(seconds(one) - seconds(other)) > 0.015:
        return False
    shorter = min(len(loudness(one)), len(loudness(other)))
    return float(numpy.corrcoef(loudness(one)[:shorter], loudness(other)[:shorter])[0, 1]) > 0.9


class TestText:
    async def test_the_same_words_are_the_same_sound(self) -> None:
        first = await spoken("We come on Thursday.")
        for _ in range(20):
            assert alike(first, await spoken("We come on Thursday."))
        assert not alike(await spoken("We come on Thursday."), await spoken("We come on Monday."))

    @pytest.mark.parametrize("markup", ["<break time='5s'/>", "[[h@l'oU]]", "<speak>", "&lt;"])
    async def test_markup_is_read_out_not_obeyed(self, markup: str) -> None:
        assert seconds(await spoken(markup)) > 0.5

    @pytest.mark.parametrize("command", ["\x01+60S", "\x0150P", "\x01", "\x00", "\x1b"])
    async def test_commands_hidden_in_control_characters_are_not_obeyed(self, command: str) -> None:
        harmless = command.replace("\x01", " ").replace("\x00", " ").replace("\x1b", " ")
        assert alike(await spoken(f"thursday {command} morning"), await spoken(f"thursday {harmless} morning"))

    async def test_ends_without_a_pause_so_that_the_caller_may_answer_at_once(self) -> None:
        audio = await spoken("Which day suits you?")
        last_100_ms = memoryview(audio)[-3200:].cast("h")
        assert max(abs(sample) for sample in last_100_ms) > 200

    async def test_nothing_to_say_is_nothing_but_a_moment(self) -> None:
        assert seconds(await spoken("")) == 0
        assert seconds(await spoken("  \n ")) == 0


class TestVoices:
    async def test_parameters_are_heard(self) -> None:
        slow, fast = EspeakTts(rate_wpm=120), EspeakTts(rate_wpm=220)
        assert seconds(await spoken("We come on Thursday.", slow)) > 1.3 * seconds(await spoken("We come on Thursday.", fast))

    async def test_two_voices_take_turns_without_mixing(self) -> None:
        low, high = EspeakTts("en-us", rate_wpm=120), EspeakTts("en-us+f3", rate_wpm=220)
        alone = await spoken("Yes.", low)
        assert not alike(await spoken("Yes.", high), alone)
        assert alike(await spoken("Yes.", low), alone)

    @pytest.mark.parametrize("voice", ["klingon", "en-us+nobody", ""])
    async def test_an_unknown_voice_is_a_fault_of_the_settings(self, voice: str) -> None:
        with pytest.raises(ConfigurationError, match="espeak-ng has no"):
            await EspeakTts(voice).warm_up()

    async def test_a_missing_package_says_how_to_mend_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        espeak_library.load.cache_clear()
        monkeypatch.setitem(sys.modules, "espeakng_loader", None)
        with pytest.raises(Unavailable, match="install the package espeakng-loader"):
            await EspeakTts().warm_up()
        with pytest.raises(Unavailable, match="install the package espeakng-loader"):
            await spoken("Hello.")


class TestLibrary:
    def test_stops_when_the_sink_says_so(self) -> None:
        pieces: list[bytes] = []

        def once(piece: bytes) -> bool:
            pieces.append(piece)
            return False

        espeak_library.load().synthesize("A long sentence that would take a while to say.", Voice(), once)
        assert len(pieces) == 1

    def test_an_error_of_the_sink_comes_out(self) -> None:
        def fails(_piece: bytes) -> bool:
            raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            espeak_library.load().synthesize("Hello.", Voice(), fails)

    def test_threads_do_not_disturb_each_other(self) -> None:
        library = espeak_library.load()

        def say(text: str) -> bytes:
            pieces: list[bytes] = []
            library.synthesize(text, Voice(), lambda piece: pieces.append(piece) is None)
            return b"".join(pieces)

        texts = ["Visit." * number for number in range(1, 9)]
        alone = [say(text) for text in texts]
        together: dict[str, bytes] = {}
        threads = [threading.Thread(target=lambda text=text: together.__setitem__(text, say(text))) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(alike(together[text], before) for text, before in zip(texts, alone, strict=True))

    def test_tells_how_a_word_sounds(self) -> None:
        assert espeak_library.load().phonemes("bosch", Voice()) == ["b", "ˈɑː", "ʃ"]


async def test_telephone_audio_is_one_byte_a_sample() -> None:
    line = b"".join([piece async for piece in EspeakTts().speak("Hello.", TELEPHONE)])
    assert len(line) == pytest.approx(len(await spoken("Hello.")) / 4, abs=8)
