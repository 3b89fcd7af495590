"""Calls of the telephone line: announced, connected, ended; and callers recognised by what they know."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.unit.record.conftest import LIMITS
from throughline.domain.assurance import Assurance
from throughline.errors import Rejected
from throughline.record import CallToken, Record
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
CALL = "CA" + "1" * 32
CALLER = "+15035550100"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


def announce(record: Record, call_sid: str = CALL, now: datetime = NOON) -> str:
    return record.announce_call(call_sid, caller=CALLER, attestation="TN-Validation-Passed-A", ttl_s=60, now=now)


def test_a_call_is_announced_connected_and_ended(record: Record) -> None:
    token = announce(record)
    assert record.phone_call(CALL).step == 1
    assert record.phone_call(CALL).connected_step == 0
    assert record.redeem_call_token(token, call_sid=CALL, now=NOON) == CallToken(None, None, "twilio")
    session = record.open_session(record.create_contact(), "phone")
    record.note_call_session(CALL, session.session_id)
    call = record.phone_call(CALL)
    assert (call.caller, call.attestation, call.connected_step) == (CALLER, "TN-Validation-Passed-A", 1)
    assert call.session == session
    record.end_call(CALL, reason="hung_up")
    ended = record.phone_call(CALL)
    assert ended.ended_at is not None
    assert ended.session is not None
    assert ended.session.end_reason == "hung_up"


def test_the_first_end_of_a_session_counts(record: Record) -> None:
    record.redeem_call_token(announce(record), call_sid=CALL, now=NOON)
    session = record.open_session(record.create_contact(), "phone")
    record.note_call_session(CALL, session.session_id)
    record.end_session(session.session_id, "completed")
    record.end_call(CALL, reason="hung_up")
    assert record.session(session.session_id).end_reason == "completed"


def test_why_a_line_was_lost_is_learned_from_the_company(record: Record) -> None:
    record.redeem_call_token(announce(record), call_sid=CALL, now=NOON)
    session = record.open_session(record.create_contact(), "phone")
    record.note_call_session(CALL, session.session_id)
    record.end_session(session.session_id, "line_lost")
    record.end_call(CALL, reason="hung_up")
    assert record.session(session.session_id).end_reason == "hung_up"


def test_a_token_is_good_for_its_own_call_only(record: Record) -> None:
    token = announce(record)
    for call_sid in (None, "", "CA" + "2" * 32):
        with pytest.raises(Rejected, match="other_call"):
            record.redeem_call_token(token, call_sid=call_sid, now=NOON)
    record.redeem_call_token(token, call_sid=CALL, now=NOON)


def test_announced_twice_it_is_one_call_and_one_of_its_tokens_connects_it(record: Record) -> None:
    first, second = announce(record), announce(record)
    assert first != second
    record.redeem_call_token(first, call_sid=CALL, now=NOON)  # the answer that arrived may be either
    with pytest.raises(Rejected, match="used_token"):
        record.redeem_call_token(second, call_sid=CALL, now=NOON)
    with pytest.raises(Rejected, match="replayed_call"):
        announce(record)


def test_a_call_that_has_ended_is_not_announced_again(record: Record) -> None:
    announce(record)
    record.end_call(CALL, reason="hung_up")
    with pytest.raises(Rejected, match="replayed_call"):
        announce(record)


def test_a_call_goes_on_with_its_contact_and_a_repetition_gets_no_second_connection(record: Record) -> None:
    record.redeem_call_token(announce(record), call_sid=CALL, now=NOON)
    contact = record.create_contact()
    record.note_call_session(CALL, record.open_session(contact, "phone").session_id)
    again = record.reconnect_call(CALL, after_step=1, ttl_s=60, now=NOON)
    repeated = record.reconnect_call(CALL, after_step=1, ttl_s=60, now=NOON)
    assert record.phone_call(CALL).step == 2
    assert record.redeem_call_token(repeated, call_sid=CALL, now=NOON).contact_id == contact
    with pytest.raises(Rejected, match="used_token"):
        record.redeem_call_token(again, call_sid=CALL, now=NOON)
    with pytest.raises(Rejected, match="replayed_call"):
        record.reconnect_call(CALL, after_step=1, ttl_s=60, now=NOON)
    with pytest.raises(Rejected, match="replayed_call"):
        record.reconnect_call(CALL, after_step=4, ttl_s=60, now=NOON)


def test_an_unknown_call_is_unknown(record: Record) -> None:
    for ask in (
        lambda: record.phone_call(CALL),
        lambda: record.reconnect_call(CALL, after_step=1, ttl_s=60),
        lambda: record.end_call(CALL, reason="hung_up"),
        lambda: record.note_call_session(CALL, "s"),
    ):
        with pytest.raises(Rejected, match="unknown_call"):
            ask()


def test_a_request_is_known_by_any_of_its_digests(record: Record) -> None:
    assert record.take_request(["signed", "named"], kind="voice", now=NOON) is None
    later = NOON + timedelta(seconds=5)
    assert record.take_request(["signed"], kind="voice", now=later) == NOON
    assert record.take_request(["other", "named"], kind="voice", now=later) == NOON
    assert record.take_request(["other"], kind="voice", now=later) == NOON
    assert record.take_request(["new"], kind="voice", now=later) is None


def told(record: Record, contact: str, **slots: object) -> None:
    """The contact says something, and these become facts."""
    head = record.window(contact).head
    said = [{"event": "user", "text": "hello"}, *({"event": "slot", "name": name, "value": slots[name]} for name in slots)]
    new = []
    for event in said:
        event_id = new_event_id()
        new.append(NewEvent(event_id, {**event, "timestamp": 0.0, "metadata": {"event_id": event_id}}, None, None))
    record.append_events(contact, new, expected=head)


def caller_of(record: Record, proof: str, **slots: object) -> str:
    contact = record.create_contact()
    record.add_address(contact, "phone", CALLER, proof=proof)
    if slots:
        told(record, contact, **slots)
    return contact


def test_callers_are_known_by_a_proven_number_once_they_have_said_something(record: Record) -> None:
    older = caller_of(record, "code", postcode="97201")
    caller_of(record, "caller_id", postcode="97202")
    caller_of(record, "attested")
    newer = caller_of(record, "attested", postcode="97203")
    assert record.callers_known(CALLER, proofs=["code", "attested"], since=LONG_AGO) == [newer, older]
    assert record.callers_known("+15035550199", proofs=["code", "attested"], since=LONG_AGO) == []


def test_a_conversation_of_long_ago_is_no_recent_one(record: Record) -> None:
    caller_of(record, "code", postcode="97201")
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    assert record.callers_known(CALLER, proofs=["code"], since=tomorrow) == []


def calling(record: Record, number: int, now: datetime = NOON) -> str:
    """A session of another call from CALLER."""
    call_sid = f"CA{number:032d}"
    record.redeem_call_token(announce(record, call_sid, now), call_sid=call_sid, now=now)
    session = record.open_session(record.create_contact(), "phone", assurance=Assurance.CLAIMED, caller=CALLER)
    record.note_call_session(call_sid, session.session_id)
    return session.session_id


def match(record: Record, session_id: str, among: list[str], value: str, now: datetime = NOON) -> str:
    return record.match_fact(session_id, among, slot="postcode", value=value, limits=LIMITS, now=now)


def test_who_knows_the_fact_is_matched(record: Record) -> None:
    dana, sam = caller_of(record, "code", postcode="97201"), caller_of(record, "code", postcode="97202")
    assert match(record, calling(record, 1), [dana, sam], "97202") == sam


def test_the_newest_value_counts(record: Record) -> None:
    dana = caller_of(record, "code", postcode="97201")
    told(record, dana, postcode="97209")
    session = calling(record, 1)
    with pytest.raises(Rejected, match="no_match"):
        match(record, session, [dana], "97201")
    assert match(record, session, [dana], "97209") == dana


def test_what_is_true_of_two_people_opens_neither(record: Record) -> None:
    two = [caller_of(record, "code", postcode="97201"), caller_of(record, "code", postcode="97201")]
    with pytest.raises(Rejected, match="several_match"):
        match(record, calling(record, 1), two, "97201")


def test_who_has_called_twice_without_having_been_recognised_is_one_person(record: Record) -> None:
    older, newer = (
        caller_of(record, "attested", postcode="97201", customer_name=name) for name in ("Dana Reyes", "dana reyes")
    )
    assert match(record, calling(record, 1), [newer, older], "97201") == newer
    other = caller_of(record, "attested", postcode="97201", customer_name="Sam Reyes")
    with pytest.raises(Rejected, match="several_match"):
        match(record, calling(record, 2), [newer, older, other], "97201")


def test_calls_that_proved_nothing_do_not_push_out_who_gave_a_code(record: Record) -> None:
    dana = caller_of(record, "code", postcode="97201")
    silent = [record.create_contact() for _ in range(12)]
    for contact in silent:
        record.add_address(contact, "phone", CALLER, proof="attested")
    assert record.callers_known(CALLER, proofs=["code", "attested"], since=LONG_AGO) == [dana]


def test_a_call_may_try_three_times(record: Record) -> None:
    dana, session = caller_of(record, "code", postcode="97201"), calling(record, 1)
    for wrong in ("97202", "97203", "97204"):
        with pytest.raises(Rejected, match="no_match"):
            match(record, session, [dana], wrong)
    with pytest.raises(Rejected, match="too_many_tries"):
        match(record, session, [dana], "97201")


def test_a_number_may_try_ten_times_an_hour_over_all_its_calls(record: Record) -> None:
    dana = caller_of(record, "code", postcode="97201")
    tried = 0
    for number in range(4):
        session = calling(record, number)
        for _ in range(3):
            if tried == 10:
                break
            with pytest.raises(Rejected, match="no_match"):
                match(record, session, [dana], "97299")
            tried += 1
    fresh = calling(record, 99)
    with pytest.raises(Rejected, match="too_many_tries"):
        match(record, fresh, [dana], "97201")
    tomorrow = NOON + timedelta(days=1)
    assert match(record, calling(record, 100, tomorrow), [dana], "97201", tomorrow) == dana
