"""What people say here, read from the trainers' YAML (data/nlu) for the listening engine's language model.

Rasa's example format (https://rasa.com/docs/rasa/training-data-format#training-examples): entity marks are taken off, numbers
are written as they are said, and where an example holds an entity that has a lookup list, other entries of the list are put in
its place as well: who trains "it's a [bosch](brand)" wants "it's a miele" to be heard too. Each example gets a few of them, in
turn, so that the whole list is used up over the examples and a long list makes no large model.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from throughline.errors import ConfigurationError, Problem

_ENTITY = re.compile(r"\[(?P<text>[^\]]+)\](?:\((?P<name>[^)]+)\)|\{(?P<json>[^}]+)\})")
_ENTITY_NAME = re.compile(r'"entity"\s*:\s*"([^"]+)"')
_TOKEN = re.compile(r"\d{1,2}:\d{2}|\d+(?:st|nd|rd|th)\b|\d+|[a-z]+(?:'[a-z]+)*(?:\.[a-z]\.)?|'[a-z]+")

_EXCHANGES = 4  # other entries an example is repeated with

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip


@dataclass(frozen=True)
class TrainingSentences:
    """``sentences``: spoken form -> weight. ``values``: entity name -> the spoken values it has in examples and lookup lists."""

    sentences: Mapping[str, float]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read(folder: Path) -> TrainingSentences:
    """All examples under ``folder``. Raises ConfigurationError for a file that is no YAML, or if there is no example at all."""
    examples: list[str] = []
    lookups: dict[str, list[str]] = defaultdict(list)
    for path in sorted((*folder.rglob("*.yml"), *folder.rglob("*.yaml"))):
        for item in _nlu_items(path):
            lines = _lines(item.get("examples"))
            if "intent" in item:
                examples += lines
            elif "lookup" in item:
                lookups[str(item["lookup"])] += [spoken(line) for line in lines]
    if not examples:
        mend = "Add training examples (`nlu:` / `examples:`), or name the folder that holds them."
        raise ConfigurationError([Problem(str(folder), "there are no training sentences to listen with.", mend)])
    return _collect(examples, lookups)


def _nlu_items(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        content = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise ConfigurationError([Problem(str(path), f"not readable as YAML: {error}", "Correct the file.")]) from error
    items = content.get("nlu") if isinstance(content, Mapping) else None
    for item in items or ():
        if isinstance(item, Mapping):
            yield item


def _lines(examples: object) -> list[str]:
    if not isinstance(examples, str):
        return []
    return [line.strip()[2:].strip() for line in examples.splitlines() if line.strip().startswith("- ")]


def _collect(examples: list[str], lookups: Mapping[str, list[str]]) -> TrainingSentences:
    weights: dict[str, float] = defaultdict(float)
    values: dict[str, set[str]] = defaultdict(set)
    for name, entries in lookups.items():
        values[name].update(entries)
    turns = {name: itertools.cycle(entries) for name, entries in lookups.items() if entries}
    for example in examples:
        weights[spoken(_ENTITY.sub(r"\g<text>", example))] += 1.0
        for match in _ENTITY.finditer(example):
            name = _entity_name(match)
            values[name].add(spoken(match["text"]))
            for other in itertools.islice(turns.get(name, iter(())), _EXCHANGES):
                exchanged = example[: match.start()] + other + example[match.end() :]
                weights[spoken(_ENTITY.sub(r"\g<text>", exchanged))] += 1.0 / _EXCHANGES
    weights.pop("", None)
    return TrainingSentences(dict(weights), {name: tuple(sorted(said)) for name, said in sorted(values.items())})


def _entity_name(match: re.Match[str]) -> str:
    if match["name"]:
        return match["name"]
    found = _ENTITY_NAME.search(match["json"])
    return found[1] if found else ""


def spoken(text: str) -> str:
    """``text`` as a recogniser writes it: lower-case words, no punctuation, numbers as they are said.

    >>> spoken("It's 97201, at 2:30 pm!")
    "it's nine seven two oh one at two thirty pm"
    """
    plain = text.lower().replace("’", "'").replace("a.m.", "am").replace("p.m.", "pm")
    return " ".join(_say(token) for token in _TOKEN.findall(plain))


def _say(token: str) -> str:
    if ":" in token:
        hour, minute = token.split(":")
        if minute == "00":
            return f"{_number(int(hour))} o'clock"
        return f"{_number(int(hour))} {'oh ' if minute < '10' else ''}{_number(int(minute))}"
    if not token[0].isdigit():
        return token
    if token[-1].isalpha():
        *head, last = _number(int(token[:-2])).split()
        return " ".join([*head, _ORDINALS.get(last, last.removesuffix("y") + "ieth" if last.endswith("y") else f"{last}th")])
    if len(token) > 2 or token.startswith("0"):
        return " ".join("oh" if digit == "0" else _UNITS[int(digit)] for digit in token)
    return _number(int(token))


def _number(value: int) -> str:
    """A number up to 99 in words, a larger one digit by digit."""
    if value < len(_UNITS):
        return _UNITS[value]
    if value > 99:
        return " ".join(_UNITS[int(digit)] for digit in str(value))
    tens, unit = divmod(value, 10)
    return f"{_TENS[tens]} {_UNITS[unit]}" if unit else _TENS[tens]
