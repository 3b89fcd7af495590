"""A person for tests, with something in every table that can hold data of one, and every value of it told apart from everybody else's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import Assurance
from throughline.domain.turns import Turn
from throughline.domain.visits import VisitSlot
from throughline.record import Record, schema
from throughline.record.entries import Checkpoint, NewEvent
from throughline.record.events import new_event_id

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
"""The tests' present: somebody's visit was the day before."""


@dataclass
class Somebody:
    """``contact_id`` is living, ``alias`` was merged into it. ``marks`` are all values that are this person's, ids among them."""

    name: str
    number: str
    contact_id: str = ""
    alias: str = ""
    chat: str = ""
    call: str = ""
    token: str = ""
    call_sid: str = ""
    recording: str = ""
    marks: list[str] = field(default_factory=list)


def somebody(record: Record, name: str, *, number: str = "+15035550177", visit_at: datetime | None = None) -> Somebody:
    """Somebody who wrote, called, booked a visit (by default the day before NOW), left a message, and was handed over."""
    one = Somebody(name, number)
    digest = hashlib.sha256(name.encode()).hexdigest()
    one.call_sid, one.recording = f"CA{digest[:32]}", f"RE{digest[:32]}"
    _in_the_chat(record, one)
    _on_the_phone(record, one)
    record.merge(one.alias, one.contact_id, reason="code", session_id=one.call)
    _at_the_company(record, one, visit_at or NOW - timedelta(days=1))
    one.marks += [name, number, one.contact_id, one.alias, one.chat, one.call, one.call_sid, one.recording]
    one.marks += [f"{name}@example.com", f"account-of-{name}", f"{name} lives here", f"note about {name}"]
    return one


def say(
    record: Record,
    contact_id: str,
    session_id: str,
    text: str,
    *,
    slots: dict[str, Any] | None = None,
    channel: str = "web_chat",
    moves_window: bool = True,
) -> str:
    """A turn: the message, the customer's event, slots, an answer, a listen. The answer's event id."""
    message_id = message_of(session_id, text)
    record.store_message(Turn(contact_id, session_id, channel, text, message_id, "typed", None))
    events = [
        {"event": "user", "text": text, "parse_data": {"intent": {"name": "inform"}, "text": text}, "message_id": message_id},
        *({"event": "slot", "name": slot, "value": value} for slot, value in (slots or {}).items()),
        {"event": "bot", "text": f"You said: {text}"},
        {"event": "action", "name": "action_listen"},
    ]
    new = []
    for data in events:
        event_id = new_event_id()
        data |= {"timestamp": NOW.timestamp(), "metadata": {"event_id": event_id, "session_id": session_id}}
        new.append(NewEvent(event_id, data, session_id, channel))
    header = {"at": NOW.timestamp(), "slots": dict(slots or {}), "loop": None}
    checkpoint = Checkpoint(new[-1].event_id, header) if moves_window else None
    record.append_events(contact_id, new, expected=None, checkpoint=checkpoint, message_id=message_id)
    return new[-2].event_id


def message_of(session_id: str, text: str) -> str:
    """The id of the message that says this."""
    return f"{session_id}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _in_the_chat(record: Record, one: Somebody) -> None:
    one.contact_id = record.contact_of_account(f"account-of-{one.name}", proof="login")
    detail = {"account": f"account-of-{one.name}"}
    one.chat = record.open_session(one.contact_id, "web_chat", assurance=Assurance.AUTHENTICATED, detail=detail).session_id
    one.token = record.issue_chat_token(one.chat, ttl_s=86_400)
    record.add_address(one.contact_id, "email", f"{one.name}@example.com", proof="typed")
    say(
        record, one.contact_id, one.chat, f"{one.name} lives here", slots={"customer_name": one.name, "appliance": "dishwasher"}
    )
    record.issue_code(one.contact_id, one.chat, ttl_s=300)
    link = record.issue_link(one.contact_id, one.chat, kind="email", address=f"{one.name}@example.com", ttl_s=900)
    record.open_link(link, session_id=one.chat)
    record.issue_call_token(contact_id=one.contact_id, chat_session_id=one.chat, origin="page", ttl_s=60)


def _on_the_phone(record: Record, one: Somebody) -> None:
    one.alias = record.create_contact()
    record.add_address(one.alias, "phone", one.number, proof="caller_id")
    record.announce_call(one.call_sid, caller=one.number, attestation="TN-Validation-Passed-A", ttl_s=60)
    detail = {"caller": one.number, "call_sid": one.call_sid, "claims": [one.contact_id]}
    one.call = record.open_session(one.alias, "phone", detail=detail).session_id
    record.note_call_session(one.call_sid, one.call)
    answer = say(record, one.alias, one.call, f"this is {one.name}", slots={"problem": f"{one.name}'s pump"}, channel="phone")
    record.record_heard(answer, session_id=one.call, text_heard=f"You said: this is {one.name}", complete=False)
    record.end_session(one.call, "hung_up")
    placed = {"placed_id": f"p_{one.name}", "number": one.number, "call_sid": f"CA of {one.name}", "placed_at": NOW}
    with record._database.writing() as connection:
        tried = {"session_id": one.call, "kind": "code", "at": NOW, "caller_digest": "d" * 64}
        connection.execute(schema.failed_tries.insert().values(**tried))
        entry = {"action": "fact_matched", "contact_id": one.alias, "session_id": one.call, "detail": {"of": one.contact_id}}
        connection.execute(schema.audit_log.insert().values(**entry, at=NOW))
        called = {"contact_id": one.contact_id, "session_id": one.chat, "outcome": "no-answer", "ended_at": NOW}
        connection.execute(schema.placed_calls.insert().values(**placed, **called))


def _at_the_company(record: Record, one: Somebody, visit_at: datetime) -> None:
    facts = {"customer_name": one.name, "appliance": "dishwasher", "problem": f"{one.name}'s pump"}
    record.crm.upsert_customer(one.alias, {"name": one.name})
    case = record.crm.open_case(
        one.contact_id, f"dishwasher of {one.name}", {"facts": facts}, kind="repair", idempotency_key=f"case:{one.alias}"
    )
    note_key = f"note:{one.contact_id}:{message_of(one.chat, f'{one.name} lives here')}"
    record.crm.add_note(case.case_id, f"note about {one.name}", idempotency_key=note_key)
    slot = VisitSlot(visit_at, visit_at + timedelta(hours=2), f"technician for {len(one.name)}", f"at {one.name}'s")
    sooner = replace(slot, start=visit_at - timedelta(hours=1), end=visit_at + timedelta(hours=1))
    visit = record.calendar.book(sooner, one.alias, facts, idempotency_key=f"visit:{one.contact_id}")
    move_key = f"move:{one.contact_id}:{message_of(one.chat, f'{one.name} lives here')}"
    record.calendar.move(visit.visit_id, slot, idempotency_key=move_key, now=visit_at - timedelta(days=1))
    packet = {
        "summary": one.name,
        "call_back_to": one.number,
        "recording": f"https://api.example.com/Recordings/{one.recording}",
    }
    key = f"call_back:{one.call_sid}"
    record.open_handoff(one.contact_id, one.call, kind="call_back", reason="message_left", packet=packet, idempotency_key=key)
    record.open_handoff(
        one.contact_id, one.chat, kind="desk", reason=f"because {one.name} asked", packet={}, idempotency_key=f"desk:{one.chat}"
    )
    data = {"reference": visit.reference, "visit_id": visit.visit_id}
    record.record_outcome(one.contact_id, one.chat, kind="visit_booked", data=data, idempotency_key=f"outcome:{one.chat}")
    one.marks += [case.case_id, case.reference, visit.visit_id, visit.reference]


def entry_of(record: Record, contact_id: str) -> dict[str, Any] | None:
    """The customer's fields in the embedded CRM, None where there is no such customer."""
    with record._database.reading() as connection:
        query = sa.select(schema.crm_customers.c.fields).where(schema.crm_customers.c.contact_id == contact_id)
        fields: dict[str, Any] | None = connection.execute(query).scalar()
    return fields


def notes_of(record: Record, case_id: str) -> list[str]:
    """The notes of a case in the embedded CRM, oldest first."""
    n = schema.crm_notes.c
    with record._database.reading() as connection:
        return list(connection.execute(sa.select(n.text).where(n.case_id == case_id).order_by(n.id)).scalars())


def everything(record: Record) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table as the database holds it, JSON as its text."""
    found = {}
    with record._database.reading() as connection:
        for table in schema.metadata.sorted_tables:
            columns = [
                sa.type_coerce(column, sa.Text) if isinstance(column.type, schema.JsonText) else column for column in table.c
            ]
            query = sa.select(*columns).order_by(*table.primary_key)
            found[table.name] = [tuple(row) for row in connection.execute(query).all()]
    return found


def rows_with(record: Record, marks: list[str]) -> list[str]:
    """Every place in the database where one of ``marks`` stands."""
    return [
        f"{table}: {mark} in {row}"
        for table, rows in everything(record).items()
        for row in rows
        for mark in marks
        if any(mark in str(value) for value in row)
    ]


def files_with(folder: Path, marks: list[str]) -> list[str]:
    """Every file below ``folder`` in whose bytes one of ``marks`` stands."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [f"{file.name}: {mark}" for file in files for mark in marks if mark.encode() in file.read_bytes()]
