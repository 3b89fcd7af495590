"""What trainers write in data/nlu is what the line can hear."""

from __future__ import annotations

from pathlib import Path

import pytest

from throughline.errors import ConfigurationError
from throughline.speech.stt.training_sentences import read, spoken

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("It's a Bosch!", "it's a bosch"),
        ("my ZIP is 97201", "my zip is nine seven two oh one"),
        ("at 2:30 pm", "at two thirty pm"),
        ("at 9:00 a.m.", "at nine o'clock am"),
        ("at 9:05", "at nine oh five"),
        ("the 24th", "the twenty fourth"),
        ("the 1st, 2nd, 3rd, 20th and 31st", "the first second third twentieth and thirty first"),
        ("2 weeks", "two weeks"),
        ("42 days", "forty two days"),
        ("doesn’t work…", "doesn't work"),
        ("?!", ""),
    ],
)
def test_sentences_are_written_as_they_are_said(written: str, heard: str) -> None:
    assert spoken(written) == heard


def test_examples_lose_their_marks_and_lend_their_places(tmp_path: Path) -> None:
    (tmp_path / "nlu.yml").write_text(
        """version: "3.1"
nlu:
- intent: inform
  examples: |
    - it's a [Bosch](brand)
    - i'm [Dana Reyes]{"entity": "person_name"}
- lookup: brand
  examples: |
    - miele
    - GE
- regex: postcode
  examples: |
    - \\d{5}
- synonym: Bosch
  examples: |
    - bosh
""",
        encoding="utf-8",
    )
    training = read(tmp_path)
    assert set(training.sentences) == {"it's a bosch", "it's a miele", "it's a ge", "i'm dana reyes"}
    assert training.values == {"brand": ("bosch", "ge", "miele"), "person_name": ("dana reyes",)}


def test_a_long_list_makes_no_large_model_and_is_used_up_over_the_examples(tmp_path: Path) -> None:
    examples = "".join(f"    - sentence {letter} with [x](brand)\n" for letter in "abcdef")
    brands = "".join(f"    - {letter}corp\n" for letter in "abcdefghijklmnopqrstuvwx")
    text = f"nlu:\n- intent: inform\n  examples: |\n{examples}- lookup: brand\n  examples: |\n{brands}"
    (tmp_path / "nlu.yml").write_text(text, encoding="utf-8")
    sentences = read(tmp_path).sentences
    assert len(sentences) == 6 + 24
    assert {sentence.split()[-1] for sentence in sentences} == {
        "x",
        *(f"{letter}corp" for letter in "abcdefghijklmnopqrstuvwx"),
    }


def test_the_projects_own_training_data_can_be_read() -> None:
    training = read(Path("data/nlu"))
    assert "yes" in training.sentences
    assert all(sentence == spoken(sentence) for sentence in training.sentences)


def test_no_example_at_all_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no training sentences"):
        read(tmp_path)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("nlu: [", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"broken\.yml"):
        read(tmp_path)
