"""How sure the record is of who is in a session: raised by proofs, lowered by time, never inherited."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from throughline.domain.assurance import LEVELS, PROVEN_NUMBER, Assurance
from throughline.record import Record

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
TWELVE_HOURS = timedelta(hours=12)


def test_assurance_rises_and_a_weaker_proof_changes_nothing(record: Record) -> None:
    session = record.open_session(record.create_contact(), "phone")
    assert session.assurance is Assurance.ANONYMOUS
    record.raise_assurance(session.session_id, Assurance.POSSESSED, lasts=None)
    record.raise_assurance(session.session_id, Assurance.CLAIMED, lasts=None)
    assert record.session(session.session_id).assurance is Assurance.POSSESSED


def test_a_proof_in_the_chat_lapses_into_a_claim(record: Record) -> None:
    chat = record.open_session(record.create_contact(), "web_chat").session_id
    record.raise_assurance(chat, Assurance.POSSESSED, lasts=TWELVE_HOURS, now=NOON)
    assert record.session(chat, now=NOON + TWELVE_HOURS - timedelta(seconds=1)).assurance is Assurance.POSSESSED
    assert record.session(chat, now=NOON + TWELVE_HOURS).assurance is Assurance.CLAIMED
    token = record.issue_chat_token(chat)
    assert record.chat_session(token, now=NOON + TWELVE_HOURS).assurance is Assurance.CLAIMED


def test_what_is_proved_again_counts_from_then(record: Record) -> None:
    chat = record.open_session(record.create_contact(), "web_chat").session_id
    record.raise_assurance(chat, Assurance.POSSESSED, lasts=TWELVE_HOURS, now=NOON)
    for later in (timedelta(hours=11), timedelta(hours=30)):  # before it has lapsed, and after
        record.raise_assurance(chat, Assurance.POSSESSED, lasts=TWELVE_HOURS, now=NOON + later)
        assert record.session(chat, now=NOON + later + timedelta(hours=11)).assurance is Assurance.POSSESSED
    record.raise_assurance(chat, Assurance.POSSESSED, lasts=timedelta(minutes=1), now=NOON + later)
    assert record.session(chat, now=NOON + later + timedelta(hours=11)).assurance is Assurance.POSSESSED, "never shortened"


def test_a_call_is_believed_until_it_ends(record: Record) -> None:
    call = record.open_session(record.create_contact(), "phone").session_id
    record.raise_assurance(call, Assurance.POSSESSED, lasts=None, now=NOON)
    assert record.session(call, now=NOON + timedelta(days=1)).assurance is Assurance.POSSESSED


def test_a_login_counts_until_its_channel_says_otherwise(record: Record) -> None:
    chat = record.open_session(record.create_contact(), "web_chat", assurance=Assurance.AUTHENTICATED).session_id
    record.raise_assurance(chat, Assurance.POSSESSED, lasts=TWELVE_HOURS, now=NOON)
    assert record.session(chat, now=NOON + timedelta(days=2)).assurance is Assurance.AUTHENTICATED


def test_a_new_session_begins_at_its_own_level(record: Record) -> None:
    contact = record.create_contact()
    record.raise_assurance(record.open_session(contact, "web_chat").session_id, Assurance.POSSESSED, lasts=None)
    assert record.open_session(contact, "web_chat").assurance is Assurance.ANONYMOUS
    assert record.open_session(contact, "phone", assurance=Assurance.CLAIMED).assurance is Assurance.CLAIMED


def test_a_number_alone_is_never_more_than_a_claim_whoever_vouches_for_it() -> None:
    assert {proof: LEVELS[proof] for proof in ("caller_id", "attested")} == {
        "caller_id": Assurance.CLAIMED,
        "attested": Assurance.CLAIMED,
    }
    assert set(PROVEN_NUMBER) <= set(LEVELS)


def test_no_number_and_no_network_address_stands_in_a_session(record: Record) -> None:
    for caller in ("+15035550100", "192.0.2.7", "2001:db8::7"):
        record.open_session(record.create_contact(), "phone", caller=caller)
    with record._database.reading() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM sessions").all())
    assert not any(part in rows for part in ("5550100", "192.0.2", "2001"))
