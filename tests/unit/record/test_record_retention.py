"""What is older than data/business/retention.yml says goes, once a day, and nothing else does."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.unit.record.somebody import NOW, Somebody, everything, rows_with, somebody
from throughline.domain.company import Business
from throughline.domain.retention import Retention
from throughline.domain.turns import Turn
from throughline.record import Record, schema
from throughline.record.identity import utc_now
from throughline.record.retention import KINDS
from throughline.record.whose import NOBODY
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

FOR_GOOD = {field.name: 0 for field in dataclasses.fields(Retention) if field.name.endswith("_days")}


@pytest.fixture(scope="module")
def shipped() -> Business:
    return load_business(Path("data/business"))


def keeping(shipped: Business, **days: int) -> Business:
    """The company, keeping everything for good but what is named."""
    return dataclasses.replace(shipped, retention=dataclasses.replace(shipped.retention, **(FOR_GOOD | days)))


@pytest.fixture
def dana(record: Record) -> Somebody:
    return somebody(record, "Dana-Reyes")


def count(record: Record, table: sa.Table) -> int:
    return len(everything(record)[table.name])


def later(**by: int) -> datetime:
    """So long after everything that the record holds."""
    return max(utc_now(), NOW) + timedelta(**by)


def retained(record: Record, business: Business, now: datetime) -> dict[str, int]:
    """What was done, whoever did it before."""
    done = record.retain(business, now, again=True)
    assert done is not None
    return done


def test_zero_keeps_everything_for_good(record: Record, dana: Somebody, shipped: Business) -> None:
    before = everything(record)
    assert set(retained(record, keeping(shipped), later(days=36_000)).values()) == {0}
    assert {name for name, rows in everything(record).items() if rows != before[name]} == {"marks"}


def test_what_is_fresh_stays(record: Record, dana: Somebody, shipped: Business) -> None:
    before = everything(record)
    assert set(retained(record, shipped, later(days=1)).values()) == {0}
    assert {name for name, rows in everything(record).items() if rows != before[name]} == {"marks"}


def test_what_was_shipped_names_every_kind_once(shipped: Business) -> None:
    assert sorted(f"{kind}_days" for kind in KINDS) == sorted(FOR_GOOD)
    assert all(getattr(shipped.retention, name) > 0 for name in FOR_GOOD)


def test_somebody_who_is_not_in_touch_any_more_is_erased(record: Record, dana: Somebody, shipped: Business) -> None:
    done = retained(record, keeping(shipped, people_days=730), later(days=731))
    assert done["people"] == 1
    for owed in record.owed_deletions():
        record.note_deleted(owed)
    assert rows_with(record, dana.marks) == []
    with record._database.reading() as connection:
        visit = connection.execute(sa.select(schema.calendar_visits)).one()
    assert (visit.contact_id, visit.details) == (NOBODY, {"appliance": "dishwasher"})


@pytest.mark.parametrize("touch", ["visits us", "is visited", "says something", "was merged"])
def test_somebody_in_touch_stays(record: Record, dana: Somebody, shipped: Business, touch: str) -> None:
    now = later(days=731)
    recently = now - timedelta(days=10)
    with record._database.writing() as connection:
        if touch == "visits us":
            this = schema.sessions.c.session_id == dana.chat
            connection.execute(schema.sessions.update().where(this).values(started_at=recently))
        elif touch == "is visited":
            connection.execute(schema.calendar_visits.update().values(ends_at=recently))
        elif touch == "says something":
            this = schema.events.c.sender_id == dana.contact_id
            connection.execute(schema.events.update().where(this).values(created_at=recently))
        else:  # an alias was in touch, before it became one
            this = schema.sessions.c.session_id == dana.call
            connection.execute(schema.sessions.update().where(this).values(ended_at=recently))
    done = retained(record, keeping(shipped, people_days=730), now)
    assert done["people"] == 0
    assert record.resolve(dana.alias) == dana.contact_id


def test_of_a_visit_stays_when_it_was_and_of_what_kind(record: Record, dana: Somebody, shipped: Business) -> None:
    before = record.calendar.visits_of(dana.contact_id)[0]
    business = keeping(shipped, visits_days=400)
    assert retained(record, business, later(days=500))["visits"] == 2, "the visit, and that it was moved"
    after = record.calendar.visits_of(dana.contact_id)[0]
    assert after.slot == dataclasses.replace(before.slot, place=None)
    assert (after.reference, after.details) == (before.reference, {"appliance": "dishwasher"})
    assert count(record, schema.calendar_changes) == 0
    assert retained(record, business, later(days=501))["visits"] == 0


def test_of_a_hand_off_stays_that_there_was_one(record: Record, dana: Somebody, shipped: Business) -> None:
    business = keeping(shipped, handoffs_days=180)
    assert retained(record, business, later(days=181))["handoffs"] == 1
    assert {(one.kind, dict(one.packet) == {}) for one in record.handoffs(dana.contact_id)} == {
        ("call_back", True),
        ("desk", True),
    }
    assert [(one.kind, one.reference) for one in record.owed_deletions()] == [("recording", dana.recording)]


def test_callers_numbers_go_and_calls_stay(record: Record, dana: Somebody, shipped: Business) -> None:
    business = keeping(shipped, calls_days=90)
    assert retained(record, business, later(days=91))["calls"] == 3
    assert record.phone_call(dana.call_sid).caller == ""
    assert count(record, schema.placed_calls) == 0
    assert record.session(dana.call).detail == {"call_sid": dana.call_sid}
    assert record.find_by_address("phone", dana.number) == [dana.contact_id], "they gave it as theirs"
    assert retained(record, business, later(days=92))["calls"] == 0


def test_the_copy_of_a_message_goes_once_its_turn_is_over(record: Record, dana: Somebody, shipped: Business) -> None:
    record.store_message(Turn(dana.contact_id, dana.chat, "web_chat", "not finished", "m_1", "typed", None))
    said = record.conversation(dana.contact_id)
    assert retained(record, keeping(shipped, messages_days=30), later(days=9000))["messages"] == 2
    with record._database.reading() as connection:
        assert connection.execute(sa.select(schema.messages.c.text)).scalars().all() == ["not finished"]
    assert record.conversation(dana.contact_id) == said


def test_codes_tokens_and_tries_go_once_they_are_over(record: Record, dana: Somebody, shipped: Business) -> None:
    record.issue_chat_token(dana.chat)  # good as long as the visit goes on
    tables = (schema.codes, schema.call_tokens, schema.links, schema.chat_tokens, schema.failed_tries)
    assert [count(record, table) for table in tables] == [1, 2, 1, 2, 1]
    record.retain(keeping(shipped, passes_days=30), later(days=60))
    assert [count(record, table) for table in tables] == [0, 0, 0, 1, 0]
    record.end_session(dana.chat, "left")
    record.retain(keeping(shipped, passes_days=30), later(days=61), again=True)
    assert count(record, schema.chat_tokens) == 0


def test_the_audit_and_who_was_erased_go_together(record: Record, dana: Somebody, shipped: Business) -> None:
    record.erase(dana.contact_id, own_words={}, now=NOW)
    record.retain(keeping(shipped, audit_days=365), later(days=366))
    assert (count(record, schema.audit_log), count(record, schema.erased)) == (0, 0)


def test_requests_of_twilio_are_remembered_for_their_time(record: Record, shipped: Business) -> None:
    record.take_request(["a" * 64], kind="voice")
    business = keeping(shipped, requests_days=365)
    assert retained(record, business, later(days=364))["requests"] == 0
    assert retained(record, business, later(days=366))["requests"] == 1


def test_many_rows_go_in_short_transactions(
    record: Record, dana: Somebody, shipped: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("throughline.record.retention._BATCH", 3)
    monkeypatch.setattr("throughline.record.retention._PAGE", 2)
    for number in range(8):
        record.take_request([f"{number}" * 64], kind="voice")
        record.create_contact()
    began: list[int] = []
    writing = record._database.writing

    def counted() -> object:
        began.append(1)
        return writing()

    monkeypatch.setattr(record._database, "writing", counted)
    done = retained(record, keeping(shipped, requests_days=1, people_days=1), later(days=9))
    assert (done["requests"], done["people"]) == (8, 9)
    assert len(began) >= 1 + 3 + 9, "one to begin, three for the requests, one for each person"


def test_only_counting_changes_nothing(record: Record, dana: Somebody, shipped: Business) -> None:
    before = everything(record)
    told = record.retain(shipped, later(days=9000), only_count=True)
    assert everything(record) == before
    assert told is not None
    del told["visits"], told["handoffs"], told["calls"], told["messages"], told["passes"], told["audit"]  # go with the person
    done = retained(record, shipped, later(days=9000))
    assert told == {kind: done[kind] for kind in told} == {"people": 1, "requests": 0}


def test_of_all_servers_the_first_of_the_day_does_it(record: Record, shipped: Business) -> None:
    business, begin, found = keeping(shipped), threading.Barrier(4), []

    def serve() -> None:
        begin.wait()
        found.append(record.retain(business, NOW))

    servers = [threading.Thread(target=serve) for _ in range(4)]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
    assert sum(one is not None for one in found) == 1
    assert record.retain(business, NOW + timedelta(hours=19)) is None
    assert record.retain(business, NOW + timedelta(hours=19), again=True) is not None
    assert record.retain(business, NOW + timedelta(days=2)) is not None
    assert record.retain(business, NOW) is not None, "a mark from the future, of a clock that was wrong, holds up nothing"


def test_a_crash_in_the_middle_leaves_the_rest_for_the_next_day(
    reopen: Callable[[], Record], shipped: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = reopen()
    dana = somebody(record, "Dana-Reyes")
    robin = somebody(record, "Robin-Quist", number="+15035550188")
    erase, erased = record.erase, []

    def dies(contact_id: str, **options: object) -> object:
        if erased:
            raise KeyboardInterrupt
        erased.append(contact_id)
        return erase(contact_id, **options)

    monkeypatch.setattr(record, "erase", dies)
    business = keeping(shipped, people_days=730)
    with pytest.raises(KeyboardInterrupt):
        record.retain(business, later(days=900))
    monkeypatch.undo()
    left = [one for one in (dana, robin) if one.contact_id not in erased]
    assert [record.resolve(one.contact_id) for one in left] == [left[0].contact_id]
    assert retained(record, business, later(days=901))["people"] == 1
