"""Visits of other conversations: what is compared, what is counted, and for whom it is open."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.unit.record.conftest import LIMITS
from throughline.domain.assurance import Assurance
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected
from throughline.record import Record
from throughline.record.schema import audit_log

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.fixture
def visit(record: Record) -> Visit:
    slot = VisitSlot(NOON + HOUR, NOON + 3 * HOUR, "t-abe")
    return record.calendar.book(slot, record.create_contact(), {"postcode": "97201"}, idempotency_key="v")


def session(record: Record, **options: Any) -> str:
    return record.open_session(record.create_contact(), "web_chat", **options).session_id


def match(record: Record, session_id: str, visit: Visit | None, postcode: str = "97201", **options: Any) -> str:
    """Why it was refused; empty where it was not."""
    options = {"lasts": HOUR, "now": NOON, **options}
    try:
        record.match_visit(session_id, visit, postcode=postcode, limits=LIMITS, **options)
    except Rejected as refusal:
        return refusal.reason
    return ""


def found(record: Record, session_id: str, now: datetime = NOON) -> list[str]:
    return record.found_visits(session_id, together=HOUR, now=now)


def test_what_was_found_is_open_for_its_time(record: Record, visit: Visit) -> None:
    here = session(record)
    assert found(record, here) == []
    assert match(record, here, visit) == ""
    assert found(record, here) == [visit.reference]
    assert found(record, here, NOON + HOUR) == []
    assert found(record, session(record)) == []
    assert match(record, here, visit, lasts=None) == ""
    assert found(record, here, NOON + timedelta(days=99)) == [visit.reference]


def test_it_opens_nothing_else(record: Record, visit: Visit) -> None:
    here = session(record)
    match(record, here, visit)
    assert record.session(here).assurance is Assurance.ANONYMOUS
    assert record.calendar.visits_of(record.session(here).contact_id) == []


def test_it_is_open_in_the_call_that_the_chat_led_to(record: Record, visit: Visit) -> None:
    contact = record.create_contact()
    chat = record.open_session(contact, "web_chat").session_id
    match(record, chat, visit, lasts=None)
    call = record.open_session(contact, "phone", detail={"chat_session_id": chat}).session_id
    other = record.open_session(contact, "phone").session_id
    now = datetime.now(timezone.utc)
    assert found(record, call, now) == [visit.reference]
    assert found(record, other, now) == []


@pytest.mark.parametrize("postcode", ["97202", ""])
def test_a_wrong_zip_code_is_counted(record: Record, visit: Visit, postcode: str) -> None:
    here = session(record)
    assert [match(record, here, visit, postcode) for _ in range(4)] == ["no_match"] * 3 + ["too_many_tries"]
    assert match(record, here, visit) == "too_many_tries", "right, and too late"
    with pytest.raises(Rejected) as refused:
        record.refuse_if_too_many(here, limits=LIMITS, now=NOON)
    assert refused.value.reason == "too_many_tries"


def test_a_reference_of_nothing_and_a_cancelled_visit_are_counted_alike(record: Record, visit: Visit) -> None:
    cancelled = record.calendar.cancel(visit.visit_id, idempotency_key="c", now=NOON)
    here = session(record)
    assert [match(record, here, one) for one in (None, cancelled, None, None)] == ["no_match"] * 3 + ["too_many_tries"]


def test_a_visit_without_a_zip_code_is_nobodys(record: Record) -> None:
    slot = VisitSlot(NOON + HOUR, NOON + 3 * HOUR, "t-abe")
    bare = record.calendar.book(slot, record.create_contact(), {}, idempotency_key="v")
    assert match(record, session(record), bare, "") == "no_match"


def test_a_caller_has_ten_tries_an_hour_and_all_together_ring_the_alarm(record: Record, visit: Visit) -> None:
    callers = [f"192.0.2.{number}" for number in range(3)]
    with capture_logs() as logs:
        for caller in callers:
            for _ in range(4):
                here = session(record, caller=caller)
                said = [match(record, here, visit, "97202") for _ in range(3)]
            assert said[-1] == "too_many_tries" if caller != callers[-1] else "closed"
    assert [line["kind"] for line in logs if line["event"] == "identity.alarm"] == ["fact"]
    assert match(record, session(record, caller="198.51.100.7"), visit) == "closed"
    with pytest.raises(Rejected):
        record.match_fact(session(record), [], slot="postcode", value="97201", limits=LIMITS, now=NOON)


def test_it_stands_in_the_audit_log_of_whose_visit_it_is(record: Record, visit: Visit) -> None:
    here = session(record)
    match(record, here, visit)
    with record._database.reading() as connection:
        [entry] = connection.execute(sa.select(audit_log).where(audit_log.c.action == "visit_found")).all()
    assert (entry.contact_id, entry.session_id) == (visit.contact_id, here)


def test_a_visit_of_somebody_the_record_does_not_know_is_found_too(record: Record, visit: Visit) -> None:
    foreign = Visit(visit.visit_id, visit.reference, visit.slot, "a customer of the calendar's", visit.details)
    here = session(record)
    assert match(record, here, foreign) == ""
    assert found(record, here) == [visit.reference]
