"""Calls to the action server: connections that are kept, a deadline, and failures that the runner hears of.

Stands between Rasa's processor and the action server. Stock Rasa 3.6 opens a new connection for every call, waits for up to five minutes,
compiles the answer's JSON schema anew each time (20 ms of CPU), and swallows a failed action, so that the customer gets no answer at all.
It also sends every event that the tracker has, with all that was worked out of each message. What always holds here: a call carries the
events of the latest few turns, however long the conversation or a form in it goes on, behind the slots and the form as they were before;
the latest message whole, and of earlier ones what they meant.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import itertools
import json
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import aiohttp
import jsonschema
from rasa.core.actions.action import RemoteAction
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActiveLoop, AllSlotsReset, Event, Restarted, SessionStarted, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import ClientResponseError, EndpointConfig

from channels import withdrawal
from throughline import log
from throughline.errors import Unavailable

_log = log.get_logger("channels")

failures: ContextVar[list[str]] = ContextVar("failed_action_calls")
"""What went wrong with the action calls of the turn at hand. The runner sets a fresh list for each turn."""

_IDLE_S = 2.0
"""A connection idle for longer is not used again. rasa-sdk's server closes it after 5 s, and where understanding has just kept the turn
loop busy, the loop learns of that only once the next call has been lost on it."""

_TURNS = 4
"""The customer's turns whose events an action gets. Ours look back over two."""

_MEANT = ("intent", "entities")
"""What an action is told of the parsing of messages before the latest, whose own stands beside the events as ``latest_message``."""

_FORGET = (AllSlotsReset.type_name, Restarted.type_name, SessionStarted.type_name)

_REJECTED_BY_ACTION = 400  # rasa-sdk's answer for ActionExecutionRejection: a decision, not a failure


class ActionCalls(EndpointConfig):
    """Rasa's action endpoint, with a lasting session for the turn loop and a deadline. To be used from one event loop.

    ``idle_s``: how long a connection may have been idle to be used again; below what the action server allows."""

    def __init__(self, endpoint: EndpointConfig, *, timeout_s: float, idle_s: float = _IDLE_S) -> None:
        super().__init__(
            endpoint.url,
            endpoint.params,
            endpoint.headers,
            endpoint.basic_auth,
            endpoint.token,
            endpoint.token_name,
            endpoint.cafile,
            **endpoint.kwargs,
        )
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._lasting: aiohttp.ClientSession | None = None

    def session(self) -> Any:
        """The lasting session, in a wrapper whose ``async with`` leaves it open."""
        if self._lasting is None or self._lasting.closed:
            auth = aiohttp.BasicAuth(**self.basic_auth) if self.basic_auth else None
            connector = aiohttp.TCPConnector(keepalive_timeout=self._idle_s)
            self._lasting = aiohttp.ClientSession(headers=self.headers, auth=auth, connector=connector)
        return _LeftOpen(self._lasting)

    async def request(self, *args: Any, **kwargs: Any) -> Any:
        """As EndpointConfig.request, within the deadline. A failure is noted in ``failures`` before it is raised.

        After a failure no further action of the turn is called: Rasa would go on, and might book what was never confirmed.
        """
        if failures.get([]):
            raise Unavailable("an earlier action of this turn has failed")
        kwargs["timeout"] = aiohttp.ClientTimeout(total=self._timeout_s)
        if kwargs.get("json"):
            kwargs["json"] = shortened(kwargs["json"])
        action = str((kwargs.get("json") or {}).get("next_action"))
        if (taken_back := withdrawal.current.get()) is not None:
            taken_back.before_action(action)
        try:
            return await super().request(*args, **kwargs)
        except ClientResponseError as error:
            if _is_rejection(error):
                raise
            # Without its cause: that one's message is the answer's body, which may tell what the customer said.
            raise _failure(action, f"status {error.status}") from None
        except asyncio.TimeoutError as error:
            raise _failure(action, f"no answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:  # ValueError: the answer is not JSON
            raise _failure(action, type(error).__name__) from error

    async def close(self) -> None:
        """Close the lasting session."""
        if self._lasting is not None:
            await self._lasting.close()


def shortened(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call's body as it is sent: with no more of its messages' parsing than what they meant."""
    tracker = call.get("tracker") or {}
    events = [_meaning(event) if "parse_data" in event else event for event in tracker.get("events") or ()]
    return {**call, "tracker": {**tracker, "events": events}}


def _recent(events: Sequence[Event]) -> list[Event]:
    """The events of the latest turns, behind the SlotSet and ActiveLoop events that tell what was set before them."""
    users = [index for index, event in enumerate(events) if event.type_name == UserUttered.type_name]
    start = users[-_TURNS] if len(users) > _TURNS else 0
    before: dict[Any, Event] = {}
    for event in itertools.islice(events, start):
        kind = event.type_name  # by name: all of Rasa's events have an abstract parent, for which isinstance takes long
        if kind in _FORGET:
            before.clear()
        elif kind in (SlotSet.type_name, ActiveLoop.type_name):
            name = event.key if kind == SlotSet.type_name else ActiveLoop
            before.pop(name, None)
            if kind != SlotSet.type_name or event.value is not None:  # a slot without a value is as one that was never set
                before[name] = event
    return [*before.values(), *itertools.islice(events, start, None)]


def _call_of_recent(action: RemoteAction, tracker: DialogueStateTracker, domain: Domain) -> dict[str, Any]:
    """Stands in for RemoteAction._action_call_format: the same of a tracker with its latest turns alone."""
    recent = copy.copy(tracker)
    recent.events = deque(_recent(tracker.events))
    call: dict[str, Any] = _call_of_all(action, recent, domain)
    return call


def _meaning(event: Mapping[str, Any]) -> dict[str, Any]:
    parsed = event["parse_data"] or {}
    return {**event, "parse_data": {key: parsed[key] for key in _MEANT if key in parsed}}


def _failure(action: str, what: str) -> Unavailable:
    """Note a failed call in ``failures`` and in the log; the error to raise."""
    _log.error("action.failed", action=action, what=what, mend="Is the action server running? `throughline check` tells.")
    failures.get([]).append(f"{action}: {what}")
    return Unavailable(f"action {action}: {what}")


def _is_rejection(error: ClientResponseError) -> bool:
    """Whether the action declined to run. A 400 without the action's name is the server's complaint about the call."""
    if error.status != _REJECTED_BY_ACTION:
        return False
    try:
        return "action_name" in json.loads(error.text)
    except (TypeError, ValueError):
        return False


class _LeftOpen:
    """An ``async with`` that doesn't close the session at its end."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __aenter__(self) -> aiohttp.ClientSession:
        return self._session

    async def __aexit__(self, *_: object) -> None:
        return None


@functools.lru_cache(maxsize=1)
def _shapes() -> tuple[Any, Any, dict[str, Any]]:
    """Rasa's schema for an answer, taken apart: a validator of the whole without its events, one of any event, and one for each kind of
    event. In the whole schema an event is tried against all twenty kinds, though only the one that it names can fit."""
    whole = RemoteAction.action_response_format_spec()
    event = whole["properties"]["events"]["items"]
    kinds = {kind["properties"]["event"]["const"]: kind for kind in event["oneOf"]}
    validator = jsonschema.validators.validator_for(whole)
    answer = {**whole, "properties": {**whole["properties"], "events": {"type": "array"}}}
    any_event = {key: value for key, value in event.items() if key != "oneOf"}
    return validator(answer), validator(any_event), {name: validator(kind) for name, kind in kinds.items()}


def _is_answer(result: Any) -> bool:
    answer, any_event, kinds = _shapes()
    if not answer.is_valid(result):
        return False
    return all(
        any_event.is_valid(event) and event["event"] in kinds and kinds[event["event"]].is_valid(event)
        for event in result.get("events", ())
    )


def _validate_action_result(action: RemoteAction, result: Any) -> bool:
    """Stands in for RemoteAction._validate_action_result: the same check with the schema compiled once, and a failure that the
    runner hears of. jsonschema's own message would put what the customer said into the log."""
    if not _is_answer(result):
        raise _failure(action.name(), "an answer of another shape")
    return True


_call_of_all = RemoteAction._action_call_format


def install() -> None:
    """Have Rasa tell actions of the latest turns, and check their answers against a schema that is compiled once per process."""
    RemoteAction._action_call_format = _call_of_recent
    RemoteAction._validate_action_result = _validate_action_result
