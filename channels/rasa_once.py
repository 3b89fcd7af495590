"""What Rasa 3.6 works out anew for every message although only another model could change it, worked out once per model.

Some methods of Rasa's are replaced, the first three by ones that remember and otherwise ask Rasa's own:

- ``RulePolicy._get_possible_keys`` tries every rule against the conversation's states. The rules are kept by the previous action and
  the intent of their last state, and only those are tried that the newest state can fit at all.
- ``FormAction._create_unique_entity_mappings`` writes all of a form's slot mappings out as JSON, once for every slot.
- ``Domain.is_empty`` makes an empty domain to compare with, for every message.
- ``Slot`` gets a way to be copied. A turn makes ten trackers with a copy of every slot each, and without one Python goes through pickling.
- ``FormAction._temporary_tracker`` replays the whole conversation for every form's check. A live tracker is copied as it stands.

graph_order.py and action_calls.py do the like for Rasa's graph and for the shape of an action's answer.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rasa.core.actions.forms import FormAction
from rasa.core.policies.rule_policy import RulePolicy
from rasa.shared.core.constants import PREVIOUS_ACTION, REQUESTED_SLOT, SHOULD_NOT_BE_SET, USER
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, Event, Restarted, SlotSet
from rasa.shared.core.slots import Slot
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import ACTION_NAME, INTENT

from throughline.domain.privacy import told_in
from throughline.record.live_tracker import LiveTracker

State = Mapping[str, Mapping[str, Any]]

_REMEMBERED = "throughline_remembered"  # the attribute of a policy or a domain that holds what was worked out for it
_possible_keys = RulePolicy._get_possible_keys
_unique_mappings = FormAction._create_unique_entity_mappings
_compared_with_empty = Domain.is_empty
_replayed = FormAction._temporary_tracker


class RuleIndex:
    """Rule keys by what their last state demands. ``could_fit`` leaves out only rules that Rasa would refuse at the newest state."""

    def __init__(self, lookup: Mapping[str, Any]) -> None:
        self._keys: dict[tuple[Any, Any], list[str]] = defaultdict(list)
        for key in lookup:
            states = RulePolicy._rule_key_to_state(key)
            # A rule for a conversation's start has no previous action, and fits one whatever else is said.
            last = states[-1] if states and states[-1].get(PREVIOUS_ACTION) else {}
            self._keys[_demand(last, PREVIOUS_ACTION, ACTION_NAME), _demand(last, USER, INTENT)].append(key)

    def could_fit(self, newest: State) -> list[str]:
        """The keys of the rules whose last state demands of the newest one nothing that it has not."""
        action = newest.get(PREVIOUS_ACTION, {}).get(ACTION_NAME)
        intent = newest.get(USER, {}).get(INTENT)
        demands = dict.fromkeys((a, i) for a in (action, None) for i in (intent, None))
        return [key for demand in demands for key in self._keys.get(demand, ())]


def _demand(state: State, part: str, name: str) -> Any:
    """The value that a rule's state demands there; None where it demands none."""
    value = state.get(part, {}).get(name)
    return None if not value or value == SHOULD_NOT_BE_SET else value


def _keys_that_fit(policy: RulePolicy, lookup: Mapping[str, Any], states: Sequence[State]) -> set[str]:
    """Stands in for RulePolicy._get_possible_keys."""
    if not states:
        return set(_possible_keys(policy, lookup, states))
    indexes, this = _remembered(policy), (id(lookup), len(lookup))
    if this not in indexes:
        indexes[this] = (lookup, RuleIndex(lookup))  # with the lookup, so that its id stays its own
    candidates = dict.fromkeys(indexes[this][1].could_fit(states[-1]))
    return set(_possible_keys(policy, candidates, states))


def _mappings_of_form(form: FormAction, domain: Domain) -> set[str]:
    """Stands in for FormAction._create_unique_entity_mappings."""
    known = _remembered(domain)
    if form.name() not in known:
        known[form.name()] = _unique_mappings(form, domain)
    found: set[str] = known[form.name()]
    return found


def _tracker_for_check(form: FormAction, current: DialogueStateTracker, additional: list[Event], domain: Domain) -> Any:
    """Stands in for FormAction._temporary_tracker."""
    if not isinstance(current, LiveTracker) or any(event.type_name == Restarted.type_name for event in current.events):
        return _replayed(form, current, additional, domain)
    tracker = current.copy()
    told = [_as_it_was_told(event, current) for event in additional]
    # The question that is open belongs to this form; behind the form's own action stand the events that are new.
    for event in (SlotSet(REQUESTED_SLOT, form.get_slot_to_fill(current)), ActionExecuted(form.name()), *told):
        tracker.update(event)
    return tracker


def _as_it_was_told(event: Event, tracker: DialogueStateTracker) -> Event:
    """A form that begins has every fact checked that is known, as events without a source. Such a fact is told where it was told: taken
    for one of this visit it could be said to whoever is here (channels/said.py)."""
    if not isinstance(event, SlotSet) or event.metadata or event.value is None:
        return event
    for earlier in reversed(tracker.events):
        if earlier.type_name == SlotSet.type_name and earlier.key == event.key:
            metadata = earlier.metadata or {}
            # What came about in the turn at hand has metadata too, the model's; that it was stored, or put back, only the others say.
            known = earlier.value == event.value and not metadata.keys().isdisjoint(("event_id", "told_in"))
            return SlotSet(event.key, event.value, event.timestamp, {"told_in": told_in(metadata)}) if known else event
    return event


def _copy_of(slot: Slot) -> Slot:
    """What ``copy.copy`` gives."""
    copied = slot.__class__.__new__(slot.__class__)
    copied.__dict__.update(slot.__dict__)
    return copied


def _is_empty(domain: Domain) -> bool:
    """Stands in for Domain.is_empty."""
    known = _remembered(domain)
    if _is_empty not in known:
        known[_is_empty] = _compared_with_empty(domain)
    return bool(known[_is_empty])


def _remembered(owner: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = owner.__dict__.setdefault(_REMEMBERED, {})
    return found


@functools.lru_cache(maxsize=1)
def install() -> None:
    """Replace the methods, for a process that takes turns."""
    RulePolicy._get_possible_keys = _keys_that_fit
    FormAction._create_unique_entity_mappings = _mappings_of_form
    FormAction._temporary_tracker = _tracker_for_check
    Domain.is_empty = _is_empty
    Slot.__copy__ = _copy_of
