"""The runner: it owns a turn, from the customer's words to the committed reply.

For each turn: store the message, take the lock of the living contact (holding.py), let Rasa process it with an output channel that
collects nothing of its own, commit, and only then hand back what was said. What always holds:

- The message is stored before it is processed; a repeated message id has no second effect, and gets the same answer.
- A contact's messages are taken in the order in which they were stored: whoever holds its lock first finishes what a crash or a failed
  save has left of it, or answers it with an apology where that comes too late (left_over.py).
- What comes back is what the record holds: utterances are read from the events that were committed, so a turn whose save
  failed says nothing.
- A turn whose action failed is not half kept: the customer's words are recorded with an apology, nothing else of it.
- A turn whose caller speaks on is taken back whole, as long as nothing has come of it (withdrawal.py).
- Requests that actions leave in their events' metadata are carried out after the turn, two locks in the order of their ids. One that must
  not be lost is stored with the message in the turn's own commit: the message is finished once it is carried out, by whoever gets to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from rasa.core.agent import Agent
from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.processor import MessageProcessor
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.shared.core.events import ActionExecuted, ActiveLoop, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

from channels import action_calls, left_over, rasa_once, withdrawal
from channels.action_calls import ActionCalls, failures
from channels.foresight import Foresight
from channels.graph_order import InOrder
from channels.holding import Holding
from channels.turn_loop import TurnLoop
from channels.whole_turns import is_whole
from channels.withdrawal import Withdrawal, Withdrawn
from throughline import log
from throughline.bootstrap import Application
from throughline.domain.turns import PHONE, Button, Expectation, Turn, TurnResult, Utterance
from throughline.errors import Overtaken, Postponed, Rejected, ThroughlineError, Unavailable
from throughline.nlu.card_numbers import without_card_numbers
from throughline.record import turn_context
from throughline.record.entries import LeftOver, Stored, Window
from throughline.record.events import new_event

_log = log.get_logger("channels")

RESUME = "action_resume"
CLAIM = "ui_claim"  # the slot that says: this caller's number is somebody's we know
CALLED = "ui_placed"  # the slot that says: we have called, and wait for who picked up to say that it is them
SPEED = "ui_speed"  # the slot that says how fast this caller wants us to speak
APOLOGY = "utter_apology"
_UNDER_WAY = ("ui_journey", "ui_paused", "requested_slot")  # the slots that say where its form stands
_OVER = "ui_done"  # the slot that names the journeys whose facts hold no more
_ENDED_IN = ("ui_visit", "ui_booking", "ui_handed_over")  # the slots that say what a conversation has led to
_NEXT_BEST = {RESUME: "utter_call_welcome"}  # what a call begins with when nothing can be looked up
_LISTEN = "action_listen"
_BY_RUNNER = "runner"  # stands as policy name beside actions that no policy predicted
_WARM_UP_TURNS = 6
_ATTEMPTS = 3  # at a turn that others overtake


class Quiet(OutputChannel):
    """Chooses the channel's response variants and sends nothing: what was said is read from the committed events."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def name(self) -> str:  # a class method in Rasa, but only ever called on the instance
        """The channel's name, as in the domain's ``channel:`` keys."""
        return self._channel

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Nothing: replies are released after the commit."""


class _Behind(Exception):
    """Messages of the same contact were stored earlier and are to be taken first."""

    def __init__(self, messages: Sequence[LeftOver]) -> None:
        super().__init__(f"{len(messages)} messages come first")
        self.messages = messages


class TurnRunner:
    """Takes turns for every channel of this server. Its public methods are awaited on the server's loop."""

    def __init__(self, app: Application, agent_of: Callable[[], Agent]) -> None:
        self._app = app
        self._record = app.record
        self._agent_of = agent_of
        self._holding = Holding(app.record, agent_of)
        self._loop = TurnLoop()
        self._actions: ActionCalls | None = None
        self._foresight: Foresight | None = None  # of the model that is loaded
        self._under_way: dict[str, Withdrawal] = {}  # by the message's id

    @property
    def domain(self) -> Any:
        """The loaded model's domain."""
        return self._agent_of().domain

    async def start(self) -> None:
        """Start the turn loop and warm the model up."""
        action_calls.install()
        rasa_once.install()
        self._loop.start()
        agent = self._agent_of()
        if agent.action_endpoint is not None:
            timeout_s = self._app.settings.phone.turn_timeout_ms / 1000
            self._actions = ActionCalls(agent.action_endpoint, timeout_s=timeout_s)
            agent.action_endpoint = self._actions
            self._processor.action_endpoint = self._actions
        await self._loop.run(self._warm_up())

    async def stop(self) -> None:
        """Let turns under way finish, then stop."""
        await self._loop.stop(last=None if self._actions is None else self._actions.close)

    async def take(self, turn: Turn) -> TurnResult:
        """Take one turn of a customer. Raises Postponed when it is stored and will be finished later, Unavailable when nothing could be
        stored: then nothing was acknowledged."""
        kept = replace(turn, text=without_card_numbers(turn.text, self._app.business.privacy.card_number))
        return await self._loop.run(self._take(kept))

    async def foresee(self, text: str, slot: str | None) -> bool:
        """The next turn may be ``text``, as an answer to the question for ``slot``: understand it ahead. Whether it is whole."""
        return await self._loop.run(self._foresee(text, slot))

    async def withdraw(self, message_id: str) -> None:
        """Take back the turn of this message, if nothing has come of it yet: its result is ``withdrawn`` then."""
        await self._loop.run(self._withdraw(message_id))

    async def resume(
        self,
        contact_id: str,
        session_id: str,
        channel: str,
        *,
        claimed: bool = False,
        called: bool = False,
        still: Callable[[], Awaitable[bool]] | None = None,
    ) -> TurnResult:
        """Greet on ``channel`` with what is known and ask the next open question. No message of the customer's is made up.
        ``claimed``: the caller's number is somebody's we know, and we may ask for a proof. ``called``: we have called, and ask
        who it is. ``still``, asked under the contact's lock, says whether it is still to be done."""
        first = (SlotSet(CLAIM, True),) if claimed else (SlotSet(CALLED, "asked"),) if called else ()
        return await self._loop.run(self._resume(contact_id, session_id, channel, first, still))

    async def join(self, contact_id: str, into: str, session_id: str, channel: str, *, because: str) -> TurnResult:
        """Make ``contact_id`` part of ``into``, for the proof ``because``, and go on there as ``resume`` does; where they are one already,
        go on. Raises Rejected where they may not become one, Unavailable."""
        return await self._loop.run(self._join(contact_id, into, session_id, channel, because))

    async def prompt(self, contact_id: str, session_id: str, channel: str, response: str) -> TurnResult:
        """Say one response of the domain, in the record too."""
        return await self._loop.run(self._say_alone(contact_id, session_id, channel, response))

    async def finish_left_over(self, *, before: datetime | None = None) -> int:
        """Finish what crashes and failed saves have cut short, of the messages stored ``before`` a moment; how many are finished now.
        Their replies reach the chat through the record. Raises Unavailable."""
        finished = 0
        for left in await self._record.call(self._record.unfinished_messages, before=before):
            try:
                await self._loop.run(self._finish(left))
                finished += 1
            except ThroughlineError as error:  # the next look tries again
                _log.warning("turn.still_left_over", message_id=left.turn.message_id, error=str(error))
            except Exception as error:  # noqa: BLE001 - what one conversation brings up must not keep all others waiting
                _log.exception("turn.still_left_over", message_id=left.turn.message_id, error_type=type(error).__name__)
        return finished

    @property
    def _processor(self) -> MessageProcessor:
        processor = self._agent_of().processor
        if processor is None:
            raise Unavailable("no model is loaded")
        if isinstance(processor.graph_runner, DaskGraphRunner):  # after every load of a model
            processor.graph_runner = InOrder(processor.graph_runner)
            self._foresight = Foresight(processor)
            processor.parse_message = self._foresight.parse_message
        return processor

    async def _foresee(self, text: str, slot: str | None) -> bool:
        if not (self._processor and self._foresight):
            return False
        parsed = await self._foresight.look(text, slot)
        return is_whole(parsed, slot, self.domain.slots, self._app.business)

    async def _withdraw(self, message_id: str) -> None:
        if message_id in self._under_way:
            self._under_way[message_id].ask()

    async def _warm_up(self) -> None:
        """Parse and predict a few times: the first turns after loading are many times slower than the rest."""
        texts = [variant["text"] for variants in self.domain.responses.values() for variant in variants if variant.get("text")]
        tracker = DialogueStateTracker.from_events("warm-up", [], slots=self.domain.slots)
        for text in texts[:_WARM_UP_TURNS]:
            await self._processor.parse_message(UserMessage(text), tracker)
            self._processor._predict_next_with_tracker(tracker)

    async def _take(self, turn: Turn) -> TurnResult:
        # Stored at once, also while the turn ahead is still being taken; understanding need not wait for the disk, acting does.
        stored = asyncio.ensure_future(self._record.call(self._record.store_message, turn))
        taken_back = self._under_way[turn.message_id] = Withdrawal()
        token = withdrawal.current.set(taken_back)
        try:
            return await self._process(turn, stored)
        except Withdrawn:
            _log.info("turn.withdrawn", session=turn.session_id, message_id=turn.message_id)
            return TurnResult(turn.contact_id, (), withdrawn=True)
        except Unavailable as error:
            await asyncio.wait({stored})
            if stored.exception() is None:
                raise Postponed(str(error)) from error
            raise
        finally:
            withdrawal.current.reset(token)
            self._under_way.pop(turn.message_id, None)
            await asyncio.gather(stored, return_exceptions=True)  # its error has been raised, or a worse one is on its way

    async def _finish(self, left: LeftOver, *, speaks_on: bool = False) -> TurnResult:
        """Take the turn of a message that somebody else has left, or apologise for it: so to a caller who ``speaks_on``, because they were
        asked to say it again."""
        turn = left.turn
        attempts = await self._record.call(self._record.count_attempt, turn.message_id)
        now, settings = datetime.now(timezone.utc), self._app.settings
        if left.asked_for and not left_over.is_in_time(left, now, settings):
            _log.error(
                "turn.request_given_up", message_id=turn.message_id, requests=[one.get("kind") for one in left.asked_for]
            )
            await self._record.call(self._record.finish_message, turn.message_id)
        apologise = speaks_on or not left_over.is_worth_finishing(left, attempts, now, settings)
        _log.warning("turn.left_over", message_id=turn.message_id, attempts=attempts, apologise=apologise)
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        stored.set_result(Stored(is_new=False, behind=True))
        token = withdrawal.current.set(None)  # who takes back the turn behind it takes back only that
        try:
            return await self._process(turn, stored, apologise=apologise)
        finally:
            withdrawal.current.reset(token)

    async def _process(self, turn: Turn, stored: asyncio.Future[Stored], *, apologise: bool = False) -> TurnResult:
        """Take a turn, after whatever was stored before it; once more where somebody else was faster."""
        overtaken = 0
        while True:
            try:
                return await self._process_locked(turn, stored, apologise)
            except _Behind as behind:
                for left in behind.messages:
                    await self._finish(left, speaks_on=left.turn.session_id == turn.session_id and turn.channel == PHONE)
            except Overtaken as error:
                overtaken += 1
                _log.warning("turn.overtaken", message_id=turn.message_id, error=str(error))
                if overtaken == _ATTEMPTS:
                    raise

    async def _process_locked(self, turn: Turn, stored: asyncio.Future[Stored], apologise: bool) -> TurnResult:
        """Process a turn under its contact's lock, then carry out what its actions asked for."""
        requests: Sequence[Mapping[str, Any]]
        began = time.perf_counter()
        async with self._holding.living(turn.contact_id) as window:
            waited, living = time.perf_counter(), window.head.contact_id
            context = turn_context.TurnContext(turn.session_id, turn.channel, turn.message_id, [], window)
            token = turn_context.current.set(context)
            try:
                tracker = await self._through_rasa(turn, living, stored, apologise)
            except Withdrawn:
                await stored
                await self._record.call(self._record.withdraw_message, turn.message_id)
                raise
            finally:
                turn_context.current.reset(token)
            if tracker is None:
                _log.info("turn.duplicate", message_id=turn.message_id)
                result = await self._said_before(turn, living)
                requests = (await self._record.call(self._record.progress, turn.message_id)).asked_for
            else:
                result, requests = self._result(living, tracker, context.saved), turn_context.requests_in(context.saved)
        result = replace(result, message_id=turn.message_id)
        if tracker is None:
            return await self._carry_out(turn, result, requests)
        _log.info(
            "turn.taken",
            channel=turn.channel,
            session=turn.session_id,
            wait_ms=round((waited - began) * 1000, 1),
            turn_ms=round((time.perf_counter() - waited) * 1000, 1),
        )
        return await self._carry_out(turn, result, requests)

    async def _said_before(self, turn: Turn, living: str) -> TurnResult:
        """What was answered to a message whose turn is over already."""
        said = await self._record.call(self._record.reply_to, turn.message_id)
        tracker = await self._agent_of().tracker_store.retrieve(living)
        if tracker is None:
            raise Unavailable(f"conversation {living} can't be read")
        return self._result(living, tracker, [event.data for event in said])

    async def _through_rasa(
        self, turn: Turn, living: str, stored: asyncio.Future[Stored], apologise: bool
    ) -> DialogueStateTracker | None:
        """What MessageProcessor.handle_message does, but a turn whose actions failed, or that says nothing, is not saved.
        None for a message whose turn was taken before; one that was only stored, because its turn failed, is taken now. Raises _Behind
        when others have to be taken first."""
        quiet = Quiet(turn.channel)
        message = UserMessage(
            turn.text,
            quiet,
            living,
            input_channel=turn.channel,
            message_id=turn.message_id,
            metadata={"session_id": turn.session_id, "source": turn.source, "message_id": turn.message_id},
        )
        if apologise:  # not even understood: it may be this message that ends servers
            message.parse_data = {"intent": {"name": None, "confidence": 0.0}, "entities": [], "text": turn.text}
        failed: list[str] = ["too late"] if apologise else []
        token = failures.set(failed)
        try:
            tracker, found = await asyncio.gather(self._processor.log_message(message, should_save_tracker=False), stored)
            if not found.is_new:
                progress = await self._record.call(self._record.progress, turn.message_id)
                if progress.finished or progress.asked_for:
                    return None
            if found.behind and (older := await self._record.call(self._record.unfinished_of, living, before=turn.message_id)):
                raise _Behind(older)
            if not apologise:
                taken_back = withdrawal.current.get() or Withdrawal()  # nobody takes back what was left over
                taken_back.check()
                said_before = _utterances_of(tracker)
                tracker = await self._processor.run_action_extract_slots(quiet, tracker)
                await self._processor._run_prediction_loop(quiet, tracker)
                taken_back.before_saving()  # Rasa keeps an action's errors to itself
                if _utterances_of(tracker) == said_before:
                    failed.append("no reply")
        except ThroughlineError as error:
            if not failed or apologise:
                raise  # the record itself: there is nothing to fall back on
            _log.warning("turn.failed", error=str(error))
        except (_Behind, Withdrawn):
            raise
        except Exception as error:  # noqa: BLE001 - whatever Rasa or a component raises, the customer gets an answer
            _log.exception("turn.failed", error_type=type(error).__name__)
            failed.append(type(error).__name__)
        finally:
            failures.reset(token)
        if failed:
            _log.error("turn.apology", session=turn.session_id, because=failed)
            tracker = await self._processor.log_message(message, should_save_tracker=False)
            await self._say(tracker, APOLOGY, quiet)
        await self._processor.save_tracker(tracker)
        return tracker

    async def _resume(
        self,
        contact_id: str,
        session_id: str,
        channel: str,
        first: tuple[Any, ...],
        still: Callable[[], Awaitable[bool]] | None,
    ) -> TurnResult:
        """Finish what was left of the conversation, of which a caller hears what was said on the phone; then go on with it."""
        said: tuple[Utterance, ...] = ()
        for left in await self._record.call(self._record.unfinished_of, contact_id):
            result = await self._finish(left)
            if left.turn.channel == channel:
                said += result.utterances
        resumed = await self._say_alone(contact_id, session_id, channel, RESUME, first, still)
        return replace(resumed, utterances=said + resumed.utterances)

    async def _say_alone(
        self,
        contact_id: str,
        session_id: str,
        channel: str,
        action: str,
        first: tuple[Any, ...] = (),
        still: Callable[[], Awaitable[bool]] | None = None,
    ) -> TurnResult:
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
            tracker = await self._spoken(living, channel, action, first)
            if tracker is None:
                tracker = await self._spoken(living, channel, _NEXT_BEST.get(action, APOLOGY), first)
            if tracker is None:
                raise Unavailable(f"neither {action} nor what stands in for it could be said")
            await self._processor.save_tracker(tracker)
        finally:
            turn_context.current.reset(token)
        return self._result(living, tracker, context.saved)

    async def _spoken(self, living: str, channel: str, action: str, first: tuple[Any, ...]) -> DialogueStateTracker | None:
        """The living contact's tracker with ``first`` and what ``action`` says, not saved yet; None if the action failed."""
        quiet = Quiet(channel)
        tracker = await self._processor.fetch_tracker_and_update_session(living, quiet)
        tracker.update_with_events(list(first), self.domain)
        failed: list[str] = []
        token = failures.set(failed)
        said_before = _utterances_of(tracker)
        try:
            await self._say(tracker, action, quiet)
        finally:
            failures.reset(token)
        if failed or _utterances_of(tracker) == said_before:
            _log.error("turn.action_failed", action=action, because=failed or ["nothing said"])
            return None
        return tracker

    async def _say(self, tracker: DialogueStateTracker, action: str, quiet: Quiet) -> None:
        """Run ``action`` and leave the tracker listening: without that, the next message would be answered twice."""
        prediction = PolicyPrediction.for_action_name(self.domain, action, _BY_RUNNER, 1.0)
        processor = self._processor
        await processor._run_action(processor._get_action(action), tracker, quiet, processor.nlg, prediction)
        if tracker.latest_action_name != _LISTEN:
            tracker.update(ActionExecuted(_LISTEN), self.domain)

    async def _carry_out(self, turn: Turn, result: TurnResult, requests: Sequence[Mapping[str, Any]]) -> TurnResult:
        """Do what the turn's actions asked the runner for."""
        for request in requests:
            kind = request.get("kind")
            if kind == turn_context.MERGE:
                greeted = await self._merge(turn, result.contact_id, str(request["into"]), str(request["because"]))
                if greeted is not None:
                    result = replace(
                        result,
                        contact_id=greeted.contact_id,
                        utterances=result.utterances + greeted.utterances,
                        expects=greeted.expects,
                        speed=greeted.speed,
                    )
            elif kind == "speed_once":
                result = replace(result, speed_once=float(request["speed"]))
            elif kind in ("end_call", "transfer"):
                result = replace(result, end_session=True, transfer=kind == "transfer")
            else:
                _log.error("turn.unknown_request", kind=kind, mend="An action asked for something the runner does not do.")
        return result

    async def _merge(self, turn: Turn, contact_id: str, into: str, because: str) -> TurnResult | None:
        """Make ``contact_id`` part of ``into`` and go on there: what it told and ``into`` had not is carried over. None where nothing more
        is said of it now. What can't be done now is left for whoever comes next."""
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

    async def _join(self, contact_id: str, into: str, session_id: str, channel: str, because: str) -> TurnResult:
        async with self._holding.both(contact_id, into) as (source, target):
            if source != target:
                await self._make_one(session_id, channel, source, target, because)
            return await self._say_locked(target, session_id, channel, RESUME)

    async def _make_one(self, session_id: str, channel: str, source: str, target: str, because: str) -> None:
        store = self._agent_of().tracker_store
        also = [
            new_event(event.as_dict(), session_id, channel)
            for event in _brought_along(await store.retrieve(source), await store.retrieve(target))
        ]
        merge = self._record.merge
        await self._record.call(merge, source, target, reason=because, session_id=session_id, also=also)

    def _result(self, contact_id: str, tracker: DialogueStateTracker, saved: Sequence[Mapping[str, Any]]) -> TurnResult:
        slot = tracker.get_slot("requested_slot") if tracker.active_loop_name else None
        kind = self._app.business.phone.expects.get(slot, "free") if slot else "free"
        if tracker.get_slot(CALLED):
            kind = "yes_no"
        to_the_end = self._app.business.phone.listening.uninterruptible
        return TurnResult(
            contact_id=contact_id,
            utterances=tuple(_utterance(event, to_the_end) for event in saved if event.get("event") == "bot"),
            expects=Expectation(kind, slot),
            speed=tracker.get_slot(SPEED),
        )


def _utterances_of(tracker: DialogueStateTracker) -> int:
    return sum(event.type_name == "bot" for event in tracker.events)


def _utterance(event: Mapping[str, Any], to_the_end: Collection[str]) -> Utterance:
    """A committed bot event (Rasa's event dict) as an utterance. The responses named by ``to_the_end`` can't be interrupted."""
    data, metadata = event.get("data") or {}, event.get("metadata") or {}
    choices = data.get("quick_replies") or data.get("buttons") or ()
    return Utterance(
        event_id=str(metadata["event_id"]),
        text=str(event.get("text") or ""),
        buttons=tuple(Button(str(choice.get("title", "")), str(choice.get("payload", ""))) for choice in choices),
        image=data.get("image"),
        interruptible=metadata.get("utter_action") not in to_the_end,
    )


def _brought_along(old: DialogueStateTracker | None, known: DialogueStateTracker | None) -> tuple[Any, ...]:
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
