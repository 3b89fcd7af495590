"""Rasa's tracker store on the shared record. Rasa builds it from endpoints.yml; the contact id is the sender id.

    tracker_store:
      type: throughline.record.tracker_store.RecordTrackerStore

Where the record is and how long the live window is stand with the other settings, under ``throughline: database:``.

What always holds: a save appends exactly the events that are not in the record yet, told by their ids and never by their position,
under a check that nobody else saved meanwhile; a save that fails raises and has written nothing; SQL never runs on an event loop; a
tracker taken from memory is the one that would have been rebuilt (tracker_cache.py).

Importing this module takes Rasa's FailSafeTrackerStore away from around this store, at start and at every model reload: it would
answer a failed save with success, and a failed read with a stranger.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rasa.core.agent import Agent
from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, SessionStarted
from rasa.shared.core.trackers import DialogueStateTracker

from throughline.errors import ConfigurationError, Problem
from throughline.record import store
from throughline.record.entries import Checkpoint, Head, Held, NewEvent, Window
from throughline.record.events import new_event
from throughline.record.live_tracker import LiveTracker
from throughline.record.tracker_cache import Kept, TrackerCache
from throughline.record.turn_context import current, durable_requests
from throughline.record.window import EMPTY, header_events, next_checkpoint
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
        self._cache = TrackerCache()

    def init_tracker(self, sender_id: str) -> DialogueStateTracker:
        """A tracker for somebody who has none yet. If another process makes one first, saving this one fails."""
        tracker = LiveTracker(sender_id, self.domain.slots)
        setattr(tracker, _ATTRIBUTE, _Loaded(Head(sender_id, 0)))
        return tracker

    async def look(self, contact_id: str, *, likely: str) -> Window:
        """Who the contact is by now and what the live window is, for a turn that has just taken the lock of the contact that this is
        ``likely`` to be: put into ``TurnContext.window`` it is what ``retrieve`` begins with. Reads only what this process does not know
        yet. Raises Rejected("unknown_contact"), Unavailable."""
        held = self._cache.held(likely, self.domain)
        return await self.record.call(self.record.window, contact_id, known=True, held=held)

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """The contact's tracker over the live window (see window.py); None where there is none. An alias gives the living contact's.
        Raises Unavailable."""
        turn = current.get()
        window = None if turn is None else turn.take_window(sender_id)
        if window is None:
            held = self._cache.held(sender_id, self.domain)
            window = await self.record.call(self.record.window, sender_id, held=held)
        kept = self._as_of(window)
        if kept is None:  # what the window goes on from has been dropped since it was read
            window = await self.record.call(self.record.window, sender_id)
            kept = self._as_of(window)
        return None if kept is None or window.head.version == 0 else _given_out(kept.tracker.apart(), sender_id, window.head)

    async def retrieve_full_tracker(self, conversation_id: str) -> DialogueStateTracker | None:
        """The tracker over all events stored under this id, as Rasa's own tools export it; None where there are none. An alias gives what
        was said under it before it was merged. Raises Unavailable."""
        whole = await self.record.call(self.record.whole_tracker, conversation_id)
        if whole.head.version == 0:
            return None
        return _given_out(self._tracker(conversation_id, None, _events(whole.events)), conversation_id, whole.head)

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
        checkpoint = _at_new_session(new, id_of) or next_checkpoint(
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
            asked_for=durable_requests(entry.data for entry in entries),
        )
        for event, entry in zip(new, entries, strict=True):
            event.metadata = dict(entry.data["metadata"])
        saved_ids.update(entry.event_id for entry in entries)
        setattr(tracker, _ATTRIBUTE, _Loaded(head, saved_ids))
        self._keep_saved(loaded, entries, head, moved=checkpoint is not None)
        if turn is not None:
            turn.saved.extend(dict(entry.data) for entry in entries)
        if self.event_broker is not None:
            await self._stream_new_events(self.event_broker, new, tracker.sender_id)

    async def _foreign_ids(self, tracker: DialogueStateTracker) -> set[str]:
        claimed = {claim for claim in map(_event_id, tracker.events) if claim is not None}
        return await self.record.call(self.record.known_event_ids, tracker.sender_id, claimed)

    def _as_of(self, window: Window) -> Kept | None:
        """The contact's stored tracker as of this window, which is kept from now on. None where the window goes on from a head that is
        not kept any more."""
        if window.beyond is None:
            tracker, count = self._tracker(window.head.contact_id, window.header, _events(window.events)), 0
        else:
            before = self._cache.at(window.beyond, self.domain)
            if before is None:
                return None
            if not window.events and before.held.head == window.head:
                return before
            tracker, count = _grown(before.tracker, window.events), before.held.events
        return self._keep(tracker, Held(window.head, window.first_seq, count + len(window.events)))

    def _keep_saved(self, loaded: _Loaded | None, entries: Sequence[NewEvent], head: Head, *, moved: bool) -> None:
        """Have what was saved in memory too, made of the stored events as a rebuilt tracker would be: whatever else a turn did to its own
        tracker leaves no trace. Where the window has ``moved``, the next turn reads it."""
        before = None if loaded is None or moved else self._cache.at(loaded.head, self.domain)
        if before is None:
            self._cache.forget(head.contact_id)
            return
        as_read = json.loads(json.dumps([entry.data for entry in entries]))
        self._keep(_grown(before.tracker, as_read), Held(head, before.held.first_seq, before.held.events + len(entries)))

    def _keep(self, tracker: LiveTracker, held: Held) -> Kept:
        tracker.applied_events()  # worked out here once, and not in each copy
        kept = Kept(tracker, held, self.domain)
        self._cache.keep(kept)
        return kept

    def _tracker(self, sender_id: str, header: Mapping[str, Any] | None, events: Sequence[Event]) -> LiveTracker:
        known_slots = {slot.name for slot in self.domain.slots}
        before = [
            _event(data)
            for data in header_events(header)
            if data["event"] != "slot" or data["name"] in known_slots  # a slot that a newer model no longer has is no fault
        ]
        tracker = LiveTracker(sender_id, self.domain.slots)
        for event in (*before, *events):
            tracker.update(event)
        return tracker


def _grown(tracker: LiveTracker, data: Sequence[Mapping[str, Any]]) -> LiveTracker:
    """A tracker of its own, with these stored events more."""
    grown = tracker.apart()
    for event in _events(data):
        grown.update(event)
    return grown


def _given_out(tracker: LiveTracker, sender_id: str, head: Head) -> LiveTracker:
    """Made ready for a turn: under the id that it was asked for by, and knowing what it was loaded from."""
    tracker.sender_id = sender_id
    ids = {claim for claim in map(_event_id, tracker.events) if claim is not None}
    setattr(tracker, _ATTRIBUTE, _Loaded(head, ids))
    return tracker


@functools.cache
def _class_of(type_name: str) -> Any:
    return Event.resolve_by_type(type_name)


def _event(data: Mapping[str, Any]) -> Event | None:
    """``Event.from_parameters``, which looks through all classes again for every event: most of the cost of loading a window."""
    found = _class_of(data["event"])
    return None if found is None else found._from_parameters(data)


def _events(data: Sequence[Mapping[str, Any]]) -> list[Event]:
    return [event for event in map(_event, data) if event is not None]


def _event_id(event: Event) -> str | None:
    claim = event.metadata.get("event_id")
    return claim if isinstance(claim, str) else None


def _stamped(event: Event, tracker: DialogueStateTracker) -> NewEvent:
    """The event as it will stand in the record. Its metadata is a dict of its own: Rasa shares one between message and event."""
    turn = current.get()
    session_id = None if turn is None else turn.session_id
    channel = tracker.get_latest_input_channel() if turn is None else turn.channel
    return new_event({**event.as_dict(), "metadata": event.metadata}, session_id, channel)


def _at_new_session(new: Sequence[Event], id_of: Mapping[int, str]) -> Checkpoint | None:
    """Where Rasa has begun a session of its own, the window begins, too: all that was before is forgotten there."""
    begun = [event for event in new if isinstance(event, SessionStarted)]
    return Checkpoint(id_of[id(begun[-1])], EMPTY | {"at": begun[-1].timestamp}) if begun else None


_rasas_own = Agent._create_tracker_store


def _without_fail_safe(tracker_store: TrackerStore | None, domain: Domain) -> TrackerStore:
    if isinstance(tracker_store, RecordTrackerStore):
        tracker_store.domain = domain
        return tracker_store
    return _rasas_own(tracker_store, domain)


Agent._create_tracker_store = staticmethod(_without_fail_safe)
