"""A Rasa tracker that remembers which of its events apply and what states they led to, and that is copied as it stands.

Policies ask several times a turn for the events that apply (reverted turns removed, the turns of a form folded into one) and for the
state before each action, and every action gets a copy of the tracker; Rasa goes through all events of the conversation each time. What
always holds: the answers and the copies are those of Rasa's own tracker.
"""

from __future__ import annotations

import copy
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from rasa.shared.core.constants import PREVIOUS_ACTION
from rasa.shared.core.domain import Domain, State, SubState
from rasa.shared.core.events import (
    ActionExecuted,
    ActionReverted,
    ActiveLoop,
    Event,
    LegacyForm,
    Restarted,
    SessionStarted,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker


@dataclass
class _Applied:
    """The events that apply after the first ``seen`` of the tracker's events, of which ``last`` was the last."""

    seen: int = 0
    last: Event | None = None
    loops: frozenset[str] = frozenset()
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True)
class _Replayed:
    """What past_states has gone through for a domain, up to the latest message: the events that apply, the tracker after them, and the
    moment before each action."""

    domain: Domain
    events: tuple[Event, ...]
    tracker: LiveTracker
    moments: tuple[_Moment, ...]


@dataclass(frozen=True)
class _Moment:
    """A state, the action before it, and what says whether the policies that learn get to see it."""

    state: State
    previous_action: SubState
    decides: bool
    hidden: bool


# What a copy shares with its original: plain values, and events, which nobody changes.
_STATE = (
    "sender_id", "is_rule_tracker", "followup_action", "latest_message", "latest_bot_utterance", "_paused", "_max_event_history",
)  # fmt: skip


_LOOPS = (ActiveLoop.type_name, LegacyForm.type_name)
_BEGINS_ANEW = (Restarted.type_name, SessionStarted.type_name)


class LiveTracker(DialogueStateTracker):
    """As its parent, for known slots. Events may be appended to ``events``, and taken from its end."""

    _applied: _Applied | None = None
    _replays: dict[bool, _Replayed] | None = None

    def applied_events(self) -> list[Event]:
        """The events that apply, as DialogueStateTracker.applied_events tells them, of which only new ones cost anything."""
        known = self._applied
        if known is None or len(self.events) < known.seen or (known.seen and self.events[known.seen - 1] is not known.last):
            known = _Applied()
        new = list(islice(self.events, known.seen, None))
        loops = known.loops | {event.name for event in new if event.type_name in _LOOPS and event.name}
        # Rasa folds the turns of a form by its name, also those that stand before its first ActiveLoop.
        if loops != known.loops:
            known, new = _Applied(), list(self.events)
        applied = known.events
        for event in new:
            applied = self._apply(event, applied, loops)
        self._applied = _Applied(len(self.events), self.events[-1] if self.events else None, loops, applied)
        return list(applied)

    def copy(self) -> LiveTracker:
        """A tracker of its own in the same state, as DialogueStateTracker.copy makes by replaying all events."""
        copied = self.__class__.__new__(self.__class__)
        for name in _STATE:
            setattr(copied, name, getattr(self, name))
        copied.events = self.events.copy()
        copied.slots = {name: copy.copy(slot) for name, slot in self.slots.items()}
        copied.latest_action = dict(self.latest_action or {})
        copied.active_loop = None if self.active_loop is None else replace(self.active_loop)
        copied.sender_source = copied.model_id = copied.assistant_id = None
        if self._applied is not None:
            copied._applied = replace(self._applied, events=list(self._applied.events))
        if self._replays is None:
            self._replays = {}
        copied._replays = self._replays  # common to all copies: what one has gone through, the next goes on from
        return copied

    def past_states(
        self,
        domain: Domain,
        omit_unset_slots: bool = False,
        ignore_rule_only_turns: bool = False,
        rule_only_data: dict[str, Any] | None = None,
    ) -> list[State]:
        """As DialogueStateTracker.past_states and Domain.states_for_tracker_history, of which only the latest turn costs anything."""
        states: list[State] = []
        previous_action, hidden = None, False
        for moment in self._moments(domain, omit_unset_slots):
            state = {name: dict(part) for name, part in moment.state.items()}
            if ignore_rule_only_turns:
                if not hidden:
                    previous_action = moment.previous_action
                if moment.decides:
                    hidden = moment.hidden
                if hidden:
                    continue
                domain._remove_rule_only_features(state, rule_only_data)
                if states:
                    domain._substitute_rule_only_user_input(state, states[-1])
                if previous_action:
                    state[PREVIOUS_ACTION] = dict(previous_action)
                state = domain._clean_state(state)
            states.append(state)
        return states

    def _moments(self, domain: Domain, omit_unset_slots: bool) -> list[_Moment]:
        """The moment before each action, and the present one."""
        applied = self.applied_events()
        if self._replays is None:
            self._replays = {}
        known = self._replays.get(omit_unset_slots)
        latest = next(
            (index for index in range(len(applied) - 1, -1, -1) if applied[index].type_name == UserUttered.type_name), 0
        )
        if known is None or known.domain is not domain or len(known.events) > latest or not _begin_alike(known.events, applied):
            fresh = LiveTracker(
                self.sender_id, self.slots.values(), self._max_event_history, is_rule_tracker=self.is_rule_tracker
            )
            known = _Replayed(domain, (), fresh, ())
        tracker, moments = known.tracker.apart(), list(known.moments)
        for index, event in enumerate(applied[len(known.events) :], len(known.events)):
            if index == latest:  # what is known of the latest message, and what comes of it, may still change
                self._replays[omit_unset_slots] = _Replayed(domain, tuple(applied[:index]), tracker.apart(), tuple(moments))
            if event.type_name == ActionExecuted.type_name:
                moments.append(_moment(domain, tracker, event.hide_rule_turn, omit_unset_slots))
            tracker.update(event)
        return [*moments, _moment(domain, tracker, False, omit_unset_slots)]

    def apart(self) -> LiveTracker:
        """As ``copy``, with a latest message of its own: the one event that Rasa still writes on, with the entities that a policy found
        (EntitiesAdded) and how it was read (DefinePrevUserUtteredFeaturization)."""
        copied = self.copy()
        shared = copied.latest_message
        if shared is None:
            return copied
        own = copy.copy(shared)
        own.entities = list(shared.entities)
        copied.latest_message = own
        _put_in_place(copied.events, shared, own)
        if copied._applied is not None:
            _put_in_place(copied._applied.events, shared, own)
            if copied._applied.last is shared:
                copied._applied.last = own
        return copied

    def _apply(self, event: Event, applied: list[Event], loops: frozenset[str]) -> list[Event]:
        kind = event.type_name  # by name: all of Rasa's events have an abstract parent, for which isinstance takes long
        if kind in _BEGINS_ANEW:
            return []
        if kind == ActionReverted.type_name:
            self._undo_till_previous(ActionExecuted, applied)
        elif kind == UserUtteranceReverted.type_name:  # takes back the message, and the listening before it
            self._undo_till_previous(UserUttered, applied)
            self._undo_till_previous(ActionExecuted, applied)
        elif (
            kind == ActionExecuted.type_name
            and event.action_name in loops
            and not self._first_loop_execution_or_unhappy_path(event.action_name, applied)
        ):
            self._undo_till_previous_loop_execution(event.action_name, applied)
        else:
            applied.append(event)
        return applied


def _moment(domain: Domain, tracker: DialogueStateTracker, hidden: bool, omit_unset_slots: bool) -> _Moment:
    state = domain.get_active_state(tracker, omit_unset_slots=omit_unset_slots)
    # A followup action, or a loop on its happy path, changes nothing about who gets to see the turn.
    decides = not tracker.followup_action and tracker.latest_action_name != tracker.active_loop_name
    return _Moment(domain._clean_state(state), domain._get_prev_action_sub_state(tracker), decides, hidden)


def _begin_alike(known: Sequence[Event], events: Sequence[Event]) -> bool:
    """Whether ``events`` begin with the ``known`` ones. A message may have become one of its own (``apart``): its id tells."""
    return len(known) <= len(events) and all(
        one is other or (isinstance(one, UserUttered) and one.metadata.get("event_id", one) == other.metadata.get("event_id"))
        for one, other in zip(known, events, strict=False)
    )


def _put_in_place(events: MutableSequence[Event], old: Event, new: Event) -> None:
    """Put ``new`` where ``old`` stands, which is near the end if it stands there at all."""
    for index in range(len(events) - 1, -1, -1):
        if events[index] is old:
            events[index] = new
            return
