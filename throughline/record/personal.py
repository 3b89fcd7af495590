"""Whose data is in which table: for every table of the record, which rows are a person's, and what of them the person is shown.

Export (person.py), erasing (erasing.py) and retention go by it. What always holds: every table of the schema is named here, and every
column of it either is shown or says why not (a test fails where one does neither). Who a person is, whose.py says.
Decision: docs/decisions/0016-erasing.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from throughline.record import schema
from throughline.record.whose import Person

Clause = Callable[[Person], Any]

_NUMBER = "the row's number"
_WHOSE = "one of the person's own ids, which the archive lists"
_KEY = "keeps a repetition from having a second effect"
_DIGEST = "a digest, of which nothing can be read"
_IN_DATA = "stands in data, too"
_PLACE = "where the conversation's storing stands: numbers of events, which are shown"


@dataclass(frozen=True)
class Holding:
    """A table with data of people: which of its rows are a person's, which columns the person is shown, and why not the others."""

    table: Any
    rows: Clause
    shown: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def _contact_or_session(table: Any) -> Clause:
    return lambda person: table.c.contact_id.in_(person.ids) | table.c.session_id.in_(person.sessions)


def _by_contact(table: Any) -> Clause:
    return lambda person: table.c.contact_id.in_(person.ids)


def _by_session(table: Any) -> Clause:
    return lambda person: table.c.session_id.in_(person.sessions)


def events_about(ids: Collection[str], *, among: Collection[str]) -> Any:
    """Events in the trackers of ``among`` that name one of ``ids``: a merge carried a fact over from them."""
    e = schema.events.c
    text = sa.type_coerce(e.data, sa.Text)
    return e.sender_id.in_(among) & sa.or_(*(text.contains(json.dumps(one), autoescape=True) for one in ids))


def said_while_together(person: Person, *, among: Collection[str]) -> Any:
    """What the assistant said, in the trackers of ``among``, while the person was taken for one with somebody else: nothing tells of which
    of them it speaks."""
    e = schema.events.c
    spells = [
        (e.sender_id == one.contact_id) & (e.id > one.after) & (e.id <= one.until)
        for one in person.together
        if one.contact_id in among
    ]
    return (e.type_name == "bot") & sa.or_(sa.false(), *spells)


def tokens_into(sessions: Any) -> Any:
    """Call tokens that were given in these sessions, or let the calls in that they are of."""
    t, p = schema.call_tokens.c, schema.phone_calls.c
    return t.chat_session_id.in_(sessions) | t.call_sid.in_(sa.select(p.call_sid).where(p.session_id.in_(sessions)))


def not_of_others(table: Any, person: Person) -> Any:
    """Which of this person's rows of ``table`` are their own also where they were one with somebody: none of the other's visits, nothing
    that was carried over from there, nothing that the assistant said then."""
    clause = sa.true()
    if not person.once_merged:
        return clause
    if "session_id" in table.c:
        clause &= table.c.session_id.is_(None) | table.c.session_id.not_in(person.others_sessions)
    if table is schema.call_tokens:
        clause &= table.c.token_sha256.not_in(sa.select(table.c.token_sha256).where(tokens_into(person.others_sessions)))
    if table in (schema.events, schema.facts, schema.heard):
        about = events_about(person.once_merged, among=person.ids)
        unclear = said_while_together(person, among=(*person.ids, *person.once_merged))
        clause &= table.c.event_id.not_in(sa.select(schema.events.c.event_id).where(about | unclear))
    return clause


def _event_rows(person: Person) -> Any:
    e = schema.events.c
    mine = e.sender_id.in_(person.ids)
    if not person.once_merged:
        return mine
    said_there = e.sender_id.in_(person.once_merged) & e.session_id.in_(person.sessions)
    about = events_about(person.ids, among=person.once_merged)
    return mine | said_there | about | said_while_together(person, among=person.once_merged)


def _fact_rows(person: Person) -> Any:
    f = schema.facts.c
    mine = f.contact_id.in_(person.ids)
    if not person.once_merged:
        return mine
    carried = f.event_id.in_(sa.select(schema.events.c.event_id).where(events_about(person.ids, among=person.once_merged)))
    return mine | (f.contact_id.in_(person.once_merged) & (f.session_id.in_(person.sessions) | carried))


def _heard_rows(person: Person) -> Any:
    h = schema.heard.c
    return h.session_id.in_(person.sessions) | h.event_id.in_(sa.select(schema.events.c.event_id).where(_event_rows(person)))


def _call_rows(person: Person) -> Any:
    """Calls that led to them, calls that we placed for them, and calls that led to nobody from a number that nobody else has."""
    p = schema.phone_calls.c
    placed = sa.select(schema.placed_calls.c.call_sid).where(schema.placed_calls.c.contact_id.in_(person.ids))
    called = p.session_id.in_(person.sessions) | p.call_sid.in_(placed)
    return called | (p.session_id.is_(None) & p.caller.in_(person.numbers))


def _call_token_rows(person: Person) -> Any:
    t = schema.call_tokens.c
    calls = sa.select(schema.phone_calls.c.call_sid).where(_call_rows(person))
    return t.contact_id.in_(person.ids) | t.chat_session_id.in_(person.sessions) | t.call_sid.in_(calls)


def _merge_rows(person: Person) -> Any:
    m = schema.merges.c
    return m.contact_id.in_(person.ids) | m.into_contact_id.in_(person.ids)


def _note_rows(person: Person) -> Any:
    cases = sa.select(schema.crm_cases.c.case_id).where(schema.crm_cases.c.contact_id.in_(person.ids))
    return schema.crm_notes.c.case_id.in_(cases)


def _change_rows(person: Person) -> Any:
    visits = sa.select(schema.calendar_visits.c.visit_id).where(schema.calendar_visits.c.contact_id.in_(person.ids))
    return schema.calendar_changes.c.visit_id.in_(visits)


# In the order in which rows can be deleted: what names another row before the row it names.
HOLDINGS: tuple[Holding, ...] = (
    Holding(schema.heard, _heard_rows, ("event_id", "session_id", "text_heard", "complete", "heard_at")),
    Holding(
        schema.facts,
        _fact_rows,
        ("slot", "value", "event_id", "channel", "session_id", "said_at", "confidence"),
        {"id": _NUMBER, "contact_id": _WHOSE},
    ),
    Holding(
        schema.events,
        _event_rows,
        ("id", "event_id", "type_name", "data", "channel", "session_id", "created_at"),
        {"sender_id": _WHOSE, "timestamp": _IN_DATA, "intent_name": _IN_DATA, "action_name": _IN_DATA},
    ),
    Holding(
        schema.messages,
        _contact_or_session(schema.messages),
        (
            "message_id", "text", "channel", "source", "confidence", "session_id",
            "received_at", "finished_at", "attempts", "asked_for", "timing",
        ),
        {"id": _NUMBER, "contact_id": _WHOSE, "turn_seq": _PLACE},
    ),
    Holding(
        schema.tracker_heads,
        _by_contact(schema.tracker_heads),
        ("contact_id", "window_header"),
        {"version": _PLACE, "last_seq": _PLACE, "window_seq": _PLACE},
    ),
    Holding(
        schema.codes,
        _contact_or_session(schema.codes),
        ("session_id", "created_at", "expires_at", "used_at", "used_by_session"),
        {"id": _NUMBER, "contact_id": _WHOSE, "digest": _DIGEST, "open_digest": _DIGEST},
    ),
    Holding(
        schema.links,
        _contact_or_session(schema.links),
        ("kind", "address", "session_id", "created_at", "expires_at", "used_at", "used_by_session"),
        {"token_sha256": _DIGEST, "contact_id": _WHOSE},
    ),
    Holding(
        schema.chat_tokens,
        _by_session(schema.chat_tokens),
        ("session_id", "created_at", "expires_at"),
        {"token_sha256": _DIGEST},
    ),
    Holding(
        schema.failed_tries,
        _by_session(schema.failed_tries),
        ("session_id", "kind", "at"),
        {"id": _NUMBER, "caller_digest": _DIGEST},
    ),
    Holding(
        schema.call_tokens,
        _call_token_rows,
        ("origin", "chat_session_id", "call_sid", "created_at", "expires_at", "used_at"),
        {"token_sha256": _DIGEST, "contact_id": _WHOSE},
    ),
    Holding(
        schema.phone_calls,
        _call_rows,
        ("call_sid", "caller", "attestation", "step", "connected_step", "session_id", "announced_at", "ended_at"),
    ),
    Holding(
        schema.placed_calls,
        _contact_or_session(schema.placed_calls),
        ("placed_id", "number", "call_sid", "session_id", "placed_at", "answered_at", "ended_at", "outcome"),
        {"contact_id": _WHOSE},
    ),
    Holding(
        schema.handoffs,
        _contact_or_session(schema.handoffs),
        ("handoff_id", "kind", "reason", "packet", "session_id", "created_at"),
        {"contact_id": _WHOSE, "idempotency_key": _KEY},
    ),
    Holding(
        schema.outcomes,
        _contact_or_session(schema.outcomes),
        ("outcome_id", "kind", "data", "session_id", "created_at"),
        {"contact_id": _WHOSE, "idempotency_key": _KEY},
    ),
    Holding(
        schema.merges,
        _merge_rows,
        ("contact_id", "into_contact_id", "reason", "session_id", "merged_at", "undone_at"),
        {"id": _NUMBER, "moved": "numbers and ids of the rows that a merge has moved, which are shown where they are the person's"},
    ),
    Holding(
        schema.audit_log,
        _contact_or_session(schema.audit_log),
        ("action", "session_id", "detail", "at"),
        {"id": _NUMBER, "contact_id": _WHOSE},
    ),
    Holding(schema.crm_notes, _note_rows, ("case_id", "text", "written_at"), {"id": _NUMBER, "idempotency_key": _KEY}),
    Holding(
        schema.crm_cases,
        _by_contact(schema.crm_cases),
        ("case_id", "reference", "kind", "subject", "details", "opened_at", "due_at"),
        {"id": _NUMBER, "contact_id": _WHOSE, "idempotency_key": _KEY},
    ),
    Holding(schema.crm_customers, _by_contact(schema.crm_customers), ("contact_id", "fields", "updated_at")),
    Holding(
        schema.calendar_changes, _change_rows, ("visit_id", "kind", "changed_at"), {"id": _NUMBER, "idempotency_key": _KEY}
    ),
    Holding(
        schema.calendar_visits,
        _by_contact(schema.calendar_visits),
        ("visit_id", "reference", "starts_at", "ends_at", "place", "details", "booked_at", "cancelled_at"),
        {"id": _NUMBER, "contact_id": _WHOSE, "idempotency_key": _KEY, "technician": "one of the company's own people"},
    ),
    Holding(
        schema.addresses,
        _by_contact(schema.addresses),
        ("kind", "value", "proof", "created_at", "proved_at"),
        {"id": _NUMBER, "contact_id": _WHOSE},
    ),
    Holding(
        schema.sessions,
        _by_contact(schema.sessions),
        (
            "session_id", "channel", "assurance", "assurance_at", "assurance_until", "caller_vouched", "detail",
            "started_at", "ended_at", "end_reason", "shown_seq",
        ),
        {"contact_id": _WHOSE, "caller_digest": _DIGEST},
    ),
    Holding(
        schema.contacts,
        _by_contact(schema.contacts),
        ("contact_id", "merged_into", "created_at"),
        {"fence": "how often the conversation's writers were sorted out"},
    ),
)  # fmt: skip

NOT_PERSONAL: Mapping[str, str] = {
    "processed_requests": "digests of requests, of which nothing can be read",
    "marks": "values of the whole record",
    "erased": "digests of random ids",
    "owed_deletions": "another company's random ids",
    "calendar_technicians": "the company's own people",
}
"""The tables that hold nothing of customers, and why."""
