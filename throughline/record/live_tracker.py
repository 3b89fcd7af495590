"""A Rasa tracker that remembers which of its events apply, and that is copied as it stands.

Policies ask for the events that apply several times a turn (reverted turns removed, the turns of a form folded into one), and every
action gets a copy of the tracker; Rasa goes through all events of the conversation each time. What always holds: the answers and the
copies are those of Rasa's own tracker.
"""

from __future__ import annotations

import copy
from collections.abc import MutableSequence
from dataclasses import dataclass, field, replace
from itertools import islice

from rasa.shared.core.events import (
    ActionExecuted,
    ActionReverted,
    ActiveLoop,
    Event,
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


# What a copy shares with its original: plain values, and events, which nobody changes.
_STATE = (
    "sender_id", "is_rule_tracker", "followup_action", "latest_message", "latest_bot_utterance", "_paused", "_max_event_history",
)  # fmt: skip


class LiveTracker(DialogueStateTracker):
    """As its parent, for known slots. Events may be appended to ``events``, and taken from its end."""

    _applied: _Applied | None = None

    def applied_events(self) -> list[Event]:
        """The events that apply, as DialogueStateTracker.applied_events tells them, of which only new ones cost anything."""
        known = self._applied
        if known is None or len(self.events) < known.seen or (known.seen and self.events[known.seen - 1] is not known.last):
            known = _Applied()
        new = list(islice(self.events, known.seen, None))
        loops = known.loops | {event.name for event in new if isinstance(event, ActiveLoop) and event.name}
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
        return copied

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
        if isinstance(event, (Restarted, SessionStarted)):
            return []
        if isinstance(event, ActionReverted):
            self._undo_till_previous(ActionExecuted, applied)
        elif isinstance(event, UserUtteranceReverted):  # takes back the message, and the listening before it
            self._undo_till_previous(UserUttered, applied)
            self._undo_till_previous(ActionExecuted, applied)
        elif (
            isinstance(event, ActionExecuted)
            and event.action_name in loops
            and not self._first_loop_execution_or_unhappy_path(event.action_name, applied)
        ):
            self._undo_till_previous_loop_execution(event.action_name, applied)
        else:
            applied.append(event)
        return applied


def _put_in_place(events: MutableSequence[Event], old: Event, new: Event) -> None:
    """Put ``new`` where ``old`` stands, which is near the end if it stands there at all."""
    for index in range(len(events) - 1, -1, -1):
        if events[index] is old:
            events[index] = new
            return
