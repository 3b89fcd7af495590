"""Rasa component: dates, times and digits as people type and say them, with canonical values.

Stands behind the CRF extractor and the synonyms, whose entities it leaves alone, except that the kinds of `spoken_grammar.KINDS` come
from the grammar only: a learned "thursday" would have no date. What it finds inside another extractor's longer entity (the
five digits in a model's name) yields to it. Nothing is trained.

Where a form has just asked for something, a bare answer is read as that: the tracker's ``requested_slot`` is looked up in the
``expects`` table of this component's config (slot name: kind).
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rasa.engine.graph import ExecutionContext, GraphComponent
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.nlu.extractors.extractor import EntityExtractorMixin
from rasa.shared.core.constants import REQUESTED_SLOT
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import ENTITIES, TEXT
from rasa.shared.nlu.training_data.message import Message

from throughline.errors import ConfigurationError, Problem
from throughline.nlu import spoken_grammar
from throughline.nlu.spoken_grammar import EXPECTED, KINDS, Reading
from throughline.nlu.spoken_text import Found

_WHERE = "config.yml pipeline/SpokenEntityExtractor"


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.ENTITY_EXTRACTOR, is_trainable=False)
class SpokenEntityExtractor(GraphComponent, EntityExtractorMixin):
    """Adds entities of the kinds in `spoken_grammar.KINDS`."""

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """See config.yml.

        ``timezone``: where the customers are, an IANA name. ``day_starts``: "HH:MM", before which an hour without am or pm means the
        afternoon; null takes it as it stands. ``day_first``: true reads 11/04 as 11 April. ``expects``: slot name -> kind.
        """
        return {"timezone": "UTC", "day_starts": None, "day_first": False, "expects": {}}

    def __init__(self, config: dict[str, Any]) -> None:
        self._timezone, self._reading, self._expects = _read_config(config)

    @classmethod
    def create(
        cls, config: dict[str, Any], model_storage: ModelStorage, resource: Resource, execution_context: ExecutionContext
    ) -> SpokenEntityExtractor:
        """Raises ConfigurationError with every fault of the config."""
        return cls(config)

    def process(self, messages: list[Message], tracker: DialogueStateTracker) -> list[Message]:
        """Add what the grammar finds to each message's entities.

        Rasa passes ``tracker`` None where a text is parsed outside a conversation, but refuses a graph that says so in the type.
        """
        now = datetime.now(self._timezone)
        for message in messages:
            text = message.get(TEXT)
            if text:
                found = spoken_grammar.find(text, now, self._reading, expected=self._expected(tracker))
                message.set(ENTITIES, merged(message.get(ENTITIES, []), found, self.name), add_to_output=True)
        return messages

    def _expected(self, tracker: DialogueStateTracker | None) -> str:
        slot = tracker.get_slot(REQUESTED_SLOT) if tracker is not None else None
        return self._expects.get(str(slot), "free")


def merged(others: list[dict[str, Any]], found: list[Found], extractor: str) -> list[dict[str, Any]]:
    """The other extractors' entities and the grammar's, as Rasa's entity dicts, without contradictions."""
    kept = [entity for entity in others if entity["entity"] not in KINDS]
    return kept + [_as_entity(item, extractor) for item in found if not _yields(item, kept)]


def _yields(item: Found, others: list[dict[str, Any]]) -> bool:
    """A plain number yields to whatever shares a character with it, anything else only to a longer entity around it."""
    for other in others:
        if item.kind == "number" and item.start < other["end"] and item.end > other["start"]:
            return True
        longer = other["end"] - other["start"] > item.end - item.start
        if longer and other["start"] <= item.start and item.end <= other["end"]:
            return True
    return False


def _as_entity(item: Found, extractor: str) -> dict[str, Any]:
    entity = {
        "entity": item.kind,
        "value": item.value,
        "start": item.start,
        "end": item.end,
        "confidence_entity": 1.0,
        "extractor": extractor,
    }
    return entity if item.role is None else entity | {"role": item.role}


def _read_config(config: dict[str, Any]) -> tuple[ZoneInfo, Reading, dict[str, str]]:
    problems = []
    timezone = ZoneInfo("UTC")
    try:
        timezone = ZoneInfo(str(config["timezone"]))
    except (ZoneInfoNotFoundError, ValueError):
        problems.append(
            Problem(f"{_WHERE} timezone", f"'{config['timezone']}' is no timezone.", "Name one like America/Los_Angeles.")
        )
    day_starts: time | None = None
    try:
        day_starts = time.fromisoformat(config["day_starts"]) if config["day_starts"] else None
    except (ValueError, TypeError):
        problems.append(Problem(f"{_WHERE} day_starts", f"{config['day_starts']!r} is no time.", 'Write "07:00", in quotes.'))
    expects = dict(config["expects"] or {})
    for slot, kind in expects.items():
        if kind not in EXPECTED:
            known = ", ".join(EXPECTED)
            problems.append(Problem(f"{_WHERE} expects.{slot}", f"'{kind}' is no kind of answer.", f"Use one of {known}."))
    if problems:
        raise ConfigurationError(problems)
    return timezone, Reading(day_starts, bool(config["day_first"])), expects
