"""How often somebody may do something. Time is passed in."""

from __future__ import annotations

from collections import OrderedDict, deque


class RateLimit:
    """At most ``most`` events in any ``window_s`` seconds for each key; at most ``keys`` keys are remembered.

    The least recently used key is forgotten first, so a flood of new keys costs no memory.
    """

    def __init__(self, most: int, window_s: float = 60.0, keys: int = 10_000) -> None:
        self._most = most
        self._window_s = window_s
        self._keys = keys
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def allow(self, key: str, now_s: float) -> bool:
        """True, and counted, while ``key`` is within its limit."""
        events = self._events.setdefault(key, deque())
        self._events.move_to_end(key)
        while events and events[0] <= now_s - self._window_s:
            events.popleft()
        if len(self._events) > self._keys:
            self._events.popitem(last=False)
        if len(events) >= self._most:
            return False
        events.append(now_s)
        return True
