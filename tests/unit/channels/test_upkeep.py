"""What a server does by itself goes on whatever happens, each thing at its own pace."""

from __future__ import annotations

import asyncio
import errno
import os
from datetime import datetime, timedelta, timezone

import pytest

from channels import upkeep
from channels.left_over import LeftOvers, is_worth_finishing
from channels.upkeep import Upkeep
from tests.waiting import until
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.errors import Unavailable
from throughline.record.entries import LeftOver
from throughline.settings.server import ChatSettings, PhoneSettings, Settings

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
SETTINGS = Settings(chat=ChatSettings(finish_within_s=600), phone=PhoneSettings(finish_within_s=60))


async def test_what_fails_is_done_again_and_holds_nothing_else_up() -> None:
    rounds = {"unavailable": 0, "broken": 0, "fine": 0}

    async def unavailable() -> None:
        rounds["unavailable"] += 1
        raise Unavailable("the database is down")

    async def broken() -> None:
        rounds["broken"] += 1
        raise ZeroDivisionError

    async def fine() -> None:
        rounds["fine"] += 1

    async with Upkeep({"unavailable": (unavailable, 0.001), "broken": (broken, 0.001), "fine": (fine, 0.001)}):
        await until(lambda: min(rounds.values()) > 2)


async def test_what_is_stopped_is_not_done_again() -> None:
    """Neither what rests just then nor what is under way: meanwhile others of the same pace are done many times."""
    rounds = {"fails": 0, "hangs": 0, "others": 0}
    go_on = asyncio.Event()

    async def fails() -> None:
        rounds["fails"] += 1
        raise Unavailable("the database is down")

    async def hangs() -> None:
        await go_on.wait()
        rounds["hangs"] += 1

    async def others() -> None:
        rounds["others"] += 1

    async with Upkeep({"fails": (fails, 0.001), "hangs": (hangs, 0.001)}):
        await until(lambda: rounds["fails"] > 2)
    go_on.set()
    ended = rounds["fails"]
    async with Upkeep({"others": (others, 0.001)}):
        await until(lambda: rounds["others"] > 10)
    assert (rounds["fails"], rounds["hangs"]) == (ended, 0)


class FullDisk:
    """A log that cannot be written."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def warning(self, *_args: object, **_fields: object) -> None:
        self._fail("warning")

    def exception(self, *_args: object, **_fields: object) -> None:
        self._fail("exception")

    def _fail(self, kind: str) -> None:
        self.asked.add(kind)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_what_fails_is_done_again_also_where_that_cannot_be_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    log, rounds = FullDisk(), {"unavailable": 0, "broken": 0, "logs": 0}
    monkeypatch.setattr(upkeep, "_log", log)

    async def unavailable() -> None:
        rounds["unavailable"] += 1
        raise Unavailable("the database is down")

    async def broken() -> None:
        rounds["broken"] += 1
        raise ZeroDivisionError

    async def logs() -> None:
        rounds["logs"] += 1
        log.warning("what it has done")

    async with Upkeep({"unavailable": (unavailable, 0.001), "broken": (broken, 0.001), "logs": (logs, 0.001)}):
        await until(lambda: min(rounds.values()) > 2)
    assert log.asked == {"warning", "exception"}


async def test_the_first_look_takes_everything_and_later_ones_leave_alone_what_may_be_under_way() -> None:
    asked: list[datetime | None] = []

    async def finish(*, before: datetime | None) -> int:
        asked.append(before)
        return 0

    left_overs = LeftOvers(finish)
    await left_overs.look()
    await left_overs.look()
    assert asked[0] is None
    assert asked[1] is not None
    assert timedelta(seconds=10) < datetime.now(timezone.utc) - asked[1] < timedelta(seconds=60)


@pytest.mark.parametrize(
    ("channel", "age_s", "attempts", "worth"),
    [
        (WEB_CHAT, 0, 1, True),
        (WEB_CHAT, 600, 2, True),
        (WEB_CHAT, 601, 1, False),
        (WEB_CHAT, 0, 3, False),
        (PHONE, 60, 1, True),
        (PHONE, 61, 1, False),
    ],
)
def test_what_is_too_old_or_was_tried_too_often_is_only_apologised_for(
    channel: str, age_s: int, attempts: int, worth: bool
) -> None:
    left = LeftOver(Turn("c_1", "s_1", channel, "yes", "m1"), NOON, attempts - 1)
    assert is_worth_finishing(left, attempts, NOON + timedelta(seconds=age_s), SETTINGS) is worth
