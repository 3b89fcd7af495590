"""The live window: how a conversation of any length costs Rasa the same.

A tracker is rebuilt from a *header* (the slots and the active form at a *cut*) and the events after the cut. The record keeps one
checkpoint for each conversation, and this module says where the next one may be. What always holds: the tracker rebuilt from a
window has the slots, the active form and the latest message of the whole one, and the same latest ``window_user_turns`` turns that
policies look at; a cut that would change any of these is not taken.

A cut is at an ``action_listen`` that a customer's message follows, outside every fallback. Rasa's applied events (reverted turns
removed, the turns of a form folded into one) count, because they are what policies see.

This module knows Rasa's trackers by their attributes and imports nothing of Rasa.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from throughline.domain.privacy import UNKNOWN, told_in
from throughline.record.entries import Checkpoint

HEADER_ID = "window:"  # what the event ids of a header begin with: such events are never saved

EMPTY: dict[str, Any] = {"at": None, "slots": {}, "loop": None}
"""The header of a window before which nothing counts."""

_LISTEN = "action_listen"
_FALLBACK_LOOP = "action_two_stage_fallback"
_LONGEST = 5  # times window_user_turns: then turns are counted as they came, so that an endless form stays bounded, too
_ATTEMPTS = 4

Rebuild = Callable[[Mapping[str, Any] | None, Sequence[Any]], Any]


def header_events(header: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A header as Rasa's event dicts: a SlotSet for every set slot, with the visit in which it was told where that is known (headers of
    older releases don't tell), then the active form. Slots alone made forms complete falsely."""
    if header is None:
        return []
    at, sources = header["at"], header.get("told_in") or {}
    dicts: list[dict[str, Any]] = []
    for name, value in header["slots"].items():
        metadata = {"event_id": f"{HEADER_ID}slot:{name}"} | ({"told_in": sources[name]} if name in sources else {})
        dicts.append({"event": "slot", "timestamp": at, "name": name, "value": value, "metadata": metadata})
    if header["loop"] is not None:
        metadata = {"event_id": f"{HEADER_ID}loop"}
        dicts.append({"event": "active_loop", "timestamp": at, "name": header["loop"], "metadata": metadata})
    return dicts


def next_checkpoint(
    tracker: Any, *, window_user_turns: int, event_id_of: Callable[[Any], str], rebuild: Rebuild
) -> Checkpoint | None:
    """Where the window of this tracker may begin from now on; None to leave it where it is.

    ``rebuild(header, events)`` makes a fresh tracker of a header and Rasa events; ``event_id_of(event)`` is the id an event has or is
    about to get. Does nothing until the window can be shortened by half of ``window_user_turns``, so that its cost is spread over turns.
    """
    events = list(tracker.events)
    turns = sum(map(_is_user, events))
    if 2 * turns <= 3 * window_user_turns:
        return None
    folded = turns <= _LONGEST * window_user_turns
    newest = _start_of_recent(tracker.applied_events() if folded else events, events, window_user_turns)
    if 2 * sum(map(_is_user, events[:newest])) < window_user_turns:
        return None
    cuts = [
        index
        for index in range(newest)
        if _is_listen(events[index]) and _is_user(events[index + 1]) and not event_id_of(events[index]).startswith(HEADER_ID)
    ][-_ATTEMPTS:]
    headers = _headers_at(cuts, events, rebuild)
    for cut in reversed(cuts):
        header = headers.get(cut)
        if header is None or _begins_window(cut, events, event_id_of):
            continue
        candidate = rebuild(header, events[cut:])
        same_turns = not folded or _same_recent(tracker.applied_events(), candidate.applied_events(), window_user_turns)
        if same_turns and _state(candidate) == _state(tracker):
            return Checkpoint(event_id_of(events[cut]), header)
    return None


def _start_of_recent(counted: Sequence[Any], events: Sequence[Any], turns: int) -> int:
    """The index in ``events`` of the ``turns``-latest user message of ``counted``; 0 where there are not so many."""
    users = [event for event in counted if _is_user(event)]
    if len(users) < turns:
        return 0
    first = users[-turns]
    return next(index for index, event in enumerate(events) if event is first)


def _begins_window(cut: int, events: Sequence[Any], event_id_of: Callable[[Any], str]) -> bool:
    """Whether the window already begins there: nothing but the header stands before it."""
    return cut == 0 or event_id_of(events[cut - 1]).startswith(HEADER_ID)


def _headers_at(cuts: Sequence[int], events: Sequence[Any], rebuild: Rebuild) -> dict[int, dict[str, Any]]:
    """The header of each cut at which the state can be told by one; one replay for all of them."""
    headers: dict[int, dict[str, Any]] = {}
    replayed, told = rebuild(None, []), dict[str, tuple[Any, str | None]]()
    wanted = set(cuts)
    for index, event in enumerate(events[: max(cuts, default=0) + 1]):
        if index in wanted and _can_cut(replayed):
            slots = {name: slot.value for name, slot in replayed.slots.items() if slot.has_been_set}
            headers[index] = {
                "at": event.timestamp,
                "slots": slots,
                "told_in": {
                    name: visit for name, (value, visit) in told.items() if slots.get(name) == value and visit != UNKNOWN
                },
                "loop": None if replayed.active_loop is None else replayed.active_loop.name,
            }
        replayed.update(event)
        if event.type_name == "slot":
            told[event.key] = event.value, told_in(event.metadata)
    return headers


def _can_cut(tracker: Any) -> bool:
    loop = tracker.active_loop
    if tracker.is_paused() or tracker.followup_action not in (None, _LISTEN):
        return False
    return loop is None or not (loop.name == _FALLBACK_LOOP or loop.rejected or loop.is_interrupted)


def _same_recent(whole: Sequence[Any], windowed: Sequence[Any], turns: int) -> bool:
    """Whether the latest ``turns`` turns are the very same events in both."""
    for one, other in zip(reversed(whole), reversed(windowed), strict=False):
        if one is not other:
            return False
        turns -= _is_user(one)
        if turns == 0:
            return True
    return False


def _state(tracker: Any) -> tuple[Any, ...]:
    loop = tracker.active_loop
    return (
        tracker.current_slot_values(),
        None if loop is None else (loop.name, loop.rejected, loop.is_interrupted),
        id(tracker.latest_message),
        id(tracker.latest_bot_utterance),
        tracker.latest_action,
        tracker.followup_action,
        tracker.is_paused(),
    )


def _is_user(event: Any) -> bool:
    return bool(event.type_name == "user")


def _is_listen(event: Any) -> bool:
    return bool(event.type_name == "action" and event.action_name == _LISTEN)
