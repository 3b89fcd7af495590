"""One of the assistants that benchmarks/cost.py compares, in a process of its own: ours or stock Rasa, with one record.

    python -m benchmarks.cost_arm ours|stock DATABASE_URL ACTIONS_URL MODEL

Reads one order a line from its standard input, as JSON, and answers each with one line on what was its standard output:
``{"do": "build", "customer": name, "events": n}`` gives a customer a history, ``{"do": "settle", "customer": name}`` ends what is under way
with them, ``{"do": "turn", "customer": name, "text": words}`` takes a turn (``"unknown": true``: as a server that has not seen the customer
before) and answers ``{"ms": ..., "cpu_ms": ..., "bytes": ...}``: how long it took, how much of it this process computed, and the size of
the largest call to an action.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rasa.core.agent import Agent, load_agent
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.core.tracker_store import SQLTrackerStore
from rasa.core.utils import AvailableEndpoints
from rasa.shared.core.events import Event
from rasa.utils.endpoints import EndpointConfig

from benchmarks.customers import SCRIPT
from throughline import log

_ALIASES, _ALIAS_EVENTS = 5, 10


class Ours:
    """This project's runner, tracker store, locks and action calls."""

    def __init__(self, agent: Agent) -> None:
        from channels.turns import TurnRunner
        from throughline import bootstrap
        from throughline.record.lock_store import RecordLockStore
        from throughline.record.tracker_store import RecordTrackerStore

        self._app = bootstrap.application()
        self._record = self._app.record
        self._store = RecordTrackerStore(agent.domain)
        agent.tracker_store = self._store
        agent.lock_store = RecordLockStore(EndpointConfig())
        agent.processor.tracker_store = self._store
        agent.processor.lock_store = agent.lock_store
        self._runner = TurnRunner(self._app, lambda: agent)
        self._contacts: dict[str, str] = {}
        self._sessions: dict[str, str] = {}

    async def start(self) -> None:
        """Warm up."""
        await self._runner.start()

    async def script(self, customer: str) -> list[dict[str, Any]]:
        """Hold the whole script with somebody; the events that were stored."""
        self._begin(customer)
        for text in SCRIPT:
            await self._take(customer, text)
        return _repeatable(event.data for event in self._record.conversation(self._contacts[customer]))

    async def build(self, customer: str, template: list[dict[str, Any]], events: int) -> None:
        """Give somebody a history of so many events, made of the template's: in as many sessions as it repeats it, and if it is long, in
        part by other contacts that were merged into this one."""
        aliases = range(_ALIASES if events > 2 * _ALIASES * _ALIAS_EVENTS else 0)
        for alias in aliases:
            self._begin(f"{customer}/{alias}")
            await self._append(f"{customer}/{alias}", template[:_ALIAS_EVENTS])
        self._begin(customer)
        for alias in aliases:
            other = self._contacts[f"{customer}/{alias}"]
            self._record.merge(other, self._contacts[customer], reason="code", session_id=self._sessions[customer])
        stored = len(self._record.conversation(self._contacts[customer]))
        left = max(0, events - stored)
        while left > 0:
            self._sessions[customer] = self._record.open_session(self._contacts[customer], "web_chat").session_id
            await self._append(customer, template[-left:])
            left -= len(template)

    async def settle(self, customer: str, template: list[dict[str, Any]]) -> None:
        """End what is under way with this customer."""
        await self._append(customer, _ending(template))

    async def turn(self, customer: str, text: str, *, unknown: bool) -> float:
        """Take a turn; milliseconds."""
        if unknown:
            self._store._cache.forget(self._contacts[customer])
        return await self._take(customer, text)

    def _begin(self, customer: str) -> None:
        contact = self._contacts[customer] = self._record.create_contact()
        self._sessions[customer] = self._record.open_session(contact, "web_chat").session_id

    async def _append(self, customer: str, data: list[dict[str, Any]]) -> None:
        from throughline.record import turn_context

        context = turn_context.TurnContext(self._sessions[customer], "web_chat")
        token = turn_context.current.set(context)
        try:
            tracker = await self._store.get_or_create_tracker(self._contacts[customer], append_action_listen=False)
            tracker.update_with_events([Event.from_parameters(one) for one in data], self._store.domain)
            await self._store.save(tracker)
        finally:
            turn_context.current.reset(token)

    async def _take(self, customer: str, text: str) -> float:
        from throughline.domain.turns import WEB_CHAT, Turn

        turn = Turn(self._contacts[customer], self._sessions[customer], WEB_CHAT, text, uuid.uuid4().hex)
        began = time.perf_counter()
        result = await self._runner.take(turn)
        taken = (time.perf_counter() - began) * 1000
        if not result.utterances:
            raise RuntimeError(f"nothing was said to {text!r}")
        return taken


class Stock:
    """Rasa as it comes: its processor, its SQLTrackerStore, its lock."""

    def __init__(self, agent: Agent, url: str) -> None:
        self._store = SQLTrackerStore(agent.domain, host=url)
        agent.tracker_store = agent.processor.tracker_store = self._store
        self._agent = agent

    async def start(self) -> None:
        """Nothing to do."""

    async def script(self, customer: str) -> list[dict[str, Any]]:
        """As Ours."""
        for text in SCRIPT:
            await self._take(customer, text)
        tracker = await self._store.retrieve_full_tracker(customer)
        return _repeatable(event.as_dict() for event in tracker.events)

    async def build(self, customer: str, template: list[dict[str, Any]], events: int) -> None:
        """As Ours, without aliases; written into the table at once, because saving them by Rasa takes minutes."""
        whole, rest = divmod(events, len(template))
        self._insert(customer, [*template[len(template) - rest :], *(whole * template)])

    async def settle(self, customer: str, template: list[dict[str, Any]]) -> None:
        """As Ours."""
        self._insert(customer, _ending(template))

    def _insert(self, customer: str, made: list[dict[str, Any]]) -> None:
        rows = [
            {
                "sender_id": customer,
                "type_name": data["event"],
                "timestamp": data.get("timestamp"),
                "intent_name": ((data.get("parse_data") or {}).get("intent") or {}).get("name"),
                "action_name": data.get("name"),
                "data": json.dumps(data),
            }
            for data in made
        ]
        with self._store.session_scope() as session:
            session.bulk_insert_mappings(self._store.SQLEvent, rows)
            session.commit()

    async def turn(self, customer: str, text: str, *, unknown: bool) -> float:
        """As Ours."""
        return await self._take(customer, text)

    async def _take(self, customer: str, text: str) -> float:
        output = CollectingOutputChannel()
        began = time.perf_counter()
        await self._agent.handle_message(UserMessage(text, output, customer))
        taken = (time.perf_counter() - began) * 1000
        if not output.messages:
            raise RuntimeError(f"nothing was said to {text!r}")
        return taken


def _repeatable(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Without the beginning of a session, which would hide from stock Rasa what stands before it, and without ids; ended in the end."""
    told = [{**data, "metadata": {}} for data in events if data["event"] != "session_started"]
    return [*told, *_ending(told)]


def _ending(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events after which no form is active and no slot is set, so that histories of every length end alike."""
    slots = dict.fromkeys(data["name"] for data in told if data["event"] == "slot")
    at = {"timestamp": time.time(), "metadata": {}}
    forgotten = [{"event": "slot", "name": name, "value": None, **at} for name in slots]
    return [{"event": "active_loop", "name": None, **at}, *forgotten, {"event": "action", "name": "action_listen", **at}]


@contextlib.contextmanager
def _weighed(sizes: list[int]) -> Iterator[None]:
    """The bytes of what is sent to actions, one number a call."""
    import aiohttp

    sent = aiohttp.ClientSession.request

    def request(self: Any, method: str, url: Any, **kwargs: Any) -> Any:
        sizes.append(len(json.dumps(kwargs.get("json")).encode()))
        return sent(self, method, url, **kwargs)

    aiohttp.ClientSession.request = request
    try:
        yield
    finally:
        aiohttp.ClientSession.request = sent


async def _obey(arm: Any, answers: Any) -> None:
    """Orders until the input ends."""
    await arm.start()
    template = await arm.script("template")
    print(json.dumps({"ready": True}), file=answers, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order: Mapping[str, Any] = json.loads(line)
        answer: dict[str, Any] = {}
        if order["do"] == "build":
            await arm.build(order["customer"], template, order["events"])
        elif order["do"] == "settle":
            await arm.settle(order["customer"], template)
        else:
            sizes: list[int] = []
            cpu = time.process_time()
            with _weighed(sizes) if order.get("weigh") else contextlib.nullcontext():
                answer["ms"] = await arm.turn(order["customer"], order["text"], unknown=bool(order.get("unknown")))
            answer["cpu_ms"] = (time.process_time() - cpu) * 1000
            answer["bytes"] = max(sizes, default=0)
        print(json.dumps(answer), file=answers, flush=True)


async def _run(kind: str, url: str, actions_url: str, model: str) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else prints must not stand between the answers
    log.configure(level="ERROR")
    action = EndpointConfig(actions_url, enable_selective_domain=True)
    gate = EndpointConfig(type="channels.said.Said") if kind == "ours" else None
    agent = await load_agent(model, endpoints=AvailableEndpoints(action=action, nlg=gate))
    if agent.processor is None:
        raise RuntimeError(f"{model} could not be loaded")
    arm = Ours(agent) if kind == "ours" else Stock(agent, url)
    await _obey(arm, answers)


def main() -> None:
    """Obey until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("kind", "url", "actions", "model"):
        parser.add_argument(name)
    options = parser.parse_args()
    os.environ["DATABASE_URL"] = options.url if options.kind == "ours" else "sqlite:///:unused:"
    asyncio.run(_run(options.kind, options.url, options.actions, options.model))


if __name__ == "__main__":
    main()
