"""Speech on disk: pieces of audio under a key, as many as there is room for, the latest used kept longest.

Several servers of one machine may share the folder. Each piece is one file, written whole or not at all, with a digest in front by which
a damaged one is known: it is removed, logged and taken for missing. The disk is worked on in one thread of its own; what was read or
written stays in memory too, as far as there is room. A disk that is full, slow or gone is logged and costs no more than the kept speech.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from throughline.log import get_logger
from throughline.speech.within import within

_log = get_logger("speech")

_SUFFIX = ".speech"
_HALF_WRITTEN = ".making"
_DIGEST_BYTES = hashlib.sha256().digest_size
_MEMORY_BYTES = 32 * 1024 * 1024
_READ_WITHIN_MS = 250
"""A disk slower than this is slower than making the speech."""
_ABANDONED_S = 3600
"""A file that somebody has been writing for so long was left by a server that died."""


class SpeechStore:
    """A folder of speech, at most ``most_bytes`` large. Nothing is opened before the first use. Used from one event loop."""

    def __init__(self, folder: Path, *, most_bytes: int, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._memory_bytes = memory_bytes
        self._memory: OrderedDict[str, bytes] = OrderedDict()  # the latest used last
        self._in_memory_bytes = 0
        self._used: set[str] = set()  # since the disk was last told
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kept-speech")
        self._writing: set[Future[None]] = set()

    async def get(self, key: str) -> bytes | None:
        """The audio under ``key``; None where there is none, or none that can be read in time."""
        audio = self._memory.get(key)
        if audio is None:
            reading = asyncio.get_running_loop().run_in_executor(self._worker, self._read, key)
            try:
                audio = await within(reading, _READ_WITHIN_MS)
            except asyncio.TimeoutError:
                _log.warning("speech.store_slow", waited_ms=_READ_WITHIN_MS)
            if audio is None:
                return None
        self._used.add(key)
        self._remember(key, audio)
        return audio

    def put(self, key: str, audio: bytes) -> None:
        """Keep ``audio`` under ``key``. It is there at once; the disk follows."""
        self._used.add(key)
        self._remember(key, audio)
        writing = self._worker.submit(self._write, key, audio)
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def written(self) -> None:
        """Return once all that was put is on disk."""
        await asyncio.gather(*(asyncio.wrap_future(writing) for writing in list(self._writing)))

    def _remember(self, key: str, audio: bytes) -> None:
        known = self._memory.pop(key, b"")
        self._in_memory_bytes += len(audio) - len(known)
        self._memory[key] = audio
        while self._in_memory_bytes > self._memory_bytes:
            _, forgotten = self._memory.popitem(last=False)
            self._in_memory_bytes -= len(forgotten)

    # In the worker

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _read(self, key: str) -> bytes | None:
        file = self._file(key)
        try:
            content = file.read_bytes()
            audio = content[_DIGEST_BYTES:]
            if audio and hashlib.sha256(audio).digest() == content[:_DIGEST_BYTES]:
                return audio
            _log.warning("speech.kept_damaged", file=file.name, bytes=len(content))
            file.unlink(missing_ok=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("speech.store_failed", doing="read", reason=error.strerror)
        return None

    def _write(self, key: str, audio: bytes) -> None:
        made: str | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, made = tempfile.mkstemp(dir=self._folder, suffix=_HALF_WRITTEN)
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(audio).digest() + audio)
            Path(made).replace(self._file(key))
            made = None
            self._make_room()
        except OSError as error:
            _log.warning("speech.store_failed", doing="write", reason=error.strerror)
        finally:
            if made is not None:
                Path(made).unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Remove what was used longest ago, until the rest fits; and what others have left half written."""
        used, self._used = self._used, set()
        for key in used:
            _touch(self._file(key))
        now_s, total, kept = time.time(), 0, []
        for file in self._folder.iterdir():
            try:
                found = file.stat()
            except FileNotFoundError:  # removed by another server
                continue
            if file.suffix == _SUFFIX:
                kept.append((found.st_mtime, found.st_size, file))
                total += found.st_size
            elif file.suffix == _HALF_WRITTEN and now_s - found.st_mtime > _ABANDONED_S:
                file.unlink(missing_ok=True)
        for _, size, file in sorted(kept):
            if total <= self._most_bytes:
                return
            file.unlink(missing_ok=True)
            total -= size


def _touch(file: Path) -> None:
    """Say that it was used just now, where it is still there."""
    try:
        os.utime(file)
    except FileNotFoundError:
        return
