"""Everything the record has of a person, as plain data: what ``throughline export`` writes down.

What always holds: only this person's rows, over all their aliases; nothing of others, also not of somebody they were taken for one with
for a while (own_content.py says what of a row is their own), and no ids of others; no digests and no keys. Which rows and columns that is,
personal.py says.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from throughline.record import schema
from throughline.record.database import OnDatabase
from throughline.record.own_content import FILLED, Own, own_of
from throughline.record.personal import HOLDINGS, Holding, not_of_others
from throughline.record.whose import Person, find_person

_OF_OTHERS = "claims"  # in a session's detail: whom a call from this number may have been from
_AN_ID = re.compile(r"(?<![\w-])[cs]_[\w-]{22}(?![\w-])")  # a contact's or a session's that the record has given out
_ELSES = "(somebody else's)"
_NAMING = {
    schema.audit_log: ("detail", "session_id"),
    schema.call_tokens: ("chat_session_id",),
    schema.codes: ("used_by_session",),
    schema.events: ("data",),
    schema.links: ("used_by_session",),
    schema.merges: ("contact_id", "into_contact_id", "session_id"),
    schema.messages: ("asked_for",),
    schema.sessions: ("detail",),
}
"""Where a person's row may name others."""


class People(OnDatabase):
    """Whole persons."""

    def person(self, contact_id: str) -> dict[str, list[dict[str, Any]]]:
        """For each table with data of people this person's rows, oldest first, each as its columns' values; times are datetimes. An id of
        somebody else's is None. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            found = find_person(connection, contact_id)
            own = own_of(connection, found)
            return {holding.table.name: _shown(connection, holding, found, own) for holding in reversed(HOLDINGS)}


def _shown(connection: Any, holding: Holding, person: Person, own: Own) -> list[dict[str, Any]]:
    table = holding.table
    mine = holding.rows(person) & not_of_others(table, person)
    rows = connection.execute(sa.select(table).where(mine).order_by(*table.primary_key)).all()
    filled = next((one for one in FILLED if one.table is table), None)
    shown = []
    for row in rows:
        values = dict(row._mapping)
        if filled is not None and filled.is_in_question(row, person):
            kept = filled.own(row, own)
            if kept is None:
                continue
            values |= kept
        for name in _NAMING.get(table, ()):
            values[name] = _without_others(values[name], own.ids | own.sessions)
        shown.append({name: values[name] for name in holding.shown})
    return shown


def _without_others(value: Any, own: Collection[str]) -> Any:
    """Plain data without ids of other people: an item or a value that is one goes, in a text words stand in for it."""
    if isinstance(value, Mapping):
        kept = {name: _without_others(one, own) for name, one in value.items() if name != _OF_OTHERS}
        return {name: one for name, one in kept.items() if one is not None or value[name] is None}
    if isinstance(value, list):
        return [one for one in (_without_others(one, own) for one in value) if one is not None]
    if not isinstance(value, str):
        return value
    whole = _AN_ID.fullmatch(value) is not None and value not in own
    return None if whole else _AN_ID.sub(functools.partial(_unless_own, own=own), value)


def _unless_own(found: re.Match[str], own: Collection[str]) -> str:
    return found.group() if found.group() in own else _ELSES
