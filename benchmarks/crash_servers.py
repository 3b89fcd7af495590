"""Servers for a trial of crashes: the real runner, model, stores and locks, started in no time so that they can be killed again and again.

Importing Rasa and loading a model takes half a minute; so one process does it once, and forks a server whenever it is told to. A server
has all that stands behind a channel and, in a channel's place, a Unix socket on which turns come as lines of JSON. It is killed as any
process is. Run by benchmarks.crashes: ``python -m benchmarks.crash_servers FOLDER ACTIONS_URL``, then a number on a line of standard
input for each server to start, and how many seconds its clock is off.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rasa.core.agent import Agent, load_agent
from rasa.core.utils import AvailableEndpoints
from rasa.utils.endpoints import EndpointConfig

from channels import left_over, turns
from channels.left_over import LeftOvers
from channels.turns import TurnRunner
from channels.upkeep import Upkeep
from throughline import bootstrap
from throughline.cli.model import model_path
from throughline.domain.turns import Turn
from throughline.errors import ThroughlineError
from throughline.record import identity
from throughline.record.lock_store import RecordLockStore
from throughline.record.tracker_store import RecordTrackerStore


def main() -> None:
    """Load, then fork until standard input ends."""
    folder, actions_url = Path(sys.argv[1]), sys.argv[2]
    endpoints = AvailableEndpoints(
        action=EndpointConfig(f"{actions_url}/webhook", enable_selective_domain=True),
        nlg=EndpointConfig(type="channels.said.Said"),
    )
    agent = asyncio.run(load_agent(str(model_path()), endpoints=endpoints))
    if agent.processor is None:
        raise RuntimeError("no model could be loaded: run `make train`")
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed leave nothing behind
    sys.stdout.write("loaded\n")
    sys.stdout.flush()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the log: nobody reads this pipe once the servers have started
            number, off_s = line.split()
            socket = folder / f"{number}.sock"
            socket.unlink(missing_ok=True)
            _set_clock(float(off_s))
            asyncio.run(_serve(agent, socket))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _set_clock(off_s: float) -> None:
    """Have this process, Rasa's events and the record's times, live ``off_s`` seconds ahead."""
    true_time = time.time
    time.time = lambda: true_time() + off_s

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=off_s)

    identity.datetime = left_over.datetime = turns.datetime = Shifted  # type: ignore[attr-defined,misc]


async def _serve(agent: Agent, socket: Path) -> None:
    app = bootstrap.application()
    agent.tracker_store = RecordTrackerStore(agent.domain)
    agent.lock_store = RecordLockStore(EndpointConfig())
    agent.processor.tracker_store, agent.processor.lock_store = agent.tracker_store, agent.lock_store
    runner = TurnRunner(app, lambda: agent)
    await runner.start()
    left_overs = LeftOvers(runner.finish_left_over)
    upkeep = Upkeep({"left over": (left_overs.look, left_over.LOOK_EVERY_S)})
    server = await asyncio.start_unix_server(
        lambda reader, writer: _converse(runner, agent.tracker_store, reader, writer), socket
    )
    async with server:
        await server.serve_forever()
    await upkeep.close()


async def _converse(
    runner: TurnRunner, store: RecordTrackerStore, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(_answer(runner, store, json.loads(line), writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _answer(runner: TurnRunner, store: RecordTrackerStore, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    answer: dict[str, Any] = {"id": asked["id"]}
    try:
        if "turn" in asked:
            result = await runner.take(Turn(**asked["turn"]))
            answer["said"] = [[utterance.event_id, utterance.text] for utterance in result.utterances]
        elif "sees" in asked:
            tracker = await store.retrieve(asked["sees"])
            answer["seen"] = [event.message_id for event in tracker.events if event.type_name == "user"]
        else:
            heard = store.record.record_heard
            await store.record.call(heard, asked["heard"], session_id=asked["session_id"], text_heard="", complete=False)
    except ThroughlineError as error:
        answer |= {"error": f"{type(error).__name__}: {error}", "foreseen": True}
    except Exception as error:  # noqa: BLE001 - a fault of ours: the trial counts it, and its customer need not wait for nothing
        answer |= {"error": f"{type(error).__name__}: {error}", "foreseen": False}
    writer.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
