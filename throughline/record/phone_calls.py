"""The telephone line's calls: announced by a webhook, connected by a token, ended; and callers recognised by what they know.

What always holds: a call is one row, however often it is announced; of the tokens given to it one is redeemed for each time it is
connected, on whichever server; a fact that a caller is to know can be tried a few times (tries.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import LEVELS, Assurance, TryLimits
from throughline.domain.turns import TELEPHONE_CALL
from throughline.errors import Rejected
from throughline.record import tries
from throughline.record.database import OnDatabase
from throughline.record.entries import PhoneCall
from throughline.record.event_reads import rows_of_people
from throughline.record.identity import aliases_of, living, utc_now
from throughline.record.limits import check_ids, check_words
from throughline.record.passes import insert_call_token
from throughline.record.schema import addresses, audit_log, facts, phone_calls, placed_calls, processed_requests, sessions
from throughline.record.sessions import read_session

_LINE_LOST = "line_lost"  # of throughline.call.effects.REASONS
_OF_THE_NUMBER = tuple(proof for proof, level in LEVELS.items() if level <= Assurance.CLAIMED)
"""Proofs that say something of a number, and nothing of who uses it."""
_NAME = "customer_name"  # the fact by which two contacts on one number are told apart


class PhoneCalls(OnDatabase):
    """Calls of the telephone line, the requests that announce them, and who may be calling."""

    def take_request(self, digests: Sequence[str], *, kind: str, now: datetime | None = None) -> datetime | None:
        """Note that a signed request was taken, under each of its ``digests``. None for a new one; for a repetition, also of only
        one digest, when it came first."""
        check_words(kind=kind)
        at = now or utc_now()
        with self._database.writing() as connection:
            # Always in the same order: of two that come at the same moment one waits here, and then is the repetition.
            new = {
                digest
                for digest in sorted(set(digests))
                if self._database.insert_unless_there(
                    connection, processed_requests, {"digest": digest, "kind": kind, "received_at": at}
                )
            }
            known = processed_requests.c.digest.in_(set(digests) - new)
            first: datetime | None = connection.execute(
                sa.select(sa.func.min(processed_requests.c.received_at)).where(known)
            ).scalar()
            if first is not None and new:
                mine = processed_requests.c.digest.in_(new)
                connection.execute(processed_requests.update().where(mine).values(received_at=first))
        return first

    def announce_call(self, call_sid: str, *, caller: str, attestation: str, ttl_s: float, now: datetime | None = None) -> str:
        """A call has come in: a token that connects it, good for ``ttl_s`` seconds. Announced again before it is connected, it gets
        another one; later Rejected("replayed_call")."""
        check_ids(call_sid=call_sid, caller=caller)
        check_words(attestation=attestation)
        at = now or utc_now()
        with self._database.writing() as connection:
            row = {
                "call_sid": call_sid,
                "caller": caller,
                "attestation": attestation,
                "step": 1,
                "connected_step": 0,
                "announced_at": at,
            }
            self._database.insert_unless_there(connection, phone_calls, row)
            call = _row(connection, call_sid, hold=True)
            if call.connected_step or call.ended_at is not None:
                raise Rejected("replayed_call")
            return insert_call_token(connection, contact_id=None, origin=TELEPHONE_CALL, ttl_s=ttl_s, now=at, call_sid=call_sid)

    def reconnect_call(self, call_sid: str, *, after_step: int, ttl_s: float, now: datetime | None = None) -> str:
        """The connection number ``after_step`` is over and the call goes on: a token for the next one, which leads to the contact that
        the call belongs to, or was placed for. Raises Rejected("unknown_call"), or Rejected("replayed_call") once that has been used."""
        at = now or utc_now()
        with self._database.writing() as connection:
            call = _row(connection, call_sid, hold=True)
            if call.ended_at is not None or call.connected_step > after_step or call.step not in (after_step, after_step + 1):
                raise Rejected("replayed_call")
            this = phone_calls.c.call_sid == call_sid
            connection.execute(phone_calls.update().where(this).values(step=after_step + 1))
            owner: str | None = None
            chat: str | None = None
            if call.session_id is not None:
                owner = read_session(connection, call.session_id).contact_id
            elif (placed := _placed(connection, call_sid)) is not None:  # it was answered, and its stream never came
                owner, chat = living(connection, placed.contact_id), placed.session_id
            return insert_call_token(
                connection,
                contact_id=owner,
                chat_session_id=chat,
                origin=TELEPHONE_CALL,
                ttl_s=ttl_s,
                now=at,
                call_sid=call_sid,
            )

    def phone_call(self, call_sid: str) -> PhoneCall:
        """The call. Raises Rejected("unknown_call")."""
        check_ids(call_sid=call_sid)
        with self._database.reading() as connection:
            row = _row(connection, call_sid)
            return PhoneCall(
                call_sid=row.call_sid,
                caller=row.caller,
                attestation=row.attestation,
                step=row.step,
                connected_step=row.connected_step,
                session=None if row.session_id is None else read_session(connection, row.session_id),
                ended_at=row.ended_at,
            )

    def note_call_session(self, call_sid: str, session_id: str) -> None:
        """The call led to this session. Raises Rejected("unknown_call"|"unknown_session")."""
        with self._database.writing() as connection:
            _row(connection, call_sid, hold=True)
            read_session(connection, session_id)
            this = phone_calls.c.call_sid == call_sid
            connection.execute(phone_calls.update().where(this).values(session_id=session_id))

    def end_call(self, call_sid: str, *, reason: str) -> None:
        """The telephone company says that the call is over; so is its session. The first end counts, but for one of which we only know
        that the line was lost: now we know more. Raises Rejected("unknown_call")."""
        check_words(reason=reason)
        with self._database.writing() as connection:
            end_telephone_call(connection, call_sid, reason=reason, at=utc_now())

    def callers_known(
        self,
        caller: str,
        *,
        proofs: Sequence[str],
        since: datetime,
        proved_since: datetime | None = None,
        limit: int = 10,
    ) -> list[str]:
        """The living contacts whose telephone ``caller`` is, by one of ``proofs`` given ``proved_since`` then (numbers change hands), and
        who have said something ``since`` then; the latest first. ``limit`` keeps those who proved more, then the latest: every call from
        a number that is vouched for adds one who proved nothing."""
        theirs = (addresses.c.kind == "phone") & (addresses.c.value == caller) & addresses.c.proof.in_(proofs)
        if proved_since is not None:
            theirs &= addresses.c.proved_at >= proved_since
        with self._database.reading() as connection:
            proved = sa.case((addresses.c.proof.in_(_OF_THE_NUMBER), 1), else_=0)
            query = sa.select(addresses.c.contact_id).where(theirs).order_by(proved, addresses.c.id.desc()).limit(limit)
            found = dict.fromkeys(living(connection, contact) for contact in connection.execute(query).scalars())
            latest = {contact: _last_said(connection, contact, since) for contact in found}
        return sorted((contact for contact, seq in latest.items() if seq), key=lambda contact: -latest[contact])

    def match_fact(
        self,
        session_id: str,
        among: Sequence[str],
        *,
        slot: str,
        value: Any,
        limits: TryLimits,
        now: datetime | None = None,
    ) -> str:
        """The one living contact ``among`` these whose ``slot`` is ``value``: what a caller knows of it, said in this session. Of several
        with one name the first: that is one person, who has called before without having been recognised.

        Raises Rejected("no_match"), counted; Rejected("several_match") where it is true of people with several names, or none, counted
        too, because it tells as much; beyond the ``limits`` Rejected("too_many_tries") or Rejected("closed") whatever is said.
        Raises Rejected("unknown_session").
        """
        at = now or utc_now()
        with self._database.writing() as connection:
            who = tries.take_turns(self._database, connection, session_id, tries.FACT)
            tries.refuse_if_too_many(connection, who, limits, at)
            people = dict.fromkeys(living(connection, contact) for contact in among)
            matching = [contact for contact in people if _fact(connection, contact, slot) == value]
            if len(matching) == 1 or _have_one_name(connection, matching):
                detail = {"slot": slot}
                entry = {
                    "action": "fact_matched",
                    "contact_id": matching[0],
                    "session_id": session_id,
                    "detail": detail,
                    "at": at,
                }
                connection.execute(audit_log.insert().values(**entry))
                return matching[0]
            closed = tries.count(self._database, connection, who, limits, at)
        # Raised after the commit: a counted try must not be rolled back by its own refusal.
        if closed:
            tries.alarm(who, limits)
        raise Rejected("several_match" if matching else "no_match")


def end_telephone_call(connection: Any, call_sid: str, *, reason: str, at: datetime) -> None:
    """As ``PhoneCalls.end_call``, inside the caller's transaction."""
    call = _row(connection, call_sid, hold=True)
    is_open = (phone_calls.c.call_sid == call_sid) & phone_calls.c.ended_at.is_(None)
    connection.execute(phone_calls.update().where(is_open).values(ended_at=at))
    unexplained = sessions.c.ended_at.is_(None) | (sessions.c.end_reason == _LINE_LOST)
    session = (sessions.c.session_id == call.session_id) & unexplained
    connection.execute(sessions.update().where(session).values(ended_at=at, end_reason=reason))


def _placed(connection: Any, call_sid: str) -> Any:
    """For whom, and in which chat, this call was placed; None for one that came in."""
    columns = sa.select(placed_calls.c.contact_id, placed_calls.c.session_id)
    return connection.execute(columns.where(placed_calls.c.call_sid == call_sid)).first()


def _row(connection: Any, call_sid: str, *, hold: bool = False) -> Any:
    """The call. ``hold``: other writers of it wait until this transaction ends. Raises Rejected("unknown_call")."""
    query = sa.select(phone_calls).where(phone_calls.c.call_sid == call_sid)
    row = connection.execute(query.with_for_update(key_share=True) if hold else query).first()
    if row is None:
        raise Rejected("unknown_call")
    return row


def _last_said(connection: Any, contact_id: str, since: datetime) -> int:
    """The latest thing this person said; 0 for nobody who did ``since`` then."""
    latest = rows_of_people(connection, aliases_of(connection, contact_id), limit=1, newest=True, types=("user",))
    return int(latest[0].id) if latest and latest[0].created_at >= since else 0


def _have_one_name(connection: Any, people: Sequence[str]) -> bool:
    names = {str(name).casefold() if name else None for name in (_fact(connection, contact, _NAME) for contact in people)}
    return len(names) == 1 and None not in names


def _fact(connection: Any, contact_id: str, slot: str) -> Any:
    mine = (facts.c.contact_id == contact_id) & (facts.c.slot == slot)
    return connection.execute(sa.select(facts.c.value).where(mine).order_by(facts.c.id.desc()).limit(1)).scalar()
