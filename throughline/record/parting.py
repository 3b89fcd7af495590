"""Telling two people apart again who were taken for one, once the merge that made them one is taken back.

Un-merging does it (merging.py), and erasing once more, for whatever was under way at that moment. It goes by visits: what was said and
done in a visit is of whom the visit belongs to. What always holds: rows keep their numbers and so their order; nothing that was told in
one's visits stays in the other's tracker, and no copy of it; what belongs to no visit stays where it is, because nobody can tell.

Decision: docs/decisions/0014-who-somebody-is.md. Who holds both conversations, and that nobody merges meanwhile, is the caller's concern.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from throughline.record import schema
from throughline.record.own_content import keep_own
from throughline.record.personal import tokens_into
from throughline.record.tombstones import is_given_out
from throughline.record.whose import Person, find_person

_CHUNK = 500  # SQLite bounds the number of parameters of one statement
_SLOT_EVENT = "slot"


@dataclass(frozen=True)
class _Side:
    """One of the two: ``ids`` begin with the living contact's; ``references`` are what their visits and bookings go by."""

    ids: tuple[str, ...]
    sessions: frozenset[str]
    references: frozenset[str]


def tell_apart(connection: Any, one: Person, other: Person) -> set[str]:
    """Give each of the two what is of their own visits, and clean of the other's what was filled from both. The slots that ``other`` has
    lost a value of."""
    after = min((spell.after for spell in one.together if spell.contact_id in other.ids), default=0)
    _give_back_visits(connection, one, other)
    _give_back_visits(connection, other, one)
    mine, theirs = _side(connection, one), _side(connection, other)
    for giver, taker in ((theirs, mine), (mine, theirs)):
        _give_back_rows(connection, giver, taker)
    slots = _give_back_events(connection, theirs, mine, after)
    _give_back_events(connection, mine, theirs, after)
    for ids in (one.ids, other.ids):
        keep_own(connection, find_person(connection, ids[0]))
    return slots


def _side(connection: Any, person: Person) -> _Side:
    v = schema.calendar_visits.c
    visits = connection.execute(sa.select(v.reference, v.visit_id, v.details).where(v.contact_id.in_(person.ids))).all()
    references = {one for row in visits for one in (row.reference, row.visit_id, row.details.get("booking")) if one}
    sessions = connection.execute(person.sessions).scalars()
    return _Side(person.ids, frozenset(sessions), frozenset(references))


def _give_back_visits(connection: Any, giver: Person, taker: Person) -> None:
    """Technicians' visits that were booked in a session of the taker's, the cases that were opened for them, and other cases that were
    opened in such a session."""
    v, c = schema.calendar_visits, schema.crm_cases
    sessions = set(connection.execute(taker.sessions).scalars())
    booked = [
        row
        for row in connection.execute(sa.select(v).where(v.c.contact_id.in_(giver.ids))).all()
        if row.details.get("session") in sessions
    ]
    references, to = {visit.reference for visit in booked}, taker.ids[0]
    opened = [
        row
        for row in connection.execute(sa.select(c).where(c.c.contact_id.in_(giver.ids))).all()
        if row.details.get("session") in sessions or row.details.get("visit") in references
    ]
    for table, rows in ((v, booked), (c, opened)):
        for row in rows:
            changed = {name: _renamed(row._mapping[name], giver.ids, to) for name in ("details", "idempotency_key")}
            connection.execute(table.update().where(table.c.id == row.id).values(contact_id=to, **changed))
    # Also on what was the taker's all along, a note may have been written and a visit changed as the giver's.
    n, g = schema.crm_notes, schema.calendar_changes
    for table, theirs in (
        (n, n.c.case_id.in_(sa.select(c.c.case_id).where(c.c.contact_id.in_(taker.ids)))),
        (g, g.c.visit_id.in_(sa.select(v.c.visit_id).where(v.c.contact_id.in_(taker.ids)))),
    ):
        for row in connection.execute(sa.select(table).where(theirs)).all():
            key = _renamed(row.idempotency_key, giver.ids, to)
            if key != row.idempotency_key:
                connection.execute(table.update().where(table.c.id == row.id).values(idempotency_key=key))


def _give_back_rows(connection: Any, giver: _Side, taker: _Side) -> None:
    """Messages, codes, links, calls that we placed, call tokens, hand-offs and outcomes of the taker's sessions."""
    to = taker.ids[0]
    for sessions in _chunks(taker.sessions):
        for table, session in (
            (schema.messages, schema.messages.c.session_id),
            (schema.codes, schema.codes.c.session_id),
            (schema.links, schema.links.c.session_id),
            (schema.placed_calls, schema.placed_calls.c.session_id),
        ):
            these = table.c.contact_id.in_(giver.ids) & session.in_(sessions)
            connection.execute(table.update().where(these).values(contact_id=to))
        t = schema.call_tokens
        these = t.c.contact_id.in_(giver.ids) & tokens_into(sessions)
        connection.execute(t.update().where(these).values(contact_id=to))
        for table, content in ((schema.handoffs, "packet"), (schema.outcomes, "data")):
            these, key = table.c.contact_id.in_(giver.ids) & table.c.session_id.in_(sessions), next(iter(table.primary_key))
            for row in connection.execute(sa.select(table).where(these)).all():
                changed = {name: _renamed(row._mapping[name], giver.ids, to) for name in (content, "idempotency_key")}
                this = key == row._mapping[key]
                connection.execute(table.update().where(this).values(contact_id=to, **changed))


def _give_back_events(connection: Any, giver: _Side, taker: _Side, after: int) -> set[str]:
    """What was said in the taker's sessions, with the facts in it; copies that either has of what the other has told go. The slots of all
    these."""
    e = schema.events.c
    these = e.sender_id.in_(giver.ids) & (e.id > after)
    columns = (e.id, e.event_id, e.sender_id, e.session_id, e.type_name, e.data)
    goes, moves, slots = list[Any](), list[Any](), set[str]()
    for row in connection.execute(sa.select(*columns).where(these)).all():
        is_takers = row.session_id in taker.sessions
        if _is_copy(row, *((giver, taker) if is_takers else (taker, giver)), carried_from=taker):
            goes.append(row)
        elif is_takers:
            moves.append(row)
        else:
            continue
        if row.type_name == _SLOT_EVENT:
            slots.add(row.data["name"])
    for chunk in _chunks([row.event_id for row in goes]):
        connection.execute(schema.facts.delete().where(schema.facts.c.event_id.in_(chunk)))
        connection.execute(schema.heard.delete().where(schema.heard.c.event_id.in_(chunk)))
        connection.execute(schema.events.delete().where(e.event_id.in_(chunk)))
    for chunk in _chunks([row.event_id for row in moves]):
        connection.execute(schema.facts.update().where(schema.facts.c.event_id.in_(chunk)).values(contact_id=taker.ids[0]))
        connection.execute(schema.events.update().where(e.event_id.in_(chunk)).values(sender_id=taker.ids[0]))
    for row in moves:
        renamed = _renamed(row.data, giver.ids, taker.ids[0])
        if renamed != row.data:
            connection.execute(schema.events.update().where(e.id == row.id).values(data=renamed))
    for sender in {row.sender_id for row in (*goes, *moves)}:
        _put_head(connection, sender, cut_after=after)
    if moves:
        _put_head(connection, taker.ids[0])
    return slots


def _is_copy(row: Any, of: _Side, by: _Side, *, carried_from: _Side) -> bool:
    """Whether an event in a session ``by`` one, or carried over by the merge, says again what is ``of`` the other: what they told, or the
    reference of their visit."""
    metadata = row.data.get("metadata") or {}
    if metadata.get("carried_from") in carried_from.ids:
        return True
    if row.type_name != _SLOT_EVENT:
        return False
    if metadata.get("told_in") in of.sessions:
        return True
    value = _renamed(row.data.get("value"), by.ids, of.ids[0])  # a booking's name begins with who it was for at that time
    return isinstance(value, str) and value in of.references - by.references


def _put_head(connection: Any, contact_id: str, *, cut_after: int | None = None) -> None:
    """Have the head of a tracker say what its last event is now, as a new version. One whose window begins later than ``cut_after`` is
    rebuilt from its first event: its header is the state of both."""
    h, e = schema.tracker_heads, schema.events.c
    last = connection.execute(sa.select(sa.func.max(e.id)).where(e.sender_id == contact_id)).scalar() or 0
    head = connection.execute(sa.select(h).where(h.c.contact_id == contact_id)).first()
    if head is None:
        first = {"version": 1, "last_seq": last, "window_seq": 0, "window_header": None}
        connection.execute(h.insert().values(contact_id=contact_id, **first))
        return
    changed: dict[str, Any] = {"version": head.version + 1, "last_seq": last}
    if cut_after is not None and head.window_seq > cut_after:
        changed |= {"window_seq": 0, "window_header": None}
    connection.execute(h.update().where(h.c.contact_id == contact_id).values(**changed))


def _renamed(value: Any, old: Collection[str], new: str) -> Any:
    """Plain data with ``new`` for every ``old`` id that the record has given out: by itself, or one part of a name
    (``visit:c_...:message``). Another tool's id may be a word that somebody has said."""
    if isinstance(value, dict):
        return {name: _renamed(one, old, new) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, old, new) for one in value]
    if not isinstance(value, str):
        return value
    return ":".join(new if part in old and is_given_out(part) else part for part in value.split(":"))


def _chunks(values: Collection[str]) -> Iterator[Sequence[str]]:
    ordered = list(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
