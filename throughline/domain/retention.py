"""How long the company keeps what it knows of people, and which of their sentences are everybody's.

Poured from data/business/retention.yml. What each kind of data is, and what stays of it: docs/personal-data.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from throughline.domain.documented import doc

_LONGEST = 36_500  # a hundred years


def _days(text: str) -> dict[str, Any]:
    return doc(f"{text} 0: for good.", minimum=0, maximum=_LONGEST)


@dataclass(frozen=True)
class Retention:
    """Days for each kind of data."""

    people_days: int = field(metadata=_days("Everything of somebody who was not in touch for so long."))
    visits_days: int = field(metadata=_days("What was told for a visit, after it."))
    handoffs_days: int = field(metadata=_days("What was passed to a person, and messages left on the telephone."))
    calls_days: int = field(metadata=_days("Callers' numbers, and what vouched for them."))
    messages_days: int = field(metadata=_days("The copy of each message that outlives a crash."))
    passes_days: int = field(metadata=_days("Codes, tokens and failed tries, once they are over."))
    requests_days: int = field(metadata=_days("Digests by which a request of Twilio's is known when it comes again."))
    audit_days: int = field(metadata=_days("Who was recognised how, who was merged, who was erased."))
    everyday_words: int = field(
        metadata=doc("A sentence of at most so many words is everybody's, unless it names somebody.", minimum=0, maximum=50)
    )
    naming_slots: tuple[str, ...] = field(metadata=doc("Slots whose values name somebody."))

    def cutoff(self, kind: str, now: datetime) -> datetime | None:
        """What of this kind (a field's name without ``_days``) was over before then is to go; None where it is kept for good."""
        days = getattr(self, f"{kind}_days")
        return now - timedelta(days=days) if days else None
