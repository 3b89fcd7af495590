"""Everything the record has of a person, as plain data: what ``throughline export`` writes down.

What always holds: only this person's rows, over all their aliases; nothing of others, also not what a merge that was taken back had
carried over from them; no digests and no keys. Which rows and columns that is, personal.py says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from throughline.record import schema
from throughline.record.database import OnDatabase
from throughline.record.personal import HOLDINGS, Holding, Person, events_about, find_person

_OF_OTHERS = "claims"  # in a session's detail: whom a call from this number may have been from


class People(OnDatabase):
    """Whole persons."""

    def person(self, contact_id: str) -> dict[str, list[dict[str, Any]]]:
        """For each table with data of people this person's rows, oldest first, each as its columns' values; times are datetimes.
        Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            found = find_person(connection, contact_id)
            return {holding.table.name: _shown(connection, holding, found) for holding in reversed(HOLDINGS)}


def _shown(connection: Any, holding: Holding, person: Person) -> list[dict[str, Any]]:
    table = holding.table
    mine = holding.rows(person)
    if person.once_merged and "session_id" in table.c:
        mine &= table.c.session_id.is_(None) | table.c.session_id.not_in(person.others_sessions)
    if person.once_merged and table in (schema.events, schema.facts):
        theirs = sa.select(schema.events.c.event_id).where(events_about(person.once_merged, among=person.ids))
        mine &= table.c.event_id.not_in(theirs)
    query = sa.select(*(table.c[name] for name in holding.shown)).where(mine).order_by(*table.primary_key)
    return [_row(dict(row._mapping)) for row in connection.execute(query).all()]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    detail = row.get("detail")
    if isinstance(detail, Mapping) and _OF_OTHERS in detail:
        row["detail"] = {name: value for name, value in detail.items() if name != _OF_OTHERS}
    return row
