"""Media messages that no carrier should send, and a network that no carrier should have.

    python -m benchmarks.bad_media [--messages 10000] [--calls 3] [--phase 20] [--seed 0]

**Messages.** On the running server some calls go on, in which the assistant speaks most of the time, while a process of its own
sends bad messages by other sockets: to calls that were let in, to sockets that have not said who they are, after a stop, with a
token that is none, and some of them in twenty slow fragments; broken, of wrong types, nested deep, huge, doubled, out of order
(benchmarks/bad_messages.py has all kinds). Told are how each kind was answered, and before, while and after they come the
lateness of the good calls' audio and of a 20 ms clock on the server's own loop (benchmarks/ticker.py). A piece of audio is late
where it comes later than it would have to be played, had its telephone begun with the first piece at once: a telephone has a
buffer, so this is the strictest reading. Sender, callers, vendors and server share one machine: what the sender itself takes of
it is in the lateness too.

**Network.** One call at a time through each of two: 200 ms of jitter and 5 % of the packets lost, both ways, as TCP shows that
(late, in bursts, in order); and a carrier that besides jitter drops 5 % of the media messages, doubles 2.5 % and brings 2.5 %
after later ones. What the simulated recogniser was sent is compared, frame by frame, with what the caller said.

Exit status 1 where the server has died, is not healthy or has logged a fault; a good call was lost or not answered; a message
was answered otherwise than its kind is to be; the clock's 99th percentile while they come is over 20 ms and over twice that of
before; or, in a poor network, a call was lost or not answered, or audio reached the recogniser in another order than it was
said, or twice.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import queue
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import bad_messages, servers
from benchmarks.bad_messages import Report
from benchmarks.customers import percentile
from benchmarks.listening import END_OF_TURN_MS, FIRST_BYTE_MS, FLUX, recorded
from benchmarks.poor_network import Counts, PoorNetwork
from throughline.domain.transcripts import TELEPHONE
from throughline.errors import Unavailable
from throughline.simulate.call import Caller
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.page_call import page_caller
from throughline.speech.audio import Framer, level_dbfs

LINES = ("hello", "what are your prices", "are you open on saturday", "how long does it take", "what did you say")
PHASES = ("before", "while they come", "after")
MOST_LATE_MS = 20.0
JITTER_MS, LOSS = 200.0, 0.05

_KEY = "benchmark"
_AUDIBLE_DBFS = -50.0
_ANSWERED_WITHIN_S = 15
_FAULTS = re.compile(r"Traceback|\bcall\.(failed|task_failed)\b|\[error")


@dataclass
class Phase:
    """What the good calls and the server's clock were like for a while, in milliseconds."""

    audio: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)
    answered: int = 0
    lost: int = 0
    """Calls that ended, and turns without an answer."""
    took_s: float = 0.0


def lateness_ms(came: Sequence[tuple[float, bool]]) -> list[float]:
    """How late each piece of 20 ms came, 0 where it came in time. What comes first, or after a mark, is when it is."""
    late, due_s = [], 0.0
    for at_s, begins in came:
        if begins:
            due_s = max(due_s, at_s)
        late.append(max(0.0, at_s - due_s) * 1000)
        due_s = max(due_s, at_s) + 0.020
    return late


class _GoodCalls:
    """Calls that are held as long as the trial lasts."""

    def __init__(self, address: str, speech: dict[str, bytes]) -> None:
        self._address, self._speech = address, speech
        self._stopped = False
        self.phase = Phase()

    def stop(self) -> None:
        """After the turn at hand."""
        self._stopped = True

    async def hold(self) -> None:
        """One call after the other, so that none gets too long."""
        while not self._stopped:
            async with await page_caller(self._address, audio=TELEPHONE) as caller:
                await caller.wait_quiet()
                for text in LINES * 3:
                    if self._stopped:
                        break
                    await self._turn(caller, text)

    async def _turn(self, caller: Caller, text: str) -> None:
        phase, before = self.phase, len(caller.came)
        await caller.say(self._speech[text])
        try:
            await caller.first_frame(_ANSWERED_WITHIN_S)
            await caller.wait_quiet(0.3)
        except Unavailable:
            phase.lost += 1
        else:
            phase.answered += not caller.ended.is_set()
            phase.lost += caller.ended.is_set()
        phase.audio += lateness_ms(caller.came[before:])


async def _phases(
    address: str, speech: dict[str, bytes], options: argparse.Namespace, tick: Callable[[], None]
) -> tuple[dict[str, Phase], Report]:
    calls = _GoodCalls(address, speech)
    holding = [asyncio.ensure_future(calls.hold()) for _ in range(options.calls)]
    results: multiprocessing.Queue[Report] = multiprocessing.get_context("spawn").Queue()
    phases: dict[str, Phase] = {}
    report: Report | None = None
    await asyncio.sleep(8)  # the first turns are slower
    for name in PHASES:
        calls.phase = phases[name] = Phase()
        await asyncio.to_thread(_clock, address)
        began_s = time.monotonic()
        if name == "while they come":
            sender = multiprocessing.get_context("spawn").Process(
                target=bad_messages.send_all, args=(address, options.messages, options.seed, results)
            )
            sender.start()
            while report is None:
                if not sender.is_alive() and results.empty():
                    raise RuntimeError("the sender of bad messages has died")
                with suppress(queue.Empty):
                    report = await asyncio.to_thread(results.get, timeout=1)
            await asyncio.to_thread(sender.join)
        else:
            await asyncio.sleep(options.phase)
        phases[name].took_s = time.monotonic() - began_s
        phases[name].clock = await asyncio.to_thread(_clock, address)
        tick()
    calls.stop()
    await asyncio.gather(*holding)
    assert report is not None
    return phases, report


def _clock(address: str) -> list[float]:
    """How late the ticks of the server's clock were since it was last asked, in milliseconds."""
    answer = requests.get(f"{address}/webhooks/ticker/lateness?reset=1", timeout=30)
    return list(answer.json()["lateness_ms"])


@dataclass
class Through:
    """A call through a poor network."""

    counts: Counts
    said: int = 0
    answered: int = 0
    alive: bool = False
    frames_said: int = 0
    frames_heard: int = 0
    out_of_order: int = 0
    """Frames that reached the recogniser after a later one, or twice."""
    late_ms: list[float] = field(default_factory=list)


async def _through(address: str, deepgram: DeepgramServer, speech: dict[str, bytes], *, is_carrier: bool, seed: int) -> Through:
    server = urlsplit(address)
    visits_before = len(deepgram.visits)
    network = PoorNetwork(
        server.hostname or "", server.port or 80, jitter_ms=JITTER_MS, loss=LOSS, is_carrier=is_carrier, seed=seed
    )
    async with network, await page_caller(address, audio=TELEPHONE, connect_to=network.at) as caller:
        through = Through(network.counts)
        await caller.wait_quiet()
        for text in LINES * 2:
            through.said += 1
            await caller.say(speech[text])
            try:
                await caller.first_frame(_ANSWERED_WITHIN_S)
                await caller.wait_quiet(0.8)
            except Unavailable:
                continue
            through.answered += not caller.ended.is_set()
        through.alive = not caller.ended.is_set()
        through.late_ms = lateness_ms(caller.came)
    said = [frame for text in LINES * 2 for frame in _loud(speech[text])]
    heard = [frame for visit in deepgram.visits[visits_before:] for frame in _loud(bytes(visit.audio or b""))]
    through.frames_said, through.frames_heard = len(said), len(heard)
    through.out_of_order = out_of_order(said, heard)
    return through


def _loud(audio: bytes) -> list[bytes]:
    return [frame for frame in Framer(TELEPHONE.frame_bytes).push(audio) if level_dbfs(frame, TELEPHONE) >= _AUDIBLE_DBFS]


def out_of_order(said: Sequence[bytes], heard: Sequence[bytes]) -> int:
    """How many frames that were heard are not in the place where they were said: after those before, each once."""
    wrong, place = 0, 0
    for frame in heard:
        try:
            place = said.index(frame, place) + 1
        except ValueError:
            wrong += 1
    return wrong


def _print_phases(phases: dict[str, Phase], console: Console) -> None:
    table = Table("milliseconds: median / 95th / 99th / longest", *PHASES, title="Lateness")
    for name, of in (("good calls' audio", lambda phase: phase.audio), ("the server's clock", lambda phase: phase.clock)):
        table.add_row(name, *(_spread(of(phases[phase])) for phase in PHASES))
    table.add_row("answers in good calls", *(str(phases[phase].answered) for phase in PHASES))
    table.add_row("lost", *(str(phases[phase].lost) for phase in PHASES))
    table.add_row("seconds", *(f"{phases[phase].took_s:.0f}" for phase in PHASES))
    console.print(table)
    before, during = (percentile(phases[phase].clock, 0.99) for phase in PHASES[:2])
    console.print(f"the clock's 99th percentile while they come: {during / before:.2f} times that of before")


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return " / ".join(f"{value:.1f}" for value in (*(percentile(values, share) for share in (0.5, 0.95, 0.99)), max(values)))


def _wrongly_answered(report: Report) -> list[str]:
    """Kinds that were not answered as they are to be."""
    wrong = []
    for kind, outcomes in report.outcomes.items():
        where, _, what = kind.partition(": ")
        goes_on = where == "let in" and what in bad_messages.LET_PASS
        for outcome, count in outcomes.items():
            if outcome.startswith("closed") == goes_on or outcome.startswith("no socket"):
                wrong.append(f"{kind}: {outcome}, {count} times")
    return wrong


def _print_report(report: Report, console: Console) -> None:
    table = Table("kind", "answered (sockets)", title=f"{report.sent:,} bad messages")
    for kind, outcomes in sorted(report.outcomes.items()):
        table.add_row(kind, ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()))
    console.print(table)


def _print_through(name: str, through: Through, console: Console) -> None:
    counts = through.counts
    console.print(
        f"{name}: {counts.carried} messages, {counts.lost} lost, {counts.doubled} doubled, {counts.moved} moved. {through.answered} of "
        f"{through.said} answered, the call was {'alive' if through.alive else 'lost'}. To the recogniser {through.frames_heard} of "
        f"{through.frames_said} frames of speech, {through.out_of_order} out of order. Audio to the caller late "
        f"by {_spread(through.late_ms)} ms."
    )


def _healthy(address: str, process_id: int) -> bool:
    try:
        return psutil.pid_exists(process_id) and requests.get(f"{address}/health", timeout=10).status_code == requests.codes.ok
    except requests.RequestException:
        return False


def main() -> int:
    """Measure and print. 1 where a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000, help="bad messages, at least (default 10000)")
    parser.add_argument("--calls", type=int, default=3, help="good calls at a time (default 3)")
    parser.add_argument("--phase", type=float, default=20, help="seconds before and after (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="which messages, and what the network does")
    options = parser.parse_args()
    console = Console(width=160)
    console.print(f"load before: {' '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    missed: list[str] = []
    with (
        Progress(console=console) as progress,
        tempfile.TemporaryDirectory() as name,
        in_thread(DeepgramServer(key=_KEY, end_of_turn_ms=END_OF_TURN_MS, keeps_audio=True)) as deepgram,
        in_thread(ElevenLabsServer(key=_KEY, first_byte_ms=FIRST_BYTE_MS)) as elevenlabs,
        servers.actions(Path(name)) as actions,
    ):
        task = progress.add_task("before, while they come, after; two networks", total=5)
        speech = {text: asyncio.run(recorded(text)) for text in LINES}
        for text, audio in speech.items():
            deepgram.teach(text, TELEPHONE, audio)
        engines = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": FLUX}}
        keys = {"DEEPGRAM_API_KEY": _KEY, "ELEVENLABS_API_KEY": _KEY}
        vendors = {**keys, "DEEPGRAM_URL": deepgram.url, "ELEVENLABS_URL": elevenlabs.url}
        with servers.throughline(
            Path(name),
            actions.address,
            speech=engines,
            vendors=vendors,
            phone={"max_calls": 40, "calls_per_minute": 600},
            site={"trusted_proxies": 1},  # each bad socket says that it comes from somewhere else, or it would soon be refused
        ) as ours:
            phases, report = asyncio.run(_phases(ours.address, speech, options, lambda: progress.advance(task)))
            networks = {}
            for number, kind in enumerate(
                ("200 ms jitter, 5 % of the packets lost", "a carrier that drops, doubles and moves media")
            ):
                networks[kind] = asyncio.run(
                    _through(ours.address, deepgram, speech, is_carrier=number == 1, seed=options.seed)
                )
                progress.advance(task)
            healthy = _healthy(ours.address, ours.process_id)
            faults = [line for line in ours.log_file.read_text(errors="replace").splitlines() if _FAULTS.search(line)]
    _print_report(report, console)
    _print_phases(phases, console)
    for kind, through in networks.items():
        _print_through(kind, through, console)
    console.print(f"server {'alive and healthy' if healthy else 'NOT HEALTHY'}; faults logged: {len(faults)}")
    console.print(f"load after: {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    missed += [] if healthy else ["the server is not healthy"]
    missed += [f"logged: {line[:200]}" for line in faults[:10]]
    missed += _wrongly_answered(report)
    missed += ["good calls were lost"] if any(phase.lost or not phase.answered for phase in phases.values()) else []
    before, during = (percentile(phases[phase].clock, 0.99) for phase in PHASES[:2])
    missed += ["the server's clock was late"] if during > max(MOST_LATE_MS, 2 * before) else []
    for kind, through in networks.items():
        is_well = through.alive and through.answered == through.said and not through.out_of_order and through.frames_heard
        missed += [] if is_well else [f"{kind}: see above"]
    for each in missed:
        console.print(f"MISSED: {each}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
