"""A named lock between the processes of one machine: an advisory lock (flock(2)) on a file beside the SQLite database.

The file holds the moment at which it was locked, on the machine's monotonic clock, which all its processes share (time.monotonic, which
stands still while the machine sleeps). From a holder that has had it for longer than its lifetime, because it was stopped or hangs, a
waiter takes it away: the conversation's fence is raised, the file removed, and a new one is locked.

What always holds: the kernel frees the lock when its holder dies; a free lock leaves no file behind; a file is locked once, and never
again; nobody waits on an event loop and nobody polls; the fence is raised before anybody can lock the new file. Should two hold it all the
same, the version check of ``append_events`` refuses one of them. The kernel wakes who waits, but keeps no order: a process that let a lock
go for which another one waits gives that one a moment before it asks again.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from throughline import log
from throughline.record.database import Database
from throughline.record.fair_locks import Grant
from throughline.record.fence import raise_fence
from throughline.record.sqlite_ways import lock_directory, sqlite_file

MAX_WAITING_THREADS = 64
_COURTESY_S = 0.002  # long enough to be woken and lock a file
_MOST_REMEMBERED = 1_000
_MARKS_AT = 40  # where in the file, behind the moment, there is a byte for each process that has waited for it
_MARKS = 64  # so many, by the process's number

_logger = log.get_logger("record")
_waiting_threads = threading.BoundedSemaphore(MAX_WAITING_THREADS)


class FileLocks:
    """The locks of one SQLite database, each good for ``lifetime_s`` seconds. Raises ConfigurationError, OSError."""

    def __init__(self, url: str, lifetime_s: float) -> None:
        self.directory = lock_directory(sqlite_file(url))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.lifetime_s = lifetime_s
        self.database = Database(url)
        self.others_wait: set[str] = set()  # names that this process let go while another one waited

    def lock(self, name: str) -> FileLock:
        """One acquisition of the lock of this name, which is a contact's id."""
        return FileLock(self, name)

    def forget(self, name: str) -> None:
        """Nothing: what is let go is never kept for the next one."""


class FileLock:
    """One acquisition. Its owner is a process, not a thread: within one process only one may try at a time (fair_locks.py)."""

    def __init__(self, locks: FileLocks, name: str) -> None:
        self._locks = locks
        self._name = name
        self._path = locks.directory / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._held: _LockedFile | None = None

    async def acquire(self, wait_s: float) -> None:
        """Hold the lock from now on. Raises TimeoutError after ``wait_s`` seconds, OSError when the directory cannot be used."""
        ends = time.monotonic() + wait_s
        if self._name in self._locks.others_wait:
            self._locks.others_wait.discard(self._name)
            await asyncio.sleep(_COURTESY_S)
        self._held = _LockedFile.locked(self._path, None)  # nearly always: no other process has this conversation
        while self._held is None:
            waiting = _Waiting(self._path)
            try:
                if await self._follow(waiting, ends):
                    self._held = waiting.file
                waiting.leave_unless(self._held)
            except BaseException:
                waiting.leave_unless(None)
                raise

    def release(self, then: Callable[[], object] = lambda: None, *, wanted: bool = False) -> None:
        """Let the next process have it, and then call ``then``. Whether it is ``wanted`` here again makes no difference."""
        if self._held is not None:
            others_wait = self._held.unlock(self._locks.lifetime_s)
            if others_wait and len(self._locks.others_wait) < _MOST_REMEMBERED:
                self._locks.others_wait.add(self._name)
            self._held = None
        then()

    async def _follow(self, waiting: _Waiting, ends: float) -> bool:
        """Wait until the file is locked. False: it has been taken away, and there is another one to wait for. Raises TimeoutError,
        Unavailable."""
        holder = _Sight(self._path)
        while True:
            holder.look()
            if holder.held_s() >= self._locks.lifetime_s:
                await asyncio.to_thread(self._take_away, holder)
                if waiting.is_for_a_lost_file():
                    return False
            left_s = ends - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("another process holds it")
            due_s = max(self._locks.lifetime_s - holder.held_s(), 0.0) or self._locks.lifetime_s
            try:
                await waiting.grant.wait(min(due_s, left_s))
            except TimeoutError:
                if waiting.is_for_a_lost_file():
                    return False
            else:
                return True

    def _take_away(self, holder: _Sight) -> None:
        """Raise the fence, then remove the file, if it still is the one that was seen. A write transaction lets one process at a time do
        each: whoever comes second finds a new file, or none. Raises Unavailable."""
        with self._locks.database.writing() as connection:
            if not holder.is_still_there():
                return
            raise_fence(self._locks.database, connection, self._name)
        with self._locks.database.writing():
            if holder.is_still_there():
                self._path.unlink(missing_ok=True)
                _logger.warning("lock.taken_away", contact=self._name)


class _Sight:
    """Who holds the lock, and for how long, as far as a waiter can see. Holders are told apart by their moments: numbers of files are
    used again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, str] | None = None
        self._since = 0.0

    def look(self) -> None:
        """See who it is now."""
        now = self._now()
        if now != self._seen:
            self._seen = now
            self._since = float(now[1]) if now and now[1] else time.monotonic()  # it may not be written yet

    def held_s(self) -> float:
        """For how long it has been held, in seconds; 0 where nobody holds it."""
        return 0.0 if self._seen is None else time.monotonic() - self._since

    def is_still_there(self) -> bool:
        """Whether it is the same holder still."""
        return self._seen is not None and self._now() == self._seen

    def _now(self) -> tuple[int, str] | None:
        try:
            with self._path.open() as file:
                return os.fstat(file.fileno()).st_ino, file.read(_MARKS_AT).rstrip("\0")
        except FileNotFoundError:
            return None


class _LockedFile:
    """A file of ours that is locked."""

    def __init__(self, path: Path, fd: int, since: float) -> None:
        self._path = path
        self._fd = fd
        self._since = since

    @classmethod
    def locked(cls, path: Path, waiting: _Waiting | None) -> _LockedFile | None:
        """Lock the file at ``path``. None: another process holds it, where nobody is ``waiting``; or who was waiting is not any more."""
        how = fcntl.LOCK_EX if waiting else fcntl.LOCK_EX | fcntl.LOCK_NB
        while waiting is None or not waiting.grant.left:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if waiting is not None:
                    waiting.waits_for = os.fstat(fd)
                    os.pwrite(fd, b"w", _MARKS_AT + os.getpid() % _MARKS)
                fcntl.flock(fd, how)
                if _is_at(path, fd):
                    if not os.pread(fd, _MARKS_AT, 0).strip(b"\0"):
                        since = time.monotonic()
                        os.pwrite(fd, repr(since).encode(), 0)
                        return cls(path, fd, since)
                    path.unlink(missing_ok=True)  # its holder was killed: its moment must not be taken for ours
            except BlockingIOError:
                os.close(fd)
                return None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was removed since it was opened: the name stands for another file now
        return None

    def unlock(self, lifetime_s: float = math.inf) -> bool:
        """Let go; whether another process has waited. The file goes first, while nobody else can hold it; one that may have been taken away
        is no longer ours to remove."""
        marks = os.pread(self._fd, _MARKS, _MARKS_AT)
        if time.monotonic() < self._since + lifetime_s and _is_at(self._path, self._fd):
            self._path.unlink(missing_ok=True)
        os.close(self._fd)
        return any(mark and number != os.getpid() % _MARKS for number, mark in enumerate(marks))


class _Waiting:
    """A thread that waits for a file's lock. A daemon: flock cannot be interrupted, and must not hold up the end of the process. One that
    waits for a file whose holder is stopped ends with that holder. Raises TimeoutError where too many wait already."""

    def __init__(self, path: Path) -> None:
        if not _waiting_threads.acquire(blocking=False):
            raise TimeoutError("too many threads wait for other processes")
        self.grant = Grant()
        self.file: _LockedFile | None = None
        self.waits_for: os.stat_result | None = None
        self._path = path
        threading.Thread(target=self._run, name="file-lock", daemon=True).start()

    def is_for_a_lost_file(self) -> bool:
        """Whether the file it waits for was taken away. (Or has just been let go, and it is about to wait for the next one.)"""
        now, mine = _stat(self._path), self.waits_for
        return mine is not None and (now is None or not os.path.samestat(mine, now))

    def leave_unless(self, held: _LockedFile | None) -> None:
        """Stop waiting; what was locked in the same moment is unlocked."""
        if held is None and not self.grant.leave() and self.file is not None:
            self.file.unlock()

    def _run(self) -> None:
        try:
            self.file = _LockedFile.locked(self._path, self)
        except OSError as error:
            self.grant.give(error)
        else:
            if not self.grant.give() and self.file is not None:
                self.file.unlock()
        finally:
            _waiting_threads.release()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_at(path: Path, fd: int) -> bool:
    now = _stat(path)
    return now is not None and os.path.samestat(os.fstat(fd), now)
