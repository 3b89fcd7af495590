"""Rasa's tracker store on the shared record. Rasa builds it from endpoints.yml; the contact id is the sender id.

    tracker_store:
      type: throughline.record.tracker_store.RecordTrackerStore

Where the record is and how long the live window is stand with the other settings, under ``throughline: database:``.

What always holds: a save appends exactly the events that are not in the record yet, told by their ids and never by their position,
under a check that nobody else saved meanwhile; a save that fails raises and has written nothing; SQL never runs on an event loop.

Importing this module takes Rasa's FailSafeTrackerStore away from around this store, at start and at every model reload: it would
answer a failed save with success, and a failed read with a stranger.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rasa.core.agent import Agent
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event
from rasa.shared.core.trackers import DialogueStateTracker

from throughline.errors import ConfigurationError, Problem
from throughline.record import store
from throughline.record.entries import Head, NewEvent, Window
from throughline.record.events import new_event_id
from throughline.record.live_tracker import LiveTracker
from throughline.record.turn_context import current
from throughline.record.window import header_events, next_checkpoint
from throughline.settings.server import load_settings

_ATTRIBUTE = "throughline_loaded"  # where a tracker carries what it was loaded from


@dataclass
class _Loaded:
    """What a tracker was loaded from: the head, and the ids of the events that need no saving."""

    head: Head
    event_ids: set[str] = field(default_factory=set)


class RecordTrackerStore(TrackerStore):
    """Trackers in the shared record. Every method may be awaited on any event loop of the process."""

    def __init__(
        self,
        domain: Domain | None = None,
        host: str | None = None,
        event_broker: EventBroker | None = None,
        window_user_turns: int | None = None,
        **unknown: Any,
    ) -> None:
        """``host`` is what Rasa calls a ``url`` of endpoints.yml; it and ``window_user_turns`` come from the settings where they are not
        given. Opens the record and brings its schema up to date. Raises ConfigurationError."""
        super().__init__(domain, event_broker)
        settings = load_settings()
        where = "endpoints.yml tracker_store"
        if unknown:
            raise ConfigurationError(
                [Problem(f"{where}.{key}", "there is no such setting.", "Remove it.") for key in sorted(unknown)]
            )
        self.record = store.open(host or settings.database_url())
        self.record.migrate()
        self._window_user_turns = window_user_turns or settings.database.window_user_turns

    def init_tracker(self, sender_id: str) -> DialogueStateTracker:
        """A tracker for somebody who has none yet. If another process makes one first, saving this one fails."""
        tracker = LiveTracker(sender_id, self.domain.slots)
        setattr(tracker, _ATTRIBUTE, _Loaded(Head(sender_id, 0)))
        return tracker

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """The contact's tracker over the live window (see window.py); None where there is none. An alias gives the living contact's.
        Raises Unavailable."""
        turn = current.get()
        window = None if turn is None else turn.take_window(sender_id)
        if window is None:
            window = await self.record.call(self.record.window, sender_id)
        return self._rebuilt(sender_id, window)

    async def retrieve_full_tracker(self, conversation_id: str) -> DialogueStateTracker | None:
        """The contact's tracker over all its events; None where there is none. Raises Unavailable."""
        return self._rebuilt(conversation_id, await self.record.call(self.record.whole_tracker, conversation_id))

    async def keys(self) -> Iterable[str]:
        """Every contact that has a tracker. Raises Unavailable."""
        return await self.record.call(self.record.tracker_ids)

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Append the tracker's new events. A tracker that was not loaded here (made by a tool, sent to Rasa's HTTP API) brings events
        from elsewhere: those the record doesn't have are appended. An unknown sender becomes a contact.
        Raises Unavailable, with nothing written, also when somebody else has saved since the tracker was loaded."""
        loaded: _Loaded | None = getattr(tracker, _ATTRIBUTE, None)
        saved_ids = await self._foreign_ids(tracker) if loaded is None else loaded.event_ids
        new = [event for event in tracker.events if _event_id(event) not in saved_ids]
        if not new:
            return
        turn = current.get()
        entries = [_stamped(event, tracker) for event in new]
        id_of = {id(event): entry.event_id for event, entry in zip(new, entries, strict=True)}
        checkpoint = next_checkpoint(
            tracker,
            window_user_turns=self._window_user_turns,
            event_id_of=lambda event: id_of.get(id(event)) or str(_event_id(event)),
            rebuild=lambda header, events: self._tracker(tracker.sender_id, header, events),
        )
        head = await self.record.call(
            self.record.append_events,
            tracker.sender_id,
            entries,
            expected=None if loaded is None else loaded.head,
            checkpoint=checkpoint,
            message_id=None if turn is None else turn.message_id,
        )
        for event, entry in zip(new, entries, strict=True):
            event.metadata = dict(entry.data["metadata"])
        saved_ids.update(entry.event_id for entry in entries)
        setattr(tracker, _ATTRIBUTE, _Loaded(head, saved_ids))
        if turn is not None:
            turn.saved.extend(dict(entry.data) for entry in entries)
        if self.event_broker is not None:
            await self._stream_new_events(self.event_broker, new, tracker.sender_id)

    async def _foreign_ids(self, tracker: DialogueStateTracker) -> set[str]:
        claimed = {claim for claim in map(_event_id, tracker.events) if claim is not None}
        return await self.record.call(self.record.known_event_ids, tracker.sender_id, claimed)

    def _rebuilt(self, sender_id: str, window: Window) -> DialogueStateTracker | None:
        if window.head.version == 0:
            return None
        events = [event for event in map(_event, window.events) if event is not None]
        tracker = self._tracker(sender_id, window.header, events)
        ids = {claim for claim in map(_event_id, tracker.events) if claim is not None}
        setattr(tracker, _ATTRIBUTE, _Loaded(window.head, ids))
        return tracker

    def _tracker(self, sender_id: str, header: Mapping[str, Any] | None, events: Sequence[Event]) -> DialogueStateTracker:
        known_slots = {slot.name for slot in self.domain.slots}
        before = [
            _event(data)
            for data in header_events(header)
            if data["event"] != "slot" or data["name"] in known_slots  # a slot that a newer model no longer has is no fault
        ]
        return LiveTracker.from_events(sender_id, [*before, *events], self.domain.slots)


@functools.cache
def _class_of(type_name: str) -> Any:
    return Event.resolve_by_type(type_name)


def _event(data: Mapping[str, Any]) -> Event | None:
    """``Event.from_parameters``, which looks through all classes again for every event: most of the cost of loading a window."""
    found = _class_of(data["event"])
    return None if found is None else found._from_parameters(data)


def _event_id(event: Event) -> str | None:
    claim = event.metadata.get("event_id")
    return claim if isinstance(claim, str) else None


def _stamped(event: Event, tracker: DialogueStateTracker) -> NewEvent:
    """The event as it will stand in the record. Its metadata is a dict of its own: Rasa shares one between message and event."""
    turn = current.get()
    event_id = new_event_id()
    session_id = None if turn is None else turn.session_id
    channel = tracker.get_latest_input_channel() if turn is None else turn.channel
    metadata = {**event.metadata, "event_id": event_id, "session_id": session_id, "channel": channel}
    return NewEvent(event_id, {**event.as_dict(), "metadata": metadata}, session_id, channel)


_rasas_own = Agent._create_tracker_store


def _without_fail_safe(tracker_store: TrackerStore | None, domain: Domain) -> TrackerStore:
    if isinstance(tracker_store, RecordTrackerStore):
        tracker_store.domain = domain
        return tracker_store
    return _rasas_own(tracker_store, domain)


Agent._create_tracker_store = staticmethod(_without_fail_safe)
