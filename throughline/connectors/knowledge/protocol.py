"""What a knowledge adapter must do. Contract tests in tests/contract/test_knowledge.py hold every adapter to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Passage:
    """A piece of a policy. ``source`` names the file and heading, ``score`` is the adapter's own, higher is nearer."""

    text: str
    source: str
    score: float


class Knowledge(Protocol):
    """The company's policies."""

    async def search(self, query: str, *, limit: int = 3) -> list[Passage]:
        """Passages nearest to the query, best first; empty where nothing fits. Raises Unavailable."""
