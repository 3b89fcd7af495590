"""A customer's words from whatever WAV file a person has."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.domain.transcripts import TELEPHONE, WIDEBAND
from throughline.errors import ConfigurationError
from throughline.simulate.sound_files import read_wav, write_wav
from throughline.speech.audio import l16_to_mulaw, mulaw_to_l16

pytestmark = pytest.mark.unit

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
PITCH_HZ = 440


def tone(rate_hz: int, seconds: float = 0.5) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * PITCH_HZ * np.arange(int(rate_hz * seconds)) / rate_hz)


def encoded(samples: np.ndarray, kind: int, bits: int) -> bytes:
    if kind == FLOAT:
        return samples.astype(f"<f{bits // 8}").tobytes()
    if kind == MULAW:
        return l16_to_mulaw((samples * 32767).astype("<i2").tobytes())
    if bits == 8:
        return (samples * 127 + 128).astype(np.uint8).tobytes()
    whole = (samples * (2 ** (bits - 1) - 1)).astype("<i4")
    return b"".join(int(value).to_bytes(4, "little", signed=True)[: bits // 8] for value in whole)


def wav(data: bytes, kind: int = PCM, *, channels: int = 1, rate_hz: int = 16_000, bits: int = 16, **how: object) -> bytes:
    """A file; ``between`` are chunks before the sound, ``size`` the size that is written for the sound."""
    width = channels * bits // 8
    form = struct.pack(
        "<HHIIHH", EXTENSIBLE if how.get("extensible") else kind, channels, rate_hz, rate_hz * width, width, bits
    )
    if how.get("extensible"):
        form += struct.pack("<HHIH", 22, bits, 0, kind) + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    size = how.get("size", len(data))
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + bytes(how.get("between", b"")) + b"data"  # type: ignore[arg-type]
    return b"RIFF" + struct.pack("<I", len(body) + 4 + len(data)) + body + struct.pack("<I", size) + data


def pitch_of(l16: bytes, rate_hz: int) -> float:
    samples = np.frombuffer(l16, dtype="<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate_hz / len(samples))


@pytest.mark.parametrize(("kind", "bits"), [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64), (MULAW, 8)])
@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (44_100, 2)])
def test_every_width_rate_and_number_of_channels(tmp_path: Path, kind: int, bits: int, rate_hz: int, channels: int) -> None:
    file = tmp_path / "tone.wav"
    file.write_bytes(
        wav(encoded(np.repeat(tone(rate_hz), channels), kind, bits), kind, channels=channels, rate_hz=rate_hz, bits=bits)
    )
    for audio in (TELEPHONE, WIDEBAND):
        speech = read_wav(file, audio)
        l16 = mulaw_to_l16(speech) if audio is TELEPHONE else speech
        assert abs(len(l16) / 2 / audio.sample_rate_hz - 0.5) < 0.01
        assert abs(pitch_of(l16, audio.sample_rate_hz) - PITCH_HZ) < 4
        assert 0.35 < np.abs(np.frombuffer(l16, "<i2")).max() / 32767 < 0.45


@pytest.mark.parametrize(
    "how",
    [
        {"extensible": True},
        {"between": b"LIST" + struct.pack("<I", 3) + b"abc\x00"},
        {"size": 0},
        {"size": 0xFFFFFFFF},
    ],
    ids=["extensible", "with a comment", "size left open", "size unknown"],
)
def test_what_programs_write_is_read(tmp_path: Path, how: dict[str, object]) -> None:
    file = tmp_path / "tone.wav"
    file.write_bytes(wav(encoded(tone(16_000), PCM, 16), **how))  # type: ignore[arg-type]
    assert len(read_wav(file, WIDEBAND)) == 16_000


def test_a_sound_for_the_left_ear_only_is_heard(tmp_path: Path) -> None:
    both = np.stack([tone(16_000), np.zeros(8000)], axis=1).reshape(-1)
    file = tmp_path / "left.wav"
    file.write_bytes(wav(encoded(both, PCM, 16), channels=2))
    assert abs(pitch_of(read_wav(file, WIDEBAND), 16_000) - PITCH_HZ) < 4


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"not a sound", "no WAV file"),
        (b"", "no WAV file"),
        (wav(b""), "no sound in it"),
        (wav(b"\0\0" * 99)[:40], "without sound"),
        (wav(b"\0" * 99, ALAW, bits=8), "format 6, 8 bits"),
        (wav(b"\0" * 99, bits=12), "12 bits"),
        (wav(b"\0\0" * 99, rate_hz=10), "at 10 Hz"),
        (wav(b"\0\0" * 99, channels=0), "0 channels"),
        (wav(b"\0" * 8000 * 301, bits=8, rate_hz=8000), "longer than 300 s"),
    ],
    ids=["text", "empty", "no samples", "cut off", "A-law", "12 bits", "slow", "no channel", "long"],
)
def test_what_is_not_read_is_refused_with_what_to_do(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "odd.wav"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=what) as caught:
        read_wav(file, WIDEBAND)
    assert f"ffmpeg -i {file}" in str(caught.value)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.binary(max_size=90), st.integers(0, 60))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, garbage: bytes, at: int) -> None:
    content = wav(b"\x11\x22" * 40)
    file = tmp_path_factory.getbasetemp() / "any.wav"
    file.write_bytes(content[:at] + garbage + content[at + len(garbage) :])
    try:
        assert isinstance(read_wav(file, TELEPHONE), bytes)
    except ConfigurationError as error:
        assert error.problems[0].mend


@pytest.mark.parametrize("audio", [TELEPHONE, WIDEBAND])
def test_what_was_heard_is_kept(tmp_path: Path, audio: object) -> None:
    file = tmp_path / "heard.wav"
    l16 = encoded(tone(audio.sample_rate_hz), PCM, 16)  # type: ignore[attr-defined]
    write_wav(file, l16_to_mulaw(l16) if audio is TELEPHONE else l16, audio)  # type: ignore[arg-type]
    with wave.open(str(file)) as kept:
        assert (kept.getnchannels(), kept.getsampwidth()) == (1, 2)
        assert abs(pitch_of(kept.readframes(kept.getnframes()), kept.getframerate()) - PITCH_HZ) < 4


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        write_wav(tmp_path / "nowhere" / "heard.wav", b"", TELEPHONE)
    with pytest.raises(ConfigurationError, match=r"missing\.wav"):
        read_wav(tmp_path / "missing.wav", TELEPHONE)
