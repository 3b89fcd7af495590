"""Samples change their form and stay the same sound."""

from __future__ import annotations

import audioop

import numpy as np
import pytest

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.speech.audio import Converter, Framer, Resampler, l16_to_mulaw, level_dbfs, mulaw_to_l16

pytestmark = pytest.mark.unit


def tone(rate_hz: int, seconds: float = 0.5, pitch_hz: float = 440.0) -> bytes:
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return (np.sin(2 * np.pi * pitch_hz * at) * 12000).astype("<i2").tobytes()


def pitch_of(audio: bytes, rate_hz: int) -> float:
    samples = np.frombuffer(audio, dtype="<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate_hz / len(samples))


class TestMulaw:
    def test_every_code_decodes_as_g711_says(self) -> None:
        codes = bytes(range(256))
        assert mulaw_to_l16(codes) == audioop.ulaw2lin(codes, 2)

    def test_every_sample_encodes_to_the_nearest_code_or_its_neighbour(self) -> None:
        samples = np.arange(-32768, 32768, dtype=np.int32)
        encoded = mulaw_to_l16(l16_to_mulaw(samples.astype("<i2").tobytes()))
        error = np.abs(np.frombuffer(encoded, dtype="<i2").astype(np.int32) - samples)
        assert (error <= np.maximum(np.abs(samples) // 16, 8) + 8).all()

    def test_a_decoded_code_encodes_to_itself(self) -> None:
        codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7F is minus zero, which encodes as plus zero
        assert l16_to_mulaw(mulaw_to_l16(codes)) == codes


class TestResampler:
    @pytest.mark.parametrize(("from_hz", "to_hz"), [(22050, 8000), (8000, 16000), (22050, 16000), (16000, 8000)])
    def test_keeps_pitch_and_length_however_the_stream_is_cut(self, from_hz: int, to_hz: int) -> None:
        resampler, audio, out = Resampler(from_hz, to_hz), tone(from_hz), b""
        for start in range(0, len(audio), 333):  # an odd number of bytes: samples are cut in half
            out += resampler.process(audio[start : start + 333])
        out += resampler.flush()
        assert len(out) == pytest.approx(len(audio) * to_hz / from_hz, abs=4)
        assert pitch_of(out, to_hz) == pytest.approx(440, abs=3)

    def test_starts_afresh_after_a_flush(self) -> None:
        resampler = Resampler(8000, 16000)
        first = resampler.process(tone(8000)) + resampler.flush()
        assert resampler.process(tone(8000)) + resampler.flush() == first


class TestConverter:
    def test_telephone_to_wideband_and_back(self) -> None:
        there, back = Converter(TELEPHONE, WIDEBAND), Converter(WIDEBAND, TELEPHONE)
        line = l16_to_mulaw(tone(8000))
        wide = there.process(line) + there.flush()
        assert len(wide) == len(line) * 4
        assert pitch_of(mulaw_to_l16(back.process(wide) + back.flush()), 8000) == pytest.approx(440, abs=3)

    def test_the_same_format_passes_untouched(self) -> None:
        assert Converter(TELEPHONE, TELEPHONE).process(b"\x01\x02\x03") == b"\x01\x02\x03"

    def test_refuses_an_unknown_encoding(self) -> None:
        with pytest.raises(ValueError, match="opus"):
            Converter(AudioFormat("opus", 48000), TELEPHONE)


class TestFramer:
    def test_cuts_whole_frames_and_fills_up_the_last(self) -> None:
        framer = Framer(4)
        assert framer.push(b"abc") == []
        assert framer.push(b"defghi") == [b"abcd", b"efgh"]
        assert framer.rest(silence=b"\xff") == b"i\xff\xff\xff"
        assert framer.rest(silence=b"\xff") == b""

    def test_forgets_when_cleared(self) -> None:
        framer = Framer(4)
        framer.push(b"abc")
        framer.clear()
        assert framer.push(b"wxyz") == [b"wxyz"]


class TestLevel:
    def test_a_tone_has_the_level_of_its_root_mean_square(self) -> None:
        # A sine of amplitude 12000 of 32768: 20 log10(12000 / 32768 / sqrt 2) decibels.
        assert level_dbfs(tone(16000), WIDEBAND) == pytest.approx(-11.73, abs=0.05)
        assert level_dbfs(l16_to_mulaw(tone(8000)), TELEPHONE) == pytest.approx(-11.73, abs=0.1)

    def test_silence_and_nothing_have_the_lowest_level(self) -> None:
        assert level_dbfs(bytes(640), WIDEBAND) == -96.0
        assert level_dbfs(b"\xff" * 160, TELEPHONE) == -96.0
        assert level_dbfs(b"", WIDEBAND) == -96.0

    def test_half_a_sample_is_refused(self) -> None:
        with pytest.raises(ValueError, match="size"):
            level_dbfs(b"\0\0\0", WIDEBAND)
