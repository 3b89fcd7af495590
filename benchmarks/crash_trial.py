"""What a trial of crashes is made of: the servers that are killed, what customers sent to them, and what the record holds of it at the
end (benchmarks/crashes.py tells what is done with them)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from throughline.domain.turns import Turn
from throughline.record.schema import calendar_visits, events, heard, messages, outcomes

MUST_BE_NONE = 11
"""So many of the verdict's counts, from the first."""

MOST_GIVEN_UP = 0.2
"""Of the messages. Where customers give up on more than that, nothing was shown of what happens to those that are answered."""

_START_WITHIN_S = 60


@dataclass
class Message:
    """What a customer sent, and what came of it."""

    turn: Turn
    sent_at: float
    acknowledged_at: float | None = None
    said: tuple[str, ...] = ()
    tries: int = 0


class Server:
    """One server process and the connection to it, which is opened again after a kill."""

    def __init__(self, number: int, folder: Path, clock_off_s: float = 0.0) -> None:
        self.number = number
        self.clock_off_s = clock_off_s
        self.process_id = 0
        self._log = folder / "servers.log"
        self._socket = folder / f"{number}.sock"
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Wait until it is there. After a kill, once the end of the old connection has been seen. Raises RuntimeError where it does not
        come."""
        if self._reading is not None:
            await self._reading
        deadline = time.monotonic() + _START_WITHIN_S
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(self._socket)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"server {self.number} does not start: {_end_of(self._log)}") from None
                await asyncio.sleep(0.05)
        self._reading = asyncio.create_task(self._read(reader))

    async def ask(self, **what: Any) -> dict[str, Any]:
        """One request. Raises ConnectionError when the server dies over it, or is dead."""
        if self._writer is None:
            raise ConnectionError("no server")
        number = next(self._ids)
        self._waiting[number] = answer = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": number, **what}).encode() + b"\n")
        try:
            return await asyncio.wait_for(answer, 60)
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                answer = json.loads(line)
                waiting = self._waiting.get(answer["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        self._writer = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the server died"))


@dataclass
class Trial:
    """What is tried, and what happened."""

    options: argparse.Namespace
    folder: Path
    url: str
    servers: list[Server] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)
    looked_for: int = 0
    invisible: int = 0
    faults: int = 0
    kills: int = 0
    restarts: int = 0
    locks: int = 0
    full_disks: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def acknowledged(self) -> int:
        """How many messages were answered."""
        return sum(message.acknowledged_at is not None for message in self.sent)

    def not_shown(self) -> list[str]:
        """What the trial was to show and did not, because it never happened; empty where everything has."""
        planned = ("kills", "restarts", "locks", "full_disks")
        missing = [
            f"{getattr(self, what)} of {getattr(self.options, what)} {what.replace('_', ' ')} happened"
            for what in planned
            if getattr(self, what) != getattr(self.options, what)
        ]
        given_up = len(self.sent) - self.acknowledged
        if given_up > MOST_GIVEN_UP * len(self.sent):
            missing.append(f"{given_up:,} of {len(self.sent):,} messages got no answer")
        return missing


class Nursery:
    """The process that forks servers."""

    def __init__(self, folder: Path, actions_url: str, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.crash_servers", str(folder), actions_url]
        self._log_file = folder / "servers.log"
        self._log = self._log_file.open("wb")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **environment},
            bufsize=0,  # else a line may wait in this process while select waits for the other
        )
        while self._line() != "loaded":  # Rasa prints a few things of its own
            pass

    def start(self, number: int, clock_off_s: float) -> int:
        """Fork a server; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number} {clock_off_s}\n".encode())
        while not (line := self._line()).isdigit():
            pass
        return int(line)

    def stop(self) -> None:
        """Fork no more."""
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _line(self) -> str:
        """What it says next. Raises RuntimeError where it has ended, or says nothing."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _START_WITHIN_S)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise RuntimeError(f"no server can be started: {_end_of(self._log_file)}")
        return line.decode().strip()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def verdict(trial: Trial) -> dict[str, int]:
    """What the record holds against what customers were told. The first MUST_BE_NONE must be 0."""
    engine = sa.create_engine(trial.url, future=True)
    with engine.connect() as connection:
        said = connection.execute(
            sa.select(events.c.id, events.c.sender_id, events.c.session_id, events.c.type_name, events.c.data)
            .where(events.c.type_name.in_(("user", "bot")))
            .order_by(events.c.id)
        ).all()
        stored = dict(connection.execute(sa.select(messages.c.message_id, messages.c.id)).all())
        unfinished = connection.execute(sa.select(sa.func.count()).where(messages.c.finished_at.is_(None))).scalar_one()
        reported = set(connection.execute(sa.select(heard.c.event_id)).scalars())
        standing = sa.select(calendar_visits).where(calendar_visits.c.cancelled_at.is_(None))
        visits = connection.execute(standing.order_by(calendar_visits.c.starts_at)).all()
        ended_in = connection.execute(sa.select(outcomes.c.kind, outcomes.c.data)).all()
    engine.dispose()
    places: dict[str, list[Any]] = {}
    for row in said:
        if row.type_name == "user":
            places.setdefault(row.data["message_id"], []).append(row)
    answers = {row.data["metadata"]["event_id"] for row in said if row.type_name == "bot"}
    answered = [message for message in trial.sent if message.acknowledged_at is not None]
    kept = [message for message in answered if message.turn.message_id in places]
    return {
        "acknowledged turns lost": len(answered) - len(kept),
        "acknowledged answers lost": sum(event_id not in answers for message in answered for event_id in message.said),
        "reports of what was heard lost": sum(event_id not in reported for event_id, _ in trial.heard),
        "turns doubled": sum(len(rows) > 1 for rows in places.values()),
        "visits doubled": _doubled(visit.details["booking"] for visit in visits) + _at_once(visits),
        "outcomes doubled": _doubled((row.kind, row.data["visit_id"]) for row in ended_in),
        "turns reordered": _reordered(kept, places, stored),
        "turns in the wrong conversation": sum(
            (row.sender_id, row.session_id) != (message.turn.contact_id, message.turn.session_id)
            for message in kept
            for row in places[message.turn.message_id]
        ),
        "acknowledged turns another server did not see": trial.invisible,
        "messages stored and never finished": unfinished,
        "faults of a server's own": trial.faults,
        "turns acknowledged": len(answered),
        "visits booked": len(visits),
        "messages that were given up, and finished all the same": len(places) - len(kept),
        "turns looked for on another server": trial.looked_for,
        "messages sent again": sum(message.tries > 1 for message in trial.sent),
    }


def _doubled(names: Iterable[Any]) -> int:
    return sum(count - 1 for count in Counter(names).values())


def _at_once(visits: Sequence[Any]) -> int:
    """Visits that begin before their technician's visit before is over. ``visits`` stand in the order of their beginnings."""
    wrong, until = 0, {}
    for visit in visits:
        wrong += visit.technician in until and visit.starts_at < until[visit.technician]
        until[visit.technician] = visit.ends_at
    return wrong


def _reordered(kept: list[Message], places: dict[str, list[Any]], stored: dict[str, int]) -> int:
    """Turns that stand before one that was acknowledged before they were sent, or in another order than they were stored in."""
    wrong = 0
    by_contact: dict[str, list[Message]] = {}
    for message in kept:
        by_contact.setdefault(message.turn.contact_id, []).append(message)
    for theirs in by_contact.values():
        in_order = sorted(theirs, key=lambda message: places[message.turn.message_id][0].id)
        latest_sent, latest_stored = 0.0, 0
        for message in in_order:
            assert message.acknowledged_at is not None
            wrong += message.acknowledged_at < latest_sent or stored[message.turn.message_id] < latest_stored
            latest_sent = max(latest_sent, message.sent_at)
            latest_stored = stored[message.turn.message_id]
    return wrong
