"""Gathers from the record what a packet or a case needs: the latest lines of the conversation, what was done meanwhile, and every
fact with its source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from throughline.domain.facts import FACTS
from throughline.domain.visits import Fact
from throughline.handoff.packet import Line, actions_tried
from throughline.record import Record

_WHO = {"user": "customer", "bot": "assistant"}


async def latest(record: Record, contact_id: str, *, messages: int) -> tuple[list[Line], list[str]]:
    """The latest ``messages`` lines said on any channel and committed, oldest first, and what the assistant did meanwhile
    (``packet.actions_tried``). Raises Rejected("unknown_contact")."""
    start = await record.call(record.history_start, contact_id, messages=messages)
    events = await record.call(record.conversation, contact_id, after_seq=start)
    lines = [
        Line(_WHO[event.type_name], str(event.data.get("text") or ""), event.channel, event.at.isoformat())
        for event in events
        if event.type_name in _WHO and event.data.get("text")
    ]
    return lines, actions_tried(event.data for event in events)


async def facts(
    record: Record, contact_id: str, slots: Mapping[str, Any], *, session_id: str, channel: str, now: datetime
) -> list[Fact]:
    """Every fact in ``slots``: with the source the record has for it, or this turn's where it is newer than the record."""
    stored = {fact.slot: fact for fact in await record.call(record.facts, contact_id)}
    known = []
    for slot in FACTS:
        value = slots.get(slot)
        if value is None:
            continue
        source = stored.get(slot)
        unchanged = source is not None and source.value == value
        known.append(source if source is not None and unchanged else Fact(slot, value, session_id, channel, now))
    return known
