"""A named lock between the processes of one machine: an advisory lock (flock(2)) on a file beside the database.

What always holds: the kernel frees the lock when its holder dies; a free lock leaves no file behind; nobody waits on an event loop.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from pathlib import Path

from throughline.record.fair_locks import Grant

MAX_WAITING_THREADS = 64

_waiting_threads = threading.BoundedSemaphore(MAX_WAITING_THREADS)


class FileLock:
    """One acquisition of the lock named ``name`` in ``directory``, which must exist. Its owner is a process, not a thread: within one
    process only one may try at a time (fair_locks.py sees to that)."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self._fd: int | None = None

    async def acquire(self, wait_s: float) -> None:
        """Hold the lock from now on. Raises TimeoutError after ``wait_s`` seconds, OSError when the directory cannot be used."""
        if self._take(fcntl.LOCK_EX | fcntl.LOCK_NB):  # nearly always: no other process has this conversation
            return
        if not _waiting_threads.acquire(blocking=False):
            raise TimeoutError("too many threads wait for other processes")
        grant = Grant()
        # A thread of its own, and a daemon: flock cannot be interrupted, and must not hold up the end of the process.
        threading.Thread(target=self._wait_in_thread, args=(grant,), name="file-lock", daemon=True).start()
        try:
            await grant.wait(wait_s)
        except BaseException:
            if not grant.leave():
                self.release()
            raise

    def release(self) -> None:
        """Let the next process have it. The file goes first, while nobody else can hold it."""
        if self._fd is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def _wait_in_thread(self, grant: Grant) -> None:
        try:
            self._take(fcntl.LOCK_EX)
        except OSError as error:
            grant.give(error)
        else:
            if not grant.give():
                self.release()
        finally:
            _waiting_threads.release()

    def _take(self, how: int) -> bool:
        """Lock the file of this name. False: another process holds it (only where ``how`` says not to wait)."""
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, how)
                if self._is_current(fd):
                    self._fd = fd
                    return True
            except BlockingIOError:
                os.close(fd)
                return False
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # the last holder has removed this file since it was opened: the name stands for another one now

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False
