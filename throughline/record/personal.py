"""Whose data is in which table: for every table of the record, which rows are a person's, and what of them the person is shown.

Export (person.py), erasing (erasing.py) and retention go by it. What always holds: every table of the schema is named here (a test fails
for one that is not); a person is a living contact with all its aliases; two people who were one for a while, by a merge that was taken
back, are two, also in what was carried from one to the other. Decision: docs/decisions/0016-erasing.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from throughline.errors import Rejected
from throughline.record import schema
from throughline.record.identity import aliases_of, living

NOBODY = "(erased)"
"""The contact under which everything is kept that is kept of people who were erased: one for all of them, so that it does not even
show which rows were one person's. No id of a person looks like it."""

_PHONE = "phone"


@dataclass(frozen=True)
class Person:
    """A person in one transaction. ``ids`` begin with the living contact's. ``once_merged`` are the ids of people that a merge made one
    with them and that was taken back; ``numbers`` are telephone numbers that nobody else has."""

    ids: tuple[str, ...]
    once_merged: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def sessions(self) -> Any:
        """Their sessions' ids, as a subquery."""
        return sa.select(schema.sessions.c.session_id).where(schema.sessions.c.contact_id.in_(self.ids))

    @property
    def others_sessions(self) -> Any:
        """The sessions' ids of those who were one with them once."""
        return sa.select(schema.sessions.c.session_id).where(schema.sessions.c.contact_id.in_(self.once_merged))


def find_person(connection: Any, contact_id: str) -> Person:
    """The person behind any of its ids. Raises Rejected("unknown_contact")."""
    if contact_id == NOBODY:
        raise Rejected("unknown_contact")
    ids = aliases_of(connection, contact_id)
    m = schema.merges.c
    theirs = sa.select(m.contact_id, m.into_contact_id).where(m.contact_id.in_(ids) | m.into_contact_id.in_(ids))
    others = dict.fromkeys(one for pair in connection.execute(theirs).all() for one in pair if one not in ids)
    once_merged = dict.fromkeys(alias for other in others for alias in aliases_of(connection, other))
    return Person(tuple(ids), tuple(once_merged), _own_numbers(connection, ids))


def _own_numbers(connection: Any, ids: list[str]) -> tuple[str, ...]:
    a = schema.addresses.c
    mine = connection.execute(sa.select(a.value).where(a.contact_id.in_(ids), a.kind == _PHONE).distinct()).scalars().all()
    shared = sa.select(a.value).where(a.kind == _PHONE, a.value.in_(mine), a.contact_id.not_in(ids))
    return tuple(sorted(set(mine) - set(connection.execute(shared).scalars())))


def sharing_addresses(connection: Any, person: Person) -> dict[str, int]:
    """For each address of this person that other living contacts have too, how many."""
    a = schema.addresses.c
    mine = sa.select(a.kind, a.value).where(a.contact_id.in_(person.ids)).distinct()
    found: dict[str, int] = {}
    for kind, value in connection.execute(mine).all():
        others = connection.execute(
            sa.select(a.contact_id).where(a.kind == kind, a.value == value, a.contact_id.not_in(person.ids))
        )
        people = {living(connection, other) for other in others.scalars()}
        if people:
            found[f"{kind} {value}"] = len(people)
    return found


Clause = Callable[[Person], Any]


@dataclass(frozen=True)
class Holding:
    """A table with data of people: which of its rows are a person's, and which columns the person is shown (no digests, no keys, nothing
    that only says how the rows hang together)."""

    table: Any
    rows: Clause
    shown: tuple[str, ...]


def _contact_or_session(table: Any) -> Clause:
    return lambda person: table.c.contact_id.in_(person.ids) | table.c.session_id.in_(person.sessions)


def _by_contact(table: Any) -> Clause:
    return lambda person: table.c.contact_id.in_(person.ids)


def _by_session(table: Any) -> Clause:
    return lambda person: table.c.session_id.in_(person.sessions)


def events_about(ids: Collection[str], *, among: Collection[str]) -> Any:
    """Events in the trackers of ``among`` that name one of ``ids``: a merge carried a fact over from them, or its undoing took it back."""
    e = schema.events.c
    text = sa.type_coerce(e.data, sa.Text)
    return e.sender_id.in_(among) & sa.or_(*(text.contains(json.dumps(one), autoescape=True) for one in ids))


def _event_rows(person: Person) -> Any:
    e = schema.events.c
    mine = e.sender_id.in_(person.ids)
    if not person.once_merged:
        return mine
    said_there = e.sender_id.in_(person.once_merged) & e.session_id.in_(person.sessions)
    return mine | said_there | events_about(person.ids, among=person.once_merged)


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
    return m.contact_id.in_(person.ids) | m.into_contact_id.in_(person.ids) | m.session_id.in_(person.sessions)


def _note_rows(person: Person) -> Any:
    cases = sa.select(schema.crm_cases.c.case_id).where(schema.crm_cases.c.contact_id.in_(person.ids))
    return schema.crm_notes.c.case_id.in_(cases)


# In the order in which rows can be deleted: what names another row before the row it names.
HOLDINGS: tuple[Holding, ...] = (
    Holding(schema.heard, _heard_rows, ("event_id", "text_heard", "complete", "heard_at")),
    Holding(schema.facts, _fact_rows, ("slot", "value", "channel", "session_id", "said_at", "confidence")),
    Holding(schema.events, _event_rows, ("id", "event_id", "type_name", "data", "channel", "session_id", "created_at")),
    Holding(
        schema.messages,
        _contact_or_session(schema.messages),
        ("text", "channel", "source", "confidence", "session_id", "received_at"),
    ),
    Holding(schema.tracker_heads, _by_contact(schema.tracker_heads), ("window_header",)),
    Holding(schema.codes, _contact_or_session(schema.codes), ("session_id", "created_at", "expires_at", "used_at")),
    Holding(schema.chat_tokens, _by_session(schema.chat_tokens), ("session_id", "created_at", "expires_at")),
    Holding(schema.failed_tries, _by_session(schema.failed_tries), ("session_id", "kind", "at")),
    Holding(schema.call_tokens, _call_token_rows, ("origin", "created_at", "expires_at", "used_at")),
    Holding(schema.phone_calls, _call_rows, ("call_sid", "caller", "attestation", "session_id", "announced_at", "ended_at")),
    Holding(
        schema.placed_calls,
        _contact_or_session(schema.placed_calls),
        ("number", "session_id", "placed_at", "answered_at", "ended_at", "outcome"),
    ),
    Holding(schema.handoffs, _contact_or_session(schema.handoffs), ("kind", "reason", "packet", "session_id", "created_at")),
    Holding(schema.outcomes, _contact_or_session(schema.outcomes), ("kind", "data", "session_id", "created_at")),
    Holding(schema.merges, _merge_rows, ("reason", "merged_at", "undone_at")),
    Holding(schema.audit_log, _contact_or_session(schema.audit_log), ("action", "session_id", "at")),
    Holding(schema.crm_notes, _note_rows, ("case_id", "text", "written_at")),
    Holding(schema.crm_cases, _by_contact(schema.crm_cases), ("case_id", "reference", "subject", "details", "opened_at")),
    Holding(schema.crm_customers, _by_contact(schema.crm_customers), ("fields", "updated_at")),
    Holding(
        schema.calendar_visits,
        _by_contact(schema.calendar_visits),
        ("visit_id", "reference", "starts_at", "ends_at", "details", "booked_at"),
    ),
    Holding(schema.addresses, _by_contact(schema.addresses), ("kind", "value", "proof", "created_at", "proved_at")),
    Holding(
        schema.sessions,
        _by_contact(schema.sessions),
        ("session_id", "channel", "assurance", "detail", "started_at", "ended_at", "end_reason"),
    ),
    Holding(schema.contacts, _by_contact(schema.contacts), ("contact_id", "created_at")),
)

NOT_PERSONAL: Mapping[str, str] = {
    "processed_requests": "digests of requests, of which nothing can be read",
    "marks": "values of the whole record",
    "erased": "digests of random ids",
    "owed_deletions": "another company's random ids",
    "calendar_technicians": "the company's own people",
}
"""The tables that hold nothing of customers, and why."""
