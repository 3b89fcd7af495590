"""Two contacts that turn out to be one person, and that turn out not to be after all.

Contacts form trees through ``merged_into``; the root of a tree is the *living* contact. What always holds: merges have no cycles,
whoever merges whom at the same moment; events stay under the id they were said under; nobody becomes somebody else by their number
alone; what a merge moved is kept with it and goes back when it is undone, with all that was said in its visits since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import MERGING, OPERATOR, Assurance
from throughline.errors import Rejected
from throughline.record.database import OnDatabase
from throughline.record.entries import Merge, NewEvent
from throughline.record.events import append_held, carry_facts, hold
from throughline.record.identity import ACCOUNT, aliases_of, has_account, living, utc_now
from throughline.record.limits import check_ids
from throughline.record.links import run_out
from throughline.record.parting import tell_apart
from throughline.record.schema import addresses, audit_log, call_tokens, codes, contacts, links, merges, sessions
from throughline.record.whose import AFTER, UNTIL, find_person, newest_seq

TREE = "merges"
"""Merges take turns over all servers: while one looks at who is who, the trees don't change. They are as rare as calls."""


class Merges(OnDatabase):
    """Merging and un-merging."""

    def merge(self, contact_id: str, into: str, *, reason: str, session_id: str | None, also: Sequence[NewEvent] = ()) -> None:
        """Make ``contact_id`` an alias of ``into``: they are one person. Both are resolved first.

        Open sessions move along. Facts that ``into`` has no value for are carried over, as SlotSet events in its tracker, so that
        nothing known is asked again; where both know something, ``into`` is right. Behind them stand the events ``also``. What was changed
        is kept in ``merges``.
        ``reason`` is a proof that makes one of two (domain/assurance.py). Raises Rejected("no_proof") for any other, for two people with
        accounts Rejected("two_accounts") unless an operator says so, Rejected("unknown_contact"), or Rejected("same_contact") when they
        already are one.
        """
        check_ids(reason=reason)
        if reason not in MERGING:
            raise Rejected("no_proof", reason)
        with self._database.writing() as connection:
            self._database.take_turns(connection, TREE)
            source, target = living(connection, contact_id), living(connection, into)
            if source == target:
                raise Rejected("same_contact")
            if reason != OPERATOR and has_account(connection, source) and has_account(connection, target):
                raise Rejected("two_accounts")
            for contact in sorted((source, target)):
                hold(self._database, connection, contact)
            open_sessions = (sessions.c.contact_id == source) & sessions.c.ended_at.is_(None)
            moved = list(connection.execute(sa.select(sessions.c.session_id).where(open_sessions)).scalars())
            connection.execute(sessions.update().where(open_sessions).values(contact_id=target))
            connection.execute(contacts.update().where(contacts.c.contact_id == source).values(merged_into=target))
            before = newest_seq(connection)
            carried, last_seq = carry_facts(connection, source, target, also=also)
            row = {"contact_id": source, "into_contact_id": target, "reason": reason, "session_id": session_id}
            kept = {"sessions": moved, "events": carried, AFTER: before}
            connection.execute(merges.insert().values(**row, moved=kept, merged_at=utc_now()))
            _note(connection, "merge", target, session_id, {"contact_id": source, "reason": reason})
            for contact in (source, target):
                self._database.tell(connection, contact, last_seq)
        for contact in (source, target):  # whoever watches the old contact learns here what it has become
            self._committed(contact, last_seq)

    def unmerge(self, contact_id: str, *, reason: str, session_id: str | None = None) -> str:
        """Take the latest merge of ``contact_id`` back: it is a person of its own again, with every id that was its own before. Returns the
        contact it is parted from.

        Its visits go back and prove nothing any more: those that the merge moved, those that followed from them, those of its account. With
        them goes everything that was said and done in them (parting.py). What the merge carried over leaves the other's tracker, and where
        somebody else who was merged into it knows the same, theirs takes the place. The number that such a visit came from is no longer
        the other's by that; codes, call tokens and links of these visits that still are open become void, and one that led here does so no
        more. What was said in no visit, and in visits that began after the merge in no such way, stays where it was said.

        Raises Rejected("unknown_contact"), Rejected("not_merged"), and Rejected("merged_further") where the other was merged into a third
        afterwards: that has to be taken back first.
        """
        check_ids(reason=reason)
        with self._database.writing() as connection:
            self._database.take_turns(connection, TREE)
            target = _direct_target(connection, contact_id)
            hold(self._database, connection, contact_id)
            mine = (merges.c.contact_id == contact_id) & merges.c.undone_at.is_(None)
            merge = connection.execute(sa.select(merges).where(mine).order_by(merges.c.id.desc()).limit(1)).one()
            connection.execute(contacts.update().where(contacts.c.contact_id == contact_id).values(merged_into=None))
            lasted = {AFTER: merge.moved.get(AFTER), UNTIL: newest_seq(connection)}
            connection.execute(merges.update().where(merges.c.id == merge.id).values(undone_at=utc_now(), moved=lasted))
            back = _visits_back(connection, merge)
            _part_passes(connection, back)
            _part_numbers(connection, merge, back)
            slots = sorted(tell_apart(connection, find_person(connection, contact_id), find_person(connection, target)))
            _theirs_instead(connection, target, slots)
            # The heads move also where nothing went back: whoever has read either before has to read it again.
            own_last_seq, last_seq = append_held(connection, contact_id, []), append_held(connection, target, [])
            # Not which visits went back: of the other's log they are no part.
            detail = {"contact_id": contact_id, "reason": reason, "visits": len(back), "slots": slots}
            _note(connection, "unmerge", target, session_id, detail)
            for contact, seq in ((contact_id, own_last_seq), (target, last_seq)):
                self._database.tell(connection, contact, seq)
        for contact, seq in ((contact_id, own_last_seq), (target, last_seq)):
            self._committed(contact, seq)
        return target

    def merges_of(self, contact_id: str) -> list[Merge]:
        """Every merge that this person's ids were part of, also those undone, oldest first. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            ids = aliases_of(connection, contact_id)
            theirs = merges.c.contact_id.in_(ids) | merges.c.into_contact_id.in_(ids)
            rows = connection.execute(sa.select(merges).where(theirs).order_by(merges.c.id)).all()
        return [Merge(row.contact_id, row.into_contact_id, row.reason, row.merged_at, row.undone_at) for row in rows]


def _direct_target(connection: Any, contact_id: str) -> str:
    """The living contact that this one was merged into. Raises Rejected."""
    row = connection.execute(sa.select(contacts.c.merged_into).where(contacts.c.contact_id == contact_id)).first()
    if row is None:
        raise Rejected("unknown_contact")
    if row.merged_into is None:
        raise Rejected("not_merged")
    if living(connection, contact_id) != row.merged_into:
        raise Rejected("merged_further", str(row.merged_into))
    return str(row.merged_into)


def _visits_back(connection: Any, merge: Any) -> list[str]:
    """Give back the visits that the merge moved, those that followed from them, and those of its account. What they proved was what is
    undone now; only a website's login stands by itself."""
    of_accounts = addresses.c.contact_id.in_(aliases_of(connection, merge.contact_id)) & (addresses.c.kind == ACCOUNT)
    accounts = set(connection.execute(sa.select(addresses.c.value).where(of_accounts)).scalars())
    there = connection.execute(sa.select(sessions).where(sessions.c.contact_id == merge.into_contact_id)).all()
    found = {row.session_id: row for row in there if row.session_id in merge.moved["sessions"]}
    later = [row for row in there if row.session_id not in found and row.started_at >= merge.merged_at]
    while True:
        calls = {row.detail.get("call_sid") for row in found.values()} - {None, ""}
        followed = {
            row.session_id: row
            for row in later
            if row.session_id not in found
            and (
                row.detail.get("chat_session_id") in found
                or row.detail.get("call_sid") in calls
                or row.detail.get("account") in accounts
            )
        }
        if not followed:
            break
        found |= followed
    for row in found.values():
        level = {} if row.assurance == Assurance.AUTHENTICATED.word else {"assurance": Assurance.ANONYMOUS.word}
        this = sessions.c.session_id == row.session_id
        connection.execute(sessions.update().where(this).values(contact_id=merge.contact_id, assurance_until=None, **level))
    return list(found)


def _part_passes(connection: Any, session_ids: Collection[str]) -> None:
    """Codes, call tokens and links of these sessions lead to whom they were merged with: no longer. What has led from one of the two to the
    other is neither taken again, as it would be for a turn that has to be, nor does it say that both are in the same hands."""
    open_codes = codes.c.session_id.in_(session_ids) & codes.c.open_digest.is_not(None)
    connection.execute(codes.update().where(open_codes).values(open_digest=None))
    run_out(connection, links.c.session_id.in_(session_ids), utc_now())
    for passes in (codes, links):
        given, used = passes.c.session_id.in_(session_ids), passes.c.used_by_session.in_(session_ids)
        connection.execute(passes.update().where((given & ~used) | (used & ~given)).values(used_by_session=None))
    unused = call_tokens.c.chat_session_id.in_(session_ids) & call_tokens.c.used_at.is_(None)
    connection.execute(call_tokens.update().where(unused).values(used_at=utc_now()))


def _part_numbers(connection: Any, merge: Any, session_ids: Collection[str]) -> None:
    """The telephone numbers that became the other's in the session that led to the merge, and in those that go back."""
    visits = sessions.c.session_id.in_([*session_ids, merge.session_id])
    for session in connection.execute(sa.select(sessions).where(visits)).all():
        theirs = (addresses.c.contact_id == merge.into_contact_id) & (addresses.c.value == session.detail.get("caller"))
        connection.execute(addresses.delete().where(theirs, addresses.c.created_at >= session.started_at))


def _theirs_instead(connection: Any, target: str, slots: Sequence[str]) -> None:
    """What others who were merged into ``target`` know of ``slots``, and what was known already when they came."""
    others = (merges.c.into_contact_id == target) & merges.c.undone_at.is_(None)
    for other in connection.execute(sa.select(merges).where(others).order_by(merges.c.id)).all():
        carried, _ = carry_facts(connection, other.contact_id, target, among=slots)
        moved: Mapping[str, Any] = {**other.moved, "events": [*other.moved["events"], *carried]}
        connection.execute(merges.update().where(merges.c.id == other.id).values(moved=moved))


def _note(connection: Any, action: str, contact_id: str, session_id: str | None, detail: Mapping[str, Any]) -> None:
    row = {"action": action, "contact_id": contact_id, "session_id": session_id, "detail": dict(detail), "at": utc_now()}
    connection.execute(audit_log.insert().values(row))
