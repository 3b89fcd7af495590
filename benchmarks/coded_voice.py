"""A voice whose sound tells which word it is: for finding out, from what a telephone played, which words its owner has heard.

espeak-ng makes the speech and says when each word begins; then each 10 ms that are audible are replaced by 80 bytes of mu-law
that carry, between full-scale samples, who speaks, a checksum of the word, which of the word's pieces this is, and how many
there are. What was silent stays silent. So its words come and end when a real voice's would, and nobody need guess from
lengths. The telephone line carries bytes as they are: no one on the way may change them, or nothing is decoded.

``decoded`` reads it. ``CodedVoices`` is a channel that makes a server's embedded voice speak so.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import itertools
import re
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import espeakng_loader
from rasa.core.channels.channel import InputChannel, UserMessage
from sanic import Blueprint

from throughline.domain.transcripts import TELEPHONE, AudioFormat
from throughline.speech import espeak_library
from throughline.speech.audio import Converter, level_dbfs
from throughline.speech.tts import espeak
from throughline.speech.tts.espeak import EspeakTts

VENDOR, EMBEDDED = 1, 2
"""Who speaks."""

_PIECE_BYTES, _PIECE_MS = 80, 10
_SYNC = b"\x5a\xc3\x3c\xa5"
_FILL = b"\x00\x80" * (_PIECE_BYTES // 2)  # full scale, up and down
_CODE = re.compile(re.escape(_SYNC) + rb"(.)(.{4})(.{2})(.{2})", re.DOTALL)
_AUDIBLE_DBFS = -50.0
_WORD_EVENT = 1  # espeakEVENT_WORD
_CHUNK_BYTES = 800


class _Event(ctypes.Structure):
    """espeak_EVENT, of which an array comes with each piece of sound, up to one of type 0."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


class _WithWords(espeak_library.EspeakLibrary):
    """The library, which also notes when each word begins: (ms of the sound, place of its first character, from 1 on)."""

    def __init__(self, library_path: str, data_path: str) -> None:
        self.began: list[tuple[int, int]] = []
        super().__init__(library_path, data_path)

    def _receive(self, samples: Any, count: int, events: int | None) -> int:
        if events:
            place = ctypes.cast(events, ctypes.POINTER(_Event))
            for event in itertools.takewhile(lambda event: event.type, (place[number] for number in itertools.count())):
                if event.type == _WORD_EVENT:
                    self.began.append((event.audio_position, event.text_position))
        return super()._receive(samples, count, events)


@functools.lru_cache(maxsize=1)
def library() -> _WithWords:
    """This process's library. Whoever else speaks here must use it too, since espeak-ng has one state: ``install`` sees to it."""
    return _WithWords(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())


def install() -> None:
    """Have everybody in this process use the library that notes words."""
    espeak_library.load = library  # type: ignore[assignment]


def mark_of(word: str) -> int:
    """The checksum of a word; its signs don't count. 0 where it has no letters and no digits."""
    plain = "".join(character for character in word.lower() if character.isalnum())
    return zlib.crc32(plain.encode()) or 1 if plain else 0


def marks_of(text: str) -> list[int]:
    """The checksums of the words that are to be heard."""
    return [mark for mark in map(mark_of, text.split()) if mark]


def coded(text: str, voice: espeak_library.Voice, speaker: int) -> bytes:
    """The speech for ``text``, as telephone audio. Blocks."""
    source = library()
    source.began = []
    converter = Converter(AudioFormat("l16", source.sample_rate_hz), TELEPHONE)
    sound = bytearray()

    def take(pcm: bytes) -> bool:
        sound.extend(converter.process(pcm))
        return True

    source.synthesize(text, voice, take)
    sound += converter.flush()
    words = [(match.start() + 1, mark_of(match.group())) for match in re.finditer(r"\S+", text)]
    length_ms = len(sound) / _PIECE_BYTES * _PIECE_MS
    began = _all_words([(at_ms, _word_at(words, place)) for at_ms, place in source.began], len(words), length_ms)
    pieces = [bytes(sound[at : at + _PIECE_BYTES]) for at in range(0, len(sound), _PIECE_BYTES)]
    owners = [_owner(number * _PIECE_MS, began) if _is_loud(piece) else None for number, piece in enumerate(pieces)]
    told: Counter[int] = Counter()
    for number, owner in enumerate(owners):
        if owner is None or not words[owner][1]:
            pieces[number] = b"\xff" * len(pieces[number])
        else:
            pieces[number] = _piece(speaker, words[owner][1], told[owner], owners.count(owner))
            told[owner] += 1
    return b"".join(pieces)


def _is_loud(piece: bytes) -> bool:
    return len(piece) == _PIECE_BYTES and level_dbfs(piece, TELEPHONE) >= _AUDIBLE_DBFS


def _word_at(words: Sequence[tuple[int, int]], place: int) -> int:
    """The number of the word at that place of the text."""
    return max((number for number, (start, _) in enumerate(words) if start <= place), default=0)


def _all_words(began: Sequence[tuple[float, int]], count: int, length_ms: float) -> list[tuple[float, int]]:
    """The same with the words that espeak-ng says in one with the word before ("with the"): they share its time evenly."""
    first: dict[int, float] = {}
    for at_ms, word in began:
        first.setdefault(word, at_ms)
    found = sorted(first.items())
    whole: list[tuple[float, int]] = []
    for (word, at_ms), (next_word, next_ms) in pairwise([*found, (count, length_ms)]):
        step_ms = (next_ms - at_ms) / max(1, next_word - word)
        whole += [(at_ms + step_ms * number, word + number) for number in range(next_word - word)]
    return whole


def _owner(at_ms: float, began: Sequence[tuple[float, int]]) -> int | None:
    """The word that is being said then; its first sound may come a little before the library says that it begins."""
    if not began:
        return None
    return max((word for word_ms, word in began if word_ms <= at_ms), default=began[0][1])


def _piece(speaker: int, mark: int, number: int, count: int) -> bytes:
    code = _SYNC + bytes([speaker]) + mark.to_bytes(4, "big") + number.to_bytes(2, "big") + count.to_bytes(2, "big")
    return code + _FILL[len(code) :]


@dataclass(frozen=True)
class Heard:
    """A word that was played to its end."""

    mark: int
    speaker: int
    first_byte: int
    last_byte: int
    """Where its first piece and its last begin, in what was played."""


def decoded(played: bytes) -> list[Heard]:
    """The words that were played whole, all their pieces one after the other."""
    heard: list[Heard] = []
    before: tuple[bytes, bytes, bytes, int] | None = None
    first_byte = 0
    for match in _CODE.finditer(played):
        speaker, mark, number, count = match.groups()
        place, length = int.from_bytes(number, "big"), int.from_bytes(count, "big")
        goes_on = place == 0 or before == (speaker, mark, count, place - 1)
        before = (speaker, mark, count, place) if goes_on else None
        first_byte = match.start() if place == 0 else first_byte
        if goes_on and place == length - 1:
            heard.append(Heard(int.from_bytes(mark, "big"), speaker[0], first_byte, match.start()))
    return heard


class CodedVoice(EspeakTts):
    """A speaking engine for telephones."""

    speaker = VENDOR

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``."""
        if audio != TELEPHONE:
            raise ValueError("the code is for telephones")
        voice = replace(self._voice, rate_wpm=round(self._voice.rate_wpm * speed))
        speech = await asyncio.get_running_loop().run_in_executor(espeak._worker, coded, text, voice, self.speaker)
        for start in range(0, len(speech), _CHUNK_BYTES):
            yield speech[start : start + _CHUNK_BYTES]
            await asyncio.sleep(0)


class CodedVoices(InputChannel):
    """Loaded through a credentials file of the benchmark's: the server's embedded voice speaks in the code, on telephones."""

    def __init__(self) -> None:
        install()
        EspeakTts.speak = CodedVoice.speak  # type: ignore[method-assign]
        EspeakTts.speaker = EMBEDDED  # type: ignore[attr-defined]

    @classmethod
    def name(cls) -> str:
        """The channel's name."""
        return "coded_voices"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Nothing to be asked for."""
        return Blueprint("coded_voices")
