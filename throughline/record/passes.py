"""What lets a conversation move to the other channel: one-time codes a person speaks or keys, call tokens a page carries.

What always holds: both work once; neither is stored as it is (codes as an HMAC, because eight digits could be tried out on a
copy of the database; tokens as SHA-256); no two open codes are alike; wrong codes are counted for each session that tries.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.errors import ConfigurationError, Problem, Rejected, Unavailable
from throughline.record.database import Database, OnDatabase
from throughline.record.entries import CallToken
from throughline.record.identity import has_account, living, utc_now
from throughline.record.limits import check_ids, check_words
from throughline.record.schema import audit_log, call_tokens, codes, failed_tries, phone_calls
from throughline.record.sessions import read_session, sha256

CODE_DIGITS = 8
_DRAWS = 20  # of 100 million codes; not to find a free one in twenty draws means that codes are being hoarded


class Passes(OnDatabase):
    """One-time codes and call tokens."""

    def __init__(self, database: Database, committed: Callable[[str, int], None]) -> None:
        super().__init__(database, committed)
        self._secret: bytes | None = None

    def issue_code(self, contact_id: str, session_id: str, *, ttl_s: float, now: datetime | None = None) -> str:
        """Eight digits that lead to this contact, once, for ``ttl_s`` seconds. Earlier open codes of the session are void from now on.
        Raises Rejected("unknown_contact"|"unknown_session"), ConfigurationError when the record was opened without a secret."""
        issued = now or utc_now()
        with self._database.writing() as connection:
            owner = living(connection, contact_id)
            read_session(connection, session_id)
            over = (codes.c.session_id == session_id) | (codes.c.expires_at <= issued)
            connection.execute(codes.update().where(over, codes.c.open_digest.is_not(None)).values(open_digest=None))
            code, digest = self._free_code(connection)
            connection.execute(
                codes.insert().values(
                    contact_id=owner,
                    session_id=session_id,
                    digest=digest,
                    open_digest=digest,
                    created_at=issued,
                    expires_at=issued + timedelta(seconds=ttl_s),
                )
            )
        return code

    def redeem_code(self, code: str, *, session_id: str, max_tries: int, now: datetime | None = None) -> str:
        """The living contact the code leads to; the code is used up. ``session_id`` is the session that says the code. Two people with
        accounts of their own never become one by a code: to the other it is unknown.

        Raises Rejected("unknown_code"|"expired_code"|"used_code"), each counted; after ``max_tries`` of them the session gets
        Rejected("too_many_tries") whatever it says. A voided code is unknown. Raises Rejected("unknown_session").
        """
        at = now or utc_now()
        with self._database.writing() as connection:
            session = read_session(connection, session_id)
            self._database.take_turns(connection, f"tries:{session_id}")
            if tries_of(connection, session_id) >= max_tries:
                raise Rejected("too_many_tries")
            row = self._find_code(connection, code)
            refusal = _refusal(row, at)
            if refusal is None and _are_two_accounts(connection, session.contact_id, living(connection, row.contact_id)):
                refusal = "unknown_code"
            if refusal is None:
                connection.execute(
                    codes.update().where(codes.c.id == row.id).values(open_digest=None, used_at=at, used_by_session=session_id)
                )
                contact_id = living(connection, row.contact_id)
                self._audit(connection, "code_redeemed", contact_id, session_id)
                return contact_id
            count_try(connection, session_id, "code", at)
        # Raised after the commit: a counted try must not be rolled back by its own refusal.
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
            row = connection.execute(sa.select(call_tokens).where(this).with_for_update()).first()
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

    def _free_code(self, connection: Any) -> tuple[str, str]:
        for _ in range(_DRAWS):
            code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
            digest = self._code_digest(code)
            if connection.execute(sa.select(codes.c.id).where(codes.c.open_digest == digest)).first() is None:
                return code, digest
        raise Unavailable("no free one-time code was found")

    def _find_code(self, connection: Any, code: str) -> Any:
        """The newest code of these digits; an open one if there is one. None for what is not eight digits."""
        digits = "".join(character for character in code if not character.isspace())
        if len(digits) != CODE_DIGITS or not (digits.isascii() and digits.isdigit()):
            return None
        query = (
            sa.select(codes)
            .where(codes.c.digest == self._code_digest(digits))
            .order_by(codes.c.open_digest.is_(None), codes.c.id.desc())
        )
        return connection.execute(query.with_for_update()).first()

    @staticmethod
    def _audit(connection: Any, action: str, contact_id: str, session_id: str) -> None:
        connection.execute(
            audit_log.insert().values(action=action, contact_id=contact_id, session_id=session_id, detail={}, at=utc_now())
        )

    def _code_digest(self, code: str) -> str:
        if self._secret is None:
            raise ConfigurationError(
                [Problem("record", "one-time codes need a secret key.", "Open the record with secret=..., as bootstrap does.")]
            )
        return hmac.new(self._secret, code.encode(), hashlib.sha256).hexdigest()


def tries_of(connection: Any, session_id: str) -> int:
    """How often this session was wrong about a code or a fact."""
    query = sa.select(sa.func.count()).where(failed_tries.c.session_id == session_id)
    return int(connection.execute(query).scalar_one())


def count_try(connection: Any, session_id: str, kind: str, at: datetime) -> None:
    """Note that this session was wrong."""
    connection.execute(failed_tries.insert().values(session_id=session_id, kind=kind, at=at))


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
