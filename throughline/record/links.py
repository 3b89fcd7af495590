"""Signed links: a secret that is sent to a telephone number or an e-mail address and opens the conversation it was sent from.

Whoever opens one has shown that they get what is sent there. What always holds: a link is 256 random bits of which only the SHA-256 is
stored; it opens once, whoever brings it at the same moment; a visit has one open link at the most, and however often somebody asks for one,
few are sent in an hour from one visit and in a day to one address. Why it is so: docs/decisions/0017-links.md.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.errors import Rejected
from throughline.record.database import OnDatabase
from throughline.record.entries import OpenedLink
from throughline.record.identity import aliases_of, has_account, living, utc_now
from throughline.record.limits import check_ids, check_words
from throughline.record.schema import audit_log, events, links, messages
from throughline.record.sessions import read_session, sha256

MOST_OF_A_SESSION, _OF_A_SESSION = 3, timedelta(hours=1)
MOST_TO_AN_ADDRESS, _TO_AN_ADDRESS = 8, timedelta(days=1)
_AGAIN = timedelta(minutes=15)
"""So long after it was opened the session that has opened a link may bring it again: its page may not have heard that it was."""

_WORDS = (  # of one sender and in the order of its index, as everything that is asked of events (event_reads.py)
    sa.select(events.c.id)
    .where(events.c.sender_id == sa.bindparam("owner"), events.c.type_name == "user")
    .order_by(events.c.sender_id, events.c.id)
    .limit(1)
)


class Links(OnDatabase):
    """Links that were sent, and opening them."""

    def issue_link(
        self, contact_id: str, session_id: str, *, kind: str, address: str, ttl_s: float, now: datetime | None = None
    ) -> str:
        """A secret that leads to this contact, once, for ``ttl_s`` seconds, to be sent to ``address``: ``kind`` is phone (E.164) or email.
        Earlier links of the session that were not opened run out now. Raises Rejected("unknown_contact"|"unknown_session"), and
        Rejected("too_many_links") where no further one is to be sent from there, or to there, for a while."""
        check_words(kind=kind)
        check_ids(address=address)
        issued, token = now or utc_now(), secrets.token_urlsafe(32)
        with self._database.writing() as connection:
            owner = living(connection, contact_id)
            read_session(connection, session_id)
            # Whoever waits for the address has the session already, so that nobody waits in a circle.
            self._database.take_turns(connection, f"links of:{session_id}")
            self._database.take_turns(connection, f"links to:{sha256(address)}")
            mine, there = links.c.session_id == session_id, links.c.address == address
            if _count(connection, mine, issued - _OF_A_SESSION) >= MOST_OF_A_SESSION:
                raise Rejected("too_many_links", "from this session")
            if _count(connection, there, issued - _TO_AN_ADDRESS) >= MOST_TO_AN_ADDRESS:
                raise Rejected("too_many_links", "to this address")
            run_out(connection, mine, issued)
            row = {"contact_id": owner, "session_id": session_id, "kind": kind, "address": address, "created_at": issued}
            expires = issued + timedelta(seconds=ttl_s)
            connection.execute(links.insert().values(**row, token_sha256=sha256(token), expires_at=expires))
        return token

    def open_link(self, token: str, *, session_id: str, now: datetime | None = None) -> OpenedLink:
        """Where the link leads; it is used up. ``session_id`` is the visit that brings it: to it, and to no other, it opens again for a
        while, without a further effect. A visit that belongs to somebody with an account opens links of that person alone: else whoever is
        talked into opening one would share their account with its sender.

        Raises Rejected("unknown_link"|"used_link"|"expired_link"|"account_link"), and then it is not used up; Rejected("unknown_session").
        """
        check_ids(token=token)
        at = now or utc_now()
        with self._database.writing() as connection:
            opened, is_first = _look(connection, token, session_id, at, for_update=True)
            if is_first:
                used = {"used_at": at, "used_by_session": session_id}
                connection.execute(links.update().where(links.c.token_sha256 == sha256(token)).values(used))
                entry = {"action": "link_opened", "contact_id": opened.contact_id, "session_id": session_id, "at": at}
                connection.execute(audit_log.insert().values(**entry, detail={"kind": opened.kind}))
        return opened

    def look_at_link(self, token: str, *, session_id: str, now: datetime | None = None) -> OpenedLink:
        """What ``open_link`` would give, with nothing used up. Raises as ``open_link``."""
        check_ids(token=token)
        with self._database.reading() as connection:
            return _look(connection, token, session_id, now or utc_now())[0]

    def is_blank(self, contact_id: str) -> bool:
        """Whether nobody has said anything as this contact or one of its aliases. Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            ids = aliases_of(connection, contact_id)
            waiting = sa.select(messages.c.id).where(messages.c.contact_id.in_(ids)).limit(1)
            if connection.execute(waiting).first() is not None:
                return False
            return all(connection.execute(_WORDS, {"owner": one}).first() is None for one in ids)


def _look(connection: Any, token: str, session_id: str, at: datetime, *, for_update: bool = False) -> tuple[OpenedLink, bool]:
    """Where the link leads the session that brings it, and whether it does so for the first time. Raises Rejected."""
    session = read_session(connection, session_id, at)
    query = sa.select(links).where(links.c.token_sha256 == sha256(token))
    row = connection.execute(query.with_for_update(key_share=True) if for_update else query).first()
    if row is None:
        raise Rejected("unknown_link")
    opened = OpenedLink(living(connection, row.contact_id), row.kind, row.address)
    if row.used_at is not None:
        if row.used_by_session == session_id and at - row.used_at <= _AGAIN:
            return opened, False
        raise Rejected("used_link")
    if row.expires_at <= at:
        raise Rejected("expired_link")
    if session.contact_id != opened.contact_id and has_account(connection, session.contact_id):
        raise Rejected("account_link")
    return opened, True


def run_out(connection: Any, which: Any, at: datetime) -> None:
    """Links that were not opened open no more, inside the caller's transaction."""
    connection.execute(links.update().where(which, links.c.used_at.is_(None), links.c.expires_at > at).values(expires_at=at))


def _count(connection: Any, which: Any, since: datetime) -> int:
    query = sa.select(sa.func.count()).select_from(links).where(which, links.c.created_at > since)
    return int(connection.execute(query).scalar_one())
