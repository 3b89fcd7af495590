"""An asynchronous context manager, held open in a thread and a loop of its own: for a fixture that outlives each test's loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")

_WITHIN_S = 10


@contextmanager
def elsewhere(manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What ``manager`` gives, for as long as the block lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        entered = asyncio.run_coroutine_threadsafe(manager.__aenter__(), loop).result(_WITHIN_S)
        try:
            yield entered
        finally:
            asyncio.run_coroutine_threadsafe(manager.__aexit__(None, None, None), loop).result(_WITHIN_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_WITHIN_S)
        loop.close()
