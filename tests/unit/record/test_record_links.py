"""Links that are sent to a telephone or an e-mail address, and who opens them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

import throughline.record as record_room
from throughline.domain.assurance import LINK, PROVEN_NUMBER
from throughline.domain.turns import Turn
from throughline.errors import Rejected
from throughline.record import Record
from throughline.record.entries import NewEvent, OpenedLink
from throughline.record.events import new_event_id
from throughline.record.links import MOST_OF_A_SESSION, MOST_TO_AN_ADDRESS
from throughline.record.schema import links

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NUMBER = "+15035550170"


@pytest.fixture
def call(record: Record) -> record_room.Session:
    return record.open_session(record.create_contact(), "phone", detail={"caller": NUMBER})


@pytest.fixture
def page(record: Record) -> record_room.Session:
    return record.open_session(record.create_contact(), "web_chat")


def sent(record: Record, call: record_room.Session, now: datetime = NOON, *, address: str = NUMBER) -> str:
    return record.issue_link(call.contact_id, call.session_id, kind="phone", address=address, ttl_s=900, now=now)


def test_a_link_leads_to_its_conversation_and_tells_where_it_was_sent(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    token = sent(record, call)
    assert len(token) == 43
    assert record.open_link(token, session_id=page.session_id, now=NOON) == OpenedLink(call.contact_id, "phone", NUMBER)


def test_it_opens_once_and_for_the_visit_that_opened_it_again_for_a_while(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    token, other = sent(record, call), record.open_session(record.create_contact(), "web_chat")
    opened = record.open_link(token, session_id=page.session_id, now=NOON)
    again = record.open_link(token, session_id=page.session_id, now=NOON + 15 * MINUTE)
    assert again == opened, "its page may not have heard that it was"
    with pytest.raises(Rejected, match="used_link"):
        record.open_link(token, session_id=page.session_id, now=NOON + 16 * MINUTE)
    with pytest.raises(Rejected, match="used_link"):
        record.open_link(token, session_id=other.session_id, now=NOON)


def test_it_runs_out(record: Record, call: record_room.Session, page: record_room.Session) -> None:
    token = sent(record, call)
    with pytest.raises(Rejected, match="expired_link"):
        record.open_link(token, session_id=page.session_id, now=NOON + 15 * MINUTE)


def test_what_is_no_link_of_ours_opens_nothing(record: Record, call: record_room.Session, page: record_room.Session) -> None:
    token = sent(record, call)
    for forged in (token[:-1], token + "A", token.swapcase(), "", "x" * 43):
        with pytest.raises(Rejected, match="unknown_link"):
            record.open_link(forged, session_id=page.session_id, now=NOON)
    with pytest.raises(Rejected, match="too_long"):
        record.open_link("x" * 10_000, session_id=page.session_id, now=NOON)
    with pytest.raises(Rejected, match="unknown_session"):
        record.open_link(token, session_id="s_nowhere", now=NOON)
    assert record.open_link(token, session_id=page.session_id, now=NOON).contact_id == call.contact_id, "nor uses one up"


def test_of_many_who_bring_it_at_the_same_moment_one_opens_it(record: Record, call: record_room.Session) -> None:
    token, opened, refused = sent(record, call), list[str](), list[str]()
    visits = [record.open_session(record.create_contact(), "web_chat").session_id for _ in range(6)]
    begin = threading.Barrier(len(visits))

    def bring(session_id: str) -> None:
        begin.wait()
        try:
            record.open_link(token, session_id=session_id, now=NOON)
            opened.append(session_id)
        except Rejected as refusal:
            refused.append(refusal.reason)

    threads = [threading.Thread(target=bring, args=(visit,)) for visit in visits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert refused == ["used_link"] * 5


def test_only_a_digest_is_kept(record: Record, call: record_room.Session) -> None:
    token = sent(record, call)
    with record._database.reading() as connection:
        kept = [value for row in connection.execute(sa.select(links)).all() for value in row]
    assert token not in kept


def test_a_new_link_ends_the_visits_earlier_one(record: Record, call: record_room.Session, page: record_room.Session) -> None:
    first, second = sent(record, call), sent(record, call, NOON + MINUTE)
    with pytest.raises(Rejected, match="expired_link"):
        record.open_link(first, session_id=page.session_id, now=NOON + MINUTE)
    assert record.open_link(second, session_id=page.session_id, now=NOON + MINUTE).address == NUMBER


def test_few_are_sent_from_one_visit_in_an_hour(record: Record, call: record_room.Session) -> None:
    for _ in range(MOST_OF_A_SESSION):
        sent(record, call)
    with pytest.raises(Rejected, match="too_many_links"):
        sent(record, call, NOON + 59 * MINUTE)
    sent(record, call, NOON + 61 * MINUTE)


def test_few_are_sent_to_one_address_in_a_day_however_many_calls_ask(record: Record) -> None:
    """A number that somebody borrows is somebody's."""

    def another_call() -> record_room.Session:
        return record.open_session(record.create_contact(), "phone")

    for hour in range(MOST_TO_AN_ADDRESS):
        sent(record, another_call(), NOON + hour * HOUR)
    with pytest.raises(Rejected, match="too_many_links"):
        sent(record, another_call(), NOON + 23 * HOUR)
    sent(record, another_call(), NOON + 23 * HOUR, address="+15035550171")
    sent(record, another_call(), NOON + 25 * HOUR)


def test_asking_at_the_same_moment_does_not_slip_past_the_limit(record: Record, call: record_room.Session) -> None:
    begin, refused = threading.Barrier(8), list[str]()

    def ask() -> None:
        begin.wait()
        try:
            sent(record, call)
        except Rejected as refusal:
            refused.append(refusal.reason)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["too_many_links"] * (8 - MOST_OF_A_SESSION)
    with record._database.reading() as connection:
        still_open = connection.execute(sa.select(links).where(links.c.expires_at > NOON)).all()
    assert len(still_open) == 1


def test_a_visit_with_an_account_opens_no_link_of_somebody_elses(record: Record, call: record_room.Session) -> None:
    """Neither one of another account nor one of nobody's: it would be shared with who has sent it."""
    dana, emil = (record.contact_of_account(name, proof="login") for name in ("dana", "emil"))
    danas, emils = (record.open_session(contact, "web_chat").session_id for contact in (dana, emil))
    token = sent(record, call)
    with pytest.raises(Rejected, match="account_link"):
        record.open_link(token, session_id=danas, now=NOON)
    record.merge(call.contact_id, dana, reason="code", session_id=call.session_id)
    with pytest.raises(Rejected, match="account_link"):
        record.open_link(token, session_id=emils, now=NOON)
    assert record.open_link(token, session_id=danas, now=NOON).contact_id == dana


def test_it_leads_to_whoever_its_contact_has_become(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    token, customer = sent(record, call), record.create_contact()
    record.merge(call.contact_id, customer, reason="code", session_id=call.session_id)
    assert record.open_link(token, session_id=page.session_id, now=NOON).contact_id == customer


def test_after_a_merge_was_taken_back_its_links_lead_nowhere(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    customer = record.create_contact()
    record.merge(call.contact_id, customer, reason="code", session_id=call.session_id)
    token = record.issue_link(customer, call.session_id, kind="phone", address=NUMBER, ttl_s=900)
    record.unmerge(call.contact_id, reason="wrong person")
    with pytest.raises(Rejected, match="expired_link"):
        record.open_link(token, session_id=page.session_id)


def test_after_its_merge_was_taken_back_a_link_ties_nobody_and_is_not_opened_again(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    token = record.issue_link(call.contact_id, call.session_id, kind="phone", address=NUMBER, ttl_s=900)
    record.open_link(token, session_id=page.session_id)
    record.merge(page.contact_id, call.contact_id, reason=LINK, session_id=page.session_id)
    record.unmerge(page.contact_id, reason="wrong person")
    assert record.session(page.session_id).contact_id == page.contact_id
    for session in (call, page):
        assert record.standing(session.session_id, together=HOUR).together == {session.session_id}
    with pytest.raises(Rejected, match="used_link"):
        record.open_link(token, session_id=page.session_id)


def test_links_of_a_visit_that_goes_back_go_with_it(record: Record, call: record_room.Session) -> None:
    """The number that they were sent to is the caller's, and no longer the other's."""
    customer = record.create_contact()
    record.merge(call.contact_id, customer, reason="code", session_id=call.session_id)
    record.issue_link(customer, call.session_id, kind="phone", address=NUMBER, ttl_s=900)
    record.unmerge(call.contact_id, reason="wrong person")
    assert [link["address"] for link in record.person(call.contact_id)["links"]] == [NUMBER]
    assert record.person(customer)["links"] == []
    record.erase(customer, own_words={})
    assert [link["address"] for link in record.person(call.contact_id)["links"]] == [NUMBER]


def test_who_asks_what_is_kept_of_them_is_told_no_visit_of_somebody_elses(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    record.open_link(sent(record, call), session_id=page.session_id, now=NOON)
    (link,) = record.person(call.contact_id)["links"]
    assert (link["address"], link["used_by_session"]) == (NUMBER, None)
    assert NUMBER not in str(record.person(page.contact_id))


def test_a_link_of_somebody_who_was_erased_opens_nothing(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    token = sent(record, call)
    record.erase(call.contact_id, own_words={})
    with pytest.raises(Rejected, match="unknown_link"):
        record.open_link(token, session_id=page.session_id, now=NOON)


def test_whoever_opened_a_link_may_be_erased_and_the_link_stays(
    record: Record, call: record_room.Session, page: record_room.Session
) -> None:
    token = sent(record, call)
    record.open_link(token, session_id=page.session_id, now=NOON)
    record.erase(page.contact_id, own_words={})
    with record._database.reading() as connection:
        row = connection.execute(sa.select(links)).one()
    assert (row.contact_id, row.used_by_session) == (call.contact_id, None)


def test_the_address_becomes_theirs_and_may_claim_to_be(record: Record, call: record_room.Session) -> None:
    append(record, call, {"event": "user", "text": "hello"})
    record.add_address(call.contact_id, "phone", NUMBER, proof="caller_id")
    assert known_callers(record) == []
    record.add_address(call.contact_id, "phone", NUMBER, proof=LINK)
    assert known_callers(record) == [call.contact_id]


def known_callers(record: Record) -> list[str]:
    return record.callers_known(NUMBER, proofs=PROVEN_NUMBER, since=datetime(2020, 1, 1, tzinfo=timezone.utc))


def test_a_visit_is_blank_until_somebody_says_something(record: Record, page: record_room.Session) -> None:
    assert record.is_blank(page.contact_id)
    append(record, page, {"event": "bot", "text": "Are you still there?"})
    assert record.is_blank(page.contact_id)
    append(record, page, {"event": "user", "text": "hello"})
    assert not record.is_blank(page.contact_id)
    alias, other = record.create_contact(), record.create_contact()
    record.merge(page.contact_id, other, reason="code", session_id=None)
    assert not record.is_blank(other), "nor is who they have become"
    assert record.is_blank(alias)


def test_what_is_only_stored_was_said_too(record: Record, page: record_room.Session) -> None:
    record.store_message(Turn(page.contact_id, page.session_id, "web_chat", "hello", "m1"))
    assert not record.is_blank(page.contact_id)


def append(record: Record, session: record_room.Session, data: dict[str, object]) -> None:
    event_id = new_event_id()
    event = NewEvent(
        event_id, {"timestamp": 1.0, "metadata": {"event_id": event_id}, **data}, session.session_id, session.channel
    )
    record.append_events(session.contact_id, [event], expected=None)


def test_links_survive_a_restart(
    record: Record, call: record_room.Session, page: record_room.Session, reopen: Callable[[], Record]
) -> None:
    token = sent(record, call)
    record.close()
    assert reopen().open_link(token, session_id=page.session_id, now=NOON).contact_id == call.contact_id
