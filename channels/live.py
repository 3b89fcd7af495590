"""What happens in a conversation, as it is committed, for the pages that show it: committed here or by any other process.

Fed from the record and from nothing else, so a page shows what is kept and in the order in which it is kept: replies, the other channel's
turns, whatever was finished while nobody looked. What always holds:

- A view shows each event after its place once, in order. A wake-up is never lost: whoever is woken while it looks, looks again.
- It follows its session: after a merge, and after one that was taken back, it shows the conversation of whoever the session is part of.
- Where the record does not answer it tries again, and shows what it missed.
- Views never take all of the record's threads: turns are more urgent. A look is one read, whatever it finds.

Which commit wakes whom: docs/decisions/0004-views-are-fed-from-the-record.md and 0012-live-across-processes.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from throughline import log
from throughline.errors import Rejected, ThroughlineError
from throughline.record import Record, Session, StoredEvent
from throughline.record.views import Unseen

_log = log.get_logger("channels")
_BATCH = 200
_AT_ONCE = 3  # of what all views together ask of the record: half of its threads
_RETRY_S = 1.0

Show = Callable[[StoredEvent, Unseen], Awaitable[None]]
"""Shows an event on its page, by the look that found it."""
Ready = Callable[[], Awaitable[None]]
"""Returns once the page may be shown anything; nothing is read before."""


class View:
    """A page of one session: ``show`` gets every event after ``after_seq``, one by one, in order. What was shown is noted in the record."""

    def __init__(self, feed: LiveFeed, session: Session, after_seq: int, show: Show, ready: Ready) -> None:
        self.contact_id = session.contact_id
        self.after_seq = after_seq
        self._session_id = session.session_id
        self._noted = session.shown_seq
        self._feed = feed
        self._record = feed.record
        self._show = show
        self._ready = ready
        self._woken = asyncio.Event()
        self._woken.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look again."""
        self._woken.set()

    async def close(self) -> None:
        """Stop watching."""
        self._feed.forget(self)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._note()
        except ThroughlineError as error:
            _log.warning("live.place_not_noted", error=str(error))

    async def _run(self) -> None:
        failed = False
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._catch_up()
                failed = False
            except Rejected as gone:
                _log.info("live.session_gone", reason=gone.reason)
                self._feed.forget(self)
                return
            except ThroughlineError as error:
                if not failed:  # once for each time that it is down: there are many views
                    _log.warning("live.read_failed", error=str(error))
                failed = True
                await asyncio.sleep(_RETRY_S)
                self._woken.set()

    async def _catch_up(self) -> None:
        """Show what was committed since this view looked last. Raises Rejected where the session is no more, Unavailable."""
        await self._ready()
        async with self._feed.threads:
            unseen = await self._record.call(
                self._record.unseen,
                self._session_id,
                after_seq=self.after_seq,
                limit=_BATCH,
                together=self._feed.together,
            )
        if unseen.session.contact_id != self.contact_id:
            self._feed.moved(self, unseen.session.contact_id)
            self.wake()  # what was committed there before this line woke somebody else
        if len(unseen.events) == _BATCH:
            self.wake()
        for event in unseen.events:
            try:
                await self._show(event, unseen)
            except Exception as error:  # noqa: BLE001 - one event that cannot be shown must not silence the page for good
                _log.exception("live.show_failed", error_type=type(error).__name__)
            self.after_seq = event.seq
        await self._note()

    async def _note(self) -> None:
        """Keep in the record how far the page is, for the next time it comes, here or at another server. Raises Unavailable."""
        if self.after_seq > self._noted:
            seq = self.after_seq
            async with self._feed.threads:
                await self._record.call(self._record.note_shown, self._session_id, seq)
            self._noted = seq


class LiveFeed:
    """Wakes the views of a conversation when it has changed. Made and used on the server's loop. ``together``: how long a chat and the call
    that it led to stay in the same hands. Whatever a view asks of the record, it waits for one of the ``threads``."""

    def __init__(self, record: Record, together: timedelta) -> None:
        self.record = record
        self.together = together
        self.threads = asyncio.Semaphore(_AT_ONCE)
        self._views: dict[str, set[View]] = {}
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = record.on_commit(self._committed)

    def watch(self, session: Session, after_seq: int, show: Show, ready: Ready) -> View:
        """Show the events after ``after_seq`` on the page of ``session``, now and as they come."""
        view = View(self, session, after_seq, show, ready)
        self._views.setdefault(view.contact_id, set()).add(view)
        return view

    def moved(self, view: View, contact_id: str) -> None:
        """The view's session belongs to another contact now."""
        self.forget(view)
        view.contact_id = contact_id
        self._views.setdefault(contact_id, set()).add(view)

    def forget(self, view: View) -> None:
        """The view is not to be woken any more."""
        watching = self._views.get(view.contact_id, set())
        watching.discard(view)
        if not watching:
            self._views.pop(view.contact_id, None)

    async def close(self) -> None:
        """End every view."""
        self._unsubscribe()
        await asyncio.gather(*(view.close() for view in self._watching(None)))

    def _committed(self, contact_id: str | None, _seq: int) -> None:
        """Called in the thread that committed, or that watches the database."""
        self._loop.call_soon_threadsafe(self._wake, contact_id)

    def _wake(self, contact_id: str | None) -> None:
        for view in self._watching(contact_id):  # a merge is told under both ids, so a view learns its session's new contact
            view.wake()

    def _watching(self, contact_id: str | None) -> list[View]:
        """The views of this contact; of every contact where it is None."""
        chosen: Any = self._views.values() if contact_id is None else [self._views.get(contact_id, ())]
        return [view for views in chosen for view in views]
