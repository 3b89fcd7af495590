"""WAV files in and out: a customer's words as a person recorded them, and a call as it was heard.

Reads linear PCM of 8 to 32 bits, floating point and mu-law, of any rate and number of channels, also where a program that wrote into a
pipe left the sizes open. Source: Microsoft, "Multiple channel audio data and WAVE files".
"""

from __future__ import annotations

import struct
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from throughline.domain.transcripts import AudioFormat
from throughline.errors import ConfigurationError, Problem
from throughline.speech.audio import Converter, mulaw_to_l16

LONGEST_S = 300
_LARGEST_BYTES = 256_000_000
_RATES_HZ = range(4000, 192_001)
_PCM, _FLOAT, _MULAW, _EXTENSIBLE = 1, 3, 7, 0xFFFE

_Wide = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Form:
    """The ``fmt`` chunk."""

    kind: int
    channels: int
    rate_hz: int
    bits: int


def read_wav(path: Path, audio: AudioFormat) -> bytes:
    """The sound of ``path`` as one channel in the format ``audio``. Raises ConfigurationError, which says what to do."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise _unfit(path, f"is larger than {_LARGEST_BYTES // 1_000_000} MB.")
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([Problem(str(path), f"cannot be read ({error.strerror}).", "Name a WAV file.")]) from error
    form, data = _chunks(path, content)
    if form.rate_hz not in _RATES_HZ or not 1 <= form.channels <= 8:
        raise _unfit(path, f"has {form.channels} channels at {form.rate_hz} Hz.")
    samples = _samples(path, form, data)
    if not len(samples):
        raise _unfit(path, "has no sound in it.")
    if len(samples) > LONGEST_S * form.rate_hz:
        raise _unfit(path, f"is longer than {LONGEST_S} s.")
    l16 = np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2").tobytes()
    converter = Converter(AudioFormat("l16", form.rate_hz), audio)
    return converter.process(l16) + converter.flush()


def write_wav(path: Path, speech: bytes, audio: AudioFormat) -> None:
    """Keep ``speech``, in the format ``audio``, as a WAV file of 16 bits. Raises ConfigurationError."""
    try:
        with path.open("wb") as kept, wave.open(kept, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(audio.sample_rate_hz)
            file.writeframes(mulaw_to_l16(speech) if audio.encoding == "mulaw" else speech)
    except OSError as error:
        mend = "Name a file in a folder that you may write to."
        raise ConfigurationError([Problem(str(path), f"cannot be written ({error.strerror}).", mend)]) from error


def _unfit(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        [Problem(str(path), what, f"Make a plain WAV file of it: ffmpeg -i {path} -ac 1 -ar 16000 -c:a pcm_s16le say.wav")]
    )


def _chunks(path: Path, content: bytes) -> tuple[_Form, bytes]:
    """The form and the samples. Chunks between them are passed over."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise _unfit(path, "is no WAV file.")
    form = None
    for name, body in _each_chunk(content):
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if kind == _EXTENSIBLE and len(body) >= 26:
                (kind,) = struct.unpack_from("<H", body, 24)  # the first two bytes of the sub-format's GUID
            form = _Form(kind, channels, rate_hz, bits)
        elif name == b"data" and form:
            return form, body
    raise _unfit(path, "is a WAV file without sound.")


def _each_chunk(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        (size,) = struct.unpack_from("<I", content, at + 4)
        name = content[at : at + 4]
        if name == b"data" and (size == 0 or at + 8 + size > len(content)):
            size = len(content) - at - 8  # written into a pipe, or cut short
        yield name, content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _samples(path: Path, form: _Form, data: bytes) -> _Wide:
    """The channels' mean, -1 to 1."""
    width = form.bits // 8
    data = data[: len(data) - len(data) % max(1, width * form.channels)]
    if form.kind == _PCM and form.bits == 8:
        wide = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif form.kind == _PCM and form.bits in (16, 32):
        wide = np.frombuffer(data, f"<i{width}").astype(np.float32) / float(2 ** (form.bits - 1))
    elif form.kind == _PCM and form.bits == 24:
        whole = np.zeros((len(data) // 3, 4), np.uint8)
        whole[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = whole.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    elif form.kind == _FLOAT and form.bits in (32, 64):
        wide = np.nan_to_num(np.frombuffer(data, f"<f{width}").astype(np.float32))
    elif form.kind == _MULAW and form.bits == 8:
        wide = np.frombuffer(mulaw_to_l16(data), "<i2").astype(np.float32) / 32768
    else:
        raise _unfit(path, f"is encoded in a way not read here (format {form.kind}, {form.bits} bits).")
    mean: _Wide = wide.reshape(-1, form.channels).mean(axis=1, dtype=np.float32)
    return mean
