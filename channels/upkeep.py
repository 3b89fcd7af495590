"""What a server does by itself, beside its customers' turns: again and again, each thing at its own pace, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType

from throughline import log
from throughline.errors import ThroughlineError

_log = log.get_logger("channels")

Work = Callable[[], Awaitable[None]]


class Upkeep:
    """Does each of ``works`` at once and then again after its pause, in seconds. What fails is done again, and logged if it can be."""

    def __init__(self, works: dict[str, tuple[Work, float]]) -> None:
        self._tasks = [asyncio.create_task(_again_and_again(name, *work)) for name, work in works.items()]

    async def __aenter__(self) -> Upkeep:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _again_and_again(name: str, work: Work, pause_s: float) -> None:
    while True:
        with contextlib.suppress(Exception):  # a log that cannot be written, on a full disk: there is nowhere left to say it
            await _once(name, work)
        await asyncio.sleep(pause_s)


async def _once(name: str, work: Work) -> None:
    try:
        await work()
    except ThroughlineError as error:
        _log.warning("upkeep.failed", work=name, error=str(error))
    except Exception as error:  # noqa: BLE001 - a fault in one round must not end all later ones
        _log.exception("upkeep.failed", work=name, error_type=type(error).__name__)
