"""What the benchmarks' customers say, and how their figures are summed up."""

from __future__ import annotations

from collections.abc import Sequence

SCRIPT = (
    "hello", "my washing machine leaks", "it's a Bosch", "since yesterday", "what are your prices", "no it is not urgent",
    "my name is Dana Reyes", "97201", "what are your opening hours", "what did you say",
)  # fmt: skip
"""In order; when it is over it begins again as another customer."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of ``values`` lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
