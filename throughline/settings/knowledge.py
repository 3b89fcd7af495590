"""Reads and checks data/knowledge: Markdown that people write, of which the assistant answers.

    # Payment                          the file's title, one

    ## How and when you pay            a topic

    You pay after the repair ...       what is written in the chat: all up to the next mark

    By phone: You pay after ...        what a caller hears: short, to the next empty line

    Asked as:
    - do you take credit cards         how customers ask for it, as different from each other as they are

Every file is read and every fault reported at once, with file, line and mend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from throughline.domain.knowledge import Topic
from throughline.errors import ConfigurationError, Problem

FOLDER = Path("data/knowledge")
LEAST_QUESTIONS = 3
MOST_SPOKEN_CHARS = 240
"""What a caller can keep in mind: some fifteen seconds."""

_PHONE, _ASKED = "By phone:", "Asked as:"
_ITEM = re.compile(r"- +(\S.*)")


@dataclass
class _Section:
    heading: str
    line: int
    answer: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def load_knowledge(folder: Path = FOLDER) -> tuple[Topic, ...]:
    """Every topic of the folder's ``*.md``. Raises ConfigurationError."""
    problems: list[Problem] = []
    topics: list[Topic] = []
    for file in sorted(folder.glob("*.md")):
        topics += _read(file, problems)
    if not topics and not problems:
        problems.append(
            Problem(
                str(folder), "holds no topic.", "Write a file such as payment.md: `# Payment`, `## How you pay`, an answer."
            )
        )
    _check_questions(topics, folder, problems)
    if problems:
        raise ConfigurationError(problems)
    return tuple(topics)


def _read(file: Path, problems: list[Problem]) -> list[Topic]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(file), f"can't be read ({type(error).__name__}).", "Save it as UTF-8 text."))
        return []
    title, sections = "", list[_Section]()
    part: list[str] | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("## "):
            sections.append(_Section(text[3:].strip(), number))
            part = sections[-1].answer
        elif text.startswith("# "):
            title, part = text[2:].strip(), None
        elif not sections:
            if text:
                problems.append(
                    Problem(f"{file}:{number}", "stands before the first topic.", "Begin a topic above it: `## ...`.")
                )
        else:
            part = _add(text, sections[-1], part, f"{file}:{number}", problems)
    if not title:
        problems.append(Problem(f"{file}:1", "has no title.", "Begin the file with one: `# Payment`."))
    return [_topic(file, title, section, problems) for section in sections]


def _add(text: str, section: _Section, part: list[str] | None, where: str, problems: list[Problem]) -> list[str] | None:
    """Take one line of a section; the part that the next one belongs to."""
    if text.startswith(_PHONE):
        section.spoken.append(text.removeprefix(_PHONE).strip())
        return section.spoken
    if text == _ASKED:
        return section.asked
    if part is section.asked:
        item = _ITEM.fullmatch(text)
        if item:
            section.asked.append(item.group(1))
        elif text:
            problems.append(
                Problem(where, f"is no question of the list under `{_ASKED}`.", "Write `- ` before it, or begin a topic.")
            )
        return part
    if part is section.spoken and not text:
        return None
    if text and part is None:
        problems.append(Problem(where, f"stands behind `{_PHONE}` and belongs to nothing.", "Move it above, into the answer."))
    elif part is not None:
        part.append(text)
    return part


def _topic(file: Path, title: str, section: _Section, problems: list[Problem]) -> Topic:
    where = f"{file}:{section.line}"
    answer = "\n\n".join(" ".join(block.split("\n")) for block in "\n".join(section.answer).strip().split("\n\n"))
    spoken = " ".join(section.spoken).strip()
    if not answer:
        problems.append(Problem(where, "has no answer.", "Write what the assistant is to say below the heading."))
    if not spoken:
        problems.append(Problem(where, "says nothing to a caller.", f"Write `{_PHONE}` and a sentence or two for the ear."))
    elif len(spoken) > MOST_SPOKEN_CHARS:
        what = f"takes {len(spoken)} characters to say by phone."
        problems.append(
            Problem(where, what, f"Say it in {MOST_SPOKEN_CHARS}: the most important first, the rest is in the chat.")
        )
    if len(section.asked) < LEAST_QUESTIONS:
        what = f"has {len(section.asked)} questions under `{_ASKED}`."
        problems.append(Problem(where, what, f"Write {LEAST_QUESTIONS} or more, better sixteen, each in other words."))
    return Topic(f"{file.name}#{section.heading}", title, section.heading, answer, spoken, tuple(section.asked))


def _check_questions(topics: list[Topic], folder: Path, problems: list[Problem]) -> None:
    """A question leads to one topic."""
    first: dict[str, str] = {}
    for topic in topics:
        if topic.name in first.values():
            problems.append(Problem(f"{folder}/{topic.name}", "stands twice.", "Give one of the two another heading."))
        for question in topic.asked_as:
            plain = " ".join(re.findall(r"\w+", question.lower()))
            other = first.setdefault(plain, topic.name)
            if other != topic.name:
                what = f"asks {question!r}, as {other} does."
                problems.append(Problem(f"{folder}/{topic.name}", what, "Leave it to one of the two."))
