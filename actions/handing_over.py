"""Passes the conversation to a person, with everything that was said."""

from __future__ import annotations

from typing import Any

from actions.questions import open_question
from actions.situation import Situation
from throughline.handoff import dossier, packet

_MESSAGES = 60  # the packet's transcript; the whole conversation stays in the record


async def hand_over(where: Situation, *, kind: str, reason: str, key: str | None = None) -> None:
    """Open a hand-off. ``key`` names its cause, so that one cause opens one; by default the latest message.
    Raises Unavailable, or Rejected for a contact nobody knows."""
    packed = await where.bounded(_packet(where, reason))
    record = where.app.record
    await where.bounded(
        record.call(
            record.open_handoff,
            where.contact_id,
            where.session_id,
            kind=kind,
            reason=reason,
            packet=packed,
            idempotency_key=key or f"{kind}:{latest_message_name(where)}",
        )
    )


def latest_message_name(where: Situation) -> str:
    """A name for the latest message of the customer that no other message has."""
    for event in reversed(where.tracker.events):
        if event.get("event") == "user":
            return f"{where.contact_id}:{event.get('message_id') or event.get('timestamp')}"
    return where.contact_id


async def _packet(where: Situation, reason: str) -> dict[str, Any]:
    record, events = where.app.record, where.tracker.events
    facts = await dossier.facts(
        record, where.contact_id, where.facts, session_id=where.session_id or "", channel=where.channel, now=where.now
    )
    lines, tried = await dossier.latest(record, where.contact_id, messages=_MESSAGES)
    built = packet.build(
        where.contact_id,
        reason,
        facts=facts,
        transcript=[*lines, *_not_yet_stored(where)],
        open_question=open_question(where) if where.in_form else None,
        tried=list(dict.fromkeys([*tried, *packet.actions_tried(events)])),  # events: this turn's stand in no record yet
        words=where.words,
        today=where.today,
    )
    number = await caller(where)
    return packet.as_json(built) | ({"call_back_to": number} if number else {})


async def caller(where: Situation) -> str | None:
    """The number somebody calls from by telephone; empty where it is withheld, None on every other way. Raises Unavailable."""
    if not where.by_phone or where.session_id is None:
        return None
    session = await where.bounded(where.app.record.call(where.app.record.session, where.session_id))
    number = session.detail.get("caller")
    return None if number is None else str(number)


def _not_yet_stored(where: Situation) -> list[packet.Line]:
    """The message that led here: the record gets its event only when the turn is over."""
    text = str((where.tracker.latest_message or {}).get("text") or "")
    return [packet.Line("customer", text, where.channel or None, where.now.isoformat())] if text else []
