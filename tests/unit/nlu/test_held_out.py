"""The sentences that measure the understanding (benchmarks/held_out.py) measure it: they were never learned, and none is missing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from throughline.settings.knowledge import load_knowledge

pytestmark = pytest.mark.unit

FILES = sorted(Path("tests/nlu").glob("held_out_*.yml"))
LEAST = 15
_MARK = re.compile(r"\[([^\]]+)\](?:\(([^)]+)\)|\{[^}]*\})")


def examples(files: list[Path]) -> list[tuple[str, str]]:
    """Each text, with its marks, and its intent."""
    found = []
    for file in files:
        for entry in YAML(typ="safe").load(file.read_text(encoding="utf-8"))["nlu"]:
            lines = (line.strip() for line in entry["examples"].splitlines() if "intent" in entry)
            found += [(line.removeprefix("- "), entry["intent"]) for line in lines if line]
    return found


def plain(text: str) -> str:
    """The words alone, whatever marks stand between them, in any script."""
    return " ".join(re.findall(r"[\w']+", _MARK.sub(r"\1", text).lower()))


HELD_OUT = examples(FILES)
LEARNED = {plain(text) for text, _ in examples(sorted(Path("data/nlu").glob("*.yml")))} | {
    plain(line) for topic in load_knowledge() for line in topic.lines
}
DOMAIN = YAML(typ="safe").load(Path("domain.yml").read_text(encoding="utf-8"))


def test_no_sentence_was_learned() -> None:
    assert not [text for text, _ in HELD_OUT if plain(text) in LEARNED]


def test_no_sentence_stands_twice() -> None:
    assert not [text for text, times in Counter(plain(text) for text, _ in HELD_OUT).items() if times > 1]


@pytest.mark.parametrize("intent", sorted(DOMAIN["intents"]))
def test_every_intent_is_measured_typed_and_transcribed(intent: str) -> None:
    per_file = [sum(found == intent for _, found in examples([file])) for file in FILES]
    assert len(per_file) == 2
    assert min(per_file) >= LEAST // 2
    assert sum(per_file) >= LEAST


def test_what_is_marked_is_an_entity_of_the_domain() -> None:
    known = {name for entity in DOMAIN["entities"] for name in (entity if isinstance(entity, dict) else {entity})}
    marked = {kind for text, _ in HELD_OUT for _, kind in _MARK.findall(text)}
    assert marked <= known


def test_transcripts_are_written_as_a_recogniser_writes() -> None:
    (file,) = (file for file in FILES if "transcripts" in file.name)
    assert not [text for text, _ in examples([file]) if re.search(r"[A-Z0-9?!,;]", _MARK.sub(r"\1", text))]
