"""Going on with a conversation where no message of the customer's asks for it: a greeting, one response, two contacts made one.

Used by the runner (turns.py), on the turn loop alone. What always holds: whoever is spoken for is held meanwhile, two in the order of their
ids (holding.py); what is said is committed before it is given out; no message is made up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rasa.shared.core.events import ActiveLoop, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

from channels.dialogue import APOLOGY, SPEED, Dialogue
from channels.holding import Holding
from throughline import log
from throughline.domain.turns import Turn, TurnResult
from throughline.errors import Rejected, Unavailable
from throughline.record import Record, turn_context
from throughline.record.entries import Window
from throughline.record.events import new_event

_log = log.get_logger("channels")

RESUME = "action_resume"
_UNDER_WAY = ("ui_journey", "ui_paused", "requested_slot")  # the slots that say where its form stands
_OVER = "ui_done"  # the slot that names the journeys whose facts hold no more
_ENDED_IN = ("ui_visit", "ui_booking", "ui_handed_over")  # the slots that say what a conversation has led to
_NEXT_BEST = {RESUME: "utter_call_welcome"}  # what a call begins with when nothing can be looked up


class Resuming:
    """Goes on with the conversations of ``record``."""

    def __init__(self, record: Record, holding: Holding, dialogue: Dialogue) -> None:
        self._record = record
        self._holding = holding
        self._dialogue = dialogue

    async def say_alone(
        self,
        contact_id: str,
        session_id: str,
        channel: str,
        action: str,
        first: tuple[Any, ...] = (),
        still: Callable[[], Awaitable[bool]] | None = None,
    ) -> TurnResult:
        """Apply the events ``first``, run ``action``, commit; nothing where ``still``, asked under the contact's lock, says no. Raises
        Unavailable."""
        async with self._holding.living(contact_id) as window:
            if still is not None and not await still():
                return TurnResult(window.head.contact_id, ())
            return await self._say_locked(window.head.contact_id, session_id, channel, action, first, window)

    async def _say_locked(
        self,
        living: str,
        session_id: str,
        channel: str,
        action: str,
        first: tuple[Any, ...] = (),
        window: Window | None = None,
        *,
        finishes: str | None = None,
    ) -> TurnResult:
        """Apply the events ``first``, run ``action``, commit. The contact's lock is held by the caller, who may have read ``window``
        under it. The commit ``finishes`` the message of that id."""
        context = turn_context.TurnContext(session_id, channel, finishes, [], window)
        token = turn_context.current.set(context)
        try:
            tracker = await self._dialogue.spoken(living, channel, action, first)
            if tracker is None:
                tracker = await self._dialogue.spoken(living, channel, _NEXT_BEST.get(action, APOLOGY), first)
            if tracker is None:
                raise Unavailable(f"neither {action} nor what stands in for it could be said")
            await self._dialogue.processor.save_tracker(tracker)
        finally:
            turn_context.current.reset(token)
        return self._dialogue.result(living, tracker, context.saved)

    async def merge(self, turn: Turn, contact_id: str, into: str, because: str) -> TurnResult | None:
        """The same as ``join``, for a ``turn`` that has asked for it: what it told and ``into`` had not is carried over. None where nothing
        more is said of it now. What can't be done now is left for whoever comes next."""
        try:
            async with self._holding.both(contact_id, into) as (source, target):
                if (await self._record.call(self._record.progress, turn.message_id)).finished:
                    return None  # by whoever found it left over
                if source != target:
                    await self._make_one(turn.session_id, turn.channel, source, target, because)
                return await self._say_locked(target, turn.session_id, turn.channel, RESUME, finishes=turn.message_id)
        except Rejected as error:
            _log.error("turn.not_merged", message_id=turn.message_id, reason=error.reason)
            await self._record.call(self._record.finish_message, turn.message_id)
        except Unavailable as error:
            _log.warning("turn.request_left", message_id=turn.message_id, error=str(error))
        return None

    async def join(self, contact_id: str, into: str, session_id: str, channel: str, because: str) -> TurnResult:
        """Make ``contact_id`` part of ``into``, for the proof ``because``, where they are not one yet, and go on there. Raises Rejected,
        Unavailable."""
        async with self._holding.both(contact_id, into) as (source, target):
            if source != target:
                await self._make_one(session_id, channel, source, target, because)
            return await self._say_locked(target, session_id, channel, RESUME)

    async def _make_one(self, session_id: str, channel: str, source: str, target: str, because: str) -> None:
        store = self._dialogue.store
        also = [
            new_event(event.as_dict(), session_id, channel)
            for event in brought_along(await store.retrieve(source), await store.retrieve(target))
        ]
        merge = self._record.merge
        await self._record.call(merge, source, target, reason=because, session_id=session_id, also=also)


def brought_along(old: DialogueStateTracker | None, known: DialogueStateTracker | None) -> tuple[Any, ...]:
    """What a merged contact's tracker brings along beside its facts, which the record carries over: the visit that it has led to, and its
    form with what that was about to ask; each only where the known contact has none of its own. And how fast the voice was asked to speak,
    which is of now."""
    if old is None:
        return ()
    speed = () if old.get_slot(SPEED) is None else (SlotSet(SPEED, old.get_slot(SPEED)),)
    ended_in = [SlotSet(slot, old.get_slot(slot)) for slot in _ENDED_IN if old.get_slot(slot) is not None]
    if known is not None and any(known.get_slot(slot) is not None for slot in _ENDED_IN):
        ended_in = []
    over = [*((known and known.get_slot(_OVER)) or ()), *(old.get_slot(_OVER) or ())]
    ended_in += [SlotSet(_OVER, list(dict.fromkeys(over)))] if old.get_slot(_OVER) else []
    if not old.active_loop_name or (known is not None and known.active_loop_name):
        return (*speed, *ended_in)
    under_way = [SlotSet(slot, old.get_slot(slot)) for slot in _UNDER_WAY if old.get_slot(slot) is not None]
    return (*speed, *ended_in, ActiveLoop(old.active_loop_name), *under_way)
