"""What may be told to whom: for every slot and every other placeholder of the responses, how sure we must be of somebody before they are
told what was said in another visit.

Poured from data/business/privacy.yml. The gate itself stands on the way out (channels/said.py); this is what it goes by, without I/O. What
always holds: what somebody told us in this very visit may be said back to them at any level; what is not named here is never said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from throughline.domain.assurance import Assurance
from throughline.domain.documented import doc

LEVELS = tuple(level.word for level in Assurance)
SPOKEN = "_spoken"
"""``{day_spoken}`` is ``{day}`` for the ear: what holds for the one holds for the other."""
UNKNOWN = ""
"""The source of a value of which nobody knows where it was told. It is nobody's visit."""

_PLACEHOLDER = re.compile(r"\{([^\n{}]+)\}")


@dataclass(frozen=True)
class Kept:
    """How one slot or placeholder is kept."""

    needs: str = field(metadata=doc("How sure we must be of somebody before they are told.", choices=LEVELS))
    instead: str | None = field(default=None, metadata=doc("What is said in its place where it may not be told."))
    of: tuple[str, ...] = field(default=(), metadata=doc("The slots that it is made of."))

    @property
    def level(self) -> Assurance:
        """``needs`` as a level."""
        return Assurance.of(self.needs)


@dataclass(frozen=True)
class Privacy:
    """data/business/privacy.yml."""

    slots: dict[str, Kept] = field(metadata=doc("For each slot, how sure we must be."))
    values: dict[str, Kept] = field(metadata=doc("For each other placeholder, how sure we must be."))
    other_visits: str = field(
        metadata=doc("How sure we must be before the chat shows what was said in another visit.", choices=LEVELS)
    )
    together_minutes: int = field(
        metadata=doc("How long a chat and the call it led to count as one visit.", minimum=0, maximum=10_080)
    )

    card_number: str = field(
        metadata=doc(
            "The words that stand in the place of a payment card's number, which is kept nowhere and understood by nobody."
        )
    )

    @property
    def other_visits_level(self) -> Assurance:
        """``other_visits`` as a level."""
        return Assurance.of(self.other_visits)

    def kept(self, placeholder: str) -> Kept | None:
        """How ``placeholder`` is kept; None for one that is not named."""
        name = placeholder if placeholder in self.slots or placeholder in self.values else placeholder.removesuffix(SPOKEN)
        return self.slots.get(name) or self.values.get(name)


@dataclass(frozen=True)
class Standing:
    """What one visit may be told. ``together``: the visits that are in the same hands, with itself; None among them for Rasa's own tools,
    whose conversations belong to no visit."""

    assurance: Assurance
    together: frozenset[str | None]


@dataclass(frozen=True)
class Told:
    """What the values of a response are, and where they come from. ``slots`` are the conversation's, each with ``source(name)``, the visit
    in which it was told; ``values`` are given by whoever says the response and says that they are of the visit ``told_in``. What the
    conversation knows of a value counts before what is said of it."""

    slots: Mapping[str, Any]
    source: Callable[[str], str | None]
    values: Mapping[str, Any]
    told_in: str | None = UNKNOWN

    def value(self, placeholder: str) -> Any:
        """What would be said; None where there is nothing."""
        return self.values[placeholder] if placeholder in self.values else self.slots.get(placeholder)

    def sources(self, placeholder: str, kept: Kept) -> frozenset[str | None]:
        """The visits in which it was told; there is at least one."""
        made_of = [slot for slot in kept.of if self.slots.get(slot) is not None]
        name = placeholder.removesuffix(SPOKEN)
        if self.slots.get(name) is not None and self.values.get(name, self.slots[name]) == self.slots[name]:
            made_of.append(name)
        return frozenset(map(self.source, made_of)) or frozenset({self.told_in})


def may_be_told(placeholder: str, kept: Kept | None, told: Told, standing: Standing) -> bool:
    """Whether the value of ``placeholder`` may be told to this visit."""
    if kept is None:
        return False
    return standing.assurance >= kept.level or told.sources(placeholder, kept) <= standing.together


def placeholders(part: Any) -> set[str]:
    """The names in braces anywhere in a response or a part of it."""
    if isinstance(part, str):
        return set(_PLACEHOLDER.findall(part))
    if isinstance(part, Mapping):
        return set().union(*map(placeholders, part.values()))
    return set().union(*map(placeholders, part)) if isinstance(part, (list, tuple)) else set()


def conditions(variant: Mapping[str, Any]) -> set[str]:
    """The slots that decide whether a response's variant is said: it tells of them by being said."""
    return {str(condition.get("name")) for condition in variant.get("condition") or ()}


def filled(part: Any, values: Mapping[str, Any]) -> Any:
    """A copy of a response or a part of it with the values in their places, once: a value is never read as a template. A name that is not
    among ``values`` stays as it is."""
    if isinstance(part, str):
        return _PLACEHOLDER.sub(lambda match: str(values.get(match.group(1), match.group(0))), part)
    if isinstance(part, Mapping):
        return {key: filled(item, values) for key, item in part.items()}
    return [filled(item, values) for item in part] if isinstance(part, (list, tuple)) else part


def told_in(metadata: Mapping[str, Any] | None) -> str | None:
    """The visit in which the value of a stored SlotSet event was told, by its metadata: its own, or the one it was put back from."""
    found = metadata or {}
    return found.get("told_in", found.get("session_id", UNKNOWN))  # type: ignore[no-any-return]
