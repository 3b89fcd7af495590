"""What a journey ends in: the company's case about it, and the outcome in the record. Each write has one effect, whatever runs twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from actions.situation import Situation
from throughline.domain import recap
from throughline.domain.visits import Case
from throughline.handoff import dossier

_MESSAGES = 40  # lines of the conversation that go into the case
_TELLING = ("problem", "product", "wish", "invoice", "pay_day", "pay_parts", "call_day", "call_time")
_LONGEST = 200  # characters of a subject


def journey_key(where: Situation) -> str:
    """Names the journey at hand, from the message that began it: ending it twice has one effect."""
    return str(where.tracker.get_slot("ui_booking") or where.contact_id)


def journey_facts(where: Situation) -> dict[str, Any]:
    """The facts of the journey at hand, and who the customer is."""
    return {slot: value for slot, value in where.facts.items() if slot in where.journey.slots}


async def open_case(
    where: Situation, *, key: str, visit: str | None = None, due_at: datetime | None = None, **details: Any
) -> Case:
    """A case of the journey's kind with its facts and the conversation, on every channel so far. ``visit`` is a visit's reference,
    ``due_at`` when somebody waits for an answer. Raises Unavailable, or Rejected."""
    facts = journey_facts(where)
    lines, _ = await where.bounded(dossier.latest(where.app.record, where.contact_id, messages=_MESSAGES))
    told: dict[str, Any] = {
        "facts": facts,
        "session": where.session_id,  # whose it is, should two people have been taken for one
        **({"visit": visit} if visit else {}),
        **details,
        "conversation": [dataclasses.asdict(line) for line in lines],
    }
    customer = {"name": facts.get("customer_name"), "postcode": facts.get("postcode"), "phone": facts.get("phone_number")}
    known = {name: value for name, value in customer.items() if value not in (None, where.words.unknown)}
    await where.bounded(where.app.crm.upsert_customer(where.contact_id, known))
    return await where.bounded(
        where.app.crm.open_case(
            where.contact_id, _subject(where, facts), told, kind=where.journey.case, due_at=due_at, idempotency_key=key
        )
    )


async def note_outcome(where: Situation, kind: str, data: Mapping[str, Any], *, key: str) -> None:
    """The outcome in the record, with its proof. Raises Unavailable, or Rejected."""
    record = where.app.record
    await where.bounded(
        record.call(record.record_outcome, where.contact_id, where.session_id, kind=kind, data=dict(data), idempotency_key=key)
    )


def _subject(where: Situation, facts: Mapping[str, Any]) -> str:
    """The case in one line: what it is about, without who it is."""
    about = {slot: facts[slot] for slot in where.journey.once if slot in facts}
    named = {slot: recap.phrase(slot, value, where.words, where.today) for slot, value in about.items()}
    said = [str(facts["appliance"])] if "appliance" in about else []
    said += [phrase.shown for slot, phrase in named.items() if phrase and slot in _TELLING]
    return ", ".join(said)[:_LONGEST] or where.journey.journey
