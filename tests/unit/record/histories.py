"""Histories that are long, and people that are many, put into the record at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.turns import WEB_CHAT
from throughline.record import Record
from throughline.record.events import new_event_id
from throughline.record.identity import utc_now
from throughline.record.schema import (
    calendar_technicians,
    calendar_visits,
    codes,
    contacts,
    events,
    facts,
    messages,
    metadata,
    tracker_heads,
)
from throughline.record.schema import sessions as visits

WINDOW = 40
SLOTS = 12

Rows = dict[Any, list[dict[str, Any]]]

_KINDS = ("user", "slot", "bot", "action", "action")
_INTENTS = [{"name": f"one_of_the_intents_of_{number}", "confidence": 0.012345678901234567} for number in range(15)]
_UNDERSTOOD = {"intent": {"name": "greet", "confidence": 1.0}, "entities": [], "text": "hello", "intent_ranking": _INTENTS}
_WITHOUT = dict.fromkeys(("elements", "quick_replies", "buttons", "attachment", "image", "custom"))
# As long as they are in real conversations: that counts in the planner's choice.
_OFTEN_SAID: dict[str, Any] = {
    "user": {"text": "hello", "parse_data": _UNDERSTOOD, "input_channel": WEB_CHAT},
    "slot": {"value": "x", "told": "x" * 200},
    "bot": {"text": "Hello. " * 30, "data": _WITHOUT},
    "action": {"name": "action_listen", "policy": "RulePolicy", "confidence": 1.0, "hidden": "x" * 200},
}


def history(contact: str, count: int, *, aliases: Sequence[str] = (), sessions: int = 200) -> Rows:
    """A history of so many events, in so many visits of long ago, as rows of its tables: of every five events the first is a message, the
    second a fact, the third an answer. The aliases' come first, a tenth of them each."""
    people = [*aliases, *[contact] * (10 - len(aliases))] if aliases else [contact]
    at, long_ago = utc_now(), utc_now() - timedelta(days=400)
    rows: Rows = {table: [] for table in (contacts, visits, events, facts, messages)}
    for number in range(count):
        owner, session_id = people[number * len(people) // count], f"s{number % sessions}-{contact}"
        kind, event_id = _KINDS[number % len(_KINDS)], new_event_id()
        data: dict[str, Any] = {"event": kind, "timestamp": 1.0, "metadata": {"event_id": event_id}, **_OFTEN_SAID[kind]}
        if kind == "slot":
            data["name"] = f"slot{number // len(_KINDS) % SLOTS}"
            fact = {"slot": data["name"], "value": "x", "event_id": event_id, "session_id": session_id}
            rows[facts].append({"contact_id": owner, "said_at": at, **fact})
        if kind == "user":
            data["message_id"] = f"m{number}-{contact}"
            message = {"contact_id": owner, "session_id": session_id, "channel": WEB_CHAT, "text": "hello", "source": "text"}
            rows[messages].append({"message_id": data["message_id"], **message, "received_at": at, "finished_at": at})
        event = {"sender_id": owner, "type_name": kind, "timestamp": 1.0, "data": data, "event_id": event_id}
        rows[events].append({**event, "session_id": session_id, "channel": WEB_CHAT, "created_at": at})
    rows[contacts] = [{"contact_id": one, "created_at": at} for one in dict.fromkeys([contact, *aliases])]
    visit = {"contact_id": contact, "channel": WEB_CHAT, "assurance": "anonymous", "detail": {}, "ended_at": at}
    rows[visits] = [{"session_id": f"s{n}-{contact}", "started_at": long_ago, **visit} for n in range(sessions)]
    return rows


def put(record: Record, *histories: Rows) -> None:
    """Into the record; the events of several histories in turn, as they come where all these people talk at the same time."""
    with record._database.writing() as connection:
        for table in (contacts, visits, facts, messages):
            connection.execute(table.insert(), [row for rows in histories for row in rows[table]])
        in_turn = itertools.zip_longest(*(rows[events] for rows in histories))
        connection.execute(events.insert(), [row for rows in in_turn for row in rows if row is not None])
        for rows in histories:
            living, *aliases = [row["contact_id"] for row in rows[contacts]]
            _heads(connection, [living, *aliases])
            connection.execute(contacts.update().where(contacts.c.contact_id.in_(aliases)).values(merged_into=living))


def _heads(connection: Any, people: Sequence[str]) -> None:
    for owner in people:
        these = sa.select(events.c.id).where(events.c.sender_id == owner).order_by(events.c.id)
        ids = connection.execute(these).scalars().all()
        head = {"contact_id": owner, "version": 7, "last_seq": ids[-1], "window_seq": ids[-min(WINDOW, len(ids))]}
        connection.execute(tracker_heads.insert().values(**head, window_header={"at": 1.0, "slots": {}, "loop": None}))


def put_business(record: Record, contact: str, *, technicians: Sequence[str]) -> None:
    """What the company has with ``contact``, who stands for everybody else: a thousand visits up to now, one an hour and technician, and
    three hundred codes that were given out and not used."""
    now = utc_now()
    booked, given_out = [], []
    for number in range(1_000):
        starts_at = now - timedelta(hours=1 + number // len(technicians))
        times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(hours=1), "booked_at": starts_at}
        ids = {"visit_id": f"v{number}", "reference": f"R-{number}", "idempotency_key": f"visit-{number}"}
        whose = {"technician": technicians[number % len(technicians)], "contact_id": contact, "details": {}}
        booked.append({**ids, **whose, **times})
    code = {"contact_id": contact, "session_id": f"s0-{contact}", "created_at": now, "expires_at": now + timedelta(hours=1)}
    for number in range(300):
        given_out.append({**code, "digest": f"digest-{number}", "open_digest": f"digest-{number}"})
    with record._database.writing() as connection:
        connection.execute(calendar_technicians.insert(), [{"technician": one} for one in technicians])
        connection.execute(calendar_visits.insert(), booked)
        connection.execute(codes.insert(), given_out)


def mislead(record: Record) -> None:
    """Have PostgreSQL's planner believe, for good, that there is next to nothing, and all of it one person's. SQLite's believes nothing
    unless somebody has it count."""
    put(record, history("only", 50))
    with record._database.writing() as connection:
        if connection.dialect.name == "postgresql":
            for table in metadata.sorted_tables:
                connection.exec_driver_sql(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)")
            connection.exec_driver_sql("ANALYZE")


def inform(record: Record) -> None:
    """Have the database's planner know what there is."""
    with record._database.writing() as connection:
        connection.exec_driver_sql("ANALYZE")
