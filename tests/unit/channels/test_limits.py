"""How often somebody may do something."""

from __future__ import annotations

import pytest

from channels.limits import RateLimit

pytestmark = pytest.mark.unit


def test_as_many_as_allowed_in_a_window_and_again_in_the_next() -> None:
    limit = RateLimit(3, window_s=60)
    assert [limit.allow("a", now_s) for now_s in (0, 1, 2, 3)] == [True, True, True, False]
    assert limit.allow("b", 3)
    assert limit.allow("a", 60.5)
    assert not limit.allow("a", 60.6)


def test_a_refused_try_does_not_count() -> None:
    limit = RateLimit(1, window_s=10)
    assert limit.allow("a", 0)
    assert not any(limit.allow("a", now_s) for now_s in range(1, 10))
    assert limit.allow("a", 10.1)


def test_the_memory_is_bounded_and_the_oldest_key_forgotten_first() -> None:
    limit = RateLimit(1, window_s=1000, keys=2)
    assert limit.allow("a", 0)
    assert limit.allow("b", 1)
    assert not limit.allow("a", 2)
    assert limit.allow("c", 3)
    assert limit.allow("b", 4)
    assert not limit.allow("c", 5)
