"""How often somebody may be wrong about a code or a fact: in a session, in an hour, and all callers together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

import throughline.record as record_room
from tests.unit.record.conftest import KEY, LIMITS
from throughline.errors import ConfigurationError, Rejected
from throughline.record import Record, tries
from throughline.record.schema import audit_log, failed_tries, marks

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
NUMBER = "+15035550100"


def session(record: Record, caller: str | None = None, **options: Any) -> str:
    return record.open_session(record.create_contact(), "phone", caller=caller, **options).session_id


def redeem(record: Record, session_id: str, code: str = "00000000", at: datetime = NOON) -> str:
    return record.redeem_code(code, session_id=session_id, limits=LIMITS, now=at)


def reason(work: Callable[[], object]) -> str:
    """Why it was refused."""
    with pytest.raises(Rejected) as refused:
        work()
    return refused.value.reason


def good_code(record: Record, at: datetime = NOON) -> str:
    chat = record.open_session(record.create_contact(), "web_chat")
    return record.issue_code(chat.contact_id, chat.session_id, ttl_s=300, now=at)


def wrong(record: Record, times: int, caller: str, at: datetime = NOON, **options: Any) -> None:
    """So many wrong codes by one caller, in as many calls as they need."""
    calling = [session(record, caller, **options) for _ in range(-(-times // 3))]
    for number in range(times):
        assert reason(lambda number=number: redeem(record, calling[number // 3], at=at)) == "unknown_code"


def guessed_by_many(record: Record, at: datetime = NOON, **options: Any) -> None:
    """As many wrong codes as ring the alarm, no caller of them past their own limit."""
    for caller in range(LIMITS.alarm_tries // 10):
        wrong(record, 10, f"+1503555{caller:04d}", at, **options)


def test_a_caller_has_ten_tries_an_hour_over_all_calls(record: Record) -> None:
    code = good_code(record)
    wrong(record, 10, NUMBER)
    assert reason(lambda: redeem(record, session(record, NUMBER), code)) == "too_many_tries"
    assert redeem(record, session(record, "+15035550199"), code), "somebody else may"
    tomorrow = NOON + timedelta(days=1)
    assert redeem(record, session(record, NUMBER), good_code(record, tomorrow), tomorrow)


def test_codes_and_facts_count_together(record: Record) -> None:
    wrong(record, 8, NUMBER)
    for _ in range(2):
        call = session(record, NUMBER)
        assert reason(lambda: match(record, call)) == "no_match"  # noqa: B023
    assert reason(lambda: match(record, session(record, NUMBER))) == "too_many_tries"
    assert reason(lambda: redeem(record, session(record, NUMBER))) == "too_many_tries"


def match(record: Record, session_id: str, at: datetime = NOON) -> str:
    among = [record.create_contact()]
    return record.match_fact(session_id, among, slot="postcode", value="97201", limits=LIMITS, now=at)


def test_the_addresses_of_one_network_are_one_caller(record: Record) -> None:
    for number in range(10):
        assert reason(lambda number=number: redeem(record, session(record, f"2001:db8:1:2::{number:x}"))) == "unknown_code"
    assert reason(lambda: redeem(record, session(record, "2001:db8:1:2:ffff::1"))) == "too_many_tries"
    assert reason(lambda: redeem(record, session(record, "2001:db8:1:3::1"))) == "unknown_code"
    assert reason(lambda: redeem(record, session(record, "192.0.2.1"))) == "unknown_code"


def test_who_borrows_a_number_does_not_use_up_its_owners_tries(record: Record) -> None:
    code = good_code(record)
    wrong(record, 10, NUMBER)
    assert redeem(record, session(record, NUMBER, vouched=True), code)


def test_many_wrong_codes_from_many_sides_close_codes_and_ring(record: Record) -> None:
    code = good_code(record)
    with capture_logs() as logs:
        guessed_by_many(record)
    (alarm,) = [line for line in logs if line["event"] == "identity.alarm"]
    assert (alarm["log_level"], alarm["kind"]) == ("error", "code")
    assert reason(lambda: redeem(record, session(record, "+15125550100"), code)) == "closed"
    with record._database.reading() as connection:
        (entry,) = connection.execute(sa.select(audit_log).where(audit_log.c.action == "tries_closed")).all()
        assert (entry.detail["kind"], entry.detail["failed"]) == ("code", 30)
        before = connection.execute(sa.select(sa.func.count()).select_from(failed_tries)).scalar_one()
    assert reason(lambda: redeem(record, session(record))) == "closed"
    with record._database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(failed_tries)).scalar_one() == before, (
            "not even looked at"
        )


def test_while_codes_are_closed_facts_are_not_and_callers_vouched_for_still_may(record: Record) -> None:
    guessed_by_many(record)
    assert reason(lambda: match(record, session(record, NUMBER))) == "no_match"
    assert redeem(record, session(record, NUMBER, vouched=True), good_code(record))


def test_callers_vouched_for_have_an_alarm_of_their_own(record: Record) -> None:
    guessed_by_many(record, vouched=True)
    assert reason(lambda: redeem(record, session(record, NUMBER, vouched=True))) == "closed"
    assert redeem(record, session(record, NUMBER), good_code(record))


def test_facts_are_closed_as_codes_are(record: Record) -> None:
    for number in range(LIMITS.alarm_tries):
        assert reason(lambda number=number: match(record, session(record, f"+1512555{number:04d}"))) == "no_match"
    assert reason(lambda: match(record, session(record, NUMBER))) == "closed"
    assert redeem(record, session(record, NUMBER), good_code(record))


def test_codes_open_again_and_the_old_tries_do_not_close_them_at_once(record: Record) -> None:
    guessed_by_many(record)
    later = NOON + LIMITS.closed_for
    assert reason(lambda: redeem(record, session(record), at=later - timedelta(seconds=1))) == "closed"
    assert redeem(record, session(record), good_code(record, later), later)
    wrong(record, 3, "+15125550100", later)
    assert redeem(record, session(record), good_code(record, later), later)


def test_a_days_ordinary_mistakes_ring_no_alarm(record: Record) -> None:
    """Three wrong codes every ten minutes."""
    with capture_logs() as logs:
        for number in range(24):
            wrong(record, 3, f"+1512555{number:04d}", NOON + timedelta(minutes=10 * number))
    assert [line for line in logs if line["event"] == "identity.alarm"] == []


def test_the_limits_hold_after_a_restart(record: Record, reopen: Callable[[], Record]) -> None:
    wrong(record, 10, NUMBER)
    record.close()
    again = reopen()
    assert reason(lambda: redeem(again, session(again, NUMBER))) == "too_many_tries"


def test_no_caller_stands_in_the_clear_beside_a_failed_try(record: Record) -> None:
    wrong(record, 1, NUMBER)
    with record._database.reading() as connection:
        assert NUMBER not in str(connection.execute(sa.select(failed_tries)).all())


def test_the_parts_of_one_call_are_counted_together(record: Record) -> None:
    first = session(record)
    parts = [first, *(session(record, detail={tries.FIRST_PART: first}) for _ in range(2))]
    assert [reason(lambda part=part: redeem(record, part)) for part in parts] == ["unknown_code"] * 3
    assert [reason(lambda part=part: redeem(record, part)) for part in parts] == ["too_many_tries"] * 3
    assert reason(lambda: match(record, parts[1])) == "too_many_tries"


def test_a_part_of_a_call_whose_beginning_was_erased_is_counted_by_itself(record: Record) -> None:
    part = session(record, detail={tries.FIRST_PART: "s_gone"})
    assert [reason(lambda: redeem(record, part)) for _ in range(4)] == ["unknown_code"] * 3 + ["too_many_tries"]


def test_a_server_with_another_secret_is_told_at_its_start(record: Record, url: str) -> None:
    record.check_secret()
    record.check_secret()
    record.close()
    other = record_room.open(url, secret=b"another key")
    with pytest.raises(ConfigurationError, match="use another one"):
        other.check_secret()
    with other._database.writing() as connection:  # as the mend says, to change it on purpose
        connection.execute(marks.delete().where(marks.c.name == "secret"))
    other.check_secret()
    other.close()
    first = record_room.open(url, secret=KEY)
    with pytest.raises(ConfigurationError, match="use another one"):
        first.check_secret()
    first.close()


def test_the_secret_itself_is_not_in_the_database(record: Record) -> None:
    record.check_secret()
    with record._database.reading() as connection:
        assert KEY not in str(connection.execute(sa.select(marks)).all())
