"""Calls that we place: who may have us call which number, how often, and what becomes of each.

What always holds: a call is noted before the telephone company is asked for it, under an id of ours that stands in the addresses that the
company asks; only a number that is surely somebody's is called, and only for a visit that is surely theirs; all servers count together;
who picks up is nobody we know until they say so. Decision: docs/decisions/0018-calls-we-place.md.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from throughline.domain.assurance import VERIFIED_NUMBER, Assurance
from throughline.domain.placed_calls import ANSWERED, REFUSED, CallLimits
from throughline.domain.turns import TELEPHONE_CALL
from throughline.errors import Rejected
from throughline.record.database import OnDatabase
from throughline.record.entries import Address, PlacedCall, Session
from throughline.record.identity import addresses_of, aliases_of, living, utc_now
from throughline.record.limits import check_ids, check_words
from throughline.record.passes import insert_call_token
from throughline.record.phone_calls import end_telephone_call
from throughline.record.schema import codes, phone_calls, placed_calls, sessions
from throughline.record.sessions import read_session

_HOUR = timedelta(hours=1)


class PlacedCalls(OnDatabase):
    """Calls to customers."""

    def verified_numbers(self, contact_id: str, *, since: datetime) -> list[Address]:
        """The telephone numbers that are this person's, under whichever alias, by a proof given ``since`` then; the newest proof first.
        Raises Rejected("unknown_contact")."""
        with self._database.reading() as connection:
            return _verified(connection, contact_id, since)

    def begin_call(
        self, session_id: str, *, proved_since: datetime, together: timedelta, limits: CallLimits, now: datetime | None = None
    ) -> tuple[PlacedCall, bool]:
        """Note that the chat ``session_id`` wants to be called, at the number with the newest proof, given ``proved_since`` then; True
        for a new call. While one to that number is under way for the same person it is given back, and False.

        A visit of which we are not sure may have us call only the number whose call gave that visit's own code, no longer ago than
        ``together``. Raises Rejected("no_number"), also for a visit that may not; Rejected("too_many_calls") beyond the ``limits``, and
        where somebody else is being called there; Rejected("unknown_session").
        """
        at = now or utc_now()
        with self._database.writing() as connection:
            self._database.take_turns(connection, "calls placed")
            session = read_session(connection, session_id, at)
            number = _number_for(connection, session, proved_since, at - together)
            if number is None:
                raise Rejected("no_number")
            under_way = _under_way(connection, number, limits, at)
            if under_way is not None:
                if under_way.contact_id != session.contact_id:
                    raise Rejected("too_many_calls")
                return under_way, False
            _refuse_if_too_many(connection, session.contact_id, number, limits, at)
            row = {
                "placed_id": "p_" + secrets.token_urlsafe(16),
                "contact_id": session.contact_id,
                "session_id": session_id,
                "number": number,
                "placed_at": at,
            }
            connection.execute(placed_calls.insert().values(row))
            return _entry(connection, _row(connection, str(row["placed_id"]))), True

    def note_call_taken(self, placed_id: str, call_sid: str) -> None:
        """The telephone company has taken it, under ``call_sid``. Raises Rejected("unknown_call")."""
        check_ids(call_sid=call_sid)
        with self._database.writing() as connection:
            _known_as(connection, _row(connection, placed_id, hold=True), call_sid)

    def note_call_refused(self, placed_id: str) -> None:
        """The telephone company has not taken it: it does not count. Raises Rejected("unknown_call")."""
        with self._database.writing() as connection:
            _row(connection, placed_id, hold=True)
            this = (placed_calls.c.placed_id == placed_id) & placed_calls.c.ended_at.is_(None)
            connection.execute(placed_calls.update().where(this).values(ended_at=utc_now(), outcome=REFUSED))

    def answer_call(self, placed_id: str, call_sid: str, *, ttl_s: float, now: datetime | None = None) -> str:
        """Somebody has picked up: it is a call of the line now, with the number as its caller. A token that connects it, good for ``ttl_s``
        seconds, which leads to whom it is for and the chat it was asked for in. Asked again before it is connected, it gets another one;
        later Rejected("replayed_call"). Raises Rejected("unknown_call"), also for a call that is known under another ``call_sid``."""
        check_ids(call_sid=call_sid)
        at = now or utc_now()
        with self._database.writing() as connection:
            placed = _row(connection, placed_id, hold=True)
            _known_as(connection, placed, call_sid)
            if placed.ended_at is not None and placed.outcome != REFUSED:
                raise Rejected("replayed_call")
            call = {"call_sid": call_sid, "caller": placed.number, "attestation": "", "step": 1, "connected_step": 0}
            self._database.insert_unless_there(connection, phone_calls, {**call, "announced_at": at})
            this = phone_calls.c.call_sid == call_sid
            held = connection.execute(sa.select(phone_calls).where(this).with_for_update(key_share=True)).one()
            if held.connected_step or held.ended_at is not None:
                raise Rejected("replayed_call")
            # Refused, as far as we knew: the answer that it was taken had not come in time.
            answered = {"answered_at": placed.answered_at or at, "ended_at": None, "outcome": None}
            connection.execute(placed_calls.update().where(placed_calls.c.placed_id == placed_id).values(answered))
            return insert_call_token(
                connection,
                contact_id=living(connection, placed.contact_id),
                chat_session_id=placed.session_id,
                origin=TELEPHONE_CALL,
                ttl_s=ttl_s,
                now=at,
                call_sid=call_sid,
            )

    def end_placed_call(self, placed_id: str, call_sid: str, *, outcome: str, reason: str) -> PlacedCall | None:
        """The telephone company says that it is over: ``outcome`` where nobody has picked up, else ``reason`` for its session, as
        ``end_call`` has it. What has become of it, for the first who says so; None after that. Raises Rejected("unknown_call")."""
        check_words(outcome=outcome, reason=reason)
        at = utc_now()
        with self._database.writing() as connection:
            placed = _row(connection, placed_id, hold=True)
            _known_as(connection, placed, call_sid)
            if placed.answered_at is not None:
                end_telephone_call(connection, call_sid, reason=reason, at=at)
            if placed.ended_at is not None:
                return None
            became = {"ended_at": at, "outcome": ANSWERED if placed.answered_at is not None else outcome}
            connection.execute(placed_calls.update().where(placed_calls.c.placed_id == placed_id).values(became))
            return _entry(connection, _row(connection, placed_id))

    def placed_call(self, call_sid: str) -> PlacedCall:
        """The call that we have placed, by the telephone company's id. Raises Rejected("not_placed") for one that came in."""
        check_ids(call_sid=call_sid)
        with self._database.reading() as connection:
            row = connection.execute(sa.select(placed_calls).where(placed_calls.c.call_sid == call_sid)).first()
            if row is None:
                raise Rejected("not_placed")
            return _entry(connection, row)

    def person_called(self, session_id: str) -> str:
        """The living contact for whom the call was placed that this session is. Raises Rejected("not_placed")."""
        with self._database.reading() as connection:
            query = (
                sa.select(placed_calls.c.contact_id)
                .join(phone_calls, phone_calls.c.call_sid == placed_calls.c.call_sid)
                .where(phone_calls.c.session_id == session_id)
            )
            contact_id = connection.execute(query).scalar()
            if contact_id is None:
                raise Rejected("not_placed")
            return living(connection, contact_id)


def _verified(connection: Any, contact_id: str, since: datetime) -> list[Address]:
    mine = [one for one in addresses_of(connection, contact_id) if one.kind == "phone" and one.proof in VERIFIED_NUMBER]
    return sorted((one for one in mine if one.proved_at >= since), key=lambda one: one.proved_at, reverse=True)


def _number_for(connection: Any, session: Session, proved_since: datetime, together_since: datetime) -> str | None:
    """The number at which this visit may have us call; None where there is none."""
    numbers = [one.value for one in _verified(connection, session.contact_id, proved_since)]
    if session.assurance < Assurance.POSSESSED:
        own = _of_own_code(connection, session.session_id, together_since)
        numbers = [number for number in numbers if number in own]
    return next(iter(numbers), None)


def _of_own_code(connection: Any, session_id: str, since: datetime) -> set[str]:
    """The numbers from which calls have given this visit's code: whoever reads the code here also has that telephone."""
    gave = (codes.c.session_id == session_id) & (codes.c.used_at > since)
    query = sa.select(sessions.c.detail).join(codes, codes.c.used_by_session == sessions.c.session_id).where(gave)
    return {str(detail["caller"]) for detail in connection.execute(query).scalars() if detail.get("caller")}


def _under_way(connection: Any, number: str, limits: CallLimits, at: datetime) -> PlacedCall | None:
    """The latest call to this number that is not over, as far as we have been told or must suppose."""
    query = (
        sa.select(placed_calls)
        .where(placed_calls.c.number == number, placed_calls.c.placed_at > at - max(limits.lasts, limits.rings_for))
        .where(placed_calls.c.ended_at.is_(None))
        .order_by(placed_calls.c.placed_at.desc())
    )
    for row in connection.execute(query).all():
        if row.placed_at > at - (limits.rings_for if row.answered_at is None else limits.lasts):
            return _entry(connection, row)
    return None


def _refuse_if_too_many(connection: Any, contact_id: str, number: str, limits: CallLimits, at: datetime) -> None:
    count = sa.select(sa.func.count()).select_from(placed_calls)
    lately = (placed_calls.c.placed_at > at - _HOUR) & (placed_calls.c.outcome.is_(None) | (placed_calls.c.outcome != REFUSED))
    theirs = placed_calls.c.contact_id.in_(aliases_of(connection, contact_id)) | (placed_calls.c.number == number)
    for which, most in ((lately & theirs, limits.per_number), (lately, limits.over_all)):
        if connection.execute(count.where(which)).scalar_one() >= most:
            raise Rejected("too_many_calls")


def _row(connection: Any, placed_id: str, *, hold: bool = False) -> Any:
    """The call. ``hold``: other writers of it wait until this transaction ends. Raises Rejected("unknown_call")."""
    check_ids(placed_id=placed_id)
    query = sa.select(placed_calls).where(placed_calls.c.placed_id == placed_id)
    row = connection.execute(query.with_for_update(key_share=True) if hold else query).first()
    if row is None:
        raise Rejected("unknown_call")
    return row


def _known_as(connection: Any, row: Any, call_sid: str) -> None:
    """Note the telephone company's id of it, whichever way we learn of it first. Raises Rejected("unknown_call") for another one."""
    if row.call_sid is None:
        connection.execute(placed_calls.update().where(placed_calls.c.placed_id == row.placed_id).values(call_sid=call_sid))
    elif row.call_sid != call_sid:
        raise Rejected("unknown_call")


def _entry(connection: Any, row: Any) -> PlacedCall:
    contact_id = living(connection, row.contact_id)
    query = sa.select(phone_calls.c.session_id).where(phone_calls.c.call_sid == row.call_sid)
    led_to = None if row.call_sid is None else connection.execute(query).scalar()
    return PlacedCall(
        placed_id=row.placed_id,
        contact_id=contact_id,
        session_id=row.session_id,
        number=row.number,
        call_sid=row.call_sid,
        answered=row.answered_at is not None,
        confirmed=led_to is not None and read_session(connection, led_to).contact_id == contact_id,
        outcome=row.outcome,
    )
