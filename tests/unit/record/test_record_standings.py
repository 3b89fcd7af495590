"""What a visit may be told: how sure we are of who is there, and which other visits are in the same hands."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.record.conftest import LIMITS
from throughline.domain.assurance import Assurance
from throughline.errors import Rejected
from throughline.record import Record, Session
from throughline.record.schema import sessions
from throughline.record.standings import standing_of

pytestmark = pytest.mark.unit

HOUR = timedelta(hours=1)


@pytest.fixture
def chat(record: Record) -> Session:
    return record.open_session(record.create_contact(), "web_chat")


@pytest.fixture
def call(record: Record) -> Session:
    return record.open_session(record.create_contact(), "phone")


def now() -> datetime:
    return datetime.now(timezone.utc)


def backdate(record: Record, session: Session, by: timedelta) -> None:
    with record._database.writing() as connection:
        this = sessions.c.session_id == session.session_id
        connection.execute(sessions.update().where(this).values(started_at=session.started_at - by))


class CountedRows:
    """A connection that counts the rows it gives back."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.rows = 0

    def execute(self, statement: Any) -> list[Any]:
        found = self._connection.execute(statement).all()
        self.rows += len(found)
        return list(found)


def together(record: Record, session: Session, later: timedelta = timedelta()) -> frozenset[str | None]:
    return record.standing(session.session_id, together=HOUR, now=now() + later).together


def give_code(record: Record, issued_in: Session, given_in: Session) -> None:
    code = record.issue_code(issued_in.contact_id, issued_in.session_id, ttl_s=300)
    record.redeem_code(code, session_id=given_in.session_id, limits=LIMITS)
    record.merge(given_in.contact_id, issued_in.contact_id, reason="code", session_id=given_in.session_id)


def test_a_visit_alone_is_in_its_own_hands(record: Record, chat: Session) -> None:
    record.open_session(chat.contact_id, "web_chat")
    record.open_session(chat.contact_id, "phone", detail={"call_sid": "CA1"})
    assert together(record, chat) == {chat.session_id}, "the same person's other visits are not"
    with pytest.raises(Rejected, match="unknown_session"):
        record.standing("s_nowhere", together=HOUR)


def test_who_gave_a_code_is_together_with_whom_it_was_given_for_a_while(record: Record, chat: Session, call: Session) -> None:
    give_code(record, chat, call)
    both = {chat.session_id, call.session_id}
    assert together(record, chat) == together(record, call) == both
    assert together(record, chat, HOUR + timedelta(minutes=1)) == {chat.session_id}, "somebody else may sit there by now"


def test_a_code_that_was_not_given_ties_nothing(record: Record, chat: Session, call: Session) -> None:
    record.issue_code(chat.contact_id, chat.session_id, ttl_s=300)
    with pytest.raises(Rejected):
        record.redeem_code("00000000", session_id=call.session_id, limits=LIMITS)
    assert together(record, chat) == {chat.session_id}


def test_who_opened_a_link_is_together_with_the_call_it_was_sent_from_for_a_while(
    record: Record, chat: Session, call: Session
) -> None:
    token = record.issue_link(call.contact_id, call.session_id, kind="phone", address="+15035550170", ttl_s=900)
    assert together(record, call) == {call.session_id}, "a link that was not opened ties nothing"
    record.open_link(token, session_id=chat.session_id)
    both = {chat.session_id, call.session_id}
    assert together(record, chat) == together(record, call) == both
    assert together(record, call, HOUR + timedelta(minutes=1)) == {call.session_id}


def test_a_later_call_of_the_same_person_is_not_together_with_their_chat(record: Record, chat: Session, call: Session) -> None:
    give_code(record, chat, call)
    later = record.open_session(chat.contact_id, "phone", assurance=Assurance.POSSESSED)
    assert later.session_id not in together(record, chat)


def test_a_call_from_the_chats_page_is_together_with_it(record: Record, chat: Session) -> None:
    detail = {"chat_session_id": chat.session_id, "call_sid": "page"}
    from_page = record.open_session(chat.contact_id, "phone", detail=detail)
    assert together(record, chat) == together(record, from_page) == {chat.session_id, from_page.session_id}
    assert together(record, chat, HOUR + timedelta(minutes=1)) == {chat.session_id}


def test_a_call_from_a_chat_that_was_open_for_weeks_is_together_with_it(record: Record, chat: Session) -> None:
    call = record.open_session(chat.contact_id, "phone", detail={"chat_session_id": chat.session_id, "call_sid": "page"})
    backdate(record, chat, timedelta(days=20))
    assert together(record, chat) == together(record, call) == {chat.session_id, call.session_id}


def test_of_an_old_chat_no_more_is_read_than_can_be_one_visit_with_it(record: Record, chat: Session) -> None:
    """A customer who comes back has many visits behind them, none of which it can be."""
    backdate(record, chat, timedelta(days=20))
    for _ in range(5):
        backdate(record, record.open_session(chat.contact_id, "phone"), timedelta(days=1))
    with record._database.reading() as connection:
        read = CountedRows(connection)
        assert standing_of(read, record.session(chat.session_id), [chat.contact_id], now() - HOUR).together == {chat.session_id}
    assert read.rows == 0


def test_a_call_that_went_on_after_its_line_broke_is_one_call(record: Record, call: Session) -> None:
    first = record.open_session(call.contact_id, "phone", detail={"call_sid": "CA1"})
    record.end_session(first.session_id, "cancelled")
    goes_on = record.open_session(call.contact_id, "phone", detail={"call_sid": "CA1"})
    another = record.open_session(call.contact_id, "phone", detail={"call_sid": "CA2"})
    assert together(record, goes_on, 2 * HOUR) == {first.session_id, goes_on.session_id}
    assert together(record, another) == {another.session_id}


def test_a_call_that_went_on_after_its_line_broke_stays_together_with_its_chat(record: Record, chat: Session) -> None:
    """Or the chat's page shows no more of the call once the call's server has died (tests/scale)."""
    first = record.open_session(record.create_contact(), "phone", detail={"call_sid": "CA1"})
    give_code(record, chat, first)
    goes_on = record.open_session(chat.contact_id, "phone", detail={"call_sid": "CA1"})
    assert together(record, chat) == together(record, goes_on) == {chat.session_id, first.session_id, goes_on.session_id}


def test_what_is_together_with_a_chat_is_not_together_with_what_else_is(record: Record, chat: Session, call: Session) -> None:
    """Whoever is on the telephone need not be who called from the page."""
    give_code(record, chat, call)
    from_page = record.open_session(chat.contact_id, "phone", detail={"chat_session_id": chat.session_id, "call_sid": "page"})
    assert together(record, chat) == {chat.session_id, call.session_id, from_page.session_id}
    assert together(record, call) == {chat.session_id, call.session_id}
    assert together(record, from_page) == {chat.session_id, from_page.session_id}


def test_how_sure_we_are_is_how_sure_we_are_now(record: Record, chat: Session) -> None:
    assert record.standing(chat.session_id, together=HOUR).assurance is Assurance.ANONYMOUS
    record.raise_assurance(chat.session_id, Assurance.POSSESSED, lasts=HOUR)
    assert record.standing(chat.session_id, together=HOUR).assurance is Assurance.POSSESSED
    later = datetime.now(timezone.utc) + 2 * HOUR
    assert record.standing(chat.session_id, together=HOUR, now=later).assurance is Assurance.CLAIMED
