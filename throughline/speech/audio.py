"""Samples from one form into another: mu-law and linear PCM, sample rates, 20 ms frames.

Stands between the line and the engines: what the telephone sends is 8 kHz mu-law, our own page sends 16 kHz linear PCM, and
each engine has a rate of its own. Audio is ``bytes`` everywhere; linear PCM ("l16") is signed, 16 bits, little-endian, mono.
Streams may be cut anywhere, also inside a sample: whatever has a ``process`` keeps the odd byte for the next piece.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from throughline.domain.transcripts import AudioFormat

_Samples = npt.NDArray[np.int16]

# ITU-T G.711, mu-law: 8 segments, 13-bit magnitudes with a bias of 33, here scaled to 16 bits as every sound library does.
_BIAS = 0x84
_CLIP = 32635

_SILENCE_DBFS = -96.0


def _decoding_table() -> _Samples:
    """G.711 table 2a: the 256 codes (sent inverted) as 16-bit samples."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    segment = (code >> 4) & 0x07
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << segment) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _encoding_table() -> npt.NDArray[np.uint8]:
    """The mu-law code for every 16-bit sample, indexed by the sample taken as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (segment + 3)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    codes: npt.NDArray[np.uint8] = (~(sign | (segment << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes


_TO_L16 = _decoding_table()
_TO_MULAW = _encoding_table()


def mulaw_to_l16(audio: bytes) -> bytes:
    """G.711 mu-law to linear PCM of the same rate: two bytes for each one."""
    return bytes(_TO_L16[np.frombuffer(audio, dtype=np.uint8)])


def l16_to_mulaw(audio: bytes) -> bytes:
    """Linear PCM to G.711 mu-law of the same rate. Raises ValueError for half a sample."""
    return bytes(_TO_MULAW[np.frombuffer(audio, dtype="<u2")])


def _rounded(samples: npt.NDArray[np.float32]) -> bytes:
    return bytes(np.clip(np.rint(samples), -32768, 32767).astype("<i2"))


class Resampler:
    """Linear PCM from one sample rate to another, as a stream. Holds back up to some 65 ms until ``flush``."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        # In float: with integers soxr adds random dither, and the same speech would never give the same bytes twice.
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32") if from_hz != to_hz else None
        self._odd = b""

    def process(self, audio: bytes) -> bytes:
        """The samples that are ready once ``audio`` has come in: often none for a short piece."""
        audio = self._odd + audio
        whole = len(audio) & ~1
        self._odd, audio = audio[whole:], audio[:whole]
        if self._stream is None or not audio:
            return audio
        return _rounded(self._stream.resample_chunk(np.frombuffer(audio, dtype="<i2").astype(np.float32)))

    def flush(self) -> bytes:
        """What was held back. The stream starts afresh after it."""
        self._odd = b""
        if self._stream is None:
            return b""
        rest = _rounded(self._stream.resample_chunk(np.empty(0, dtype=np.float32), last=True))
        self._stream.clear()
        return rest


class Converter:
    """A stream of audio from one format into another."""

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        for audio_format in (source, target):
            if audio_format.encoding not in ("mulaw", "l16"):
                raise ValueError(f"unknown audio encoding {audio_format.encoding!r}")
        self._same = source == target
        self._decode = source.encoding == "mulaw"
        self._encode = target.encoding == "mulaw"
        self._resampler = Resampler(source.sample_rate_hz, target.sample_rate_hz)

    def process(self, audio: bytes) -> bytes:
        """The audio that is ready once ``audio`` has come in."""
        if self._same:
            return audio
        resampled = self._resampler.process(mulaw_to_l16(audio) if self._decode else audio)
        return l16_to_mulaw(resampled) if self._encode else resampled

    def flush(self) -> bytes:
        """What was held back. The stream starts afresh after it."""
        rest = self._resampler.flush()
        return l16_to_mulaw(rest) if self._encode else rest


class Framer:
    """Cuts a stream into frames of exactly ``frame_bytes`` bytes."""

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._pending = bytearray()

    def push(self, audio: bytes) -> list[bytes]:
        """The frames that are whole once ``audio`` has come in."""
        self._pending += audio
        size = self._frame_bytes
        count = len(self._pending) // size
        frames = [bytes(self._pending[i * size : (i + 1) * size]) for i in range(count)]
        del self._pending[: count * size]
        return frames

    def rest(self, silence: bytes = b"") -> bytes:
        """The last, incomplete frame, filled up with ``silence`` (one byte, repeated) if given; empty if nothing is left."""
        rest = bytes(self._pending)
        self._pending.clear()
        if rest and silence:
            rest += silence * (self._frame_bytes - len(rest))
        return rest

    def clear(self) -> None:
        """Forget what has come in."""
        self._pending.clear()


def level_dbfs(audio: bytes, audio_format: AudioFormat) -> float:
    """Loudness: the root mean square in decibels below full scale, -96 for silence. Raises ValueError for half a sample."""
    samples = _TO_L16[np.frombuffer(audio, dtype=np.uint8)] if audio_format.encoding == "mulaw" else np.frombuffer(audio, "<i2")
    if not len(samples):
        return _SILENCE_DBFS
    wide = samples.astype(np.float32)
    power = float(np.dot(wide, wide)) / len(wide)
    return max(_SILENCE_DBFS, 10 * float(np.log10(power / 32768.0**2))) if power else _SILENCE_DBFS
