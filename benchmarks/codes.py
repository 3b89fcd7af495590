"""A million guessed codes against five hundred live ones: how many are compared at all, and how many hit.

    python -m benchmarks.codes [--guesses 1000000] [--days 1] [--live 500]

Every guess is a call of the record's own ``redeem_code``, with the limits of the settings as they ship and the record on SQLite as it
ships; only the clock is simulated: the guesses are spread evenly over so many days. The five hundred codes are live all the time. The
guesser is as strong as the doors allow and stronger: a new chat, or a new call from a number that was never used before, whenever one is
used up; a hundred real numbers that their telephone companies vouch for; never a pause; and it starts again at the very moment a way
opens. Half of the guesses are made from numbers that are vouched for, half from elsewhere, each half in a process of its own.

Exits 1 where more guesses were compared than the settings allow, where the alarm did not ring for every closing, or where two or more
hit (a single one is luck that one run in seventy has). And where this would show nothing: where a guesser got through with much less
than the settings allow, or where a customer's own code, given before the first guess, was not taken.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import multiprocessing
import secrets
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import throughline.record as record_room
from throughline.domain.assurance import TryLimits
from throughline.errors import Rejected
from throughline.record import Record
from throughline.record.passes import CODE_DIGITS
from throughline.record.schema import audit_log
from throughline.settings.server import CodeSettings

BEGIN = datetime(2026, 11, 24, tzinfo=timezone.utc)
VOUCHED_NUMBERS = 100

_COMPARED = frozenset({"hit", "unknown_code", "used_code", "expired_code"})
_NEAR = 0.9  # of what a guesser of this pace can get through with
_SHOWN_EVERY = 2000


@dataclass(frozen=True)
class Job:
    """What one of the two guessers does, in a process of its own as on a server of its own: every other guess of ``guesses``."""

    url: str
    secret: bytes
    codes: frozenset[str]
    guesses: int
    days: float
    vouched: bool


@dataclass
class Guessed:
    """What came of it: the record's answers, counted, and how many of the guesses were codes that are live."""

    answers: Counter[str]
    live: int

    @property
    def total(self) -> int:
        """All guesses."""
        return sum(self.answers.values())

    @property
    def compared(self) -> int:
        """How many of them were looked up."""
        return sum(count for answer, count in self.answers.items() if answer in _COMPARED)


class Guesser:
    """Keeps a session as long as that is good for a guess, and takes another caller's when it is not."""

    def __init__(self, record: Record, *, vouched: bool) -> None:
        self._record = record
        self._vouched = vouched
        new = (f"+1512{number:07d}" for number in itertools.count())
        self._callers = itertools.cycle([f"+1503555{number:04d}" for number in range(VOUCHED_NUMBERS)]) if vouched else new
        self._session_id = ""

    def guess(self, code: str, limits: TryLimits, now: datetime) -> str:
        """The record's answer: a reason to refuse, or "hit"."""
        if not self._session_id:
            contact, channel = self._record.create_contact(), "phone" if self._vouched else "web_chat"
            session = self._record.open_session(contact, channel, caller=next(self._callers), vouched=self._vouched)
            self._session_id = session.session_id
        try:
            self._record.redeem_code(code, session_id=self._session_id, limits=limits, now=now)
        except Rejected as refused:
            if refused.reason == "too_many_tries":
                self._session_id = ""
            return refused.reason
        return "hit"


def work(job: Job, done: Any) -> Guessed:
    """Guess. ``done`` is shared: how many guesses have been made."""
    # The alarm's own line in the log would be printed between the progress.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    limits = CodeSettings().limits()
    record = record_room.open(job.url, secret=job.secret)
    guesser, live, guessed = Guesser(record, vouched=job.vouched), set(job.codes), Guessed(Counter(), 0)
    for number in range(int(job.vouched), job.guesses, 2):
        now = BEGIN + timedelta(days=job.days * number / job.guesses)
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        guessed.live += code in live
        answer = guesser.guess(code, limits, now)
        guessed.answers[answer] += 1
        if answer == "hit":  # it is used up: another customer asks for one
            live.discard(code)
            live.add(issue(record, now, job.days))
        if guessed.total % _SHOWN_EVERY == 0:
            with done.get_lock():
                done.value += _SHOWN_EVERY
    record.close()
    return guessed


def issue(record: Record, now: datetime, days: float) -> str:
    """A code that is live for as long as the guessing lasts."""
    chat = record.open_session(record.create_contact(), "web_chat")
    return record.issue_code(chat.contact_id, chat.session_id, ttl_s=(days + 1) * 86_400, now=now)


def run(guesses: int, days: float, live: int, console: Console) -> bool:
    """Guess, and print what came of it. Whether the limits held."""
    with tempfile.TemporaryDirectory() as folder:
        url, secret = f"sqlite:///{Path(folder)}/codes.db", secrets.token_bytes(32)
        record = record_room.open(url, secret=secret)
        record.migrate()
        codes = frozenset(issue(record, BEGIN, days) for _ in range(live))
        own = Guesser(record, vouched=False).guess(issue(record, BEGIN, days), CodeSettings().limits(), BEGIN)
        if own != "hit":
            console.print(f"[bold red]Nothing is shown: a customer's own code was not taken ({own}).[/]")
            return False
        began = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        done = context.Value("q", 0)
        with ProcessPoolExecutor(2, mp_context=context, initializer=_share, initargs=(done,)) as pool:
            jobs = [pool.submit(_work_shared, Job(url, secret, codes, guesses, days, vouched)) for vouched in (False, True)]
            with Progress(console=console) as progress:
                task = progress.add_task("guessing", total=guesses)
                while wait(jobs, timeout=0.5).not_done:
                    progress.update(task, completed=done.value)
                progress.update(task, completed=guesses)
            found = [job.result() for job in jobs]
        took_s = time.perf_counter() - began
        with record._database.reading() as connection:
            rung = sa.select(sa.func.count()).select_from(audit_log).where(audit_log.c.action == "tries_closed")
            alarms = int(connection.execute(rung).scalar_one())
        record.close()
    return _report(console, found, timedelta(days=days), live, alarms, took_s)


_shared: list[Any] = []  # a process's own; a pool hands values that are shared over only as it starts


def _share(done: Any) -> None:
    _shared.append(done)


def _work_shared(job: Job) -> Guessed:
    return work(job, _shared[0])


def least(guesses: int, lasts: timedelta, limits: TryLimits) -> int:
    """With how many, at least, one who guesses so often gets through if nothing but the limits is in the way: an alarm's number of tries
    each time that the way opens. Each session takes one guess more, to learn that it is used up."""
    tries_of_an_opening = limits.alarm_tries * (limits.per_session + 1) / limits.per_session
    openings = lasts / (limits.closed_for + tries_of_an_opening * lasts / guesses)
    return int(_NEAR * math.floor(openings) * limits.alarm_tries)


def _report(console: Console, found: list[Guessed], lasts: timedelta, live: int, alarms: int, took_s: float) -> bool:
    limits = CodeSettings().limits()
    most = math.ceil(lasts / limits.closed_for) * limits.alarm_tries
    table = Table("guesses by", "guesses", "refused unseen", "compared", "allowed", "hits", title=f"{live} live codes")
    for name, one in zip(("new chats and calls", f"{VOUCHED_NUMBERS} vouched numbers"), found, strict=True):
        row = (one.total, one.total - one.compared, one.compared, most, one.answers["hit"])
        table.add_row(name, *(f"{count:,}" for count in row))
    console.print(table)
    compared, hits = sum(one.compared for one in found), sum(one.answers["hit"] for one in found)
    console.print(
        f"{compared:,} guesses got through the limits within {lasts.total_seconds() / 3600:g} simulated hours, {hits} hit "
        f"({compared * live / 10**CODE_DIGITS:.3f} were to be expected).\n"
        f"Without the limits {sum(one.live for one in found)} of these guesses would have hit. The alarm rang {alarms} times.\n"
        f"{took_s:.0f} s, {took_s / sum(one.total for one in found) * 1e6:.0f} µs a guess."
    )
    held = all(one.compared <= most for one in found) and hits <= 1
    held &= alarms == sum(one.compared // limits.alarm_tries for one in found)
    tried = all(one.compared >= least(one.total, lasts, limits) > 0 for one in found)
    if held and not tried:
        console.print("[bold red]Nothing is shown: the guessers did not get as far as the limits.[/]")
    else:
        console.print("The limits held." if held else "[bold red]The limits did not hold.[/]")
    return held and tried


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 the limits held, 1 they did not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guesses", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--days", type=float, default=1.0, help="simulated days they are spread over (default 1)")
    parser.add_argument("--live", type=int, default=500, help="live codes at any time (default 500)")
    options = parser.parse_args(arguments)
    return 0 if run(options.guesses, options.days, options.live, Console()) else 1


if __name__ == "__main__":
    sys.exit(main())
