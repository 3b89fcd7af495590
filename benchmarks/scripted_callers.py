"""Callers by script: what they say, and which question it answers.

benchmarks/callers has a line for each turn and an empty one between calls; a figure in brackets is a pause in milliseconds. A line that
answers a question begins with the slot that the question asks for: ``brand: it's a [450] bosch i think``. The others are said in
their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from throughline.domain.turns import PHONE

CALLERS = Path(__file__).parent / "callers"
TUNED, HELD_OUT = "tuned", "held_out"

_LABELLED = re.compile(r"([a-z_]+): (.+)")
_PLACE = re.compile(r"\\\{\w+\\\}")


@dataclass(frozen=True)
class Line:
    """One turn, and the slot whose question it answers, empty where it answers none."""

    text: str
    answers: str = ""


def calls(name: str) -> tuple[tuple[Line, ...], ...]:
    """The calls of ``callers/<name>.txt``."""
    written = (CALLERS / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n")
    return tuple(tuple(_line(line) for line in call.split("\n")) for call in written)


def scripts(name: str) -> tuple[tuple[str, ...], ...]:
    """What is said in them."""
    return tuple(tuple(line.text for line in call) for call in calls(name))


def _line(written: str) -> Line:
    labelled = _LABELLED.fullmatch(written)
    return Line(labelled[2], labelled[1]) if labelled else Line(written)


def next_line(left: Sequence[Line], asked: str) -> Line:
    """What a caller says next who is asked for the slot ``asked`` (empty: for none they know): whatever of theirs comes first and is no
    answer to another question, else simply what comes first."""
    if not asked:
        return left[0]
    return next((line for line in left if line.answers in ("", asked)), left[0])


class Questions:
    """Which slot the assistant asks for, told by its words: domain.yml has them."""

    def __init__(self, slots: Iterable[str]) -> None:
        responses = YAML(typ="safe").load(Path("domain.yml"))["responses"]
        self._asks = {slot: _pattern([f"utter_ask_{slot}", f"utter_again_{slot}"], responses) for slot in slots}

    def asked(self, said: str) -> str:
        """The slot; empty where none of them is asked for."""
        return next((slot for slot, pattern in self._asks.items() if pattern.search(said)), "")


def _pattern(names: Iterable[str], responses: dict[str, Any]) -> re.Pattern[str]:
    """What any of these responses sounds like on the phone, whatever stands in its places."""
    texts = [variant["text"] for name in names for variant in responses[name] if variant.get("channel") == PHONE]
    return re.compile("|".join(_PLACE.sub(".+", re.escape(text)) for text in texts))
