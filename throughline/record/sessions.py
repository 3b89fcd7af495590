"""Visits and calls, how sure we are who is in them, and the secret by which a browser comes back to its visit.

What always holds: a session belongs to a living contact, also after merges; it begins at a level of its own and inherits none; a proof
that has lapsed counts as a claim; a chat token is 256 random bits of which only the SHA-256 is stored, so reading the database lets
nobody in.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import Assurance
from throughline.errors import Rejected
from throughline.record.entries import Session
from throughline.record.identity import living, utc_now
from throughline.record.keyed import Keyed
from throughline.record.limits import check_ids, check_json, check_words
from throughline.record.schema import audit_log, chat_tokens, sessions


def sha256(token: str) -> str:
    """The hex digest a random token is stored by. It needs no salt and no stretching: nobody guesses 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def read_session(connection: Any, session_id: str, now: datetime | None = None) -> Session:
    """The session as it is ``now``. Raises Rejected("unknown_session")."""
    row = connection.execute(sa.select(sessions).where(sessions.c.session_id == session_id)).first()
    if row is None:
        raise Rejected("unknown_session")
    return Session(
        session_id=row.session_id,
        contact_id=living(connection, row.contact_id),
        channel=row.channel,
        assurance=_level(row, now or utc_now()),
        started_at=row.started_at,
        ended_at=row.ended_at,
        detail=row.detail,
        shown_seq=row.shown_seq,
        end_reason=row.end_reason,
    )


def _level(row: Any, now: datetime) -> Assurance:
    """How sure we are now. What was proved too long ago is no more than a claim."""
    proved = Assurance.of(row.assurance)
    lapsed = row.assurance_until is not None and row.assurance_until <= now
    return min(proved, Assurance.CLAIMED) if lapsed else proved


class Sessions(Keyed):
    """Sessions and chat tokens."""

    def open_session(
        self,
        contact_id: str,
        channel: str,
        *,
        assurance: Assurance = Assurance.ANONYMOUS,
        detail: Mapping[str, Any] | None = None,
        caller: str | None = None,
        vouched: bool = False,
    ) -> Session:
        """Begin a visit or a call. ``detail`` is what a channel wants to remember of it. ``caller`` is who is on the other side, a
        telephone number (``vouched`` for by its telephone company) or a network address: only a digest of it is kept, to count failed
        tries by. Raises Rejected("unknown_contact"), ConfigurationError for a caller where the record was opened without a secret."""
        check_words(channel=channel)
        check_json(detail=dict(detail or {}))
        session_id = "s_" + secrets.token_urlsafe(16)
        row = {
            "session_id": session_id,
            "channel": channel,
            "assurance": assurance.word,
            "detail": dict(detail or {}),
            "started_at": utc_now(),
            "caller_digest": self._caller_digest(caller, vouched=vouched) if caller else None,
            "caller_vouched": vouched,
        }
        with self._database.writing() as connection:
            row["contact_id"] = living(connection, contact_id)
            connection.execute(sessions.insert().values(row))
            return read_session(connection, session_id)

    def session(self, session_id: str, *, now: datetime | None = None) -> Session:
        """The session, open or ended, as it is ``now``. Raises Rejected("unknown_session")."""
        with self._database.reading() as connection:
            return read_session(connection, session_id, now)

    def end_session(self, session_id: str, reason: str) -> None:
        """The visit or call is over. The first end counts, a second changes nothing. Raises Rejected("unknown_session")."""
        check_words(reason=reason)
        with self._database.writing() as connection:
            read_session(connection, session_id)
            is_open = (sessions.c.session_id == session_id) & sessions.c.ended_at.is_(None)
            connection.execute(sessions.update().where(is_open).values(ended_at=utc_now(), end_reason=reason))

    def raise_assurance(
        self, session_id: str, level: Assurance, *, lasts: timedelta | None, now: datetime | None = None
    ) -> None:
        """We are now at least this sure who it is, for as long as it ``lasts`` (None: to the session's end), also if we were before. Lowers
        nothing. Raises Rejected("unknown_session")."""
        at = now or utc_now()
        this = sessions.c.session_id == session_id
        with self._database.writing() as connection:
            connection.execute(sa.select(sessions.c.session_id).where(this).with_for_update(key_share=True))
            known = read_session(connection, session_id, at)
            if level < known.assurance:
                return
            until = None if lasts is None else at + lasts
            if level == known.assurance:  # proved again: never for a shorter time than before
                before = connection.execute(sa.select(sessions.c.assurance_until).where(this)).scalar()
                until = None if before is None or until is None else max(before, until)
            proved = {"assurance": level.word, "assurance_at": at, "assurance_until": until}
            connection.execute(sessions.update().where(this).values(proved))
            connection.execute(
                audit_log.insert().values(
                    action="assurance",
                    contact_id=known.contact_id,
                    session_id=session_id,
                    detail={"from": known.assurance.word, "to": level.word},
                    at=at,
                )
            )

    def issue_chat_token(self, session_id: str, *, ttl_s: float | None = None, now: datetime | None = None) -> str:
        """The secret that a browser keeps as its session id. ``ttl_s`` None: it is good as long as the session is open."""
        token = secrets.token_urlsafe(32)
        issued = now or utc_now()
        with self._database.writing() as connection:
            read_session(connection, session_id)
            connection.execute(
                chat_tokens.insert().values(
                    token_sha256=sha256(token),
                    session_id=session_id,
                    created_at=issued,
                    expires_at=None if ttl_s is None else issued + timedelta(seconds=ttl_s),
                )
            )
        return token

    def chat_session(self, token: str, *, now: datetime | None = None) -> Session:
        """The open session this token belongs to. Raises Rejected("unknown_session"): unknown, expired and ended look the same."""
        check_ids(token=token)
        with self._database.reading() as connection:
            row = connection.execute(sa.select(chat_tokens).where(chat_tokens.c.token_sha256 == sha256(token))).first()
            if row is None or (row.expires_at is not None and row.expires_at <= (now or utc_now())):
                raise Rejected("unknown_session")
            found = read_session(connection, row.session_id, now)
        if found.ended_at is not None:
            raise Rejected("unknown_session")
        return found
