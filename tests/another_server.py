"""Another server on the same record, as far as locks and saves go: a process of its own that does what it is told, one line at a time.

``AnotherServer`` starts and drives it; run as a program this file is the process. It imports nothing of Rasa, so it is there in a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import throughline.record as record_room
from throughline import log
from throughline.errors import Unavailable
from throughline.record import Record
from throughline.record.conversation_locks import ConversationLocks, HeldConversation
from throughline.record.entries import Head, NewEvent
from throughline.record.events import new_event_id


class AnotherServer:
    """``with AnotherServer(url, lifetime_s=0.3) as server``. Ends what it started with SIGKILL."""

    def __init__(self, url: str, *, lifetime_s: float, wait_s: float = 30.0) -> None:
        command = [sys.executable, "-m", "tests.another_server", url, str(wait_s), str(lifetime_s)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> AnotherServer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self._process.communicate()

    def tell(self, do: str, contact_id: str, **more: Any) -> None:
        """Have it begin something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "contact_id": contact_id, **more}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What came of it: blocks until it is done."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def do(self, what: str, contact_id: str, **more: Any) -> Any:
        """Have it do something; what came of it."""
        self.tell(what, contact_id, **more)
        return self.answer()

    def stop(self) -> None:
        """SIGSTOP: it stands still, and its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


class _Doing:
    """What the process can be told to do. Each method is one thing, and returns what is answered."""

    def __init__(self, url: str, wait_s: float, lifetime_s: float) -> None:
        self._record = record_room.open(url)
        self._locks = ConversationLocks(url, wait_s=wait_s, lifetime_s=lifetime_s)
        self._held: dict[str, HeldConversation] = {}
        self._heads: dict[str, Head] = {}
        self._turns: asyncio.Future[Any] | None = None

    async def hold(self, contact_id: str) -> int:
        """Take the lock and read the window, as a turn begins. The fence."""
        self._held[contact_id] = await self._locks.acquire(contact_id)
        window = await self._record.call(self._record.window, contact_id)
        self._heads[contact_id] = window.head
        return window.head.fence

    async def save(self, contact_id: str) -> bool:
        """Save an event, as a turn ends. False: refused."""
        return await self._record.call(append, self._record, contact_id, self._heads[contact_id])

    async def release(self, contact_id: str) -> None:
        """Let go."""
        self._held.pop(contact_id).release()

    async def queue(self, contact_id: str, turns: int) -> None:
        """Have so many turns wait for the lock."""
        self._turns = asyncio.gather(*(self._turn(contact_id) for _ in range(turns)))
        await asyncio.sleep(0)

    async def queued(self, contact_id: str) -> list[bool]:
        """Whether the turns that waited were saved, once all are over."""
        assert self._turns is not None
        return list(await self._turns)

    async def contend(self, contact_id: str, tasks: int, turns: int, hold_s: float) -> list[tuple[float, float, float]]:
        """Several tasks take so many turns each, as fast as they can. When each turn asked for the lock, had it and let go (seconds of
        the machine's monotonic clock)."""
        times: list[tuple[float, float, float]] = []

        async def task() -> None:
            for _ in range(turns):
                asked = time.monotonic()
                held = await self._locks.acquire(contact_id)
                had = time.monotonic()
                await asyncio.sleep(hold_s)
                times.append((asked, had, time.monotonic()))
                held.release()

        await asyncio.gather(*(task() for _ in range(tasks)))
        return times

    async def _turn(self, contact_id: str) -> bool:
        async with self._locks.hold(contact_id):
            window = await self._record.call(self._record.window, contact_id)
            return await self._record.call(append, self._record, contact_id, window.head)


def append(record: Record, contact_id: str, head: Head) -> bool:
    """Append an event by somebody who started from ``head``. False: it was refused."""
    event_id = new_event_id()
    data = {"event": "user", "timestamp": time.time(), "text": str(os.getpid()), "metadata": {"event_id": event_id}}
    try:
        record.append_events(contact_id, [NewEvent(event_id, data, None, None)], expected=head)
    except Unavailable:
        return False
    return True


async def _main(url: str, wait_s: float, lifetime_s: float) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed is no answer
    log.configure(level="ERROR")
    doing = _Doing(url, wait_s, lifetime_s)
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        answer = await getattr(doing, told.pop("do"))(**told)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
