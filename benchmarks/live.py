"""How soon a page shows what another process has committed, on SQLite and on PostgreSQL, and what watching costs while nothing happens.

    python -m benchmarks.live [--commits 300] [--idle 30]

One process commits an event at random intervals; this one has a view on the conversation, as every server has for each open chat page.
``ms``: from the commit's return there to the view's showing it here, by the clock that both share. On SQLite it is mostly the wait for the
next look at the file, on PostgreSQL the notification's way, which can be faster than the commit's own answer: then it is below 0. ``idle``:
processor time of a process that has nothing to do but watch, whatever its number of pages.

A PostgreSQL server is started for it, and reaches the disk with every commit. Exits with 1 where an event took more than 300 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.customers import percentile
from channels.live import LiveFeed
from tests.postgres import Postgres
from throughline import record as record_room
from throughline.domain.turns import WEB_CHAT
from throughline.record import Record, StoredEvent
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id
from throughline.record.views import Unseen

WITHIN_MS = 300.0
_LONGEST_PAUSE_S = 0.2
_ARRIVES_WITHIN_S = 10.0


@dataclass(frozen=True)
class Figures:
    """Of one database: ms of each commit, and processor seconds that an hour of idle watching costs."""

    delays_ms: list[float]
    idle_s_per_hour: float


async def measure(url: str, commits: int, idle_s: float, progress: Progress) -> Figures:
    """Both figures of the database at ``url``."""
    record = record_room.open(url)
    record.migrate()
    task = progress.add_task(url.partition(":")[0], total=commits)
    shown: dict[int, float] = {}
    everything = asyncio.Event()

    async def show(event: StoredEvent, _unseen: Unseen) -> None:
        shown[int(event.data["text"])] = time.monotonic()
        progress.advance(task)
        if len(shown) == commits:
            everything.set()

    async def ready() -> None:
        pass

    feed = LiveFeed(record, timedelta(hours=1))
    try:
        session = record.open_session(record.create_contact(), WEB_CHAT)
        feed.watch(session, 0, show, ready)
        command = [sys.executable, "-m", "benchmarks.live", "--commits", str(commits), "--commit-to", url, session.contact_id]
        other = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        printed, _ = await other.communicate()
        assert other.returncode == 0, "the committing process failed"
        await asyncio.wait_for(everything.wait(), _ARRIVES_WITHIN_S)
    finally:
        await feed.close()
        record.close()
    committed = [float(line) for line in printed.split()]
    idle = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.live", "--idle", str(idle_s), "--watch", url, stdout=subprocess.PIPE
    )
    spent, _ = await idle.communicate()
    return Figures([(shown[number] - at) * 1000 for number, at in enumerate(committed)], float(spent) / idle_s * 3600)


def commit(url: str, contact_id: str, commits: int) -> None:
    """The other process: commits, and prints when each commit had returned."""
    record, pauses = record_room.open(url), random.Random(commits)  # noqa: S311 - no secret
    returned = []
    for number in range(commits):
        time.sleep(pauses.uniform(0, _LONGEST_PAUSE_S))
        event_id = new_event_id()
        data = {"event": "bot", "text": str(number), "timestamp": time.time(), "metadata": {"event_id": event_id}}
        record.append_events(contact_id, [NewEvent(event_id, data, None, WEB_CHAT)], expected=None)
        returned.append(time.monotonic())
    print(*returned, sep="\n")


def watch(url: str, seconds: float) -> None:
    """A process that does nothing but watch: prints its processor seconds."""
    record: Record = record_room.open(url)
    begun = threading.Event()
    record.on_commit(lambda _contact, _seq: begun.set())
    begun.wait()
    before = time.process_time()
    time.sleep(seconds)
    print(time.process_time() - before)


@contextlib.contextmanager
def databases() -> Iterator[list[str]]:
    """The URL of an empty database of each kind."""
    postgres = Postgres(durable=True)
    postgres.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield [f"sqlite:///{Path(folder)}/record.db", postgres.url(postgres.create_database())]
    finally:
        postgres.stop()


def main() -> int:
    """Measure and print; 1 where the bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=300, help="commits on each database (default 300)")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of watching with nothing to see (default 30)")
    parser.add_argument("--commit-to", nargs=2, metavar=("URL", "CONTACT"), help=argparse.SUPPRESS)  # the processes it starts
    parser.add_argument("--watch", metavar="URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.commit_to:
        commit(*options.commit_to, options.commits)
        return 0
    if options.watch:
        watch(options.watch, options.idle)
        return 0
    console = Console(width=120)
    table = Table("ms from commit to page", "commits", "median", "95th", "99th", "longest", "idle: processor s an hour")
    longest = 0.0
    with databases() as urls, Progress(console=console) as progress:
        for url in urls:
            figures = asyncio.run(measure(url, options.commits, options.idle, progress))
            delays = figures.delays_ms
            marks = (statistics.median(delays), percentile(delays, 0.95), percentile(delays, 0.99), max(delays))
            row = [f"{mark:.1f}" for mark in marks]
            table.add_row(url.partition(":")[0], str(len(delays)), *row, f"{figures.idle_s_per_hour:.1f}")
            longest = max(longest, *delays)
    console.print(table)
    kept = longest <= WITHIN_MS
    console.print(f"Bound: {WITHIN_MS:.0f} ms for each of them: {'kept' if kept else 'MISSED'}.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
