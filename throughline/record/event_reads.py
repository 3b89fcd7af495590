"""Reading events: of one tracker from a point on, and of a person under all their ids.

What always holds: what a read costs grows with what it gives back, not with how much the record holds of this person or of others, on
SQLite and on PostgreSQL, whose planner may know nothing yet of what has just been stored. So every statement here names one sender and
leaves no choice of an index. These functions run inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from throughline.record.entries import Head, Held, StoredEvent
from throughline.record.schema import events, facts, tracker_heads

_LAST = 2**31 - 1  # no event has a higher number
_CHUNK = 500  # SQLite bounds the number of parameters of one statement

_OWNER, _FIRST, _UP_TO = (
    sa.bindparam("owner", type_=sa.String),
    sa.bindparam("first", type_=sa.Integer),
    sa.bindparam("last", type_=sa.Integer),
)
_BETWEEN = {
    "sqlite": sa.and_(events.c.sender_id == _OWNER, events.c.id.between(_FIRST, _UP_TO)),
    "postgresql": sa.tuple_(events.c.sender_id, events.c.id).between(sa.tuple_(_OWNER, _FIRST), sa.tuple_(_OWNER, _UP_TO)),
}
"""The events of one sender by a range of numbers, as only the index over both can answer it. With what stands for SQLite here,
PostgreSQL may go through everybody's events in their order; with what stands for PostgreSQL, SQLite goes through all of the sender's."""


def _by_index(engine: str, query: Any) -> Any:
    return query.where(_BETWEEN[engine])


_TEXT = sa.select(sa.type_coerce(events.c.data, sa.Text))  # one json.loads over all rows is faster than one for each
_DATA = {engine: _by_index(engine, _TEXT).order_by(events.c.sender_id, events.c.id) for engine in _BETWEEN}
_COUNT = {engine: _by_index(engine, sa.select(sa.func.count(events.c.id))) for engine in _BETWEEN}
_OLDEST_FIRST = {engine: _by_index(engine, sa.select(events)).order_by(events.c.sender_id, events.c.id) for engine in _BETWEEN}
_NEWEST_FIRST = {
    engine: _by_index(engine, sa.select(events)).order_by(events.c.sender_id.desc(), events.c.id.desc()) for engine in _BETWEEN
}


def _newest_fact_ids() -> Any:
    """The number of the newest fact of each slot that ``owner`` has told: two steps in the index for a slot, however often it was told."""
    mine, newer = facts.alias(), facts.alias()
    first = sa.select(sa.func.min(mine.c.slot)).where(mine.c.contact_id == _OWNER).scalar_subquery()
    told = sa.select(first.label("slot")).cte("told", recursive=True)
    behind = sa.select(sa.func.min(mine.c.slot)).where(mine.c.contact_id == _OWNER, mine.c.slot > told.c.slot).scalar_subquery()
    told = told.union_all(sa.select(behind).where(told.c.slot.is_not(None)))
    newest = (
        sa.select(sa.func.max(newer.c.id)).where(newer.c.contact_id == _OWNER, newer.c.slot == told.c.slot).scalar_subquery()
    )
    return sa.select(newest).where(told.c.slot.is_not(None))


_NEWEST_FACT_IDS = _newest_fact_ids()


def newest_facts(connection: Any, owner: str) -> list[Any]:
    """The rows of ``facts`` with the newest value of every slot told under this id, in the order of telling."""
    # Two statements: in one, PostgreSQL may go through all facts to find the numbers.
    ids = list(connection.execute(_NEWEST_FACT_IDS, {"owner": owner}).scalars())
    return list(connection.execute(sa.select(facts).where(facts.c.id.in_(ids)).order_by(facts.c.id)).all()) if ids else []


def events_from(connection: Any, owner: str, seq: int) -> list[Mapping[str, Any]]:
    """Rasa's dicts of the events under this id from ``seq`` on, in order."""
    rows = connection.execute(_DATA[connection.dialect.name], {"owner": owner, "first": seq, "last": _LAST})
    return list(json.loads("[" + ",".join(rows.scalars()) + "]"))


def appended_since(connection: Any, held: Held, now: Head) -> tuple[Mapping[str, Any], ...] | None:
    """What was appended to a tracker since somebody has kept it, now that ``now`` is its head. None where what they kept is not part of
    it any more: another contact's, a lock taken away, or events erased."""
    then = held.head
    if then == now and then.last_seq == now.last_seq:
        return ()
    if (then.contact_id, then.fence) != (now.contact_id, now.fence) or then.version >= now.version:
        return None
    # Numbers are never given twice: where as many are left as there were, they are the same ones.
    before = {"owner": then.contact_id, "first": held.first_seq, "last": then.last_seq}
    if connection.execute(_COUNT[connection.dialect.name], before).scalar_one() != held.events:
        return None
    return tuple(events_from(connection, now.contact_id, then.last_seq + 1))


def rows_of_people(
    connection: Any,
    people: Sequence[str],
    *,
    after_seq: int = 0,
    before_seq: int = _LAST,
    limit: int | None = None,
    newest: bool = False,
    types: Sequence[str] = (),
) -> list[Any]:
    """Rows of ``events`` under any of these ids, in order of ``seq``, from the one after ``after_seq`` to the one before ``before_seq``; of
    the ``types`` only, where any are named. ``limit`` keeps the first so many, with ``newest`` the last."""
    query = (_NEWEST_FIRST if newest else _OLDEST_FIRST)[connection.dialect.name]
    if types:
        query = query.where(events.c.type_name.in_(types))
    rows: list[Any] = []
    for owner, last_seq in _latest_first(connection, people, after_seq):
        if newest and limit is not None and len(rows) == limit and last_seq < rows[0].id:
            break  # all that is older under the other ids, too
        between = {"owner": owner, "first": after_seq + 1, "last": min(last_seq, before_seq - 1)}
        found = connection.execute(query.limit(limit), between).all()
        rows = sorted([*rows, *found], key=lambda row: row.id)
        if limit is not None:
            rows = rows[-limit:] if newest else rows[:limit]
    return rows


def stored(row: Any) -> StoredEvent:
    """A row of ``events`` as plain data."""
    at = row.created_at if row.timestamp is None else datetime.fromtimestamp(row.timestamp, timezone.utc)
    return StoredEvent(row.id, row.event_id, row.sender_id, row.session_id, row.channel, row.type_name, row.data, at)


def _latest_first(connection: Any, people: Sequence[str], after_seq: int) -> list[tuple[str, int]]:
    """The ids under which anything was said after ``after_seq``, with the last event of each; whose last is the latest comes first.
    A merged contact's ids are many, and nothing is added to all but one."""
    found: list[tuple[str, int]] = []
    for start in range(0, len(people), _CHUNK):
        these = tracker_heads.c.contact_id.in_(people[start : start + _CHUNK])
        query = sa.select(tracker_heads.c.contact_id, tracker_heads.c.last_seq).where(
            these, tracker_heads.c.last_seq > after_seq
        )
        found += [(row.contact_id, row.last_seq) for row in connection.execute(query).all()]
    return sorted(found, key=lambda each: -each[1])
