"""Words become phones: from the dictionary, else as espeak-ng reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from throughline.speech import espeak_library
from throughline.speech.stt.pronunciations import arpabet, dictionary, pronounce

pytestmark = pytest.mark.unit


@pytest.fixture
def cmudict(tmp_path: Path) -> Path:
    path = tmp_path / "cmudict.dict"
    path.write_text("a AH\na(2) EY\nboat B OW T\nreyes R EY IH S\n", encoding="utf-8")
    return path


def test_the_dictionary_is_asked_first_and_gives_every_variant(cmudict: Path) -> None:
    assert pronounce(["a", "boat"], cmudict) == {"a": ["AH", "EY"], "boat": ["B OW T"]}


def test_other_words_are_read_aloud(cmudict: Path) -> None:
    assert pronounce(["bosch", "okafor"], cmudict) == {"bosch": ["B AA SH"], "okafor": ["AA K AE F ER"]}


def test_names_are_read_aloud_beside_the_dictionary(cmudict: Path) -> None:
    assert pronounce(["reyes", "boat"], cmudict, read_too={"reyes"}) == {"reyes": ["R EY IH S", "R EY Z"], "boat": ["B OW T"]}


def test_ten_am_is_not_i_am(cmudict: Path) -> None:
    assert "EY EH M" in pronounce(["am"], cmudict)["am"]


def test_without_espeak_such_words_are_left_out(cmudict: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    espeak_library.load.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    assert pronounce(["boat", "bosch"], cmudict) == {"boat": ["B OW T"]}
    espeak_library.load.cache_clear()


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("bˈɑːʃ", "B AA SH"),
        ("hˈɑːɹbɚ", "HH AA R B ER"),
        ("dʒɐmˈɑːl", "JH AH M AA L"),
        ("lˈɪɾəl", "L IH T AH L"),
        ("bˈʌʔn̩", "B AH T AH N"),
        ("fˈɜːnɪtʃɚ", "F ER N IH CH ER"),
        ("ʘ", ""),
    ],
)
def test_ipa_becomes_arpabet(ipa: str, phones: str) -> None:
    assert arpabet(ipa) == phones


def test_the_dictionary_file_numbers_variants() -> None:
    assert dictionary({"the": ["DH AH", "DH IY"], "a": ["AH"]}) == "a AH\nthe DH AH\nthe(2) DH IY\n"
