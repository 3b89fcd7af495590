"""What a turn costs after 10, 100, 1,000 and 10,000 stored events, beside stock Rasa in the same run.

    python -m benchmarks.cost                      # both engines, beside stock Rasa on both; two to fifteen minutes
    python -m benchmarks.cost --rounds 10 --only ours

A turn is everything from the customer's words to the committed answer: reading the tracker, understanding, policies, actions in their own
server, storing. Ours is taken by the real runner, for somebody with a session for every ten turns and with merged aliases; once as a
server takes it that knows the customer, and once as one takes it that does not. Stock Rasa takes the same words on the same model
with its own processor and SQLTrackerStore. All of them take a turn in each round, in a new order, so that a noisy machine hits all alike;
stock Rasa at 10,000 events only in some rounds, because it takes seconds.

Prints a table, draws it (--plot), and ends with status 1 where ours after 10,000 events costs more than 1.2 times ours after 10.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import servers
from benchmarks.customers import percentile
from tests.postgres import Postgres
from throughline.cli.model import quiet_environment, train

SIZES = (10, 100, 1_000, 10_000)
MOST = 1.2
"""How much more a turn of ours may cost after the longest history than after the shortest."""

_RETURNING = 1_000  # from this length on a customer comes back each round: what a round adds to the history is little beside it
_STOCK_AT_MOST = 3  # rounds in which stock Rasa takes the longest history
_BEFORE = "my washing machine leaks"
"""What is said in the turn before the measured one: it begins a form, and is all that is said after the shortest history."""

_BEFORE_EVENTS = 10  # about what it adds
_TURNS = ("it's a Bosch", "what are your prices", "what are your opening hours")
"""What is said in the measured turn: the answer to the form's question, and two digressions."""


@dataclass
class Arm:
    """One assistant: its process, and what it was measured to cost by the size of the history."""

    name: str
    process: subprocess.Popen[str]
    ours: bool
    ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    unknown_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    action_bytes: dict[int, int] = field(default_factory=dict)

    def order(self, **what: Any) -> dict[str, Any]:
        """Have it do something. Raises RuntimeError where it can't."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the assistant was started without pipes")
        if what:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}; its log says why")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def _arms(engines: list[str], kinds: list[str], model: Path) -> Iterator[list[Arm]]:
    """Every assistant, ready."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {engine: f"sqlite:///{folder}/{{}}.db" for engine in engines if engine == "SQLite"}
        if "PostgreSQL" in engines:
            postgres = Postgres(durable=True)
            postgres.start()
            stack.callback(postgres.stop)
        arms = []
        for engine in engines:
            for kind in kinds:
                url = urls[engine].format(kind) if engine in urls else postgres.url(postgres.create_database())
                actions = stack.enter_context(_actions(folder, f"{kind}-{engine}", url if kind == "ours" else ""))
                arms.append(stack.enter_context(_arm(folder, kind, engine, url, actions, model)))
        for arm in arms:
            arm.order()
        yield arms


@contextlib.contextmanager
def _actions(folder: Path, name: str, url: str) -> Iterator[str]:
    """An action server on the record at ``url``, or on one of its own; where it answers."""
    port = servers.free_port()
    command = [sys.executable, "-m", "rasa_sdk", "--actions", "actions", "-p", str(port)]
    database = url or f"sqlite:///{folder}/{name}-actions.db"
    ready = f"http://127.0.0.1:{port}/health"
    with servers.process(f"actions-{name}", command, ready, folder, DATABASE_URL=database, SANIC_HOST="127.0.0.1") as running:
        yield f"{running.address}/webhook"


@contextlib.contextmanager
def _arm(folder: Path, kind: str, engine: str, url: str, actions: str, model: Path) -> Iterator[Arm]:
    log_file = folder / f"{kind}-{engine}.log"
    command = [sys.executable, "-m", "benchmarks.cost_arm", kind, url, actions, str(model)]
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=quiet_environment()
        )
    try:
        yield Arm(f"{'ours' if kind == 'ours' else 'stock'}, {engine}", child, kind == "ours")
    except RuntimeError:
        sys.stderr.write(log_file.read_text(errors="replace")[-3000:])
        raise
    finally:
        child.terminate()
        child.wait(20)


def _measure(arms: list[Arm], rounds: int, console: Console) -> None:
    """Have every arm take its turns, round by round."""
    order = random.Random(4)  # noqa: S311 - an order, no secret
    with Progress(console=console) as progress:
        task = progress.add_task("turns", total=rounds * len(arms) * len(SIZES))
        for number in range(rounds):
            text = _TURNS[number % len(_TURNS)]
            turns = [(arm, size) for arm in arms for size in SIZES]
            order.shuffle(turns)
            for arm, size in turns:
                progress.update(task, description=f"{arm.name}, {size:,} events")
                if arm.ours or size < max(SIZES) or number < _STOCK_AT_MOST:
                    _take(arm, size, number, text)
                progress.advance(task)


def _take(arm: Arm, size: int, number: int, text: str) -> None:
    """A measured turn, or two: for a server that knows the customer, and for one that does not."""
    for unknown, taken in ((False, arm.ms), (True, arm.unknown_ms)) if arm.ours else ((False, arm.ms),):
        returning = size >= _RETURNING
        customer = f"customer-{size}" + ("" if returning else f"-{number}-{unknown}")
        if returning and (unknown or taken[size]):
            arm.order(do="settle", customer=customer)
        else:
            arm.order(do="build", customer=customer, events=size - _BEFORE_EVENTS)
        answer = arm.order(do="turn", customer=customer, text=_BEFORE, weigh=True)
        arm.action_bytes[size] = max(arm.action_bytes.get(size, 0), answer["bytes"])
        answer = arm.order(do="turn", customer=customer, text=text, unknown=unknown)
        taken[size].append(answer["ms"])
        if not unknown:
            arm.cpu_ms[size].append(answer["cpu_ms"])


def _rows(arms: list[Arm]) -> list[tuple[str, dict[int, list[float]]]]:
    rows = []
    for arm in arms:
        rows.append((arm.name, arm.ms))
        if arm.ours:
            rows.append((f"{arm.name}, not in memory", arm.unknown_ms))
    return rows


def _print(arms: list[Arm], console: Console) -> None:
    table = Table("ms a turn: median / 95th", *(f"{size:,} events" for size in SIZES), f"{max(SIZES):,} : {min(SIZES)}")
    for name, values in _rows(arms):
        cells = [f"{statistics.median(values[size]):.1f} / {percentile(values[size], 0.95):.1f}" for size in SIZES]
        table.add_row(name, *cells, f"{_ratio(values):.2f}")
    console.print(table)
    table = Table(
        "of it computed by Rasa's process: median ms", *(f"{size:,} events" for size in SIZES), f"{max(SIZES):,} : {min(SIZES)}"
    )
    for arm in arms:
        table.add_row(arm.name, *(f"{statistics.median(arm.cpu_ms[size]):.1f}" for size in SIZES), f"{_ratio(arm.cpu_ms):.2f}")
    console.print(table)
    table = Table("bytes of an action call", *(f"{size:,} events" for size in SIZES))
    for arm in arms:
        table.add_row(arm.name, *(f"{arm.action_bytes[size]:,}" for size in SIZES))
    console.print(table)


def _ratio(values: dict[int, list[float]]) -> float:
    return statistics.median(values[max(SIZES)]) / statistics.median(values[min(SIZES)])


def _draw(arms: list[Arm], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for name, values in _rows(arms):
        style = "--" if "not in memory" in name else "-"
        medians = [statistics.median(values[size]) for size in SIZES]
        axes.plot(SIZES, medians, style, marker="o", color="C3" if name.startswith("stock") else None, label=name)
    axes.set(xscale="log", yscale="log", xlabel="events stored of the conversation", ylabel="ms a turn (median)")
    axes.set_title("What a turn costs as a conversation grows")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> int:
    """Measure, print, draw; the status to end with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="turns of each kind and length (default 30)")
    parser.add_argument("--engine", choices=["SQLite", "PostgreSQL"], help="only this one (default: both)")
    parser.add_argument("--only", choices=["ours"], help="without stock Rasa")
    parser.add_argument(
        "--model", type=Path, help="another model than the present inputs' (which is trained where it is missing)"
    )
    parser.add_argument("--plot", type=Path, help="draw it into this file, such as docs/turn-cost.png")
    options = parser.parse_args()
    console = Console(width=140)
    model = options.model or train(console)
    engines = [options.engine] if options.engine else ["SQLite", "PostgreSQL"]
    kinds = [options.only] if options.only else ["ours", "stock"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with console.status("starting the assistants, each with a model and an action server ..."):
        stack = contextlib.ExitStack()
        arms = stack.enter_context(_arms(engines, kinds, model))
    with stack:
        _measure(arms, options.rounds, console)
    _print(arms, console)
    if options.plot:
        _draw(arms, options.plot)
    ratios = {name: _ratio(values) for name, values in _rows(arms) if name.startswith("ours")}
    too_much = {name: ratio for name, ratio in ratios.items() if ratio > MOST}
    for name, ratio in too_much.items():
        console.print(
            f"[red]{name}: {ratio:.2f} times as much after {max(SIZES):,} events as after {min(SIZES)}, {MOST} allowed.[/]"
        )
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
