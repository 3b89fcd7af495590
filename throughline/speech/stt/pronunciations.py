"""How words sound, in the acoustic model's phones.

The recogniser's dictionary holds just the words that can be said here. Most stand in the CMU dictionary that comes with
pocketsphinx; for the others (brands, surnames) espeak-ng's reading of the word is translated into the same phones (ARPAbet, 39
phones without stress). Without espeak-ng such words cannot be heard, and ``pronounce`` leaves them out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from throughline import log
from throughline.errors import Unavailable
from throughline.speech import espeak_library

_log = log.get_logger("speech")

# What people say besides what the dictionary holds: "ten am" is no "am I", and nought is heard as a letter.
ADDED: Mapping[str, tuple[str, ...]] = {
    "am": ("AE M", "EY EH M"),
    "pm": ("P IY EH M",),
    "oh": ("OW",),
    "okay": ("OW K EY",),
}

# IPA as espeak-ng writes American English (phsource/ph_english_us), longest first where one begins another.
_PHONES: Mapping[str, str] = {
    "aɪɚ": "AY ER", "aɪə": "AY AH", "aʊɚ": "AW ER", "n̩": "AH N", "l̩": "AH L", "m̩": "AH M",
    "eɪ": "EY", "aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "oʊ": "OW", "dʒ": "JH", "tʃ": "CH", "əl": "AH L", "iə": "IY AH",
    "ɑ": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɔ": "AO", "ɒ": "AA", "ɛ": "EH", "e": "EH", "a": "AE",
    "ɚ": "ER", "ɜ": "ER", "ɝ": "ER", "ɪ": "IH", "ᵻ": "IH", "i": "IY", "ʊ": "UH", "u": "UW", "o": "OW",
    "b": "B", "d": "D", "ð": "DH", "f": "F", "ɡ": "G", "g": "G", "h": "HH", "j": "Y", "k": "K", "x": "K", "l": "L", "m": "M",
    "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "r": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "ʔ": "T", "θ": "TH",
    "v": "V", "w": "W", "z": "Z", "ʒ": "ZH", "ɬ": "L", "ç": "HH", "ɲ": "N Y",
}  # fmt: skip
_LONGEST = max(map(len, _PHONES))


def pronounce(words: Iterable[str], cmudict: Path, read_too: Collection[str] = ()) -> dict[str, list[str]]:
    """Each word's pronunciations ("D EY N AH"). Words nobody knows how to say are left out, and their number is logged.

    ``read_too``: words, such as names, that may well be said otherwise than the dictionary has it, so espeak-ng's reading counts
    beside it.
    """
    wanted = set(words)
    found = {word: list(variants) for word, variants in ADDED.items() if word in wanted}
    for word, phones in _entries(cmudict):
        if word in wanted and word not in ADDED:
            found.setdefault(word, []).append(phones)
    for word in sorted(wanted):
        if word not in found or word in read_too:
            phones = _read_aloud(word)
            if phones and phones not in found.get(word, []):
                found.setdefault(word, []).append(phones)
    silent = sorted(wanted - found.keys())
    if silent:
        _log.warning("speech.words_without_pronunciation", count=len(silent), first=silent[0])
    return found


def dictionary(pronunciations: Mapping[str, list[str]]) -> str:
    """The text of a dictionary file: one line each, further variants as ``word(2)``."""
    lines = []
    for word in sorted(pronunciations):
        for number, phones in enumerate(pronunciations[word], start=1):
            lines.append(f"{word} {phones}" if number == 1 else f"{word}({number}) {phones}")
    return "\n".join(lines) + "\n"


def _entries(cmudict: Path) -> Iterable[tuple[str, str]]:
    with cmudict.open(encoding="utf-8") as file:
        for line in file:
            entry, _, phones = line.strip().partition(" ")
            yield entry.partition("(")[0], phones


def _read_aloud(word: str) -> str:
    """espeak-ng's reading in the model's phones, or "" where there is none."""
    try:
        symbols = espeak_library.load().phonemes(word, espeak_library.Voice("en-us"))
    except Unavailable:
        return ""
    return arpabet("".join(symbols))


def arpabet(ipa: str) -> str:
    """IPA in ARPAbet phones, longest match first; marks of stress and length, and symbols English lacks, fall away."""
    phones: list[str] = []
    position = 0
    ipa = "".join(symbol for symbol in ipa if symbol not in "ˈˌː")
    while position < len(ipa):
        for length in range(min(_LONGEST, len(ipa) - position), 0, -1):
            phone = _PHONES.get(ipa[position : position + length])
            if phone:
                phones.append(phone)
                position += length
                break
        else:
            position += 1
    return " ".join(phones)
