"""Erasing a person: everything that is theirs goes, and what a business keeps for its books stays without them.

Stands beside the other topics of the record; ``throughline erase`` and retention call it. What always holds:

- All of it is one transaction, in which nobody else writes this person's conversation: it is erased, or nothing was.
- A turn, an action or a page of theirs that was under way cannot bring anything of them back (tombstones.py).
- What stays (that there was a visit to us, a call, a booking, a case, and when) stays under new random ids and one contact for everybody
  who was erased. Free text and details go; of details only what the caller of ``erase`` names as the company's own words stays.
- What another company keeps is noted in the same transaction, by that company's id alone, until it is deleted there.

What goes and what stays, table by table: docs/decisions/0016-erasing.md.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.errors import Rejected
from throughline.record import schema
from throughline.record.database import OnDatabase
from throughline.record.entries import Owed
from throughline.record.events import hold
from throughline.record.identity import aliases_of, living, utc_now
from throughline.record.merging import TREE
from throughline.record.parting import tell_apart
from throughline.record.personal import HOLDINGS
from throughline.record.references import insert_with_reference
from throughline.record.tombstones import erased_at, mark_erased
from throughline.record.whose import NOBODY, Person, find_person, sharing_addresses

RECORDING, CALL = "recording", "call"
"""What another company keeps: a recording, by its own id; whatever was recorded of a call, by the call's."""

RECORDING_ID = re.compile(r"RE[0-9a-f]{32}")
_CALL_ID = re.compile(r"CA[0-9a-f]{32}")
_WORD = re.compile(r"[a-z][a-z_]{0,63}")

_OURS = ("c_", "s_")  # what ids begin with that the record has given out; another tool's may be part of any word

OwnWords = Mapping[str, Collection[str]]
"""For a detail's name the values that are nobody's data: the company's own words."""


@dataclass(frozen=True)
class Ahead:
    """A visit that has not taken place yet."""

    reference: str
    starts_at: datetime


@dataclass(frozen=True)
class Holdings:
    """What the record has of a person. ``rows`` counts them for each table; ``sharing`` tells, for each address that other people
    have too, how many; ``recordings`` counts what may have been recorded elsewhere."""

    contact_id: str
    aliases: tuple[str, ...]
    rows: Mapping[str, int]
    ahead: tuple[Ahead, ...]
    sharing: Mapping[str, int]
    recordings: int


class Erasing(OnDatabase):
    """What there is of a person, and doing away with it."""

    def holdings(self, contact_id: str, *, now: datetime | None = None) -> Holdings:
        """What erasing this person would touch. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            person = find_person(connection, contact_id)
            return Holdings(
                contact_id=person.ids[0],
                aliases=person.ids[1:],
                rows=_counts(connection, person),
                ahead=_visits_ahead(connection, person, now or utc_now()),
                sharing=sharing_addresses(connection, person),
                recordings=len(_owed_for(connection, person)),
            )

    def last_seen(self, contact_id: str) -> datetime:
        """When this person was last in touch: visited us, said something, was visited. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            return _last_seen(connection, find_person(connection, contact_id))

    def erased_at(self, contact_id: str) -> datetime | None:
        """When this contact was erased; None for one that was not."""
        with self._database.reading() as connection:
            return erased_at(connection, contact_id)

    def erase(
        self,
        contact_id: str,
        *,
        own_words: OwnWords,
        cancel_visits: bool = False,
        unless_seen_since: datetime | None = None,
        now: datetime | None = None,
    ) -> dict[str, int]:
        """Erase the person behind any of its ids; how many rows of each table were theirs. A visit still ahead is in the way, because
        nobody could go there and nobody would know: with ``cancel_visits`` it is taken out of the calendar, and its time is free.

        Raises Rejected("unknown_contact"), also for somebody who was erased; Rejected("visit_ahead"); Rejected("seen_since") for
        somebody who was in touch after ``unless_seen_since``; Unavailable: nothing was done.
        """
        at = now or utc_now()
        with self._database.writing() as connection:
            person = self._hold_person(connection, contact_id)
            if unless_seen_since is not None and _last_seen(connection, person) >= unless_seen_since:
                raise Rejected("seen_since")
            self._part(connection, person)
            if not cancel_visits and _visits_ahead(connection, person, at):
                raise Rejected("visit_ahead")
            rows = _counts(connection, person)
            self._owe(connection, person, at)
            _forget_elsewhere(connection, person, at)
            self._keep_without_them(connection, person, own_words, at)
            for holding in HOLDINGS:
                connection.execute(holding.table.delete().where(holding.rows(person)))
            mark_erased(self._database, connection, person.ids, at)
            connection.execute(schema.audit_log.insert().values(action="erase", detail={"rows": rows}, at=at))
            for one in person.ids:
                self._database.tell(connection, one, 0)
        for one in person.ids:  # whoever watches them learns that there is nothing left to watch
            self._committed(one, 0)
        return rows

    def owed_deletions(self, *, limit: int = 1000) -> list[Owed]:
        """What other companies still keep of people who were erased, longest first."""
        owed = schema.owed_deletions
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(owed).order_by(owed.c.since, owed.c.kind, owed.c.reference).limit(limit)).all()
        return [Owed(row.kind, row.reference, row.since) for row in rows]

    def note_deleted(self, owed: Owed) -> None:
        """It is kept there no more. Again changes nothing."""
        o = schema.owed_deletions
        with self._database.writing() as connection:
            connection.execute(o.delete().where(o.c.kind == owed.kind, o.c.reference == owed.reference))

    def scrub(self) -> bool:
        """Have the database let go of the bytes of what was deleted, as far as it can be asked to; False where others' work kept it from
        that for now. Takes long on a large one. Raises Unavailable."""
        return self._database.scrub()

    def _hold_person(self, connection: Any, contact_id: str) -> Person:
        """The person, whom no other writer touches until this transaction ends: who appends events, merges, or writes in the embedded CRM
        and calendar waits for its turn, and who names one of their rows waits for the row."""
        self._database.take_turns(connection, TREE)  # from here on it stays the same who is who
        living_id, *aliases = aliases_of(connection, contact_id)
        for alias in sorted(aliases):  # before the living contact: as ``hold`` goes
            self._database.take_turns(connection, f"contact:{alias}")
        hold(self._database, connection, living_id)
        person = find_person(connection, contact_id)
        for table in (schema.contacts, schema.sessions, schema.crm_cases, schema.calendar_visits):
            these = sa.select(table.c.contact_id).where(table.c.contact_id.in_(person.ids))
            connection.execute(these.order_by(*table.primary_key).with_for_update()).all()
        return person

    def _part(self, connection: Any, person: Person) -> None:
        """From each of those who were one with them once: what was under way when the two were parted may stand with the wrong one."""
        for other in sorted({living(connection, one) for one in person.once_merged}):
            hold(self._database, connection, other)
            tell_apart(connection, person, find_person(connection, other))

    def _owe(self, connection: Any, person: Person, at: datetime) -> None:
        for kind, reference in _owed_for(connection, person):
            row = {"kind": kind, "reference": reference, "since": at}
            self._database.insert_unless_there(connection, schema.owed_deletions, row)

    def _keep_without_them(self, connection: Any, person: Person, own_words: OwnWords, at: datetime) -> None:
        """For everything that stays a new row of nobody's."""
        database = self._database
        database.insert_unless_there(connection, schema.contacts, {"contact_id": NOBODY, "created_at": at})
        new_sessions = _sessions_without_them(connection, person, at)
        for row in _rows(connection, schema.handoffs, person):
            reason = row.reason if _WORD.fullmatch(row.reason) else ""  # what is no word of ours may be somebody's
            kept = _nobodys(row, "handoff_id") | {
                "session_id": new_sessions.get(row.session_id),
                "packet": {},
                "reason": reason,
            }
            connection.execute(schema.handoffs.insert().values(**kept))
        for row in _rows(connection, schema.outcomes, person):
            kept = _nobodys(row, "outcome_id") | {"session_id": new_sessions.get(row.session_id), "data": {}}
            connection.execute(schema.outcomes.insert().values(**kept))
        for row in _rows(connection, schema.crm_cases, person):
            kept = without_person(row, "case_id", own_words) | {"subject": "", "due_at": None}
            insert_with_reference(database, connection, schema.crm_cases, kept)
        for row in _rows(connection, schema.calendar_visits, person):
            if row.ends_at <= at and row.cancelled_at is None:  # else nobody was out, and its time is free
                kept = without_person(row, "visit_id", own_words) | {"place": None}
                insert_with_reference(database, connection, schema.calendar_visits, kept)


def _counts(connection: Any, person: Person) -> dict[str, int]:
    counted = {}
    for holding in HOLDINGS:
        count = connection.execute(
            sa.select(sa.func.count()).select_from(holding.table).where(holding.rows(person))
        ).scalar_one()
        if count:
            counted[holding.table.name] = int(count)
    return counted


def _rows(connection: Any, table: Any, person: Person) -> Sequence[Any]:
    clause = next(holding.rows for holding in HOLDINGS if holding.table is table)
    found: Sequence[Any] = connection.execute(sa.select(table).where(clause(person)).order_by(*table.primary_key)).all()
    return found


def _last_seen(connection: Any, person: Person) -> datetime:
    c, s, e, v = schema.contacts.c, schema.sessions.c, schema.events.c, schema.calendar_visits.c
    heads = schema.tracker_heads.c
    latest = sa.select(heads.last_seq).where(heads.contact_id.in_(person.ids))
    asked = (
        sa.select(sa.func.max(c.created_at)).where(c.contact_id.in_(person.ids)),
        sa.select(sa.func.max(s.started_at)).where(s.contact_id.in_(person.ids)),
        sa.select(sa.func.max(s.ended_at)).where(s.contact_id.in_(person.ids)),
        sa.select(sa.func.max(e.created_at)).where(e.id.in_(latest)),
        sa.select(sa.func.max(v.ends_at)).where(v.contact_id.in_(person.ids), v.cancelled_at.is_(None)),
    )
    moments: list[datetime | None] = [connection.execute(query).scalar() for query in asked]
    return max(moment for moment in moments if moment is not None)


def _visits_ahead(connection: Any, person: Person, now: datetime) -> tuple[Ahead, ...]:
    v = schema.calendar_visits.c
    ahead = v.contact_id.in_(person.ids) & (v.ends_at > now) & v.cancelled_at.is_(None)
    query = sa.select(v.reference, v.starts_at).where(ahead).order_by(v.starts_at)
    return tuple(Ahead(*row) for row in connection.execute(query).all())


def _owed_for(connection: Any, person: Person) -> list[tuple[str, str]]:
    """What the telephone company may have recorded of them: the messages they left, and anything else of their calls."""
    found: dict[tuple[str, str], None] = {}
    for row in _rows(connection, schema.handoffs, person):
        found |= dict.fromkeys((RECORDING, sid) for sid in RECORDING_ID.findall(str(row.packet.get("recording") or "")))
    for row in _rows(connection, schema.phone_calls, person):
        if _CALL_ID.fullmatch(row.call_sid):
            found[CALL, row.call_sid] = None
    return list(found)


def _forget_elsewhere(connection: Any, person: Person, at: datetime) -> None:
    """Take their ids, and what was carried over from them, out of other people's rows."""
    c, s = schema.codes.c, schema.sessions
    connection.execute(schema.codes.update().where(c.used_by_session.in_(person.sessions)).values(used_by_session=None))
    opened_by = schema.links.c.used_by_session.in_(person.sessions)
    connection.execute(schema.links.update().where(opened_by).values(used_by_session=None))
    connection.execute(schema.merges.update().where(schema.merges.c.session_id.in_(person.sessions)).values(session_id=None))
    # A call from their number may have been theirs: its session names them among those it was asked about.
    with_number = sa.select(schema.addresses.c.contact_id).where(
        schema.addresses.c.kind == "phone",
        schema.addresses.c.value.in_(
            sa.select(schema.addresses.c.value).where(
                schema.addresses.c.contact_id.in_(person.ids), schema.addresses.c.kind == "phone"
            )
        ),
        schema.addresses.c.contact_id.not_in(person.ids),
    )
    asked = s.c.contact_id.in_(with_number) | s.c.contact_id.in_(person.once_merged)
    for row in connection.execute(sa.select(s.c.session_id, s.c.detail).where(asked)).all():
        claims = row.detail.get("claims") or []
        if set(claims) & set(person.ids):
            detail = {**row.detail, "claims": [one for one in claims if one not in person.ids]}
            if detail.get("placed"):  # we have called them, and this is who picked up
                detail.pop("chat_session_id", None)
            connection.execute(s.update().where(s.c.session_id == row.session_id).values(detail=detail))
    if person.once_merged:
        _forget_once_merged(connection, person, at)


def _forget_once_merged(connection: Any, person: Person, at: datetime) -> None:
    """The same, in the rows of those who were one with them for a while."""
    a, g, m, h = schema.audit_log, schema.merges, schema.messages, schema.tracker_heads
    # That somebody was recognised in another's visit is for that other's log; who it was, and with whom they were made one, is not.
    of_others_visit = a.c.contact_id.in_(person.ids) & a.c.session_id.in_(person.others_sessions)
    connection.execute(a.update().where(of_others_visit).values(contact_id=None, detail={}))
    ids = {*person.ids, *connection.execute(person.sessions).scalars()}
    of_others = a.c.contact_id.in_(person.once_merged) | a.c.session_id.in_(person.others_sessions)
    _take_out(connection, a, a.c.detail, of_others, ids)
    _take_out(connection, g, g.c.moved, g.c.into_contact_id.in_(person.once_merged), ids)
    wanted = m.c.contact_id.in_(person.once_merged) & m.c.asked_for.is_not(None)
    for row in connection.execute(sa.select(m.c.id, m.c.asked_for, m.c.finished_at).where(wanted)).all():
        if _without(row.asked_for, ids) != row.asked_for:  # to become one with who is no more
            over = {"asked_for": sa.null(), "finished_at": row.finished_at or at}
            connection.execute(m.update().where(m.c.id == row.id).values(**over))
    # Their next trackers are built from the events that are left: a header may hold what was carried over.
    reset = {"version": h.c.version + 1, "window_seq": 0, "window_header": None}
    connection.execute(h.update().where(h.c.contact_id.in_(person.once_merged)).values(**reset))


def _take_out(connection: Any, table: Any, column: Any, rows: Any, ids: Collection[str]) -> None:
    """Take ``ids`` out of plain data in a column of these rows."""
    for row in connection.execute(sa.select(table.c.id, column).where(rows)).all():
        kept = _without(row._mapping[column], ids)
        if kept != row._mapping[column]:
            connection.execute(table.update().where(table.c.id == row.id).values({column: kept}))


def _without(value: Any, ids: Collection[str]) -> Any:
    """Plain data without these ids: an item that is one goes, and so does a text that names one."""
    if isinstance(value, Mapping):
        return {name: _without(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, ids) for one in value if one not in ids]
    if not isinstance(value, str):
        return value
    return "" if value in ids or any(one in value for one in ids if one.startswith(_OURS)) else value


def _sessions_without_them(connection: Any, person: Person, at: datetime) -> dict[str, str]:
    """For each of their sessions one of nobody's: which channel, how sure we were, when. The new ids by the old."""
    new_ids = {}
    for row in _rows(connection, schema.sessions, person):
        new_ids[row.session_id] = _new_id(row.session_id)
        connection.execute(
            schema.sessions.insert().values(
                session_id=new_ids[row.session_id],
                contact_id=NOBODY,
                channel=row.channel,
                assurance=row.assurance,
                detail={},
                started_at=row.started_at,
                ended_at=row.ended_at or at,
                end_reason=row.end_reason or "erased",
            )
        )
    return new_ids


def _nobodys(row: Any, key: str) -> dict[str, Any]:
    """A row's columns for a new row of nobody's: nothing in it leads back to the old one."""
    kept = {name: value for name, value in row._mapping.items() if name not in ("id", "reference")}
    return kept | {key: _new_id(kept[key]), "contact_id": NOBODY, "idempotency_key": _new_id("k_")}


def without_person(row: Any, key: str, own_words: OwnWords) -> dict[str, Any]:
    """As ``_nobodys``, with what is the company's own word in the row's details."""
    return _nobodys(row, key) | {"details": _own(row.details, own_words)}


def _new_id(old: str) -> str:
    """A random id that looks like ``old``: with the same word before its first underscore."""
    return f"{old.partition('_')[0]}_{secrets.token_urlsafe(16)}"


def _own(details: Mapping[str, Any], own_words: OwnWords) -> dict[str, Any]:
    """Of free-form details what is the company's own word; where facts stand below ``facts``, theirs."""
    given = {**(details.get("facts") or {}), **details}
    return {name: given[name] for name, words in own_words.items() if isinstance(given.get(name), str) and given[name] in words}
