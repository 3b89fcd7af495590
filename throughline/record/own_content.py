"""What of a row is its owner's own, where it may have been filled from two people who were taken for one.

A hand-off's packet, a case, a visit and a customer's entry are put together from the conversation; while a merge held that was taken back
later, from two people's. Export, erasing and un-merging ask here. What always holds: a value is somebody's if they have told it, a line if
they have said it or the assistant has said it to them alone, a number or a recording if it is of a visit of theirs. What can't be told is
left out. What was written by somebody who is not in question is not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.record import schema
from throughline.record.event_reads import stored
from throughline.record.personal import not_of_others
from throughline.record.whose import Person

_UNDER_WAY = timedelta(minutes=5)
"""An action that was at work when two were parted may write so long after, and servers' clocks are not further apart."""

_WHO = {"user": "customer", "bot": "assistant"}
_OUR_WORDS = ("reason", "open_question")
_KEY_OF_MESSAGE = re.compile(r"[^:]*:[^:]*:(.*)", re.DOTALL)  # what was done, for whom, for which message of theirs


@dataclass(frozen=True)
class Own:
    """What is known to be one person's. ``told`` are slots with their values as JSON; ``lines`` are who, what and when (ISO 8601);
    ``words`` everything the customer has said; ``references`` what their visits and bookings go by."""

    ids: frozenset[str]
    sessions: frozenset[str]
    messages: frozenset[str]
    told: frozenset[tuple[str, str]]
    lines: frozenset[tuple[str, str, str]]
    words: frozenset[str]
    actions: frozenset[str]
    references: frozenset[str]

    def has_told(self, slot: str, value: Any) -> bool:
        """Whether they have given this value of a slot. Nothing is nobody's."""
        return value is None or (slot, json.dumps(value)) in self.told


def own_of(connection: Any, person: Person) -> Own:
    """What is this person's own. Of somebody who was never taken for another, of whose rows nothing is in question, only the ids."""
    e, f, v = schema.events, schema.facts, schema.calendar_visits
    rows, facts, visits = list[Any](), list[Any](), list[Any]()
    if person.together:
        mine = e.c.sender_id.in_(person.ids) & e.c.type_name.in_([*_WHO, "action"])
        rows = connection.execute(sa.select(e).where(mine, not_of_others(e, person))).all()
        told = f.c.contact_id.in_(person.ids) & not_of_others(f, person)
        facts = connection.execute(sa.select(f.c.slot, f.c.value).where(told)).all()
        visits = connection.execute(sa.select(v.c.reference, v.c.details).where(v.c.contact_id.in_(person.ids))).all()
    said = [row for row in rows if row.type_name in _WHO]
    customers = [row for row in said if row.type_name == "user"]
    return Own(
        ids=frozenset(person.ids),
        sessions=frozenset(connection.execute(person.sessions).scalars()),
        messages=frozenset(str(row.data.get("message_id")) for row in customers),
        told=frozenset((row.slot, json.dumps(row.value)) for row in facts),
        lines=frozenset((_WHO[row.type_name], str(row.data.get("text") or ""), stored(row).at.isoformat()) for row in said),
        words=frozenset(str(row.data.get("text") or "") for row in customers),
        actions=frozenset(row.action_name for row in rows if row.type_name == "action"),
        references=frozenset(str(one) for row in visits for one in (row.reference, row.details.get("booking"))),
    )


def _packet(row: Any, own: Own) -> dict[str, Any]:
    facts = row.packet.get("facts") or []
    kept = [fact for fact in facts if own.has_told(fact.get("slot"), fact.get("value")) and _is_theirs(fact, own)]
    made: dict[str, Callable[[Any], Any]] = {
        "contact_id": lambda value: value if value in own.ids else "",
        "facts": lambda value: kept,
        "summary": lambda value: value if len(kept) == len(facts) else "",
        "transcript": lambda value: _lines(value, own),
        "tried": lambda value: [name for name in value if name in own.actions],
        **dict.fromkeys(_OUR_WORDS, lambda value: value),
        "call_back_to": lambda value: value if row.session_id in own.sessions else "",
        # Of no visit, it is still somebody's message, to be deleted where it is kept once they are erased.
        "recording": lambda value: value if row.session_id in (None, *own.sessions) else "",
    }
    return {"packet": {name: made[name](value) for name, value in row.packet.items() if name in made}}


def _case(row: Any, own: Own) -> dict[str, Any]:
    details = _details(row.details, own)
    named = "session" if "session" in row.details else "visit"  # what says whose it is
    return {
        "details": details,
        "subject": row.subject if details.get("facts") == row.details.get("facts") else "",
        "due_at": row.due_at if named in details else None,
    }


def _visit(row: Any, own: Own) -> dict[str, Any]:
    return {"details": _details(row.details, own)}


def _customer(row: Any, own: Own) -> dict[str, Any]:
    values = {value for _, value in own.told}
    return {"fields": {name: value for name, value in row.fields.items() if value is None or json.dumps(value) in values}}


def _of_message(row: Any, own: Own) -> dict[str, Any] | None:
    """A note is what one message of the customer's said, and a visit is changed because of one: the row is theirs whose message it is."""
    found = _KEY_OF_MESSAGE.fullmatch(row.idempotency_key)
    return {} if found is not None and found.group(1) in own.messages else None


def _header(row: Any, own: Own) -> dict[str, Any]:
    header = row.window_header
    if header is None:
        return {}
    slots = {slot: value for slot, value in header["slots"].items() if own.has_told(slot, value)}
    told_in = {slot: visit for slot, visit in (header.get("told_in") or {}).items() if slot in slots and visit in own.sessions}
    return {"window_header": {**header, "slots": slots, "told_in": told_in}}


def _details(details: Mapping[str, Any], own: Own) -> dict[str, Any]:
    """Of a case or a visit: facts, by themselves or below ``facts``; the conversation; what names the visit, the booking, the session."""
    kept: dict[str, Any] = {}
    for name, value in details.items():
        if name == "facts":
            kept[name] = {slot: told for slot, told in value.items() if own.has_told(slot, told)}
        elif name == "conversation":
            kept[name] = _lines(value, own)
        elif (
            own.has_told(name, value)
            or (name in ("visit", "booking") and value in own.references)
            or (name == "session" and value in own.sessions)
        ):
            kept[name] = value
    return kept


def _lines(lines: Iterable[Mapping[str, Any]], own: Own) -> list[Mapping[str, Any]]:
    """The last line of a packet is of the turn that was still under way: it was said, but at no time that an event has."""
    *before, last = [*lines] or [{}]
    kept = [line for line in before if _line(line) in own.lines]
    is_own = _line(last) in own.lines or (last.get("who") == "customer" and last.get("text") in own.words)
    return [*kept, last] if is_own else kept


def _line(line: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(line.get("who")), str(line.get("text")), str(line.get("at"))


def _is_theirs(fact: Mapping[str, Any], own: Own) -> bool:
    return not fact.get("session_id") or fact["session_id"] in own.sessions


@dataclass(frozen=True)
class Filled:
    """A table whose rows are filled from the conversation: how to keep what is one's own of a row (new values of columns; None: nothing),
    which rows are somebody's, and when a row was written; None where it is written on with every turn."""

    table: Any
    own: Callable[[Any, Own], dict[str, Any] | None]
    of: Callable[[Person], Any]
    written_at: Any

    def is_in_question(self, row: Any, person: Person) -> bool:
        """Whether two people may be in this row."""
        if self.written_at is None:
            return bool(person.together)
        at: datetime = row._mapping[self.written_at]
        # A customer's entry keeps what it is not told anew.
        until = datetime.min.replace(tzinfo=at.tzinfo) if self.table is schema.crm_customers else at - _UNDER_WAY
        return any(one.since <= at + _UNDER_WAY and until <= one.ended for one in person.together)


def _notes_of(person: Person) -> Any:
    cases = sa.select(schema.crm_cases.c.case_id).where(schema.crm_cases.c.contact_id.in_(person.ids))
    return schema.crm_notes.c.case_id.in_(cases)


def _changes_of(person: Person) -> Any:
    visits = sa.select(schema.calendar_visits.c.visit_id).where(schema.calendar_visits.c.contact_id.in_(person.ids))
    return schema.calendar_changes.c.visit_id.in_(visits)


def _rows_of(table: Any) -> Callable[[Person], Any]:
    return lambda person: table.c.contact_id.in_(person.ids)


FILLED: tuple[Filled, ...] = (
    Filled(schema.handoffs, _packet, _rows_of(schema.handoffs), schema.handoffs.c.created_at),
    Filled(schema.crm_cases, _case, _rows_of(schema.crm_cases), schema.crm_cases.c.opened_at),
    Filled(schema.crm_notes, _of_message, _notes_of, schema.crm_notes.c.written_at),
    Filled(schema.calendar_changes, _of_message, _changes_of, schema.calendar_changes.c.changed_at),
    Filled(schema.calendar_visits, _visit, _rows_of(schema.calendar_visits), schema.calendar_visits.c.booked_at),
    Filled(schema.crm_customers, _customer, _rows_of(schema.crm_customers), schema.crm_customers.c.updated_at),
    Filled(schema.tracker_heads, _header, _rows_of(schema.tracker_heads), None),
)


def keep_own(connection: Any, person: Person) -> None:
    """Take out of this person's rows what is not theirs, or can't be told to be. Whatever is left stays so when it is done again."""
    own = own_of(connection, person)
    for filled in FILLED:
        table = filled.table
        if filled.written_at is None:  # a tracker's header: it is made anew of what is left of its events
            continue
        key = next(iter(table.primary_key))
        for row in connection.execute(sa.select(table).where(filled.of(person))).all():
            if not filled.is_in_question(row, person):
                continue
            kept, this = filled.own(row, own), key == row._mapping[key]
            if kept is None:
                connection.execute(table.delete().where(this))
            elif any(row._mapping[name] != value for name, value in kept.items()):
                connection.execute(table.update().where(this).values(**kept))
