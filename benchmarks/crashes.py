"""Nothing acknowledged is lost, doubled, reordered or put into the wrong conversation, whatever dies.

    python -m benchmarks.crashes                     8 servers on PostgreSQL, 50 conversations, 20,000 turns, 50 kills, 10 restarts
    python -m benchmarks.crashes --engine sqlite     one server on SQLite, the same without restarts
    python -m benchmarks.crashes --engine sqlite --turns 3000 --kills 0 --locks 10 --full-disks 10
                                                     locked by another program, and a disk that is full, again and again
    python -m benchmarks.crashes --turns 3000 --kills 0 --restarts 0 --clocks 5
                                                     servers whose clocks are up to 5 s apart

Every customer chats and calls by turns, sometimes both at once; each message goes to any server. On the way servers are killed with
SIGKILL in the middle of whatever they do, and PostgreSQL is stopped as a crash would and started again. A customer who gets no answer
sends the message again, with the same id, to any server, or goes on without it. Now and then another server is asked whether it sees
what was just answered. At the end the record is compared with what customers were told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import random
import resource
import signal
import sqlite3
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import servers
from benchmarks.crash_trial import MUST_BE_NONE, Message, Nursery, Server, Trial, verdict
from tests.postgres import Postgres
from throughline import record as record_room
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.record import Record

SENTENCES = (
    "hello", "my washing machine leaks", "it's a Bosch", "since yesterday", "what are your prices", "no it is not urgent",
    "my name is Dana Reyes", "97201", "what are your opening hours", "what did you say", "yes", "no", "actually it's the dryer",
    "it doesn't heat", "it's a Miele", "any day is fine", "any time", "do you come to 97214", "thank you", "are you a robot",
    "I want to book a technician", "my fridge is warm", "since this morning", "tomorrow", "is it expensive",
)  # fmt: skip
BOTH_AT_ONCE = 0.15
GIVES_UP = 0.15  # of messages that got no answer
LOOKED_FOR = 0.2  # of messages that were answered, by another server
LOCKED_S = (0.5, 12.0)  # longer than a writer waits
FULL_S = (0.5, 3.0)
SECRET = "a key for trials only"  # noqa: S105 - and for nothing else


async def customer(trial: Trial, record: Record, turns: int, advance: Any) -> None:
    """One conversation, of so many turns."""
    contact_id = record.create_contact()
    sessions = {channel: record.open_session(contact_id, channel).session_id for channel in (WEB_CHAT, PHONE)}

    async def say(channel: str) -> None:
        text, message_id = random.choice(SENTENCES), uuid.uuid4().hex  # noqa: S311
        message = Message(Turn(contact_id, sessions[channel], channel, text, message_id), time.monotonic())
        trial.sent.append(message)
        await send(trial, message)
        advance()

    while turns > 0:
        both = turns > 1 and random.random() < BOTH_AT_ONCE  # noqa: S311
        channels = (WEB_CHAT, PHONE) if both else (random.choice((WEB_CHAT, PHONE)),)  # noqa: S311
        await asyncio.gather(*map(say, channels))
        turns -= len(channels)


async def send(trial: Trial, message: Message) -> None:
    """Send it until it is answered, or given up."""
    while message.tries < 200:
        message.tries += 1
        server = random.choice(trial.servers)  # noqa: S311
        try:
            answer = await server.ask(turn=dataclasses.asdict(message.turn))
            if "error" not in answer:
                message.acknowledged_at = time.monotonic()
                message.said = tuple(event_id for event_id, _ in answer["said"])
                if message.turn.channel == PHONE and message.said:
                    await report_heard(trial, server, message)
                if len(trial.servers) > 1 and random.random() < LOOKED_FOR:  # noqa: S311
                    await look_for(trial, message, but=server)
                return
            trial.faults += not answer["foreseen"]
            trial.errors[answer["error"].split(":")[0]] += 1
        except (OSError, asyncio.TimeoutError) as error:
            trial.errors[type(error).__name__] += 1
        if random.random() < GIVES_UP:  # noqa: S311
            return
        await asyncio.sleep(random.uniform(0.05, 0.5))  # noqa: S311


async def report_heard(trial: Trial, server: Server, message: Message) -> None:
    """The line reports that the caller heard nothing of it. A server that dies over it may be left alone."""
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        answer = await server.ask(heard=message.said[0], session_id=message.turn.session_id)
        if "error" not in answer:
            trial.heard.append((message.said[0], message.turn.session_id))


async def look_for(trial: Trial, message: Message, *, but: Server) -> None:
    """Ask any other server whether it sees the message that was just answered."""
    others = [server for server in trial.servers if server is not but]
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        answer = await random.choice(others).ask(sees=message.turn.contact_id)  # noqa: S311
        if "error" not in answer:
            trial.looked_for += 1
            trial.invisible += message.turn.message_id not in answer["seen"]


async def trouble(trial: Trial, nursery: Nursery, postgres: Postgres | None, done: Any) -> None:
    """Kill and restart as the turns go on, evenly spread."""
    options, loop = trial.options, asyncio.get_running_loop()

    def due(planned: int, had: int) -> bool:
        return had < planned and done() * (planned + 1) >= options.turns * (had + 1)

    def outstanding() -> bool:
        planned = ("kills", "restarts", "locks", "full_disks")
        return any(due(getattr(options, what), getattr(trial, what)) for what in planned)

    while done() < options.turns or outstanding():
        await asyncio.sleep(0.02)
        if due(options.kills, trial.kills):
            server = random.choice(trial.servers)  # noqa: S311
            os.kill(server.process_id, signal.SIGKILL)
            trial.kills += 1
            await asyncio.sleep(random.uniform(0, 0.3))  # noqa: S311
            server.process_id = await loop.run_in_executor(None, nursery.start, server.number, server.clock_off_s)
            await server.connect()
        if postgres and due(options.restarts, trial.restarts):
            await loop.run_in_executor(None, postgres.restart)
            trial.restarts += 1
        if not postgres and due(options.locks, trial.locks):
            await locked(trial.folder / "record.db")
            trial.locks += 1
        if not postgres and due(options.full_disks, trial.full_disks):
            await full(trial.servers)
            trial.full_disks += 1


async def locked(file: Path) -> None:
    """Another program writes, and does not come to an end."""
    other = sqlite3.connect(file, isolation_level=None, timeout=60, check_same_thread=False)
    await asyncio.get_running_loop().run_in_executor(None, other.execute, "BEGIN IMMEDIATE")
    await asyncio.sleep(random.uniform(*LOCKED_S))  # noqa: S311
    other.execute("ROLLBACK")
    other.close()


async def full(servers: list[Server]) -> None:
    """The servers can't make any file longer, as on a full disk: every write beyond is refused by the system."""
    limits = [resource.prlimit(server.process_id, resource.RLIMIT_FSIZE) for server in servers]
    for server, (_, hard) in zip(servers, limits, strict=True):
        resource.prlimit(server.process_id, resource.RLIMIT_FSIZE, (1, hard))
    await asyncio.sleep(random.uniform(*FULL_S))  # noqa: S311
    for server, limit in zip(servers, limits, strict=True):
        resource.prlimit(server.process_id, resource.RLIMIT_FSIZE, limit)


async def hold(trial: Trial, nursery: Nursery, postgres: Postgres | None) -> None:
    """All conversations, with trouble beside them; then wait until what was left over is finished."""
    options = trial.options
    record = record_room.open(trial.url, secret=SECRET)
    for server in trial.servers:
        server.process_id = nursery.start(server.number, server.clock_off_s)
        await server.connect()
    share, more = divmod(options.turns, options.conversations)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("turns", total=options.turns)
        done = lambda: progress.tasks[0].completed  # noqa: E731
        worry = asyncio.create_task(trouble(trial, nursery, postgres, done))
        customers = (
            customer(trial, record, share + (number < more), lambda: progress.advance(task))
            for number in range(options.conversations)
        )
        await asyncio.gather(*customers)
        await worry
    deadline = time.monotonic() + 120
    while record.unfinished_messages(limit=1) and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells when it is done
        await asyncio.sleep(0.5)
    record.close()


def main() -> int:
    """Run the trial and print what it found; 1 where something was lost, doubled, reordered or misplaced, or there was less trouble than
    planned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql", help="the database of the record")
    parser.add_argument("--processes", type=int, help="server processes (default: 8; on sqlite 1)")
    parser.add_argument("--conversations", type=int, default=50, help="customers at the same time (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=20_000, help="turns of them all (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=50, help="servers killed on the way (default: %(default)s)")
    parser.add_argument("--restarts", type=int, help="crashes of PostgreSQL on the way (default: 10; on sqlite 0)")
    parser.add_argument("--locks", type=int, default=0, help="times another program locks SQLite (default: %(default)s)")
    parser.add_argument("--full-disks", type=int, default=0, help="times the disk is full, on SQLite (default: %(default)s)")
    parser.add_argument(
        "--clocks", type=float, default=0.0, help="seconds the servers' clocks are apart (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default: %(default)s)")
    options = parser.parse_args()
    if options.restarts is None:
        options.restarts = 10 if options.engine == "postgresql" else 0
    if options.engine == "postgresql" and (options.locks or options.full_disks):
        parser.error("--locks and --full-disks go with --engine sqlite")
    if options.engine == "sqlite" and options.restarts:
        parser.error("--restarts go with PostgreSQL: SQLite is no server")
    random.seed(options.seed)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = None
        url = f"sqlite:///{folder}/record.db"
        if options.engine == "postgresql":
            postgres = Postgres(durable=True, connections=500)
            postgres.start()
            stack.callback(postgres.stop)
            url = postgres.url(postgres.create_database())
        record = record_room.open(url, secret=SECRET)
        record.migrate()
        record.close()
        environment = {"DATABASE_URL": url, "THROUGHLINE_SECRET": SECRET, "TOKENIZERS_PARALLELISM": "false"}
        actions = stack.enter_context(servers.actions(folder, **environment))
        nursery = Nursery(folder, actions.address, environment)
        stack.callback(nursery.stop)
        trial = Trial(options, folder, url)
        count = options.processes or (8 if postgres else 1)
        apart_s = options.clocks / max(1, count - 1)
        trial.servers += [Server(number, folder, number * apart_s) for number in range(count)]
        stack.callback(_end_servers, trial)
        began = time.monotonic()
        asyncio.run(hold(trial, nursery, postgres))
        took_s = time.monotonic() - began
        found = verdict(trial)
    return _report(trial, found, took_s)


def _end_servers(trial: Trial) -> None:
    for server in trial.servers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server.process_id, signal.SIGKILL)


def _report(trial: Trial, found: dict[str, int], took_s: float) -> int:
    options = trial.options
    title = (
        f"{options.engine}: {len(trial.servers)} servers, {options.conversations} conversations, {len(trial.sent)} messages, "
        f"{trial.kills} servers killed, {trial.restarts} restarts of the database, {trial.locks} locks, {trial.full_disks} full disks, "
        f"clocks {options.clocks:g} s apart, {took_s:.0f} s"
    )
    table = Table(title=title)
    table.add_column("of it")
    table.add_column("", justify="right")
    for what, count in found.items():
        table.add_row(what, f"{count:,}")
    for error, count in trial.errors.most_common():
        table.add_row(f"no answer: {error}", f"{count:,}")
    Console().print(table)
    missing = trial.not_shown()
    for what in missing:
        Console().print(f"[red]The trial shows less than it was to: {what}.[/]")
    must_be_none = list(found.items())[:MUST_BE_NONE]
    return 1 if missing or any(count for _, count in must_be_none) else 0


if __name__ == "__main__":
    sys.exit(main())
