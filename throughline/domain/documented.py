"""The sentence and the bounds that go with a field of data that people edit."""

from __future__ import annotations

from typing import Any


def doc(text: str, **bounds: Any) -> dict[str, Any]:
    """Metadata for a dataclass field. ``bounds``: ``minimum`` and ``maximum`` (both included), ``choices``."""
    return {"doc": text, **bounds}
