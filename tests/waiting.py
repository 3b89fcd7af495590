"""Waiting in tests for something that will come to hold, without saying when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(holds: Callable[[], object], within_s: float = 20) -> None:
    """Return once it does. Raises AssertionError where it does not within ``within_s``."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"it never came to hold, in {within_s:g} s"
        await asyncio.sleep(0.01)
