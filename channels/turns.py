"""The runner: it owns a turn, from the customer's words to the committed reply.

For each turn: store the message, take the lock of the living contact (holding.py), let Rasa process it with an output channel that
collects nothing of its own, commit, and only then hand back what was said. What always holds:

- The message is stored before it is processed; a repeated message id has no second effect, and gets the same answer.
- A contact's messages are taken in the order in which they were stored: whoever holds its lock first finishes what a crash or a failed
  save has left of it, or answers it with an apology where that comes too late (left_over.py).
- What comes back is what the record holds: utterances are read from the events that were committed, so a turn whose save
  failed says nothing.
- A turn whose action failed is not half kept: the customer's words are recorded with an apology, nothing else of it.
- Nothing comes of a turn that is only rehearsed (dialogue.py): what it would be answered is told, for the voice to prepare.
- A turn whose caller speaks on is taken back whole, as long as nothing has come of it (withdrawal.py).
- Requests that actions leave in their events' metadata are carried out after the turn, two locks in the order of their ids. One that must
  not be lost is stored with the message in the turn's own commit: the message is finished once it is carried out, by whoever gets to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from rasa.core.agent import Agent
from rasa.shared.core.events import SlotSet
from rasa.shared.core.trackers import DialogueStateTracker

from channels import left_over, withdrawal
from channels.action_calls import failures
from channels.dialogue import APOLOGY, CALLED, SPEED_ONCE, Dialogue, Quiet, message_of, utterances_of
from channels.holding import Holding
from channels.resuming import RESUME, Resuming
from channels.turn_loop import TurnLoop
from channels.withdrawal import Withdrawal, Withdrawn
from throughline import log
from throughline.bootstrap import Application
from throughline.domain.turns import PHONE, Turn, TurnResult, Utterance
from throughline.errors import Overtaken, Postponed, ThroughlineError, Unavailable
from throughline.nlu.card_numbers import without_card_numbers
from throughline.record import turn_context
from throughline.record.entries import LeftOver, Stored

_log = log.get_logger("channels")

CLAIM = "ui_claim"  # the slot that says: this caller's number is somebody's we know
_ATTEMPTS = 3  # at a turn that others overtake


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
        self._dialogue = Dialogue(app, agent_of)
        self._holding = Holding(app.record, agent_of)
        self._resuming = Resuming(app.record, self._holding, self._dialogue)
        self._loop = TurnLoop()
        self._under_way: dict[str, Withdrawal] = {}  # by the message's id

    @property
    def domain(self) -> Any:
        """The loaded model's domain."""
        return self._dialogue.domain

    async def start(self) -> None:
        """Start the turn loop and warm the model up."""
        self._loop.start()
        self._dialogue.connect()
        await self._loop.run(self._dialogue.warm_up())

    async def stop(self) -> None:
        """Let turns under way finish, then stop."""
        await self._loop.stop(last=self._dialogue.close)

    async def take(self, turn: Turn) -> TurnResult:
        """Take one turn of a customer. Raises Postponed when it is stored and will be finished later, Unavailable when nothing could be
        stored: then nothing was acknowledged."""
        kept = replace(turn, text=without_card_numbers(turn.text, self._app.business.privacy.card_number))
        return await self._loop.run(self._take(kept))

    async def foresee(self, text: str, slot: str | None) -> bool:
        """The next turn may be ``text``, as an answer to the question for ``slot``: understand it ahead. Whether it is whole."""
        return await self._loop.run(self._dialogue.is_whole(text, slot))

    async def rehearse(self, turn: Turn) -> TurnResult:
        """What ``turn`` would be answered if it came now, as far as that can be told without acting: nothing is stored, nothing comes
        of it. Raises Unavailable."""
        kept = replace(turn, text=without_card_numbers(turn.text, self._app.business.privacy.card_number))
        return await self._loop.run(self._rehearse(kept))

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
        return await self._loop.run(self._resuming.join(contact_id, into, session_id, channel, because))

    async def prompt(self, contact_id: str, session_id: str, channel: str, response: str) -> TurnResult:
        """Say one response of the domain, in the record too."""
        return await self._loop.run(self._resuming.say_alone(contact_id, session_id, channel, response))

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

    async def _rehearse(self, turn: Turn) -> TurnResult:
        return await self._dialogue.rehearse(turn, await self._holding.look(turn.contact_id))

    async def _withdraw(self, message_id: str) -> None:
        if message_id in self._under_way:
            self._under_way[message_id].ask()

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
                result, requests = (
                    self._dialogue.result(living, tracker, context.saved),
                    turn_context.requests_in(context.saved),
                )
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
        tracker = await self._dialogue.store.retrieve(living)
        if tracker is None:
            raise Unavailable(f"conversation {living} can't be read")
        return self._dialogue.result(living, tracker, [event.data for event in said])

    async def _through_rasa(
        self, turn: Turn, living: str, stored: asyncio.Future[Stored], apologise: bool
    ) -> DialogueStateTracker | None:
        """What MessageProcessor.handle_message does, but a turn whose actions failed, or that says nothing, is not saved.
        None for a message whose turn was taken before; one that was only stored, because its turn failed, is taken now. Raises _Behind
        when others have to be taken first."""
        quiet = Quiet(turn.channel)
        message = message_of(turn, living, quiet)
        if apologise:  # not even understood: it may be this message that ends servers
            message.parse_data = {"intent": {"name": None, "confidence": 0.0}, "entities": [], "text": turn.text}
        failed: list[str] = ["too late"] if apologise else []
        token = failures.set(failed)
        try:
            tracker, found = await asyncio.gather(
                self._dialogue.processor.log_message(message, should_save_tracker=False), stored
            )
            if not found.is_new:
                progress = await self._record.call(self._record.progress, turn.message_id)
                if progress.finished or progress.asked_for:
                    return None
            if found.behind and (older := await self._record.call(self._record.unfinished_of, living, before=turn.message_id)):
                raise _Behind(older)
            if not apologise:
                taken_back = withdrawal.current.get() or Withdrawal()  # nobody takes back what was left over
                taken_back.check()
                said_before = utterances_of(tracker)
                tracker = await self._dialogue.processor.run_action_extract_slots(quiet, tracker)
                await self._dialogue.processor._run_prediction_loop(quiet, tracker)
                taken_back.before_saving()  # Rasa keeps an action's errors to itself
                if utterances_of(tracker) == said_before:
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
            tracker = await self._dialogue.processor.log_message(message, should_save_tracker=False)
            await self._dialogue.say(tracker, APOLOGY, quiet)
        await self._dialogue.processor.save_tracker(tracker)
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
        resumed = await self._resuming.say_alone(contact_id, session_id, channel, RESUME, first, still)
        return replace(resumed, utterances=said + resumed.utterances)

    async def _carry_out(self, turn: Turn, result: TurnResult, requests: Sequence[Mapping[str, Any]]) -> TurnResult:
        """Do what the turn's actions asked the runner for."""
        for request in requests:
            kind = request.get("kind")
            if kind == turn_context.MERGE:
                greeted = await self._resuming.merge(turn, result.contact_id, str(request["into"]), str(request["because"]))
                if greeted is not None:
                    result = replace(
                        result,
                        contact_id=greeted.contact_id,
                        utterances=result.utterances + greeted.utterances,
                        expects=greeted.expects,
                        speed=greeted.speed,
                    )
            elif kind == SPEED_ONCE:
                result = replace(result, speed_once=float(request["speed"]))
            elif kind in ("end_call", "transfer"):
                result = replace(result, end_session=True, transfer=kind == "transfer")
            else:
                _log.error("turn.unknown_request", kind=kind, mend="An action asked for something the runner does not do.")
        return result
