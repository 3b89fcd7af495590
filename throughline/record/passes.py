"""What lets a conversation move to the other channel: one-time codes a person speaks or keys, call tokens a page carries.

What always holds: both work once, whoever brings them at the same moment; neither is stored as it is (codes as an HMAC, because eight
digits could be tried out on a copy of the database; tokens as SHA-256); no two open codes are alike; wrong codes are counted (tries.py).
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import TryLimits
from throughline.errors import Rejected, Unavailable
from throughline.record import tries
from throughline.record.entries import CallToken
from throughline.record.identity import has_account, living, utc_now
from throughline.record.keyed import Keyed
from throughline.record.limits import check_ids, check_words
from throughline.record.schema import audit_log, call_tokens, codes, phone_calls
from throughline.record.sessions import read_session, sha256

CODE_DIGITS = 8
_AGAIN = timedelta(minutes=15)
"""So long after it was used the session that has used a code may bring it again: its turn may be taken once more, after a crash, or where
another writer was faster, and longer than that none is (``chat.finish_within_s``)."""
_DRAWS = 20  # of 100 million codes; not to find a free one in twenty draws means that codes are being hoarded


_SWEPT = 100  # codes that ran out, made free with each new one


class Passes(Keyed):
    """One-time codes and call tokens."""

    def issue_code(self, contact_id: str, session_id: str, *, ttl_s: float, now: datetime | None = None) -> str:
        """Eight digits that lead to this contact, once, for ``ttl_s`` seconds. Earlier open codes of the session are void from now on.
        Raises Rejected("unknown_contact"|"unknown_session"), ConfigurationError when the record was opened without a secret."""
        issued = now or utc_now()
        with self._database.writing() as connection:
            owner = living(connection, contact_id)
            read_session(connection, session_id)
            self._database.take_turns(connection, f"codes of:{session_id}")
            mine = (codes.c.session_id == session_id) & codes.c.open_digest.is_not(None)
            connection.execute(codes.update().where(mine).values(open_digest=None))
            _sweep(connection, issued)
            row = {
                "contact_id": owner,
                "session_id": session_id,
                "created_at": issued,
                "expires_at": issued + timedelta(seconds=ttl_s),
            }
            for _ in range(_DRAWS):
                code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
                digest = self._code_digest(code)
                if self._database.insert_unless_there(connection, codes, {**row, "digest": digest, "open_digest": digest}):
                    return code
        raise Unavailable("no free one-time code was found")

    def redeem_code(self, code: str, *, session_id: str, limits: TryLimits, now: datetime | None = None) -> str:
        """The living contact the code leads to; the code is used up. ``session_id`` is the session that says the code: from it, and from
        no other, it is taken again, without a further effect, because its turn may have to be. Two people with accounts of their own
        never become one by a code: to the other it is unknown.

        Raises Rejected("unknown_code"|"expired_code"|"used_code"), each counted; beyond the ``limits`` Rejected("too_many_tries") or
        Rejected("closed") whatever is said. A voided code is unknown. Raises Rejected("unknown_session").
        """
        at = now or utc_now()
        with self._database.reading() as connection:  # whoever guesses on is refused without a write
            tries.refuse_if_too_many(connection, tries.trier(connection, session_id, tries.CODE), limits, at)
        with self._database.writing() as connection:
            who = tries.take_turns(self._database, connection, session_id, tries.CODE)
            tries.refuse_if_too_many(connection, who, limits, at)
            row = self._find_code(connection, code)
            if row is not None and row.used_by_session == session_id and at - row.used_at <= _AGAIN:
                return living(connection, row.contact_id)
            refusal = _refusal(row, at)
            if refusal is None:
                contact_id = living(connection, row.contact_id)
                if _are_two_accounts(connection, living(connection, who.contact_id), contact_id):
                    refusal = "unknown_code"
            if refusal is None:
                used = {"open_digest": None, "used_at": at, "used_by_session": session_id}
                connection.execute(codes.update().where(codes.c.id == row.id).values(used))
                entry = {
                    "action": "code_redeemed",
                    "contact_id": contact_id,
                    "session_id": session_id,
                    "detail": {},
                    "at": at,
                }
                connection.execute(audit_log.insert().values(entry))
                return contact_id
            closed = tries.count(self._database, connection, who, limits, at)
        # Raised after the commit: a counted try must not be rolled back by its own refusal.
        if closed:
            tries.alarm(who, limits)
        raise Rejected(refusal)

    def issue_call_token(
        self,
        *,
        contact_id: str | None,
        chat_session_id: str | None,
        origin: str,
        ttl_s: float,
        now: datetime | None = None,
    ) -> str:
        """A secret that lets one call in. Raises Rejected("unknown_contact"|"unknown_session")."""
        check_words(origin=origin)
        with self._database.writing() as connection:
            if chat_session_id is not None:
                read_session(connection, chat_session_id)
            owner = None if contact_id is None else living(connection, contact_id)
            return insert_call_token(
                connection, contact_id=owner, chat_session_id=chat_session_id, origin=origin, ttl_s=ttl_s, now=now or utc_now()
            )

    def redeem_call_token(self, token: str, *, call_sid: str | None = None, now: datetime | None = None) -> CallToken:
        """Use the token up, and with it every other one of the same telephone call. ``call_sid`` is the call that brings it.
        Raises Rejected("unknown_token"|"used_token"|"expired_token"|"other_call"), and then it is not used up."""
        check_ids(token=token, call_sid=call_sid)
        at = now or utc_now()
        this = call_tokens.c.token_sha256 == sha256(token)
        with self._database.writing() as connection:
            its_call = connection.execute(sa.select(call_tokens.c.call_sid).where(this)).scalar()
            if its_call is not None:  # held first: two tokens of one call, each waiting for the other, would wait for good
                held = sa.select(phone_calls.c.call_sid).where(phone_calls.c.call_sid == its_call)
                connection.execute(held.with_for_update(key_share=True))
            row = connection.execute(sa.select(call_tokens).where(this).with_for_update(key_share=True)).first()
            if row is None:
                raise Rejected("unknown_token")
            if row.used_at is not None:
                raise Rejected("used_token")
            if row.expires_at <= at:
                raise Rejected("expired_token")
            if row.call_sid is not None and row.call_sid != call_sid:
                raise Rejected("other_call")
            connection.execute(call_tokens.update().where(this).values(used_at=at))
            if row.call_sid is not None:
                others = (call_tokens.c.call_sid == row.call_sid) & call_tokens.c.used_at.is_(None)
                connection.execute(call_tokens.update().where(others).values(used_at=at))
                call = phone_calls.c.call_sid == row.call_sid
                connection.execute(phone_calls.update().where(call).values(connected_step=phone_calls.c.step))
            contact_id = None if row.contact_id is None else living(connection, row.contact_id)
            return CallToken(contact_id=contact_id, chat_session_id=row.chat_session_id, origin=row.origin)

    def _find_code(self, connection: Any, code: str) -> Any:
        """The newest code of these digits; an open one if there is one. None for what is not eight digits."""
        digits = "".join(character for character in code if not character.isspace())
        if len(digits) != CODE_DIGITS or not (digits.isascii() and digits.isdigit()):
            return None
        query = (
            sa.select(codes)
            .where(codes.c.digest == self._code_digest(digits))
            .order_by(codes.c.open_digest.is_(None), codes.c.id.desc())
            .limit(1)
        )
        return connection.execute(query.with_for_update(key_share=True)).first()

    def _code_digest(self, code: str) -> str:
        return self._keyed_digest("code", code)


def _sweep(connection: Any, now: datetime) -> None:
    """Codes that ran out are no longer open, so that their digits can be drawn again. Those that another server is at are left to it."""
    over = codes.c.open_digest.is_not(None) & (codes.c.expires_at <= now)
    found = sa.select(codes.c.id).where(over).limit(_SWEPT).with_for_update(skip_locked=True, key_share=True)
    ids = connection.execute(found).scalars().all()
    if ids:
        connection.execute(codes.update().where(codes.c.id.in_(ids)).values(open_digest=None))


def insert_call_token(
    connection: Any,
    *,
    contact_id: str | None,
    origin: str,
    ttl_s: float,
    now: datetime,
    chat_session_id: str | None = None,
    call_sid: str | None = None,
) -> str:
    """A new call token, inside the caller's transaction. With a ``call_sid`` it is good for that telephone call only."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        call_tokens.insert().values(
            token_sha256=sha256(token),
            contact_id=contact_id,
            chat_session_id=chat_session_id,
            origin=origin,
            created_at=now,
            expires_at=now + timedelta(seconds=ttl_s),
            call_sid=call_sid,
        )
    )
    return token


def _refusal(row: Any, at: datetime) -> str | None:
    if row is None:
        return "unknown_code"
    if row.used_at is not None:
        return "used_code"
    if row.expires_at <= at:
        return "expired_code"
    return None if row.open_digest is not None else "unknown_code"


def _are_two_accounts(connection: Any, one: str, other: str) -> bool:
    return one != other and has_account(connection, one) and has_account(connection, other)
