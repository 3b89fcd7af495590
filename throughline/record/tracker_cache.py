"""Trackers of this process's latest conversations, so that a turn reads and replays only what is new.

Stands between the tracker store and the record. The record says, in the read that a turn begins with, how far what is kept here is
still right (``Record.window(held=...)``); nothing is used without it, so nothing has to be told when another server writes, or when
contacts are merged, un-merged or erased. What always holds: what is kept was built from stored events only, never from the tracker
that a turn has worked on; it is never given out itself; it was built for the domain it is asked for; and it is bounded.

This module knows Rasa's trackers by their attributes and imports nothing of Rasa.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from throughline.record.entries import Head, Held

_MOST_EVENTS = 50_000
"""About 100 MB: an event with its share of the tracker is 2 KB (measured on the demo's dialogues). At 60 to 170 events a window it is the
latest 300 to 800 conversations."""

_LONGEST = 2_000
"""No window is as long; where none can be cut (a conversation that was paused), one tracker must not push out all others."""


@dataclass(frozen=True)
class Kept:
    """A tracker as it was stored, of a living contact. ``domain`` is the one whose slots it has."""

    tracker: Any
    held: Held
    domain: Any


class TrackerCache:
    """The trackers used last. May be used from several threads.

    ``most_events`` bounds the events of all trackers together, ``longest`` those of one: a longer tracker is not kept."""

    def __init__(self, *, most_events: int = _MOST_EVENTS, longest: int = _LONGEST) -> None:
        self._most_events = most_events
        self._longest = longest
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._events = 0
        self._guard = threading.Lock()

    def held(self, contact_id: str, domain: Any) -> Held | None:
        """What is kept of this contact for the domain, for the record to judge."""
        with self._guard:
            kept = self._kept.get(contact_id)
        return kept.held if kept is not None and kept.domain is domain else None

    def at(self, head: Head, domain: Any) -> Kept | None:
        """What is kept as of exactly this head."""
        with self._guard:
            kept = self._kept.get(head.contact_id)
            if kept is None or kept.domain is not domain:
                return None
            if kept.held.head != head or kept.held.head.last_seq != head.last_seq:
                return None
            self._kept.move_to_end(head.contact_id)
            return kept

    def keep(self, kept: Kept) -> None:
        """Keep a tracker that nobody will change any more, in place of what was kept of the contact."""
        contact_id, length = kept.held.head.contact_id, len(kept.tracker.events)
        with self._guard:
            self._drop(contact_id)
            if length > self._longest:
                return
            self._kept[contact_id] = kept
            self._events += length
            while self._events > self._most_events:
                self._drop(next(iter(self._kept)))

    def forget(self, contact_id: str) -> None:
        """Keep nothing of this contact."""
        with self._guard:
            self._drop(contact_id)

    def _drop(self, contact_id: str) -> None:
        dropped = self._kept.pop(contact_id, None)
        if dropped is not None:
            self._events -= len(dropped.tracker.events)
