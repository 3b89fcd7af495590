"""Opening an engine once more: the second try is made beside the first, and whoever is not taken is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE, AudioFormat
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.speech.stt.protocol import SttStream
from throughline.speech.stt.second_try import opened_by_two_tries

pytestmark = pytest.mark.unit


class Ear:
    closed = False

    async def close(self) -> None:
        self.closed = True


class Engine:
    """Opens as it is told, try after try: an error, or what its opening waits for."""

    name, demo = "engine", False

    def __init__(self, *tries: Exception | asyncio.Event) -> None:
        self._tries = list(tries)
        self.ears: list[Ear] = []

    async def open(self, _audio: AudioFormat) -> SttStream:
        what, ear = self._tries.pop(0), Ear()
        self.ears.append(ear)
        if isinstance(what, Exception):
            raise what
        try:
            await what.wait()
        except asyncio.CancelledError:
            if self.opens_all_the_same(self):
                return ear  # type: ignore[return-value]
            raise
        return ear  # type: ignore[return-value]

    async def warm_up(self) -> None: ...

    opens_all_the_same: Callable[[Engine], bool] = staticmethod(lambda _engine: False)


def now() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_one_try_is_enough_where_it_opens() -> None:
    engine = Engine(now())
    assert await opened_by_two_tries(engine, TELEPHONE) is engine.ears[0]


async def test_a_refusal_is_followed_by_a_second_try() -> None:
    engine = Engine(Unavailable("limit_reached"), now())
    assert await opened_by_two_tries(engine, TELEPHONE) is engine.ears[1]


async def test_two_refusals_are_one() -> None:
    engine = Engine(Unavailable("first"), Unavailable("second"))
    with pytest.raises(Unavailable, match="second"):
        await opened_by_two_tries(engine, TELEPHONE)


async def test_what_is_to_be_mended_is_not_tried_again() -> None:
    engine = Engine(ConfigurationError([Problem("here", "is wrong.", "Mend it.")]))
    with pytest.raises(ConfigurationError):
        await opened_by_two_tries(engine, TELEPHONE)


async def test_beside_a_first_that_takes_long() -> None:
    engine = Engine(asyncio.Event(), now())
    assert await opened_by_two_tries(engine, TELEPHONE, second_after_ms=1) is engine.ears[1]


async def test_a_slow_first_is_taken_where_it_opens_first() -> None:
    first = asyncio.Event()
    engine = Engine(first, asyncio.Event())
    opening = asyncio.create_task(opened_by_two_tries(engine, TELEPHONE, second_after_ms=1))
    await until(lambda: len(engine.ears) == 2)
    first.set()
    assert await opening is engine.ears[0]


async def test_a_slow_first_is_waited_for_where_the_second_is_refused() -> None:
    first = asyncio.Event()
    engine = Engine(first, Unavailable("limit_reached"))
    opening = asyncio.create_task(opened_by_two_tries(engine, TELEPHONE, second_after_ms=1))
    await until(lambda: len(engine.ears) == 2)
    first.set()
    assert await opening is engine.ears[0]


async def test_the_one_that_opens_too_late_is_closed() -> None:
    engine = Engine(asyncio.Event(), now())
    engine.opens_all_the_same = lambda _engine: True  # it was just done when it was cancelled
    ear = await opened_by_two_tries(engine, TELEPHONE, second_after_ms=1)
    await until(lambda: engine.ears[0].closed)
    assert ear is engine.ears[1]
    assert not engine.ears[1].closed


async def test_given_up_it_leaves_nothing_open() -> None:
    engine = Engine(asyncio.Event(), asyncio.Event())
    engine.opens_all_the_same = lambda _engine: True
    opening = asyncio.create_task(opened_by_two_tries(engine, TELEPHONE, second_after_ms=1))
    await until(lambda: len(engine.ears) == 2)
    opening.cancel()
    await until(lambda: all(ear.closed for ear in engine.ears))
