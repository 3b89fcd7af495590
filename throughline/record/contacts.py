"""Who the record knows: contacts, and the addresses they are reached at.

What always holds: every id ever given out keeps leading to a living contact (merging.py); an address says by which proof it is
somebody's, and since when; one address may be several people's.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import strength
from throughline.record.database import OnDatabase
from throughline.record.entries import Address
from throughline.record.identity import ACCOUNT, addresses_of, aliases_of, has_account, living, utc_now
from throughline.record.limits import check_ids, check_words
from throughline.record.schema import addresses, contacts


def new_contact_id() -> str:
    """An id for a contact: opaque, so that it tells nothing of the person and nobody guesses it."""
    return "c_" + secrets.token_urlsafe(16)


class Contacts(OnDatabase):
    """Contacts and addresses."""

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

    def add_address(self, contact_id: str, kind: str, value: str, *, proof: str, now: datetime | None = None) -> None:
        """Note that the contact is reached at ``value``. ``kind`` is phone (E.164), email, account or browser; ``proof`` says how we
        know. Adding it again renews the proof; a weaker one leaves a stronger as it is. Raises Rejected("unknown_contact")."""
        check_words(kind=kind, proof=proof)
        check_ids(value=value)
        with self._database.writing() as connection:
            owner, at = living(connection, contact_id), now or utc_now()
            row = {"contact_id": owner, "kind": kind, "value": value, "proof": proof, "created_at": at, "proved_at": at}
            if self._database.insert_unless_there(connection, addresses, row):
                return
            this = (addresses.c.contact_id == owner) & (addresses.c.kind == kind) & (addresses.c.value == value)
            known = sa.select(addresses.c.proof).where(this).with_for_update(key_share=True)
            if strength(proof) >= strength(connection.execute(known).scalar_one()):
                connection.execute(addresses.update().where(this).values(proof=proof, proved_at=at))

    def addresses_of(self, contact_id: str) -> list[Address]:
        """Where this person is reached, under every alias, each address once with its strongest proof, and of equal ones the latest; in the
        order in which we learned of them. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            return addresses_of(connection, contact_id)

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
        """The living contact of an account (an address of kind ``account``), which is proved again by this; a new one where nobody has it
        yet. However many ask at the same moment, they get the same one."""
        check_words(proof=proof)
        check_ids(account=account)
        at = utc_now()
        with self._database.writing() as connection:
            self._database.take_turns(connection, f"{ACCOUNT}:{account}")
            owner = _owner_of_account(connection, account)
            if owner is not None:
                this = (addresses.c.kind == ACCOUNT) & (addresses.c.value == account)
                connection.execute(addresses.update().where(this).values(proof=proof, proved_at=at))
            else:
                owner = new_contact_id()
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


def _owner_of_account(connection: Any, account: str) -> str | None:
    """The living contact with this account: the first, if a merge that was taken back has left it with several."""
    this = (addresses.c.kind == ACCOUNT) & (addresses.c.value == account)
    found = connection.execute(sa.select(addresses.c.contact_id).where(this).order_by(addresses.c.id).limit(1)).scalar()
    return None if found is None else living(connection, found)
