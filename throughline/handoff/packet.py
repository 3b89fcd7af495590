"""What is passed along when a conversation goes to a person, so that the customer need not say a thing twice.

Pure: it is given the facts and the events, and puts them together. What always holds: every fact that was said is in it, and none that
was not; the transcript keeps the record's order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from throughline.domain import recap
from throughline.domain.visits import Fact, HandoffPacket
from throughline.domain.words import Words


@dataclasses.dataclass(frozen=True)
class Line:
    """One thing that was said. ``who`` is ``customer`` or ``assistant``; ``at`` is ISO 8601, UTC."""

    who: str
    text: str
    channel: str | None
    at: str


def build(
    contact_id: str,
    reason: str,
    *,
    facts: Sequence[Fact],
    transcript: Sequence[Line],
    open_question: str | None,
    tried: Sequence[str],
    words: Words,
    today: date,
) -> HandoffPacket:
    """The packet. ``open_question`` is the slot that was being asked for, ``tried`` are the actions the assistant took."""
    known = recap.told({fact.slot: fact.value for fact in facts})
    summary = recap.in_one_breath(known, words, today)
    return HandoffPacket(
        contact_id=contact_id,
        reason=reason,
        summary=summary.shown if summary else "",
        facts=tuple(facts),
        tried=tuple(tried),
        open_question=open_question,
        transcript=tuple(dataclasses.asdict(line) for line in transcript),
    )


def as_json(packet: HandoffPacket) -> dict[str, Any]:
    """The packet as plain JSON values; times become ISO 8601."""
    plain = dataclasses.asdict(packet)
    plain["facts"] = [{**fact, "said_at": fact["said_at"].isoformat()} for fact in plain["facts"]]
    plain["tried"], plain["transcript"] = list(packet.tried), list(plain["transcript"])
    return plain


def actions_tried(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The distinct actions of Rasa's ``events`` that did something for the customer, in the order of their first use."""
    names = (str(event.get("name")) for event in events if event.get("event") == "action")
    return list(dict.fromkeys(name for name in names if name.startswith("action_") and name not in _MACHINERY))


_MACHINERY = {"action_listen", "action_extract_slots", "action_session_start", "action_deactivate_loop", "action_end_journey"}
