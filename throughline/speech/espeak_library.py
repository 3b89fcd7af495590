"""The espeak-ng library, in this process.

``tts/espeak.py`` speaks with it and ``stt/pronunciations.py`` asks it how a word sounds. The library keeps one global state, so
there is one ``EspeakLibrary`` in a process and one lock around each call into it; a call is short (about a thousandth of the
time the speech takes to say). ctypes gives up the interpreter's lock meanwhile.

espeak-ng is GPL-3 and so an optional package: ``load`` raises Unavailable, with the mend, where it isn't installed.
Source: espeak-ng 1.52, src/include/espeak-ng/speak_lib.h.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from throughline.errors import ConfigurationError, Problem, Unavailable

MEND = "install the package espeakng-loader (`pip install espeakng-loader`), or choose another speech engine."

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: espeak_Synth calls back with samples and returns when all is said
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_UTF8 = 1  # espeakCHARS_UTF8. Neither espeakSSML nor espeakPHONEMES is ever set: markup stays text
_END_PAUSE = 0x1000  # espeakENDPAUSE
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER
_BY_CHARACTER = 1  # POS_CHARACTER
_IPA = 0x02  # espeakPHONEMES_IPA
_CHUNK_MS = 40

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _VoiceEntry(ctypes.Structure):
    """espeak_VOICE. ``languages`` is a list of (priority byte, zero-ended name), of which the first is the voice's own."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class Voice:
    """How to speak. ``name`` is a language ("en-us"), alone or with a variant ("en-us+f3"); ``rate_wpm`` 80..450; ``pitch`` and
    ``pitch_range`` 0..100 (50 is the voice's own); ``volume`` 0..200 (100 is the voice's own)."""

    name: str = "en-us"
    rate_wpm: int = 160
    pitch: int = 50
    pitch_range: int = 50
    volume: int = 100


def _without_control_characters(text: str) -> bytes:
    """espeak obeys commands that begin with U+0001 and ends the text at U+0000: neither gets through."""
    return "".join(character if character.isprintable() else " " for character in text).encode("utf-8", "replace")


class EspeakLibrary:
    """The loaded library. Use ``load`` to get the one there is."""

    def __init__(self, library_path: str, data_path: str) -> None:
        self._lock = threading.Lock()
        self._sink: Callable[[bytes], bool] | None = None
        self._failure: BaseException | None = None
        self._voice: Voice | None = None
        try:
            self._library = ctypes.CDLL(library_path)
        except OSError as error:
            raise Unavailable(f"espeak-ng cannot be loaded ({error}): {MEND}") from error
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceEntry))
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, _CHUNK_MS, data_path.encode(), _DONT_EXIT)
        if rate <= 0:
            raise Unavailable(f"espeak-ng does not start with its data in {data_path}: {MEND}")
        self.sample_rate_hz = int(rate)
        self._callback = _Callback(self._receive)  # kept here: the library holds only the bare pointer
        self._library.espeak_SetSynthCallback(self._callback)
        self._languages = self._read_languages()
        self._variants = frozenset(path.name for path in (Path(data_path) / "voices" / "!v").iterdir())

    def check(self, voice: Voice) -> None:
        """Raise ConfigurationError for a voice that isn't there (the library itself would quietly take another)."""
        language, _, variant = voice.name.partition("+")
        if language not in self._languages:
            known = ", ".join(sorted(self._languages))
            raise ConfigurationError([Problem("speech voice", f"espeak-ng has no voice {language!r}.", f"Use one of {known}.")])
        if variant and variant not in self._variants:
            known = ", ".join(sorted(self._variants))
            raise ConfigurationError(
                [Problem("speech voice", f"espeak-ng has no variant {variant!r}.", f"Use one of {known}.")]
            )

    def synthesize(self, text: str, voice: Voice, sink: Callable[[bytes], bool], *, end_pause: bool = False) -> None:
        """Say ``text``, blocking. ``sink`` gets linear PCM at ``sample_rate_hz`` in pieces and returns False to stop.

        ``end_pause`` adds the pause (about 350 ms) that belongs between this text and another.
        """
        content = _without_control_characters(text)
        flags = _UTF8 | (_END_PAUSE if end_pause else 0)
        with self._lock:
            self._set(voice)
            self._sink, self._failure = sink, None
            size = ctypes.c_size_t(len(content) + 1)
            result = self._library.espeak_Synth(ctypes.c_char_p(content), size, 0, _BY_CHARACTER, 0, flags, None, None)
            failure, self._sink, self._failure = self._failure, None, None
        if failure is not None:
            raise failure
        if result != 0:
            raise Unavailable(f"espeak-ng could not speak (code {result})")

    def phonemes(self, text: str, voice: Voice) -> list[str]:
        """How ``text`` sounds: IPA symbols with their stress marks, one string each."""
        content = ctypes.create_string_buffer(_without_control_characters(text))
        position = ctypes.c_void_p(ctypes.addressof(content))
        clauses: list[str] = []
        with self._lock:
            self._set(voice)
            while position.value:  # one clause a call; the library moves the position on and clears it at the end
                mode = _IPA | (ord(" ") << 8)
                clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(position), _UTF8, mode).decode())
        return " ".join(clauses).split()

    def _set(self, voice: Voice) -> None:
        if voice == self._voice:
            return
        self.check(voice)
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise Unavailable(f"espeak-ng refuses its voice {voice.name!r}")
        for parameter, value in (
            (_RATE, voice.rate_wpm),
            (_VOLUME, voice.volume),
            (_PITCH, voice.pitch),
            (_RANGE, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._voice = voice

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        """The library's callback: 0 to go on, 1 to stop. An error cannot pass through C, so it waits in ``_failure``."""
        if not samples or count <= 0 or self._sink is None:
            return 0
        try:
            return 0 if self._sink(ctypes.string_at(samples, count * 2)) else 1
        except Exception as error:  # noqa: BLE001 - raised again by synthesize
            self._failure = error
            return 1

    def _read_languages(self) -> frozenset[str]:
        voices = self._library.espeak_ListVoices(None)
        names: set[str] = set()
        index = 0
        while voices[index]:
            names.add(voices[index].contents.languages[1:].decode())
            index += 1
        return frozenset(names)


@functools.lru_cache(maxsize=1)
def load() -> EspeakLibrary:
    """The process's one library, loaded at the first call. Raises Unavailable with what to do about it."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise Unavailable(f"espeak-ng is not installed: {MEND}") from error
    return EspeakLibrary(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
