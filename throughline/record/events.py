"""Rasa's events, the tracker heads over them, and the facts that are made from them.

What always holds: events are only ever appended (erasing and un-merging alone take some away); an append names the version of the head it
was built on, so that of two writers who started from the same state one fails and has changed nothing; ``seq`` orders all events; a fact is
a SlotSet event's value.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from throughline.domain.visits import Fact
from throughline.errors import Overtaken, Rejected
from throughline.record.database import Database, OnDatabase
from throughline.record.entries import Checkpoint, Head, Held, NewEvent, StoredEvent, Window
from throughline.record.event_reads import appended_since, events_from, newest_facts, rows_of_people, stored
from throughline.record.fence import raise_fence, turn_of
from throughline.record.identity import aliases_of, living, utc_now
from throughline.record.limits import check_ids, check_json
from throughline.record.schema import contacts, events, facts, messages, tracker_heads
from throughline.record.tombstones import refuse_erased

_SLOT_EVENT = "slot"
_INTERNAL_SLOTS = frozenset({"session_started_metadata", "requested_slot"})
_INTERNAL_PREFIXES = ("ui_", "request")
_CHUNK = 500  # SQLite bounds the number of parameters of one statement

# The statements of a turn are built once: building one costs SQLAlchemy as much as running it, and a caller waits for the turn.
_OWNER_AND_HEAD = (
    sa.select(
        contacts.c.contact_id,
        contacts.c.merged_into,
        contacts.c.fence,
        tracker_heads.c.version,
        tracker_heads.c.last_seq,
        tracker_heads.c.window_seq,
        tracker_heads.c.window_header,
    )
    .outerjoin_from(contacts, tracker_heads, tracker_heads.c.contact_id == contacts.c.contact_id)
    .where(contacts.c.contact_id == sa.bindparam("contact_id"))
)
_INSERT_EVENTS = events.insert()
_SEQ_OF = sa.select(events.c.id).where(events.c.event_id == sa.bindparam("event_id"))
_INSERT_FACTS = facts.insert()
_CONFIDENCE_OF = sa.select(messages.c.confidence).where(messages.c.message_id == sa.bindparam("message_id"))
_TURN_SEQ = sa.func.coalesce(messages.c.turn_seq, sa.bindparam("end"))  # the first commit is the turn's
_FINISH_MESSAGE = (
    messages.update()
    .where(messages.c.message_id == sa.bindparam("this"), messages.c.finished_at.is_(None))
    .values(finished_at=sa.bindparam("now"), turn_seq=_TURN_SEQ)
)
_KEEP_ASKED_FOR = (
    messages.update()
    .where(messages.c.message_id == sa.bindparam("this"), messages.c.finished_at.is_(None), messages.c.asked_for.is_(None))
    .values(asked_for=sa.bindparam("wanted", type_=messages.c.asked_for.type), turn_seq=_TURN_SEQ)
)
_MOVE_HEAD = (
    tracker_heads.update()
    .where(tracker_heads.c.contact_id == sa.bindparam("owner"), tracker_heads.c.version == sa.bindparam("seen"))
    .values(version=tracker_heads.c.version + 1, last_seq=sa.bindparam("last"))
)
_MOVE_WINDOW = _MOVE_HEAD.values(window_seq=sa.bindparam("cut"), window_header=sa.bindparam("header"))


def new_event_id() -> str:
    """An id for an event."""
    return "e_" + secrets.token_urlsafe(16)


def new_event(data: Mapping[str, Any], session_id: str | None, channel: str | None) -> NewEvent:
    """Rasa's event dict as an event to append, said in this session."""
    event_id = new_event_id()
    metadata = {**(data.get("metadata") or {}), "event_id": event_id, "session_id": session_id, "channel": channel}
    return NewEvent(event_id, {**data, "metadata": metadata}, session_id, channel)


class Events(OnDatabase):
    """Reading and appending events, and the facts in them."""

    def conversation(
        self, contact_id: str, *, after_seq: int = 0, limit: int | None = None, newest: bool = False
    ) -> list[StoredEvent]:
        """Everything with this person: all aliases, all sessions, in order of ``seq``, from the one after ``after_seq``.
        ``limit`` keeps the first so many, with ``newest`` the last. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            people = aliases_of(connection, contact_id)
            return [stored(row) for row in rows_of_people(connection, people, after_seq=after_seq, limit=limit, newest=newest)]

    def facts(self, contact_id: str) -> list[Fact]:
        """What this person has told us: the newest value of every slot that has one, in the order of telling.
        Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            rows = newest_facts(connection, living(connection, contact_id))
        return [
            Fact(row.slot, row.value, row.session_id or "", row.channel or "", row.said_at, row.confidence)
            for row in rows
            if row.value is not None
        ]

    def window(self, contact_id: str, *, known: bool = False, held: Held | None = None) -> Window:
        """What the contact's tracker is rebuilt from. For an id nobody has seen yet: version 0 and no events, or where it has to be
        ``known``, Rejected("unknown_contact"). ``held`` is what the caller has kept: as far as that is still right, only what was
        appended since is read (``Window.beyond``)."""
        with self._database.reading() as connection:
            found = _owner_and_head(connection, contact_id)
            if found is None and known:
                raise Rejected("unknown_contact")
            if found is None or found.version is None:
                return Window(_head(found, contact_id), None, ())
            head = _head(found, contact_id)
            if held is not None and held.first_seq == found.window_seq:
                appended = appended_since(connection, held, head)
                if appended is not None:
                    return Window(head, found.window_header, appended, found.window_seq, held.head)
            rows = events_from(connection, head.contact_id, found.window_seq)
            return Window(head, found.window_header, tuple(rows), found.window_seq)

    def whole_tracker(self, contact_id: str) -> Window:
        """As ``window``, from the first event on, and of this very id: who was merged into somebody has kept their own history."""
        with self._database.reading() as connection:
            found = connection.execute(_OWNER_AND_HEAD, {"contact_id": contact_id}).first()
            rows = [] if found is None else events_from(connection, found.contact_id, 0)
            return Window(_head(found, contact_id), None, tuple(rows))

    def known_event_ids(self, contact_id: str, event_ids: Iterable[str]) -> set[str]:
        """Which of these ids are events of the contact."""
        wanted, found = list(event_ids), set()
        with self._database.reading() as connection:
            owner = _owner_and_head(connection, contact_id)
            for start in range(0, len(wanted) if owner else 0, _CHUNK):
                these = events.c.event_id.in_(wanted[start : start + _CHUNK])
                query = sa.select(events.c.event_id).where(events.c.sender_id == owner.contact_id, these)
                found.update(connection.execute(query).scalars())
        return found

    def tracker_ids(self) -> list[str]:
        """Every contact that has a tracker."""
        with self._database.reading() as connection:
            query = sa.select(tracker_heads.c.contact_id).order_by(tracker_heads.c.contact_id)
            return list(connection.execute(query).scalars())

    def append_events(
        self,
        contact_id: str,
        new: Sequence[NewEvent],
        *,
        expected: Head | None,
        checkpoint: Checkpoint | None = None,
        message_id: str | None = None,
        asked_for: Sequence[Mapping[str, Any]] = (),
    ) -> Head:
        """Append events to the tracker of a contact, which is created if nobody has seen it yet; the head after it.

        ``expected`` is the head the writer started from; None for one who brings events from elsewhere and started from none.
        ``message_id`` names the message that led to them: it is finished by this, or, where they have ``asked_for`` something, keeps that
        until somebody finishes it; its recogniser's confidence goes into the facts.
        Raises Overtaken, with nothing written, when another writer was faster; Unavailable; Rejected("too_long").
        """
        check_ids(contact_id=contact_id)
        for event in new:
            check_json(event=event.data)
        with self._database.writing() as connection:
            found = hold(self._database, connection, contact_id)
            if found is None:  # an id that Rasa's own tools have made up, or of somebody erased while this turn was under way
                refuse_erased(connection, contact_id)
                connection.execute(contacts.insert().values(contact_id=contact_id, created_at=utc_now()))
            head = _head(found, contact_id)
            if expected is not None and expected != head:
                raise Overtaken(f"conversation {contact_id} was changed by another writer since it was read")
            owner = head.contact_id
            last_seq = _insert_events(connection, owner, new) if new else found.last_seq or 0 if found else 0
            _insert_facts(connection, owner, new, message_id)
            if message_id is not None:  # in this transaction: a crash right after the commit must not have the turn taken again
                ended: dict[str, Any] = {"wanted": list(asked_for)} if asked_for else {"now": utc_now()}
                ended |= {"this": message_id, "end": last_seq}
                found_open = connection.execute(_KEEP_ASKED_FOR if asked_for else _FINISH_MESSAGE, ended).rowcount
                if not found_open and connection.execute(_CONFIDENCE_OF, {"message_id": message_id}).first() is not None:
                    raise Overtaken(f"message {message_id} was finished by another writer")
            _write_head(connection, head, last_seq, checkpoint)
            if new:
                self._database.tell(connection, owner, last_seq)
        if new:
            self._committed(owner, last_seq)
        return Head(owner, head.version + 1, head.fence, last_seq)

    def take_away(self, contact_id: str) -> None:
        """The conversation's lock was taken from a holder that did not let go in time: what it saves from now on is refused."""
        with self._database.writing() as connection:
            raise_fence(self._database, connection, contact_id)


def hold(database: Database, connection: Any, contact_id: str) -> Any:
    """Have other writers of this conversation wait until this transaction ends; its living contact's row as ``_owner_and_head``
    gives it, None for an id nobody has seen."""
    while True:
        database.take_turns(connection, turn_of(contact_id))
        found = _owner_and_head(connection, contact_id)
        if found is None or found.contact_id == contact_id:
            return found
        contact_id = found.contact_id  # it is an alias: its living contact has to be held, and may have become one meanwhile


def append_held(connection: Any, owner: str, new: Sequence[NewEvent]) -> int:
    """For whoever holds the living contact ``owner``: append events to its tracker, if it has one, and move its head, also without any.
    The tracker's last ``seq``."""
    found = _owner_and_head(connection, owner)
    head, last_seq = _head(found, owner), found.last_seq or 0
    if new:
        last_seq = _insert_events(connection, owner, new)
        _insert_facts(connection, owner, new, None)
    if head.version or new:
        _write_head(connection, head, last_seq)
    return last_seq


def carry_facts(
    connection: Any, source: str, target: str, *, among: Collection[str] | None = None, also: Sequence[NewEvent] = ()
) -> tuple[list[str], int]:
    """For a merge, which holds both: give ``target`` every fact of ``source`` (of the slots ``among``) that it has no value for, as SlotSet
    events in its tracker, and behind them the events ``also``. The facts keep their source. Their event ids, and the tracker's last
    ``seq``."""
    known = {row.slot for row in newest_facts(connection, target) if row.value is not None}
    missing = [
        row
        for row in newest_facts(connection, source)
        if row.value is not None and row.slot not in known and (among is None or row.slot in among)
    ]
    found = _owner_and_head(connection, target)
    if not missing and not also:
        return [], found.last_seq or 0
    carried, head = [_carried(row) for row in missing], _head(found, target)
    # A tracker that begins here must be listening, or no rule fits what is said next.
    last_seq = _insert_events(connection, target, [*carried, *also, *([] if head.version else [_listening(source)])])
    for row, event in zip(missing, carried, strict=True):
        connection.execute(
            facts.insert().values(
                contact_id=target,
                slot=row.slot,
                value=row.value,
                event_id=event.event_id,
                session_id=row.session_id,
                channel=row.channel,
                said_at=row.said_at,
                confidence=row.confidence,
            )
        )
    _write_head(connection, head, last_seq)
    return [event.event_id for event in carried], last_seq


def _carried(row: Any) -> NewEvent:
    told = {"event": _SLOT_EVENT, "timestamp": time.time(), "name": row.slot, "value": row.value}
    return new_event({**told, "metadata": {"carried_from": row.contact_id}}, row.session_id, row.channel)


def _listening(source: str) -> NewEvent:
    listens = {"event": "action", "timestamp": time.time(), "name": "action_listen"}
    return new_event({**listens, "metadata": {"carried_from": source}}, None, None)


def _owner_and_head(connection: Any, contact_id: str) -> Any:
    """The living contact for an id, with its fence and its tracker's head, whose columns are None where there is no tracker yet. None for
    an id nobody has seen."""
    row = connection.execute(_OWNER_AND_HEAD, {"contact_id": contact_id}).first()
    if row is None or row.merged_into is None:
        return row
    return connection.execute(_OWNER_AND_HEAD, {"contact_id": living(connection, row.merged_into)}).one()


def _head(found: Any, contact_id: str) -> Head:
    """The head in what ``_owner_and_head`` found for ``contact_id``."""
    return (
        Head(contact_id, 0) if found is None else Head(found.contact_id, found.version or 0, found.fence, found.last_seq or 0)
    )


def _insert_events(connection: Any, owner: str, new: Sequence[NewEvent]) -> int:
    """The ``seq`` of the last of them, of which there is at least one."""
    created = utc_now()
    rows = [
        {
            "sender_id": owner,
            "type_name": event.data["event"],
            "timestamp": event.data.get("timestamp"),
            "intent_name": ((event.data.get("parse_data") or {}).get("intent") or {}).get("name"),
            "action_name": event.data.get("name"),
            "data": event.data,
            "event_id": event.event_id,
            "session_id": event.session_id,
            "channel": event.channel,
            "created_at": created,
        }
        for event in new
    ]
    connection.execute(_INSERT_EVENTS, rows)
    return int(connection.execute(_SEQ_OF, {"event_id": new[-1].event_id}).scalar_one())


def _insert_facts(connection: Any, owner: str, new: Sequence[NewEvent], message_id: str | None) -> None:
    told = [event for event in new if event.data["event"] == _SLOT_EVENT and _is_fact(event.data["name"])]
    if not told:
        return
    confidence = None
    if message_id is not None:
        confidence = connection.execute(_CONFIDENCE_OF, {"message_id": message_id}).scalar()
    connection.execute(
        _INSERT_FACTS,
        [
            {
                "contact_id": owner,
                "slot": event.data["name"],
                "value": event.data.get("value"),
                "event_id": event.event_id,
                # One that was put back stays told where it was told.
                "session_id": (event.data.get("metadata") or {}).get("told_in", event.session_id) or None,
                "channel": event.channel,
                "said_at": datetime.fromtimestamp(event.data["timestamp"], timezone.utc),
                "confidence": confidence,
            }
            for event in told
        ],
    )


def _is_fact(slot: str) -> bool:
    return slot not in _INTERNAL_SLOTS and not slot.startswith(_INTERNAL_PREFIXES)


def _write_head(connection: Any, head: Head, last_seq: int, checkpoint: Checkpoint | None = None) -> None:
    """The head after an append. Raises Overtaken when another writer has moved it since ``head`` was read."""
    window = None if checkpoint is None else _window_at(connection, checkpoint)
    if head.version == 0:
        first = {"contact_id": head.contact_id, "version": 1, "last_seq": last_seq, "window_seq": 0, "window_header": None}
        if window is not None:
            first |= {"window_seq": window["cut"], "window_header": window["header"]}
        connection.execute(tracker_heads.insert().values(**first))
        return
    this = {"owner": head.contact_id, "seen": head.version, "last": last_seq, **(window or {})}
    if connection.execute(_MOVE_HEAD if window is None else _MOVE_WINDOW, this).rowcount != 1:
        raise Overtaken(f"conversation {head.contact_id} was changed by another writer")


def _window_at(connection: Any, checkpoint: Checkpoint) -> dict[str, Any]:
    seq = connection.execute(_SEQ_OF, {"event_id": checkpoint.event_id}).scalar_one()
    return {"cut": seq, "header": dict(checkpoint.header)}
