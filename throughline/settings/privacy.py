"""Checks that data/business/privacy.yml and the domain know the same slots and placeholders.

The server does it at start, ``throughline check`` before: what is not classified would never be said, and a line about something that is
not there any more protects nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from throughline.domain.privacy import SPOKEN, conditions, placeholders
from throughline.errors import Problem
from throughline.settings.checked_yaml import line_of, load_mapping

DOMAIN_FILE = Path("domain.yml")
WITHHELD = "utter_withheld"
"""What is said in place of a sentence that may not be said."""
_BOOKKEEPING = ("ui_", "request", "session_started_metadata")


def is_bookkeeping(slot: str) -> bool:
    """Whether a slot is the assistant's own: customers never fill it."""
    return slot.startswith(_BOOKKEEPING)


def check_privacy(
    folder: Path, responses: Mapping[str, Any], slots: Iterable[str], domain_file: Path = DOMAIN_FILE
) -> list[Problem]:
    """A problem for each slot and each placeholder of the domain's ``responses`` that ``folder``/privacy.yml does not name, for each that
    it names and the domain does not have, and for a missing ``utter_withheld``. ``domain_file`` is only read for its line numbers."""
    file, problems = folder / "privacy.yml", list[Problem]()
    mapping = load_mapping(file, problems)
    if problems:
        return problems
    of_slots, of_values = mapping.get("slots") or {}, mapping.get("values") or {}
    known, used = set(slots), {name: _used(variants) for name, variants in responses.items()}
    lines = _Domain(domain_file)
    for slot in sorted(known - set(of_slots)):
        if not is_bookkeeping(slot):
            problems.append(Problem(lines.at("slots", slot), f"{file} does not say who may be told it.", _mend("slots", slot)))
    for response, names in used.items():
        for name in sorted(names):
            if not {name, name.removesuffix(SPOKEN)} & (set(of_slots) | set(of_values)):
                what = f"{file} does not say who may be told {{{name}}}."
                problems.append(Problem(lines.at("responses", response), what, _mend("values", name.removesuffix(SPOKEN))))
    for slot in of_slots:
        if slot not in known:
            where = f"{file}:{line_of(of_slots, slot)} slots.{slot}"
            problems.append(Problem(where, "the domain has no such slot.", "Correct the name or remove the line."))
    everywhere = {name.removesuffix(SPOKEN) for names in used.values() for name in names} | set().union(*used.values(), set())
    for name in of_values:
        if name not in everywhere:
            where = f"{file}:{line_of(of_values, name)} values.{name}"
            problems.append(Problem(where, "no response has such a placeholder.", "Correct the name or remove the line."))
    return problems + _withheld(responses, used, lines)


def _used(variants: Iterable[Mapping[str, Any]]) -> set[str]:
    """What a response tells: the values in it, and the slots that choose among its variants."""
    return set().union(*(placeholders(variant) | conditions(variant) for variant in variants))


def _withheld(responses: Mapping[str, Any], used: Mapping[str, set[str]], lines: _Domain) -> list[Problem]:
    where = lines.at("responses", WITHHELD)
    if not any(variant.get("text") and not variant.get("channel") for variant in responses.get(WITHHELD, ())):
        mend = f"Add `{WITHHELD}` with a text for every channel: it stands in for what may not be said."
        return [Problem(where, "is missing, or has no text for every channel.", mend)]
    if used[WITHHELD]:
        return [Problem(where, "has a placeholder.", "Write it without: it is said where nothing may be told.")]
    return []


def _mend(section: str, name: str) -> str:
    return f"Add a line under `{section}`, such as `{name}: {{needs: possessed}}`."


class _Domain:
    """Where things stand in the domain's file, as far as it can be read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._mapping = load_mapping(file, []) if file.exists() else {}

    def at(self, section: str, name: str) -> str:
        mapping = self._mapping.get(section)
        if not isinstance(mapping, Mapping):
            return f"{self._file} {section}.{name}"
        return f"{self._file}:{line_of(mapping, name)} {section}.{name}"
