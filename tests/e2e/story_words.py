"""The customers' words of the conversation tests, story by story: what is said, without what it is understood as.

A story that begins with a slot set begins in the middle of a conversation. Where another story's words lead there, they are said first;
where none do, the slot is left in ``opening`` for whoever holds the conversation to set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rasa.shared.core.constants import REQUESTED_SLOT
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActiveLoop, Event, SlotSet, UserUttered
from rasa.shared.core.training_data.story_reader.yaml_story_reader import YAMLStoryReader

FOLDER = Path("tests/conversations")


@dataclass(frozen=True)
class StoryWords:
    """One story. ``before`` are another story's words that lead to where this one begins; ``opening`` the slots that are set where this one
    begins and that no words lead to."""

    name: str
    words: tuple[str, ...]
    before: tuple[str, ...] = ()
    opening: Mapping[str, Any] = field(default_factory=dict)


def stories(domain: Domain, folder: Path = FOLDER) -> list[StoryWords]:
    """Every story in ``folder`` in which a customer says something."""
    told = [(f"{file.stem}: {name}", events) for file in sorted(folder.glob("*.yml")) for name, events in _read(domain, file)]
    told = [(name, events) for name, events in told if _words(events)]
    from_nothing = [events for _, events in told if not _opening(events)]
    found = [StoryWords(name, _words(events), opening=_opening(events)) for name, events in told]
    return [_with_words_before(story, from_nothing) for story in found]


def answers(domain: Domain, folder: Path = FOLDER) -> dict[str, str]:
    """For each slot that forms ask for, an answer which in some story leads on to another question, or ends the form."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.yml")):
        for _, events in _read(domain, file):
            asked, answering = None, None
            for event in events:
                if isinstance(event, UserUttered):
                    answering = (asked, str(event.text)) if asked else None
                elif isinstance(event, SlotSet) and event.key == REQUESTED_SLOT:
                    if answering and event.value != answering[0]:
                        found.setdefault(*answering)
                    asked, answering = event.value, None
                elif isinstance(event, ActiveLoop) and event.name is None:
                    asked = None
    return found


def _read(domain: Domain, file: Path) -> list[tuple[str, Sequence[Event]]]:
    return [(step.block_name, step.events) for step in YAMLStoryReader(domain).read_from_file(file)]


def _words(events: Sequence[Event]) -> tuple[str, ...]:
    return tuple(str(event.text) for event in events if isinstance(event, UserUttered))


def _opening(events: Sequence[Event]) -> dict[str, Any]:
    first = next(place for place, event in enumerate(events) if isinstance(event, UserUttered))
    return {event.key: event.value for event in events[:first] if isinstance(event, SlotSet) and event.value is not None}


def _with_words_before(story: StoryWords, others: Sequence[Sequence[Event]]) -> StoryWords:
    leading = [words for events in others if (words := _leading_to(story.opening, events))]
    return replace(story, before=min(leading, key=len), opening={}) if story.opening and leading else story


def _leading_to(opening: Mapping[str, Any], events: Sequence[Event]) -> tuple[str, ...]:
    """The words of a story after which every slot of ``opening`` has some value; none where they do not lead there."""
    words, values = [], {}
    for event in events:
        if isinstance(event, UserUttered):
            words.append(str(event.text))
        elif isinstance(event, SlotSet):
            values[event.key] = event.value
        if all(values.get(slot) is not None for slot in opening):
            return tuple(words)
    return ()
