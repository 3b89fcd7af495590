"""Sentences of a person that stand in what trainers and writers edit: found, and taken out of the training examples.

Pure but for reading and writing the files below a folder. A sentence is a person's own if they said it word for word (case, punctuation
and entity marks aside) and it has more than ``retention.everyday_words`` words, or, however short, if it holds what names them: an address,
or a value of one of ``retention.naming_slots``. A line with a telephone number or an e-mail address of theirs is theirs in any case. What
is said by everybody ("yes", "tomorrow") is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughline.domain.retention import Retention

_WHERE = ("data/**/*.yml", "data/**/*.md", "domain.yml", "tests/conversations/**/*.yml", "docs/**/*.md")
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\([^()]*\)|\{[^{}]*\})")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LEAD = re.compile(r"^\s*(?:-\s+)?(?:user:|text:)?\s*")
_EXAMPLES = re.compile(r"^\s*examples:\s*[|>]")
_DIGITS_OF_A_NUMBER = 7

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Sentence:
    """One line of a file, counted from 1. ``removable``: a training example that can go without breaking what stands around it."""

    file: Path
    line: int
    text: str
    removable: bool


def find_sentences(person: Rows, retention: Retention, folder: Path) -> list[Sentence]:
    """Where the person's own sentences stand. ``person`` is what the record has of them (Record.person)."""
    own = _Own(person, retention)
    found = []
    for file in sorted({file for pattern in _WHERE for file in folder.glob(pattern)}):
        lines = file.read_text(encoding="utf-8").splitlines()
        found += [
            Sentence(file, number, line.strip(), _is_removable(file.relative_to(folder), lines, number - 1))
            for number, line in enumerate(lines, 1)
            if own.stands_in(line, within_text=file.suffix == ".md")
        ]
    return found


def remove_sentences(found: Iterable[Sentence]) -> int:
    """Take the removable ones out of their files and leave every other byte; how many."""
    removable = [one for one in found if one.removable]
    for file in {one.file for one in removable}:
        gone = {one.line for one in removable if one.file == file}
        with file.open(encoding="utf-8", newline="") as opened:
            lines = opened.read().splitlines(keepends=True)
        with file.open("w", encoding="utf-8", newline="") as opened:
            opened.writelines(line for number, line in enumerate(lines, 1) if number not in gone)
    return len(removable)


class _Own:
    """What one person said, and what names them, word by word."""

    def __init__(self, person: Rows, retention: Retention) -> None:
        naming = [row["value"] for row in person["facts"] if row["slot"] in retention.naming_slots]
        naming += [row["value"] for row in person["addresses"]]
        naming += [value for row in person["crm_customers"] for value in row["fields"].values()]
        self._names = {words for value in naming if isinstance(value, str) and (words := _words(value))}
        said = [row["text"] for row in person["messages"]]
        said += [row["data"].get("text") or "" for row in person["events"] if row["type_name"] == "user"]
        sentences = {_words(text) for text in said}
        self._sentences = {
            words
            for words in sentences
            if len(words.split()) > retention.everyday_words or any(f" {name} " in f" {words} " for name in self._names)
        }
        values = [str(row["value"]) for row in person["addresses"]]
        self._emails = [value.casefold() for value in values if "@" in value]
        self._numbers = [number for value in values if len(number := _digits(value)) >= _DIGITS_OF_A_NUMBER]

    def stands_in(self, line: str, *, within_text: bool) -> bool:
        """Whether one of their sentences is this line, or stands in this line of running text."""
        digits, folded = _digits(line), line.casefold()
        if any(email in folded for email in self._emails) or any(number in digits for number in self._numbers):
            return True
        words = _words(_LEAD.sub("", line))
        if within_text:
            return any(f" {sentence} " in f" {words} " for sentence in self._sentences)
        return words in self._sentences


def _words(text: str) -> str:
    """Its words, without entity marks, case and punctuation, one space apart."""
    return " ".join(_WORD.findall(_ENTITY.sub(r"\1", text).casefold()))


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _is_removable(file: Path, lines: Sequence[str], index: int) -> bool:
    """Whether this line is one of several examples in a block of data/nlu."""
    if file.parts[:2] != ("data", "nlu") or not lines[index].lstrip().startswith("- "):
        return False
    indent = _indent(lines[index])
    start = index
    while start and (_indent(lines[start]) >= indent or not lines[start].strip()):
        start -= 1
    if not _EXAMPLES.match(lines[start]):
        return False
    end = start + 1
    while end < len(lines) and (_indent(lines[end]) >= indent or not lines[end].strip()):
        end += 1
    return sum(bool(line.strip()) for line in lines[start + 1 : end]) > 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
