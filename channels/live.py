"""What happens in a contact's conversation, as it is committed, for whoever watches it.

Fed from the record and from nothing else, so a view shows what is kept and in the order in which it is kept: replies, the
other channel's turns, and
whatever was finished while nobody looked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from throughline import log
from throughline.errors import ThroughlineError
from throughline.record import Record, StoredEvent

_log = log.get_logger("channels")
_BATCH = 200
_RETRY_S = 1.0

Show = Callable[[Sequence[StoredEvent]], Awaitable[None]]


class View:
    """One watcher of one conversation: ``show`` gets every event after ``after_seq``, in order, in batches."""

    def __init__(self, feed: LiveFeed, contact_id: str, after_seq: int, show: Show) -> None:
        self.contact_id = contact_id
        self.after_seq = after_seq
        self._feed = feed
        self._show = show
        self._woken = asyncio.Event()
        self._woken.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look again."""
        self._woken.set()

    async def close(self) -> None:
        """Stop watching."""
        self._feed.views.discard(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        record = self._feed.record
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                events = await record.call(record.conversation, self.contact_id, after_seq=self.after_seq, limit=_BATCH)
                self.contact_id = await record.call(record.resolve, self.contact_id)
            except ThroughlineError as error:
                _log.warning("live.read_failed", error=str(error))
                await asyncio.sleep(_RETRY_S)
                self._woken.set()
                continue
            if events:
                await self._show(events)
                self.after_seq = events[-1].seq
            if len(events) == _BATCH:
                self._woken.set()


class LiveFeed:
    """Wakes views when the record has committed something of their contact."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.views: set[View] = set()
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = record.on_commit(self._committed)

    def watch(self, contact_id: str, after_seq: int, show: Show) -> View:
        """Show ``contact_id``'s events after ``after_seq``, now and as they come."""
        view = View(self, contact_id, after_seq, show)
        self.views.add(view)
        return view

    async def close(self) -> None:
        """End every view."""
        self._unsubscribe()
        await asyncio.gather(*(view.close() for view in list(self.views)))

    def _committed(self, contact_id: str, _seq: int) -> None:
        """Called in the committing thread."""
        self._loop.call_soon_threadsafe(self._wake, contact_id)

    def _wake(self, contact_id: str) -> None:
        for view in self.views:
            if view.contact_id == contact_id:  # a merge is committed under both ids, so a view learns its contact's new one
                view.wake()
