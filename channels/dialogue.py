"""Rasa's processor as the runner uses it: what a text means, what is said next, and what of it the channels are told.

Stands between the runner (turns.py, resuming.py) and Rasa. Used on the turn loop alone; the runner holds the conversation, but for a
rehearsal, which changes none. What always holds: nothing here stores a message, saves a tracker or takes a lock; a rehearsal calls no
action that may have an effect.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rasa.core.actions.action import RemoteAction
from rasa.core.agent import Agent
from rasa.core.channels.channel import OutputChannel, UserMessage
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.processor import MessageProcessor
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.shared.core.events import ActionExecuted
from rasa.shared.core.trackers import DialogueStateTracker

from channels import action_calls, rasa_once, withdrawal
from channels.action_calls import ActionCalls, failures
from channels.foresight import Foresight
from channels.graph_order import InOrder
from channels.whole_turns import is_whole
from throughline import log
from throughline.bootstrap import Application
from throughline.domain.turns import REHEARSED, Button, Expectation, Turn, TurnResult, Utterance
from throughline.errors import Unavailable
from throughline.record import turn_context
from throughline.record.entries import Window

_log = log.get_logger("channels")

APOLOGY = "utter_apology"
CALLED = "ui_placed"  # the slot that says: we have called, and wait for who picked up to say that it is them
SPEED = "ui_speed"  # the slot that says how fast this caller wants us to speak
SPEED_ONCE = "speed_once"  # what an action asks for that wants this reply alone said at another speed
_LISTEN = "action_listen"
_BY_RUNNER = "runner"  # stands as policy name beside actions that no policy predicted
_WARM_UP_TURNS = 6


class Quiet(OutputChannel):
    """Chooses the channel's response variants and sends nothing: what was said is read from the committed events."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def name(self) -> str:  # a class method in Rasa, but only ever called on the instance
        """The channel's name, as in the domain's ``channel:`` keys."""
        return self._channel

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """Nothing: replies are released after the commit."""


class Dialogue:
    """The dialogue of the agent at the time."""

    def __init__(self, app: Application, agent_of: Callable[[], Agent]) -> None:
        self._app = app
        self._agent_of = agent_of
        self._actions: ActionCalls | None = None
        self._foresight: Foresight | None = None  # of the model that is loaded

    @property
    def domain(self) -> Any:
        """The loaded model's domain."""
        return self._agent_of().domain

    @property
    def store(self) -> Any:
        """The agent's tracker store."""
        return self._agent_of().tracker_store

    @property
    def processor(self) -> MessageProcessor:
        """Rasa's, as we have it work. Raises Unavailable while no model is loaded."""
        processor = self._agent_of().processor
        if processor is None:
            raise Unavailable("no model is loaded")
        if isinstance(processor.graph_runner, DaskGraphRunner):  # after every load of a model
            processor.graph_runner = InOrder(processor.graph_runner)
            self._foresight = Foresight(processor)
            processor.parse_message = self._foresight.parse_message
        return processor

    def connect(self) -> None:
        """Put our own calls of actions, and what is worked out once, in the place of Rasa's. Once, before the first turn."""
        action_calls.install()
        rasa_once.install()
        agent = self._agent_of()
        if agent.action_endpoint is not None:
            timeout_s = self._app.settings.phone.turn_timeout_ms / 1000
            self._actions = ActionCalls(agent.action_endpoint, timeout_s=timeout_s)
            agent.action_endpoint = self._actions
            self.processor.action_endpoint = self._actions

    async def close(self) -> None:
        """Close the connections to the action server."""
        if self._actions is not None:
            await self._actions.close()

    async def warm_up(self) -> None:
        """Parse and predict a few times: the first turns after loading are many times slower than the rest."""
        texts = [variant["text"] for variants in self.domain.responses.values() for variant in variants if variant.get("text")]
        tracker = DialogueStateTracker.from_events("warm-up", [], slots=self.domain.slots)
        for text in texts[:_WARM_UP_TURNS]:
            await self.processor.parse_message(UserMessage(text), tracker)
            self.processor._predict_next_with_tracker(tracker)

    async def is_whole(self, text: str, slot: str | None) -> bool:
        """Understand ``text`` ahead, as an answer to the question for ``slot``. Whether it is all that somebody has to say."""
        if not (self.processor and self._foresight):
            return False
        parsed = await self._foresight.look(text, slot)
        return is_whole(parsed, slot, self.domain.slots, self._app.business)

    async def rehearse(self, turn: Turn, window: Window) -> TurnResult:
        """What ``turn`` would be answered now, up to the first action that may have an effect: from there on nobody knows. ``window``
        is its contact's. The utterances are no events of the record. Raises what Rasa or an action brings up."""
        quiet, living, processor = Quiet(turn.channel), window.head.contact_id, self.processor
        context = turn_context.TurnContext(turn.session_id, turn.channel, None, [], window)
        failed: list[str] = []
        of_turn, of_failures = turn_context.current.set(context), failures.set(failed)
        try:
            message = message_of(turn, living, quiet, rehearsed=True)
            tracker = await processor.log_message(message, should_save_tracker=False)
            known = len(tracker.events)
            tracker = await processor.run_action_extract_slots(quiet, tracker)
            goes_on = True
            while goes_on and not failed:
                action, prediction = processor.predict_next_with_tracker_if_should(tracker)
                if isinstance(action, RemoteAction) and not withdrawal.only_looks(action.name()):
                    break
                goes_on = await processor._run_action(action, tracker, quiet, processor.nlg, prediction)
        finally:
            turn_context.current.reset(of_turn)
            failures.reset(of_failures)
        new = [] if failed else [event.as_dict() for event in itertools.islice(tracker.events, known, None)]
        slower = [one["speed"] for one in turn_context.requests_in(new) if one.get("kind") == SPEED_ONCE]
        return replace(self.result(living, tracker, new), speed_once=float(slower[-1]) if slower else None)

    async def spoken(self, living: str, channel: str, action: str, first: tuple[Any, ...]) -> DialogueStateTracker | None:
        """The living contact's tracker with ``first`` and what ``action`` says, not saved yet; None if the action failed."""
        quiet = Quiet(channel)
        tracker = await self.processor.fetch_tracker_and_update_session(living, quiet)
        tracker.update_with_events(list(first), self.domain)
        failed: list[str] = []
        token = failures.set(failed)
        said_before = utterances_of(tracker)
        try:
            await self.say(tracker, action, quiet)
        finally:
            failures.reset(token)
        if failed or utterances_of(tracker) == said_before:
            _log.error("turn.action_failed", action=action, because=failed or ["nothing said"])
            return None
        return tracker

    async def say(self, tracker: DialogueStateTracker, action: str, quiet: Quiet) -> None:
        """Run ``action`` and leave the tracker listening: without that, the next message would be answered twice."""
        prediction = PolicyPrediction.for_action_name(self.domain, action, _BY_RUNNER, 1.0)
        processor = self.processor
        await processor._run_action(processor._get_action(action), tracker, quiet, processor.nlg, prediction)
        if tracker.latest_action_name != _LISTEN:
            tracker.update(ActionExecuted(_LISTEN), self.domain)

    def result(self, contact_id: str, tracker: DialogueStateTracker, saved: Sequence[Mapping[str, Any]]) -> TurnResult:
        """What a turn led to, of whose events ``saved`` are new."""
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


def message_of(turn: Turn, living: str, quiet: Quiet, *, rehearsed: bool = False) -> UserMessage:
    """The turn as Rasa takes it. Actions see in its metadata which visit it is of, and that it is only ``rehearsed``."""
    metadata = {"session_id": turn.session_id, "source": turn.source, "message_id": turn.message_id}
    return UserMessage(
        turn.text,
        quiet,
        living,
        input_channel=turn.channel,
        message_id=turn.message_id,
        metadata={**metadata, REHEARSED: True} if rehearsed else metadata,
    )


def utterances_of(tracker: DialogueStateTracker) -> int:
    """How many there are in it."""
    return sum(event.type_name == "bot" for event in tracker.events)


def _utterance(event: Mapping[str, Any], to_the_end: Collection[str]) -> Utterance:
    """A bot event (Rasa's event dict) as an utterance. The responses named by ``to_the_end`` can't be interrupted."""
    data, metadata = event.get("data") or {}, event.get("metadata") or {}
    choices = data.get("quick_replies") or data.get("buttons") or ()
    return Utterance(
        event_id=str(metadata.get("event_id", "")),
        text=str(event.get("text") or ""),
        buttons=tuple(Button(str(choice.get("title", "")), str(choice.get("payload", ""))) for choice in choices),
        image=data.get("image"),
        interruptible=metadata.get("utter_action") not in to_the_end,
    )
