"""What is older than the company keeps it goes, once a day.

Any server may call ``retain`` at any time, also several at once: the first one of the day does it. What always holds: the work is done in
many short transactions, so that turns go on beside it, and what a crash leaves is done the next day; nothing that is still under way (an
unfinished message, a visit ahead, somebody who has just been in touch) is touched. The periods are data/business/retention.yml.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.company import Business
from throughline.domain.turns import PHONE
from throughline.errors import Rejected
from throughline.record import schema
from throughline.record.database import Database
from throughline.record.erasing import RECORDING, RECORDING_ID, Erasing, without_person
from throughline.record.identity import utc_now
from throughline.record.whose import NOBODY

_MARK = "retained"
_ONCE_IN = timedelta(hours=20)  # a day, less what a server may be late
_BATCH = 200
_PAGE = 1000
_DONE = "k_"  # what the key of a visit begins with once its details are gone
_OF_THE_CALLER = ("caller", "attestation", "claims")

Clause = Callable[[datetime], Any]


def _ended_sessions(cutoff: datetime) -> Any:
    return sa.select(schema.sessions.c.session_id).where(schema.sessions.c.ended_at < cutoff)


def _visits_before(cutoff: datetime) -> Any:
    return sa.select(schema.calendar_visits.c.visit_id).where(schema.calendar_visits.c.ends_at < cutoff)


# For each kind the tables from which whole rows go, and which rows.
_ROWS: tuple[tuple[str, Any, Clause], ...] = (
    ("visits", schema.calendar_changes, lambda cutoff: schema.calendar_changes.c.visit_id.in_(_visits_before(cutoff))),
    ("messages", schema.messages, lambda cutoff: schema.messages.c.finished_at < cutoff),
    ("passes", schema.codes, lambda cutoff: schema.codes.c.expires_at < cutoff),
    ("passes", schema.links, lambda cutoff: schema.links.c.expires_at < cutoff),
    ("passes", schema.call_tokens, lambda cutoff: schema.call_tokens.c.expires_at < cutoff),
    ("passes", schema.chat_tokens, lambda cutoff: schema.chat_tokens.c.expires_at < cutoff),
    (
        "passes",
        schema.chat_tokens,
        lambda cutoff: schema.chat_tokens.c.expires_at.is_(None) & schema.chat_tokens.c.session_id.in_(_ended_sessions(cutoff)),
    ),
    ("passes", schema.failed_tries, lambda cutoff: schema.failed_tries.c.at < cutoff),
    ("calls", schema.placed_calls, lambda cutoff: schema.placed_calls.c.placed_at < cutoff),
    ("requests", schema.processed_requests, lambda cutoff: schema.processed_requests.c.received_at < cutoff),
    ("audit", schema.audit_log, lambda cutoff: schema.audit_log.c.at < cutoff),
    ("audit", schema.erased, lambda cutoff: schema.erased.c.erased_at < cutoff),
)


def _old_handoffs(cutoff: datetime) -> Any:
    return (schema.handoffs.c.created_at < cutoff) & (sa.type_coerce(schema.handoffs.c.packet, sa.Text) != "{}")


def _old_visits(cutoff: datetime) -> Any:
    v = schema.calendar_visits.c
    return (v.ends_at < cutoff) & (v.contact_id != NOBODY) & v.idempotency_key.not_like(f"{_DONE[0]}\\{_DONE[1]}%", escape="\\")


def _old_calls(cutoff: datetime) -> Any:
    return (schema.phone_calls.c.announced_at < cutoff) & (schema.phone_calls.c.caller != "")


def _old_call_sessions(cutoff: datetime) -> Any:
    s = schema.sessions.c
    named = sa.type_coerce(s.detail, sa.Text).contains('"caller":', autoescape=True)
    return (s.channel == PHONE) & (s.started_at < cutoff) & (named | s.caller_digest.is_not(None))


# For each kind the tables of which something is taken out, which rows, and what.
_EMPTIED: tuple[tuple[str, Any, Clause], ...] = (
    ("handoffs", schema.handoffs, _old_handoffs),
    ("visits", schema.calendar_visits, _old_visits),
    ("calls", schema.phone_calls, _old_calls),
    ("calls", schema.sessions, _old_call_sessions),
)

KINDS = ("people", "visits", "handoffs", "calls", "messages", "passes", "requests", "audit")


class Retaining(Erasing):
    """Doing away with what is old."""

    def retain(
        self, business: Business, now: datetime | None = None, *, again: bool = False, only_count: bool = False
    ) -> dict[str, int] | None:
        """Do away with what is older than ``business.retention`` says; for each kind how many people or rows that were. None where it has
        been done today, unless it is to be done ``again``. ``only_count`` changes nothing. Raises Unavailable: the rest another day."""
        at = now or utc_now()
        if not only_count and not self._begin(at, again=again):
            return None
        done = dict.fromkeys(KINDS, 0)
        for kind in KINDS:
            cutoff = business.retention.cutoff(kind, at)
            if cutoff is None:
                continue
            if kind == "people":
                done[kind] = self._people(business, cutoff, at, only_count=only_count)
            for table, clause in [(table, clause) for of, table, clause in _ROWS if of == kind]:
                done[kind] += self._count(table, clause(cutoff)) if only_count else self._delete(table, clause(cutoff))
            for table, clause in [(table, clause) for of, table, clause in _EMPTIED if of == kind]:
                done[kind] += (
                    self._count(table, clause(cutoff)) if only_count else self._empty(table, clause(cutoff), business, at)
                )
        return done

    def _begin(self, at: datetime, *, again: bool) -> bool:
        """Whether it is ours to do."""
        with self._database.writing() as connection:
            self._database.take_turns(connection, _MARK)
            last = connection.execute(sa.select(schema.marks.c.value).where(schema.marks.c.name == _MARK)).scalar()
            if last is not None and not again and timedelta(0) <= at - datetime.fromisoformat(last) < _ONCE_IN:
                return False
            self._database.insert_or_update(connection, schema.marks, {"name": _MARK, "value": at.isoformat()}, key="name")
        return True

    def _count(self, table: Any, clause: Any) -> int:
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(clause)).scalar_one())

    def _delete(self, table: Any, clause: Any) -> int:
        """Rows of ``table``, some at a time."""
        key = next(iter(table.primary_key))
        gone = 0
        while True:
            with self._database.writing() as connection:
                these = connection.execute(sa.select(key).where(clause).order_by(key).limit(_BATCH)).scalars().all()
                gone += int(connection.execute(table.delete().where(key.in_(these))).rowcount)
            if len(these) < _BATCH:
                return gone

    def _empty(self, table: Any, clause: Any, business: Business, at: datetime) -> int:
        """Take out of rows of ``table`` what is personal, some at a time."""
        key, changed = next(iter(table.primary_key)), 0
        while True:
            with self._database.writing() as connection:
                rows = connection.execute(sa.select(table).where(clause).order_by(key).limit(_BATCH).with_for_update()).all()
                for row in rows:
                    values = _emptied(self._database, connection, table, row, business, at)
                    connection.execute(table.update().where(key == getattr(row, key.name)).values(**values))
            changed += len(rows)
            if len(rows) < _BATCH:
                return changed

    def _people(self, business: Business, cutoff: datetime, at: datetime, *, only_count: bool) -> int:
        """Erase everybody who was last in touch before ``cutoff``; how many that were."""
        after, gone = "", 0
        while True:
            page, quiet = self._page(after, cutoff)
            for contact_id in quiet:
                try:
                    if only_count:
                        self._refuse_seen(contact_id, cutoff)
                    else:
                        self.erase(contact_id, own_words=business.own_words, unless_seen_since=cutoff, now=at)
                    gone += 1
                except Rejected:  # has been in touch, has a visit ahead, or was erased meanwhile
                    continue
            if len(page) < _PAGE:
                return gone
            after = page[-1]

    def _refuse_seen(self, contact_id: str, cutoff: datetime) -> None:
        if self.last_seen(contact_id) >= cutoff:
            raise Rejected("seen_since")

    def _page(self, after: str, cutoff: datetime) -> tuple[Sequence[str], list[str]]:
        """Living contacts after this one in the order of their ids, and those of them without a visit to us since ``cutoff``."""
        c, s = schema.contacts.c, schema.sessions.c
        old = (c.contact_id > after) & c.merged_into.is_(None) & (c.created_at < cutoff) & (c.contact_id != NOBODY)
        with self._database.reading() as connection:
            page = connection.execute(sa.select(c.contact_id).where(old).order_by(c.contact_id).limit(_PAGE)).scalars().all()
            recent = sa.select(s.contact_id).where(s.contact_id.in_(page), s.started_at >= cutoff).distinct()
            seen = set(connection.execute(recent).scalars())
        return page, [contact_id for contact_id in page if contact_id not in seen]


def _emptied(database: Database, connection: Any, table: Any, row: Any, business: Business, at: datetime) -> dict[str, Any]:
    """The columns of a row without what is personal in them."""
    if table is schema.handoffs:
        for sid in RECORDING_ID.findall(str(row.packet.get("recording") or "")):
            owed = {"kind": RECORDING, "reference": sid, "since": at}
            database.insert_unless_there(connection, schema.owed_deletions, owed)
        return {"packet": {}}
    if table is schema.calendar_visits:
        kept = without_person(row, "visit_id", business.own_words)
        return {name: kept[name] for name in ("details", "idempotency_key")} | {"place": None}
    if table is schema.phone_calls:
        return {"caller": "", "attestation": ""}
    detail = {name: value for name, value in row.detail.items() if name not in _OF_THE_CALLER}
    return {"detail": detail, "caller_digest": None, "caller_vouched": False}
