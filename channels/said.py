"""The one place on the way out: what the assistant says leaves through here, and what may not be told stays behind.

Rasa builds it from endpoints.yml in place of its own generator, and asks it for the words of every response, whether a rule, a form or an
action chose it. What always holds:

- A value that was told in another visit leaves only where we are sure enough of who is here (data/business/privacy.yml). So does the answer
  to a variant's ``condition``. One that is not classified never leaves.
- A response is said whole: with every value, with what privacy.yml says in place of one, or not at all: then ``utter_withheld`` is said.
- Text, buttons, quick replies, images and custom payloads are treated alike. A value is never read as a template.
- Actions say responses of the domain and nothing else. What one says in words of its own is refused, and logged.

    nlg:
      type: channels.said.Said

How sure we are is read from the record at most once a turn, and only where something of another visit is about to be said. Outside a turn
(``rasa shell``, Rasa's HTTP API) only what was told outside a turn is said. Why it is so: docs/decisions/0015-what-may-be-said.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rasa.core.actions.action import RemoteAction, create_bot_utterance
from rasa.core.agent import Agent
from rasa.core.nlg import NaturalLanguageGenerator, TemplatedNaturalLanguageGenerator
from rasa.core.nlg.generator import ResponseVariationFilter
from rasa.shared.core.constants import DEFAULT_SLOT_NAMES
from rasa.shared.core.events import BotUttered
from rasa.shared.core.trackers import DialogueStateTracker

from throughline import bootstrap, log
from throughline.bootstrap import Application
from throughline.domain.assurance import Assurance
from throughline.domain.privacy import UNKNOWN, Standing, Told, conditions, filled, may_be_told, placeholders, told_in
from throughline.errors import Problem
from throughline.record.turn_context import current
from throughline.settings.privacy import WITHHELD, check_privacy

_log = log.get_logger("channels")

_REACHES_CUSTOMERS = ("text", "image", "custom", "buttons", "attachment", "quick_replies", "elements")
_APOLOGY = "utter_apology"  # where a response has no value for one of its places
_NO_VALUES = frozenset({"domain_responses", "response", "template", "told_in", *_REACHES_CUSTOMERS})

Variant = Mapping[str, Any]


class Said(TemplatedNaturalLanguageGenerator):
    """Rasa's generator, as endpoints.yml names it: an agent gives it its model's ``responses``. ``application`` tells the company's rules
    and the record."""

    def __init__(
        self, endpoint_config: Any = None, domain: Any = None, *, application: Callable[[], Application] | None = None
    ) -> None:
        super().__init__(domain.responses if domain else {})
        self._application = application or bootstrap.application
        RemoteAction._utter_responses = staticmethod(_utter_responses)

    async def generate(
        self, utter_action: str, tracker: DialogueStateTracker, output_channel: str, **given: Any
    ) -> dict[str, Any] | None:
        """The response ``utter_action`` with its values, as far as they may be told; ``utter_withheld`` with the names of what was withheld
        (``withheld``) where they may not. None for what the domain doesn't have. ``given``: values of its places, and ``told_in``, the
        visit that they are of. Raises Unavailable."""
        told = Told(
            slots=tracker.current_slot_values(),
            source=lambda slot: source_of(tracker, slot),
            values={name: value for name, value in given.items() if name not in _NO_VALUES},
            told_in=given.get("told_in", UNKNOWN),
        )
        variants = self._variants(utter_action, output_channel)
        hidden = await self._hidden(set().union(*map(_needed, variants)), told)
        for alternatives in _in_rasas_order(variants, told.slots, hidden):
            sayable = [found for found in (self._said(variant, told, hidden) for variant in alternatives) if found is not None]
            whole = [found for found, is_whole in sayable if is_whole]
            if sayable:
                return random.choice(whole or [found for found, _ in sayable])  # noqa: S311 - which wording
        if hidden:
            _log.info("said.withheld", response=utter_action, values=sorted(hidden))
            return self._plain(WITHHELD, output_channel, withheld=sorted(hidden))
        if variants:
            _log.error("said.no_value", response=utter_action, mend="Give every {name} in it a value, or an `instead`.")
            return self._plain(_APOLOGY, output_channel)
        return None

    def _variants(self, response: str, channel: str) -> list[Variant]:
        return [variant for variant in self.responses.get(response, ()) if variant.get("channel") in (channel, None)]

    def _plain(self, response: str, channel: str, **metadata: Any) -> dict[str, Any] | None:
        """A response without places, in the channel's own words if it has some."""
        variants = [variant for variant in self._variants(response, channel) if not _needed(variant)]
        chosen = next((variant for variant in variants if variant.get("channel")), next(iter(variants), None))
        return None if chosen is None else {**filled(chosen, {}), **metadata}

    async def _hidden(self, names: set[str], told: Told) -> set[str]:
        """Those of ``names`` that may not be told to whom the turn at hand belongs."""
        turn, privacy = current.get(), self._application().business.privacy
        here = Standing(Assurance.ANONYMOUS, frozenset({None if turn is None else turn.session_id}))
        kept = {name: privacy.kept(name) for name in names}
        hidden = {name for name in names if not may_be_told(name, kept[name], told, here)}
        if not hidden or turn is None:
            return hidden
        if turn.standing is None:
            record, together = self._application().record, timedelta(minutes=privacy.together_minutes)
            turn.standing = await record.call(record.standing, turn.session_id, together=together)
        standing = turn.standing
        return {name for name in hidden if not may_be_told(name, kept[name], told, standing)}

    def _said(self, variant: Variant, told: Told, hidden: set[str]) -> tuple[dict[str, Any], bool] | None:
        """The variant with its values, and whether all of them are the real ones; None where one may not be told, or is not there, and
        nothing stands in for it."""
        values, whole = {}, True
        for name in placeholders(_leaving(variant)):
            value = None if name in hidden else told.value(name)
            if value is None:
                kept, whole = self._application().business.privacy.kept(name), False
                value = None if kept is None else kept.instead
            if value is None:
                return None
            values[name] = value
        return {**variant, **filled(_leaving(variant), values)}, whole


def source_of(tracker: DialogueStateTracker, slot: str) -> str | None:
    """The visit in which the value that a slot has was told; UNKNOWN where the tracker doesn't tell."""
    turn = current.get()
    for event in reversed(tracker.events):
        if event.type_name == "slot" and event.key == slot:
            if event.value != tracker.get_slot(slot):
                return UNKNOWN  # it was taken back
            metadata = event.metadata or {}
            if "event_id" in metadata:
                return told_in(metadata)
            # Not saved yet: it came about in the turn at hand.
            return told_in({"session_id": None if turn is None else turn.session_id, **metadata})
    return UNKNOWN


def check_said(agent: Agent, app: Application) -> list[Problem]:
    """A problem where the agent speaks past this gate, and for whatever in its domain is not classified."""
    folder = Path(app.settings.business_dir)
    problems = check_privacy(folder, agent.domain.responses, {slot.name for slot in agent.domain.slots} - DEFAULT_SLOT_NAMES)
    if not isinstance(agent.nlg, Said):
        what = f"Rasa speaks by {type(agent.nlg).__name__}, which tells everybody everything."
        problems.append(Problem("endpoints.yml nlg", what, "Set `type: channels.said.Said`."))
    return problems


async def _utter_responses(
    responses: Sequence[Mapping[str, Any]], output_channel: Any, nlg: NaturalLanguageGenerator, tracker: DialogueStateTracker
) -> list[BotUttered]:
    """Stands in for RemoteAction._utter_responses. That one lets an action say what it likes, and keeps every value beside the words."""
    said = []
    for response in responses:
        name, own = response.get("response"), [key for key in _REACHES_CUSTOMERS if response.get(key)]
        if not name or own:
            mend = "Write it as a response in domain.yml, and say that."
            _log.error("said.own_words_refused", response=name, keys=own, mend=mend)
            continue
        draft = await nlg.generate(
            name, tracker, output_channel.name(), **{k: v for k, v in response.items() if k != "response"}
        )
        if draft:
            said.append(create_bot_utterance({**draft, "utter_action": name}))
    return said


def _leaving(variant: Variant) -> dict[str, Any]:
    """What of a variant reaches the customer."""
    return {key: variant[key] for key in _REACHES_CUSTOMERS if key in variant}


def _needed(variant: Variant) -> set[str]:
    return placeholders(_leaving(variant)) | conditions(variant)


def _in_rasas_order(variants: Sequence[Variant], slots: Mapping[str, Any], hidden: set[str]) -> Iterator[list[Variant]]:
    """The variants in the order in which Rasa would choose (ResponseVariationFilter), those that are equal together. A condition on what
    may not be told is not met."""
    for of_channel, conditional in ((True, True), (True, False), (False, True), (False, False)):
        yield [
            variant
            for variant in variants
            if bool(variant.get("channel")) is of_channel
            and bool(variant.get("condition")) is conditional
            and hidden.isdisjoint(conditions(variant))
            and ResponseVariationFilter._matches_filled_slots(slots, dict(variant))
        ]
