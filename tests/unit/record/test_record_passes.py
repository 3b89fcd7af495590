"""Sessions' chat tokens, one-time codes and call tokens: what lets a conversation go on elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

import throughline.record as record_room
from tests.unit.record.conftest import LIMITS
from throughline.errors import ConfigurationError, Rejected
from throughline.record import Record
from throughline.record.schema import metadata

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def chat(record: Record) -> record_room.Session:
    return record.open_session(record.create_contact(), "web_chat")


@pytest.fixture
def call(record: Record) -> record_room.Session:
    return record.open_session(record.create_contact(), "phone")


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


def test_a_chat_token_leads_back_to_its_session(record: Record, chat: record_room.Session) -> None:
    token = record.issue_chat_token(chat.session_id)
    assert len(token) == 43
    assert record.chat_session(token) == chat


def test_unknown_expired_and_ended_chat_sessions_look_the_same(record: Record, chat: record_room.Session) -> None:
    short = record.issue_chat_token(chat.session_id, ttl_s=60, now=NOON)
    lasting = record.issue_chat_token(chat.session_id)
    assert record.chat_session(short, now=NOON + timedelta(seconds=59)) == chat
    record.end_session(chat.session_id, "left")
    for token, now in (("nonsense", NOON), (short, NOON + timedelta(seconds=60)), (lasting, NOON)):
        with pytest.raises(Rejected, match="unknown_session"):
            record.chat_session(token, now=now)


def test_secrets_are_not_in_the_database(record: Record, chat: record_room.Session) -> None:
    secrets = [
        record.issue_chat_token(chat.session_id),
        record.issue_code(chat.contact_id, chat.session_id, ttl_s=600),
        record.issue_call_token(contact_id=None, chat_session_id=None, origin="page", ttl_s=60),
    ]
    with record._database.reading() as connection:
        stored = str([connection.execute(sa.select(table)).all() for table in metadata.sorted_tables])
    assert chat.session_id in stored
    assert [secret for secret in secrets if secret in stored] == []


def test_a_code_leads_to_its_contact_once(record: Record, chat: record_room.Session, call: record_room.Session) -> None:
    code = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    assert len(code) == 8 and code.isdigit()
    assert record.redeem_code(f"{code[:4]} {code[4:]}", session_id=call.session_id, limits=LIMITS) == chat.contact_id
    other = record.open_session(record.create_contact(), "phone")
    with pytest.raises(Rejected, match="used_code"):
        record.redeem_code(code, session_id=other.session_id, limits=LIMITS)


def test_a_turn_that_is_taken_again_redeems_its_code_again(
    record: Record, chat: record_room.Session, call: record_room.Session
) -> None:
    code = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    for _ in range(LIMITS.per_session + 1):
        assert record.redeem_code(code, session_id=call.session_id, limits=LIMITS) == chat.contact_id
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    with pytest.raises(Rejected, match="used_code"):
        record.redeem_code(code, session_id=call.session_id, limits=LIMITS, now=later)


def test_a_code_leads_to_what_its_contact_has_become(
    record: Record, chat: record_room.Session, call: record_room.Session
) -> None:
    code = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    customer = record.create_contact()
    record.merge(chat.contact_id, customer, reason="login", session_id=None)
    assert record.redeem_code(code, session_id=call.session_id, limits=LIMITS) == customer


def test_a_code_ends_with_its_time(record: Record, chat: record_room.Session, call: record_room.Session) -> None:
    code = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600, now=NOON)
    with pytest.raises(Rejected, match="expired_code"):
        record.redeem_code(code, session_id=call.session_id, limits=LIMITS, now=NOON + timedelta(seconds=600))


def test_a_new_code_voids_the_sessions_earlier_one(
    record: Record, chat: record_room.Session, call: record_room.Session
) -> None:
    old = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    new = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    with pytest.raises(Rejected, match="unknown_code"):
        record.redeem_code(old, session_id=call.session_id, limits=LIMITS)
    assert record.redeem_code(new, session_id=call.session_id, limits=LIMITS) == chat.contact_id


def test_wrong_codes_are_counted_for_the_session_that_tries(
    record: Record, chat: record_room.Session, call: record_room.Session
) -> None:
    code = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    for attempt in (wrong(code), "", "12345678901234567890", "１２３４５６７８"):
        with pytest.raises(Rejected, match="unknown_code"):
            record.redeem_code(attempt, session_id=call.session_id, limits=replace(LIMITS, per_session=4))
    with pytest.raises(Rejected, match="too_many_tries"):
        record.redeem_code(code, session_id=call.session_id, limits=replace(LIMITS, per_session=4))
    another_call = record.open_session(call.contact_id, "phone")
    assert (
        record.redeem_code(code, session_id=another_call.session_id, limits=replace(LIMITS, per_session=4)) == chat.contact_id
    )


def test_codes_need_a_secret(tmp_path: Path) -> None:
    record = record_room.open(f"sqlite:///{tmp_path}/without.db")
    record.migrate()
    session = record.open_session(record.create_contact(), "web_chat")
    with pytest.raises(ConfigurationError, match="secret"):
        record.issue_code(session.contact_id, session.session_id, ttl_s=600)
    record.close()


def test_a_call_token_lets_one_call_in(record: Record, chat: record_room.Session) -> None:
    token = record.issue_call_token(contact_id=chat.contact_id, chat_session_id=chat.session_id, origin="page", ttl_s=60)
    redeemed = record.redeem_call_token(token)
    assert redeemed == record_room.CallToken(chat.contact_id, chat.session_id, "page")
    with pytest.raises(Rejected, match="used_token"):
        record.redeem_call_token(token)


def test_unknown_and_late_call_tokens_are_refused(record: Record) -> None:
    token = record.issue_call_token(contact_id=None, chat_session_id=None, origin="line", ttl_s=60, now=NOON)
    with pytest.raises(Rejected, match="unknown_token"):
        record.redeem_call_token(token + "x", now=NOON)
    with pytest.raises(Rejected, match="expired_token"):
        record.redeem_call_token(token, now=NOON + timedelta(seconds=60))
    with pytest.raises(Rejected, match="too_long"):
        record.redeem_call_token("x" * 10_000)


def test_passes_survive_a_restart(record: Record, chat: record_room.Session, reopen: Callable[[], Record]) -> None:
    token = record.issue_chat_token(chat.session_id)
    code = record.issue_code(chat.contact_id, chat.session_id, ttl_s=600)
    record.close()
    reopened = reopen()
    assert reopened.chat_session(token) == chat
    call = reopened.open_session(reopened.create_contact(), "phone")
    assert reopened.redeem_code(code, session_id=call.session_id, limits=LIMITS) == chat.contact_id
