"""Thirty calls at once in one server process, at real time: how late its audio is, and what a call costs.

    python -m benchmarks.load [--calls 30] [--minutes 5]
    python -m benchmarks.load --kill [--calls 30] [--minutes 5]      one of two servers is killed in the middle (load_kill.py)

The callers talk through the scripts of benchmarks/listening.py, pauses and all, think a while between turns, call again when a script
is over, and come by telephone: Twilio's webhooks and streams, signed. Deepgram's Flux and ElevenLabs are simulated at the latencies they
publish, each in a process of its own; the record is on SQLite. All of it shares the machine's cores with the server: what the simulation
takes is printed beside it.

Measured, from when all calls are up:
- *frames*: how late each frame of the assistant's came at its caller, against the 20 ms clock of that stretch of speech, without the
  200 ms that are sent ahead, and without the wait for the next tick of the call's own clock (benchmarks/load_callers.py). The callers'
  own lateness is in it, and printed beside it.
- *server's loop*: a 20 ms clock on the loop that carries the audio, read out at the end (benchmarks/ticker.py).
- *breaks*: silences that a caller hears within a sentence.
- *gap*: from the last frame of a caller's words to the first audible one of the answer, cut-ins left out.
- *queues*: the most messages that waited for a call's socket (bound: 1,000), and recognisers' audio that was dropped; from the
  server's log.
- *past the limit*: with all lines taken, telephone calls must hear the busy message and be promised a call-back, which the record has, and
  pages must be told "busy" with the status 503.

Ends with 1 where frames or loop are 20 ms late or more at the 99th percentile, a caller is not answered, a stream breaks, audio is dropped,
or somebody past the limit is treated otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import load_vendors, servers
from benchmarks.customers import percentile
from benchmarks.listening import FLUX, QUIET_S, SCRIPTS, recorded
from benchmarks.load_callers import Heard, LightCaller, frames_of
from benchmarks.load_vendors import KEY
from throughline import record as record_room
from throughline.errors import Rejected, Unavailable
from throughline.settings.business import load_business
from throughline.simulate.page_call import page_caller
from throughline.simulate.twilio import PlacedCall, TwilioLine

ACCOUNT, TOKEN, COMPANY = "AC" + "5" * 32, "an auth token for trials only", "+15035550142"
LATE_MS = 20.0
THINKS_S = (1.0, 6.0)  # below the silence prompt
MISTAKEN = 0.25
_PAST_THE_LIMIT = 3
_CALLS_PER_S = 3
_FREED_S = 3.0  # until the server has wound up a call
_OUTBOX_MOST = re.compile(r"call\.ended.*\boutbox_most=(\d+)")
_TURN = re.compile(r"turn\.taken.*channel=phone.*turn_ms=([\d.]+).*wait_ms=([\d.]+)")
_NEVER_LOGGED = ("speech.audio_dropped", "call.failed", "call.task_failed", "reason=too_slow", "call.turn_failed", "Traceback")


def settings(calls: int) -> dict[str, object]:
    """A server's, for so many calls."""
    return {"max_calls": calls, "calls_per_minute": 600}


ENGINES = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": FLUX}}


def vendors_at(deepgram_url: str, elevenlabs_url: str) -> dict[str, str]:
    """The environment in which a server finds them, and its telephone number; nobody is at Twilio's API."""
    keys = {"DEEPGRAM_API_KEY": KEY, "ELEVENLABS_API_KEY": KEY, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN}
    return {**keys, "DEEPGRAM_URL": deepgram_url, "ELEVENLABS_URL": elevenlabs_url, "TWILIO_API_URL": "http://127.0.0.1:9"}


def line_at(address: str, heard: Heard) -> TwilioLine:
    """The company's number, with callers that cost little."""
    caller = functools.partial(LightCaller, heard=heard)
    return TwilioLine(address, account_sid=ACCOUNT, auth_token=TOKEN, connect_to=address, caller=caller)


async def spoken(lines: Sequence[str]) -> dict[str, bytes]:
    """Each line's audio."""
    return {line: await recorded(line) for line in lines}


@dataclass
class Found:
    """What the trial has found."""

    gaps_ms: list[float] = field(default_factory=list)
    cut_ins: int = 0
    calls: int = 0
    most_calls: int = 0
    busy_between: int = 0
    refused: list[str] = field(default_factory=list)
    """The calls past the limit."""
    wrong: list[str] = field(default_factory=list)
    """What must not have happened."""
    memory_mb: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    """Shares of a core."""
    loop_ms: list[float] = field(default_factory=list)
    outbox_most: int = 0
    turns_ms: list[tuple[float, float]] = field(default_factory=list)
    """Of the server's turns: how long each took, and had waited."""


class Trial:
    """The calls on one server."""

    def __init__(self, address: str, calls: int, speech: Mapping[str, bytes], seed: int) -> None:
        self.heard, self.found = Heard(), Found()
        self._address = address
        self._line = line_at(address, self.heard)
        self._frames = {line: frames_of(audio) for line, audio in speech.items()}
        self._calls = calls
        self._random = random.Random(seed)  # noqa: S311 - pauses
        self._numbers = iter(range(2000, 10_000))
        self._up = 0
        self._all_up = asyncio.Event()
        self._over = asyncio.Event()

    async def hold(self, minutes: float, processes: Mapping[str, psutil.Process], progress: Progress) -> None:
        """All calls, past the limit too, and what is measured of them."""
        self.found.memory_mb["before"] = _memory_mb(processes["server"])
        lines = [asyncio.create_task(self._caller(number)) for number in range(self._calls)]
        await asyncio.wait_for(self._all_up.wait(), 60 + self._calls / _CALLS_PER_S)
        await self._past_the_limit()
        await self._read_loop()
        self.heard.since = began = time.monotonic()
        before = {name: _cpu_s(process) for name, process in processes.items()}
        self.found.memory_mb["start"] = _memory_mb(processes["server"])
        task = progress.add_task(f"{self._calls} calls", total=minutes * 60)
        while (passed_s := time.monotonic() - began) < minutes * 60:
            progress.update(task, completed=passed_s)
            self.found.most_calls = max(self.found.most_calls, self._up)
            if passed_s >= minutes * 30 and "middle" not in self.found.memory_mb:
                self.found.memory_mb["middle"] = _memory_mb(processes["server"])
            await asyncio.sleep(0.5)
        progress.update(task, completed=minutes * 60)
        took_s = time.monotonic() - began
        self.found.cpu = {name: (_cpu_s(process) - before[name]) / took_s for name, process in processes.items()}
        self.found.memory_mb["end"] = _memory_mb(processes["server"])
        self.found.loop_ms = await self._read_loop()
        self._over.set()
        for failed in await asyncio.gather(*lines, return_exceptions=True):
            if isinstance(failed, BaseException):
                self.found.wrong.append(f"a caller: {type(failed).__name__} {failed}")

    async def _caller(self, number: int) -> None:
        """One after the other calls and talks through a script."""
        await asyncio.sleep(number / _CALLS_PER_S)
        script = number
        while not self._over.is_set():
            from_ = f"+1503555{next(self._numbers)}"
            async with self._line.call(from_=from_, to=COMPANY) as call:
                if call.verbs[:1] != ["Connect"] and "Connect" not in call.verbs:
                    await asyncio.sleep(0.1)
                try:
                    caller = await call.stream()
                except Unavailable:
                    self.found.busy_between += 1
                    await call.over()
                    await asyncio.sleep(_FREED_S)
                    continue
                self._counts(1)
                try:
                    await self._talk(caller, SCRIPTS[script % len(SCRIPTS)])
                finally:
                    self._up -= 1
            self._check(call)
            script += 1
            if not self._over.is_set():
                await asyncio.sleep(_FREED_S)

    def _counts(self, more: int) -> None:
        self._up += more
        self.found.calls += 1
        if self._up == self._calls:
            self._all_up.set()

    async def _talk(self, caller: LightCaller, script: Sequence[str]) -> None:
        await caller.quiet(QUIET_S)
        for line in script:
            await asyncio.sleep(self._random.uniform(*THINKS_S))
            if self._over.is_set() or caller.ended.is_set():
                return
            try:
                gap_ms = await caller.say(self._frames[line])
            except TimeoutError:
                self.found.wrong.append(f"not answered: {line}")
                continue
            if gap_ms is not None and self.heard.counts():
                self.found.cut_ins += gap_ms < 0
                self.found.gaps_ms += [gap_ms] if gap_ms >= 0 else []
            await caller.quiet(QUIET_S)

    def _check(self, call: PlacedCall) -> None:
        if len(call.streams) != 1 or call.violations or [error for error in call.errors if not error.startswith("12200")]:
            self.found.wrong.append(f"a call: {call.verbs} {call.errors} {call.violations}")

    async def _past_the_limit(self) -> None:
        """All lines are taken. Some more call, by telephone and from a page."""
        words = load_business(Path("data/business")).phone.line
        for number in range(_PAST_THE_LIMIT):
            async with self._line.call(from_=f"+150355519{number:02}", to=COMPANY) as call:
                await call.over()
            self.found.refused.append(call.sid)
            if words.busy not in call.said or words.call_back not in call.said or call.streams:
                self.found.wrong.append(f"a call past the limit: {call.verbs} {call.said}")
            try:
                caller = await page_caller(self._address)
                self.found.wrong.append(f"a page past the limit: {caller}")
            except Rejected as refusal:
                if refusal.reason != "busy":
                    self.found.wrong.append(f"a page past the limit: {refusal.reason}")

    async def _read_loop(self) -> list[float]:
        url = f"{self._address}/webhooks/ticker/lateness?reset=1"
        answer = await asyncio.get_running_loop().run_in_executor(None, functools.partial(requests.get, url, timeout=20))
        return [float(late) for late in answer.json()["lateness_ms"]]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def read_log(log: str, found: Found) -> None:
    """What a server's log tells of its queues and turns."""
    found.outbox_most = max((int(most) for most in _OUTBOX_MOST.findall(log)), default=0)
    found.turns_ms = [(float(turn), float(wait)) for turn, wait in _TURN.findall(log)]
    found.wrong += [f"logged {log.count(bad)} times: {bad}" for bad in _NEVER_LOGGED if bad in log]
    if not found.turns_ms or not found.outbox_most:
        found.wrong.append("the log tells nothing of turns, or of queues")


def _check_call_backs(database: Path, found: Found) -> None:
    """The record has a call-back for each call past the limit."""
    record = record_room.open(f"sqlite:///{database}", secret=servers.SECRET)
    for sid in found.refused:
        session = record.phone_call(sid).session
        promised = [] if session is None else [handoff.reason for handoff in record.handoffs(session.contact_id)]
        if promised != ["busy"]:
            found.wrong.append(f"a call past the limit, in the record: {promised}")
    record.close()


def _spread(values: Sequence[float]) -> str:
    """Median, 95th and 99th percentile, and the most."""
    if not values:
        return "none"
    parts = (statistics.median(values), percentile(values, 0.95), percentile(values, 0.99), max(values))
    return " / ".join(f"{part:.1f}" for part in parts)


def _report(trial: Trial, calls: int, minutes: float, busy: str) -> int:
    found, heard = trial.found, trial.heard
    table = Table("", "median / 95th / 99th / longest", title=f"{calls} calls for {minutes:g} minutes; {busy}")
    table.add_row("frames late, ms", _spread(heard.lateness_ms))
    table.add_row("server's loop late, ms", _spread(found.loop_ms))
    table.add_row("callers' own clocks late, ms", _spread(heard.own_lateness_ms))
    table.add_row("gap, ms", _spread(found.gaps_ms))
    table.add_row("turn in the server, ms", _spread([turn for turn, _ in found.turns_ms]))
    table.add_row("a turn's wait for the one ahead, ms", _spread([wait for _, wait in found.turns_ms]))
    console = Console(width=120)
    console.print(table)
    passed_s = minutes * 60
    cpu = found.cpu
    memory = ", ".join(f"{when} {mb:.0f}" for when, mb in found.memory_mb.items())
    for line in (
        f"turns {len(found.gaps_ms) + found.cut_ins}, of them cut in on {found.cut_ins}; calls {found.calls}, at once {found.most_calls}; "
        f"refused while one was winding up {found.busy_between}",
        f"at once in the mean: {heard.spoken_s / passed_s:.1f} callers speaking, {heard.listened_s / passed_s:.1f} being spoken to",
        f"frames with a clock {len(heard.lateness_ms):,}; breaks within a sentence {len(heard.breaks_ms)}, ms: {_spread(heard.breaks_ms)}",
        f"server: {cpu['server']:.0%} of a core, {cpu['server'] / calls:.2%} a call; memory in MB: {memory}",
        "beside it, of a core: " + ", ".join(f"{name} {share:.0%}" for name, share in cpu.items() if name != "server"),
        f"most messages waiting for a call's socket: {found.outbox_most} of 1,000",
    ):
        console.print(line)
    bounds = {"frames": heard.lateness_ms, "the server's loop": found.loop_ms}
    wrong = list(found.wrong)
    for what, late in bounds.items():
        if not late or percentile(late, 0.99) >= LATE_MS:
            wrong.append(f"{what}: not under {LATE_MS:.0f} ms at the 99th percentile")
    for one in wrong[:20]:
        console.print(f"[red]✗[/] {one}", highlight=False)
    return 1 if wrong else 0


def load_of_machine() -> str:
    """How busy it is with other things."""
    return "load of the machine before " + " ".join(f"{load:.1f}" for load in os.getloadavg()) + f", {os.cpu_count()} cores"


def _trial(options: argparse.Namespace) -> int:
    busy = load_of_machine()
    speech = asyncio.run(spoken(sorted({line for script in SCRIPTS for line in script})))
    with (
        tempfile.TemporaryDirectory() as name,
        load_vendors.vendor(load_vendors.deepgram, speech, MISTAKEN) as (deepgram_url, deepgram_id),
        load_vendors.vendor(load_vendors.elevenlabs) as (elevenlabs_url, elevenlabs_id),
        servers.actions(Path(name)) as actions,
        servers.throughline(
            Path(name),
            actions.address,
            speech=ENGINES,
            vendors=vendors_at(deepgram_url, elevenlabs_url),
            phone=settings(options.calls),
        ) as ours,
        Progress(console=Console(stderr=True)) as progress,
    ):
        process_ids = {"server": ours.process_id, "actions": actions.process_id}
        process_ids |= {"Deepgram": deepgram_id, "ElevenLabs": elevenlabs_id, "callers": os.getpid()}
        processes = {name: psutil.Process(process_id) for name, process_id in process_ids.items()}
        trial = Trial(ours.address, options.calls, speech, options.seed)
        asyncio.run(trial.hold(options.minutes, processes, progress))
        time.sleep(_FREED_S)  # the last calls wind up
        log = ours.log_file.read_text(errors="replace")
        if options.log:
            options.log.write_text(log + actions.log_file.read_text(errors="replace"))
        read_log(log, trial.found)
        _check_call_backs(Path(name) / "record.db", trial.found)
    return _report(trial, options.calls, options.minutes, busy)


def main() -> int:
    """Run the trial; 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=30, help="calls at once (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long, once all are up (default %(default)s)")
    parser.add_argument("--kill", action="store_true", help="two servers, one of which is killed in the middle")
    parser.add_argument("--seed", type=int, default=1, help="of the callers' pauses (default %(default)s)")
    parser.add_argument("--log", type=Path, help="where to keep the server's log")
    options = parser.parse_args()
    uvloop.install()
    if options.kill:
        from benchmarks import load_kill

        return load_kill.trial(options)
    return _trial(options)


if __name__ == "__main__":
    sys.exit(main())
