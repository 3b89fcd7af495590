"""Who a person is in the record: under which ids, in which visits, and with whom they were taken for one for a while.

What always holds: a person is a living contact with all its aliases; two people who were one for a while, by a merge that was taken back,
are two. Order is told by the database's numbers of events, not by clocks: ``merges.moved`` says between which two a merge lasted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from throughline.errors import Rejected
from throughline.record import schema
from throughline.record.identity import aliases_of, living

NOBODY = "(erased)"
"""The contact under which everything is kept that is kept of people who were erased: one for all of them, so that it does not even
show which rows were one person's. No id of a person looks like it."""

AFTER, UNTIL = "after", "until"
"""In ``merges.moved``: the number of the last event before a merge, and of the last one before it was taken back."""

_PHONE = "phone"
_NEWEST = 2**31 - 1  # no event has a higher number
_ALWAYS = (datetime.min.replace(tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc))


@dataclass(frozen=True)
class Together:
    """``contact_id`` was taken for one with the person: in the events that came ``after`` one up to another (``until``), and from ``since``
    to ``ended``. It is an id of somebody else, or one of the person's own that was taken for one with somebody else."""

    contact_id: str
    after: int
    until: int
    since: datetime
    ended: datetime

    def within(self, other: Together) -> Together | None:
        """The part of that time that is in ``other``, too; None where there is none."""
        after, until = max(self.after, other.after), min(self.until, other.until)
        since, ended = max(self.since, other.since), min(self.ended, other.ended)
        return Together(self.contact_id, after, until, since, ended) if after <= until and since <= ended else None

    def __contains__(self, other: Together) -> bool:
        """Whether this says all that ``other`` says."""
        return (
            self.contact_id == other.contact_id
            and self.after <= other.after
            and self.until >= other.until
            and self.since <= other.since
            and self.ended >= other.ended
        )


@dataclass(frozen=True)
class Person:
    """A person in one transaction. ``ids`` begin with the living contact's. ``together`` says when they were taken for one with somebody
    else; ``once_merged`` are all ids of those others; ``numbers`` are telephone numbers that nobody else has."""

    ids: tuple[str, ...]
    once_merged: tuple[str, ...]
    together: tuple[Together, ...]
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
    together = _together(connection, ids)
    others = dict.fromkeys(living(connection, one.contact_id) for one in together if one.contact_id not in ids)
    once_merged = [alias for other in others for alias in aliases_of(connection, other)]
    return Person(tuple(ids), tuple(once_merged), tuple(together), _own_numbers(connection, ids))


def newest_seq(connection: Any) -> int:
    """The number of the newest event of anybody."""
    return int(connection.execute(sa.select(sa.func.max(schema.events.c.id))).scalar() or 0)


def _together(connection: Any, ids: list[str]) -> list[Together]:
    """Everybody who was one with these ids for a while and is no more, also by way of a third who was one with both at the same time."""
    m = schema.merges.c
    found, own = list[Together](), set(ids)
    level = [Together(one, 0, _NEWEST, *_ALWAYS) for one in ids]
    while level:
        here: dict[str, list[Together]] = {}
        for one in level:
            here.setdefault(one.contact_id, []).append(one)
        rows = connection.execute(sa.select(schema.merges).where(m.contact_id.in_(here) | m.into_contact_id.in_(here))).all()
        level = []
        for row in rows:
            if row.contact_id in own and row.into_contact_id in own:
                continue
            lasted = _lasted(connection, row)
            for contact, other in ((row.contact_id, row.into_contact_id), (row.into_contact_id, row.contact_id)):
                for held in filter(None, (one.within(lasted) for one in here.get(contact, ()))):
                    there = replace(held, contact_id=other)
                    if contact in own:
                        found.append(held)
                    if other not in own and not any(there in known for known in (*found, *level)):
                        level.append(there)
        found += level
    return found


def _lasted(connection: Any, merge: Any) -> Together:
    """How long a merge held. One of an older release says it by time only."""
    after, until = merge.moved.get(AFTER), merge.moved.get(UNTIL)
    if after is None:
        after = _newest_before(connection, merge.merged_at)
    if until is None:
        until = _NEWEST if merge.undone_at is None else _newest_before(connection, merge.undone_at)
    return Together(merge.contact_id, after, until, merge.merged_at, merge.undone_at or _ALWAYS[1])


def _newest_before(connection: Any, at: datetime) -> int:
    e = schema.events.c
    # From the newest back, and not their maximum: no index has the times.
    return int(connection.execute(sa.select(e.id).where(e.created_at < at).order_by(e.id.desc()).limit(1)).scalar() or 0)


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
