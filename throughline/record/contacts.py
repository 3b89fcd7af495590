"""Who the record knows: contacts, their addresses, and what happens when two of them turn out to be one person.

Contacts form trees through ``merged_into``; the root of a tree is the *living* contact. What always holds: every id ever given
out keeps leading to a living contact; a merge has no cycles; events stay under the id they were said under.
"""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from throughline.errors import Rejected
from throughline.record.database import OnDatabase
from throughline.record.events import carry_facts, hold
from throughline.record.identity import ACCOUNT, aliases_of, has_account, living, utc_now
from throughline.record.limits import check_ids, check_words
from throughline.record.schema import addresses, audit_log, contacts, merges, sessions


def new_contact_id() -> str:
    """An id for a contact: opaque, so that it tells nothing of the person and nobody guesses it."""
    return "c_" + secrets.token_urlsafe(16)


class Contacts(OnDatabase):
    """Contacts, addresses, merges."""

    def create_contact(self) -> str:
        """A new contact; its opaque id."""
        contact_id = new_contact_id()
        with self._database.writing() as connection:
            connection.execute(contacts.insert().values(contact_id=contact_id, created_at=utc_now()))
        return contact_id

    def resolve(self, contact_id: str) -> str:
        """The living contact this id stands for. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            return living(connection, contact_id)

    def aliases(self, contact_id: str) -> list[str]:
        """The living id first, then every id merged into it. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            return aliases_of(connection, contact_id)

    def add_address(self, contact_id: str, kind: str, value: str, *, proof: str) -> None:
        """Note that the contact is reached at ``value``. ``kind`` is phone (E.164), email, account or browser; ``proof`` says how we
        know. Adding it again renews the proof. Raises Rejected("unknown_contact")."""
        check_words(kind=kind, proof=proof)
        check_ids(value=value)
        with self._database.writing() as connection:
            owner, at = living(connection, contact_id), utc_now()
            row = {"contact_id": owner, "kind": kind, "value": value, "proof": proof, "created_at": at, "proved_at": at}
            if not self._database.insert_unless_there(connection, addresses, row):
                where = (addresses.c.contact_id == owner) & (addresses.c.kind == kind) & (addresses.c.value == value)
                connection.execute(addresses.update().where(where).values(proof=proof, proved_at=at))

    def find_by_address(self, kind: str, value: str) -> list[str]:
        """The living contacts reached at ``value``, each once. A shared telephone has several."""
        with self._database.reading() as connection:
            query = (
                sa.select(addresses.c.contact_id)
                .where(addresses.c.kind == kind, addresses.c.value == value)
                .order_by(addresses.c.id)
            )
            return list(dict.fromkeys(living(connection, found) for found in connection.execute(query).scalars()))

    def contact_of_account(self, account: str, *, proof: str) -> str:
        """The living contact of an account (an address of kind ``account``); a new one where nobody has it yet. However many ask at the
        same moment, they get the same one."""
        check_words(proof=proof)
        check_ids(account=account)
        with self._database.reading() as connection:
            owner = _owner_of_account(connection, account)
        if owner is not None:
            return owner
        with self._database.writing() as connection:
            self._database.take_turns(connection, f"{ACCOUNT}:{account}")
            owner = _owner_of_account(connection, account)
            if owner is None:
                owner, at = new_contact_id(), utc_now()
                connection.execute(contacts.insert().values(contact_id=owner, created_at=at))
                address = {
                    "contact_id": owner,
                    "kind": ACCOUNT,
                    "value": account,
                    "proof": proof,
                    "created_at": at,
                    "proved_at": at,
                }
                connection.execute(addresses.insert().values(address))
        return owner

    def has_account(self, contact_id: str) -> bool:
        """Whether this person has an account, under whichever alias. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            return has_account(connection, contact_id)

    def merge(self, contact_id: str, into: str, *, reason: str, session_id: str | None) -> None:
        """Make ``contact_id`` an alias of ``into``: they are one person. Both are resolved first.

        Open sessions move along. Facts that ``into`` has no value for are carried over, as SlotSet events in its tracker, so that
        nothing known is asked again; where both know something, ``into`` is right. What was changed is kept in ``merges``.
        Raises Rejected("unknown_contact"), or Rejected("same_contact") when they already are one.
        """
        check_ids(reason=reason)
        with self._database.writing() as connection:
            source, target = self._hold_both(connection, contact_id, into)
            open_sessions = (sessions.c.contact_id == source) & sessions.c.ended_at.is_(None)
            moved = list(connection.execute(sa.select(sessions.c.session_id).where(open_sessions)).scalars())
            connection.execute(sessions.update().where(open_sessions).values(contact_id=target))
            connection.execute(contacts.update().where(contacts.c.contact_id == source).values(merged_into=target))
            carried, last_seq = carry_facts(connection, source, target)
            detail = {"sessions": moved, "events": carried}
            connection.execute(
                merges.insert().values(
                    contact_id=source,
                    into_contact_id=target,
                    reason=reason,
                    session_id=session_id,
                    moved=detail,
                    merged_at=utc_now(),
                )
            )
            for contact in (source, target):
                self._database.tell(connection, contact, last_seq)
            connection.execute(
                audit_log.insert().values(
                    action="merge",
                    contact_id=target,
                    session_id=session_id,
                    detail={"contact_id": source, "reason": reason, **detail},
                    at=utc_now(),
                )
            )
        for contact in (source, target):  # whoever watches the old contact learns here what it has become
            self._committed(contact, last_seq)

    def _hold_both(self, connection: Any, one: str, other: str) -> tuple[str, str]:
        """The living contacts of both, which no other merge and no other writer touches until this transaction ends: in the order of
        their ids, so that two merges can't wait for each other. Raises Rejected."""
        while True:
            pair = living(connection, one), living(connection, other)
            if pair[0] == pair[1]:
                raise Rejected("same_contact")
            for contact_id in sorted(pair):
                hold(self._database, connection, contact_id)
            if (living(connection, one), living(connection, other)) == pair:
                return pair


def _owner_of_account(connection: Any, account: str) -> str | None:
    """The living contact with this account: the first, if a merge that was taken back has left it with several."""
    this = (addresses.c.kind == ACCOUNT) & (addresses.c.value == account)
    found = connection.execute(sa.select(addresses.c.contact_id).where(this).order_by(addresses.c.id).limit(1)).scalar()
    return None if found is None else living(connection, found)
