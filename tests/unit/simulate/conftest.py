"""A phone line of a few lines, for the simulated vendors to call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.simulate.small_line import SmallLine


@pytest.fixture
async def small_line() -> AsyncIterator[SmallLine]:
    """A running line."""
    async with SmallLine() as line:
        yield line
