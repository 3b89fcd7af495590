"""Calls on two servers, one of which is killed with SIGKILL in the middle: are all of its calls resumed, and is anything forgotten?

``python -m benchmarks.load --kill``. Two servers, each with its action server, on one PostgreSQL, a balancer in front of them, half of the
calls on each. Callers answer the question that is open, as the record has it: what is asked again, they answer again. When a server dies
Twilio asks what comes next, is told to connect the call again, and the other server takes it.

What must be none: calls of the dead server that are not connected again and spoken to within a minute, that go on as somebody else, or
whose open question was neither asked again nor answered; words that were answered and are not in the record; questions asked although
they had been answered; messages stored and never finished; calls of the other server that broke.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import load, load_vendors, servers
from benchmarks.customers import percentile
from benchmarks.listening import QUIET_S, words_of
from benchmarks.load_callers import Heard, LightCaller, frames_of
from tests.e2e import story
from tests.postgres import Postgres
from tests.scale.balancer import Balancer
from throughline import record as record_room
from throughline.errors import Unavailable
from throughline.record import Record
from throughline.simulate.in_thread import in_thread
from throughline.simulate.twilio import PlacedCall, TwilioLine

T = TypeVar("T")

_BEGINS = "my washing machine is leaking"
_ELSE = ("what are your opening hours", "what are your prices", "yes")
_OTHER_ANSWERS = {"phone": "five oh three five five five oh one four two", "visit_confirmed": "yes"}
_AGAIN_WITHIN_S = 60.0
_THINKS_S = (0.5, 3.0)
_LATEST_S = 40.0  # for a call to come to its end, and for what was left over


@dataclass
class Held:
    """One call, and what is known of it."""

    number: int
    on_first: bool
    """It was on the server that dies."""
    sid: str = ""
    answered: list[str] = field(default_factory=list)
    contact: str | None = None
    """Before the kill."""
    session: str | None = None
    open_before: str | None = None
    again_after_s: float | None = None
    wrong: list[str] = field(default_factory=list)


class Kill:
    """The calls on two servers."""

    def __init__(self, record: Record, line: TwilioLine, frames: Mapping[str, list[bytes]], seed: int) -> None:
        self._record, self._line, self._frames = record, line, frames
        self._random = random.Random(seed)  # noqa: S311 - pauses
        self._over = asyncio.Event()
        self._killed_at = 0.0
        self.held: list[Held] = []
        self.in_the_middle = 0
        """Messages that were stored and not answered when the server died."""

    async def hold(self, calls: int, minutes: float, balancer: Balancer, ports: tuple[int, int], dies: int) -> None:
        """All of it. ``ports`` are the servers', of which the first's process ``dies``."""
        console = Console(stderr=True)
        with Progress(console=console) as progress:
            task = progress.add_task(f"{calls} calls", total=minutes * 60)
            lines = []
            for number in range(calls):
                on_first = number % 2 == 0
                balancer.ports[:] = ports if on_first else ports[::-1]
                lines.append(asyncio.create_task(self._caller(number, on_first)))
                await asyncio.sleep(0.5)
                while len(self.held) <= number:  # noqa: ASYNC110 - it is where it is to be
                    await asyncio.sleep(0.02)
            began = time.monotonic()
            while (passed_s := time.monotonic() - began) < minutes * 60:
                progress.update(task, completed=passed_s)
                if not self._killed_at and passed_s >= minutes * 30:
                    await self._kill(dies, balancer, ports)
                await asyncio.sleep(0.2)
            progress.update(task, completed=minutes * 60)
            self._over.set()
            await asyncio.wait(lines, timeout=_AGAIN_WITHIN_S)
            for held, done in zip(self.held, lines, strict=True):
                if not done.done():
                    held.wrong.append("never came to its end")
                    done.cancel()
                elif error := done.exception():
                    held.wrong.append(f"{type(error).__name__} {error}")
        deadline = time.monotonic() + _LATEST_S
        while await self._in_thread(self._record.unfinished_messages) and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.5)

    async def _kill(self, dies: int, balancer: Balancer, ports: tuple[int, int]) -> None:
        for held in self.held:
            session = (await self._in_thread(self._record.phone_call, held.sid)).session
            if session is not None and held.on_first:
                held.contact, held.session = session.contact_id, session.session_id
                held.open_before = await self._in_thread(story.open_question, self._record, held.contact)
        balancer.ports[:] = ports[::-1]
        theirs = {held.session for held in self.held if held.on_first}
        deadline = time.monotonic() + _LATEST_S
        while time.monotonic() < deadline:  # best in the middle of a turn
            messages = await self._in_thread(self._record.unfinished_messages)
            if any(message.turn.session_id in theirs for message in messages):
                break
            await asyncio.sleep(0.005)
        self._killed_at = time.monotonic()
        os.kill(dies, signal.SIGKILL)
        self.in_the_middle = len(await self._in_thread(self._record.unfinished_messages))

    async def _caller(self, number: int, on_first: bool) -> None:
        held = Held(number, on_first)
        async with self._line.call(from_=f"+1503555{4000 + number}", to=load.COMPANY) as call:
            held.sid = call.sid
            stream = await call.stream()
            self.held.append(held)
            await self._talk(call, stream, held)
            if on_first and held.again_after_s is None:
                stream = await self._again(call, held)
                await self._talk(call, stream, held)
            if call.violations or len(call.streams) != 1 + on_first:
                held.wrong.append(f"streams {len(call.streams)}, {call.verbs} {call.errors} {call.violations}")

    async def _again(self, call: PlacedCall, held: Held) -> LightCaller:
        """The call's second stream, once the assistant speaks on it."""
        stream = await call.stream(2, _AGAIN_WITHIN_S)
        while not stream.has_spoken:
            if stream.ended.is_set() or time.monotonic() - self._killed_at > _AGAIN_WITHIN_S:
                raise Unavailable("nothing was said on the second stream")
            await asyncio.sleep(0.01)
        held.again_after_s = time.monotonic() - self._killed_at
        await stream.quiet(QUIET_S)
        after = (await self._in_thread(self._record.phone_call, held.sid)).session
        assert after is not None
        if after.session_id == held.session or after.contact_id != held.contact:
            held.wrong.append("goes on as somebody else, or in its old session")
        now_open = await self._in_thread(story.open_question, self._record, after.contact_id)
        known = {fact.slot for fact in await self._in_thread(self._record.facts, after.contact_id)}
        if held.open_before is not None and now_open != held.open_before and held.open_before not in known:
            held.wrong.append(f"{held.open_before} was open, and {now_open} is now")
        return stream

    async def _talk(self, call: PlacedCall, stream: LightCaller, held: Held) -> None:
        """Until the trial is over or the stream has ended."""
        await stream.quiet(QUIET_S)
        while not self._over.is_set() and not stream.ended.is_set():
            await asyncio.sleep(self._random.uniform(*_THINKS_S))
            line = await self._next_line(held)
            gap_ms = await stream.say(self._frames[line])
            if gap_ms is None:
                return
            await stream.quiet(QUIET_S)
            if not stream.ended.is_set():
                held.answered.append(words_of(line))

    async def _next_line(self, held: Held) -> str:
        session = (await self._in_thread(self._record.phone_call, held.sid)).session
        if not held.answered or session is None:
            return _BEGINS
        slot = await self._in_thread(story.open_question, self._record, session.contact_id)
        return answers().get(slot or "") or self._random.choice(_ELSE)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)

    def check(self) -> None:
        """What the record holds of each call."""
        for held in self.held:
            session = self._record.phone_call(held.sid).session
            if session is None:
                held.wrong.append("no session")
                continue
            said = story.events_of(self._record, session.contact_id, "user")
            lost = Counter(map(_plain, held.answered)) - Counter(_plain(str(event.data.get("text"))) for event in said)
            if lost:
                held.wrong.append(f"answered, and not in the record: {sorted(lost.elements())}")
            if again := story.asked_again(self._record, session.contact_id):
                held.wrong.append(f"asked again: {again}")


def answers() -> dict[str, str]:
    """What is said to the question for each slot."""
    return {**story.ANSWERS, **_OTHER_ANSWERS, "visit_day": story.a_weekday()}


def _plain(text: str) -> str:
    return " ".join(text.lower().replace(".", "").replace(",", "").replace("?", "").split())


def trial(options: argparse.Namespace) -> int:
    """Run it, and print what was found; 1 where anything was lost."""
    busy = load.load_of_machine()
    speech = asyncio.run(load.spoken(sorted({_BEGINS, *_ELSE, *answers().values()})))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = Postgres(durable=True, connections=200)
        postgres.start()
        stack.callback(postgres.stop)
        url = postgres.url(postgres.create_database())
        balancer = stack.enter_context(in_thread(Balancer([])))
        deepgram_url, _ = stack.enter_context(load_vendors.vendor(load_vendors.deepgram, speech, 0.0))
        elevenlabs_url, _ = stack.enter_context(load_vendors.vendor(load_vendors.elevenlabs))
        where = {"DATABASE_URL": url, "THROUGHLINE_PUBLIC_URL": balancer.address}
        running = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            actions = stack.enter_context(servers.actions(folder / name, **where))
            running.append(
                stack.enter_context(
                    servers.throughline(
                        folder / name,
                        actions.address,
                        speech=load.ENGINES,
                        vendors={**load.vendors_at(deepgram_url, elevenlabs_url), **where},
                        phone=load.settings(options.calls),
                    )
                )
            )
        record = record_room.open(url, secret=servers.SECRET)
        stack.callback(record.close)
        kill = Kill(
            record,
            load.line_at(balancer.address, Heard()),
            {line: frames_of(audio) for line, audio in speech.items()},
            options.seed,
        )
        first, second = (int(server.address.rsplit(":", 1)[1]) for server in running)
        asyncio.run(kill.hold(options.calls, options.minutes, balancer, (first, second), running[0].process_id))
        kill.check()
        unfinished = len(record.unfinished_messages())
        if options.log:
            options.log.write_text("".join(server.log_file.read_text(errors="replace") for server in running))
    return _report(kill, unfinished, options, busy)


def _report(kill: Kill, unfinished: int, options: argparse.Namespace, busy: str) -> int:
    died = [held for held in kill.held if held.on_first]
    again = [held.again_after_s for held in died if held.again_after_s is not None]
    table = Table(
        "of it", "", title=f"{options.calls} calls on two servers, one killed after {options.minutes / 2:g} minutes; {busy}"
    )
    table.add_row("calls of the server that died", str(len(died)))
    table.add_row("of them connected again, and spoken to", str(len(again)))
    if again:
        table.add_row("after, s: median / longest", f"{statistics.median(again):.1f} / {percentile(again, 1):.1f}")
    table.add_row("messages in the middle of their turn at the kill", str(kill.in_the_middle))
    table.add_row("messages answered", str(sum(len(held.answered) for held in kill.held)))
    table.add_row("messages stored and never finished", str(unfinished))
    table.add_row("calls with which something was wrong", str(sum(bool(held.wrong) for held in kill.held)))
    console = Console(width=120)
    console.print(table)
    for held in kill.held:
        for wrong in held.wrong:
            console.print(f"[red]✗[/] call {held.number}: {wrong}", highlight=False)
    complete = len(kill.held) == options.calls and len(again) == len(died) > 0
    return 0 if complete and not unfinished and not any(held.wrong for held in kill.held) else 1
