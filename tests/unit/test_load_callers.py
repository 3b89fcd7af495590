"""How a load trial tells whether frames were late: figures that it prints stand on this."""

from __future__ import annotations

import pytest

from benchmarks.load_callers import lateness_of

AHEAD = 10


def on_time(count: int) -> list[float]:
    """Arrivals, in seconds, of ``count`` frames behind those that are sent ahead."""
    return [5.0] * AHEAD + [5.0 + number * 0.02 for number in range(1, count + 1)]


def test_frames_on_a_clock_are_not_late() -> None:
    assert lateness_of(on_time(50)) == pytest.approx([0.0] * 50, abs=1e-6)


def test_waiting_for_a_tick_is_not_late_and_what_comes_on_top_is() -> None:
    arrivals = on_time(50)
    arrivals[AHEAD + 20] += 0.019
    arrivals[AHEAD + 30] += 0.050
    late = lateness_of(arrivals)
    assert late[20] == pytest.approx(0.0, abs=1e-6)
    assert late[30] == pytest.approx(30.0)
    assert sum(late) == pytest.approx(30.0)


def test_frames_that_all_come_later_from_some_moment_on_are_late() -> None:
    arrivals = on_time(20) + [5.0 + number * 0.02 + 0.1 for number in range(21, 51)]
    assert max(lateness_of(arrivals)) == pytest.approx(80.0)


def test_a_stretch_too_short_has_no_clock() -> None:
    assert lateness_of(on_time(5)) == []
