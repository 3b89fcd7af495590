"""Erasing a person: nothing of theirs is left, nothing of anybody else's is touched, and nothing brings them back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from tests.unit.record.somebody import NOW, Somebody, everything, files_with, rows_with, say, somebody
from throughline.domain.assurance import OPERATOR, Assurance
from throughline.domain.placed_calls import CallLimits
from throughline.domain.turns import Turn
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected, ThroughlineError
from throughline.record import Record, schema
from throughline.record.entries import Head, NewEvent
from throughline.record.events import new_event, new_event_id
from throughline.record.personal import HOLDINGS, NOT_PERSONAL, Holding
from throughline.record.whose import NOBODY

pytestmark = pytest.mark.unit

OWN_WORDS = {"appliance": ("dishwasher", "oven")}


def left_of(record: Record, one: Somebody, *more: str) -> list[str]:
    """Where anything of theirs stands, once what is owed elsewhere is deleted there."""
    for owed in record.owed_deletions():
        record.note_deleted(owed)
    return rows_with(record, [*one.marks, *more])


def test_every_table_is_decided_about() -> None:
    decided = [holding.table.name for holding in HOLDINGS] + list(NOT_PERSONAL)
    assert sorted(decided) == sorted(table.name for table in schema.metadata.sorted_tables), (
        "a table that personal.py does not name"
    )


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda holding: holding.table.name)
def test_every_column_is_shown_or_says_why_not(holding: Holding) -> None:
    columns = [*holding.shown, *holding.left_out]
    assert sorted(columns) == sorted(column.name for column in holding.table.c)
    assert all(holding.left_out.values())


def test_a_person_has_something_in_every_table(record: Record) -> None:
    """Else the tests below would look for nothing."""
    dana = somebody(record, "Dana-Reyes")
    assert set(record.holdings(dana.contact_id).rows) == {holding.table.name for holding in HOLDINGS}
    assert all(rows_with(record, [mark]) for mark in dana.marks), "a mark that stands nowhere"


def test_nothing_of_the_person_is_left(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    record.erase(dana.alias, own_words=OWN_WORDS, now=NOW)
    assert left_of(record, dana, dana.token) == []
    for contact in (dana.contact_id, dana.alias):
        with pytest.raises(Rejected, match="unknown_contact"):
            record.resolve(contact)


def test_nobody_else_is_touched(record: Record) -> None:
    somebody(record, "Robin-Quist", number="+15035550188")
    before = everything(record)
    dana = somebody(record, "Dana-Reyes")
    record.erase(dana.contact_id, own_words=OWN_WORDS, now=NOW)
    after = everything(record)
    for table in before:
        assert [row for row in before[table] if row not in after[table]] == [], table


def test_of_two_people_with_one_telephone_the_other_stays(record: Record) -> None:
    robin = somebody(record, "Robin-Quist")
    dana = somebody(record, "Dana-Reyes", number=robin.number)
    shared = record.holdings(dana.contact_id).sharing
    assert shared == {f"phone {robin.number}": 1}
    record.erase(dana.contact_id, own_words={}, now=NOW)
    dana.marks.remove(robin.number)
    assert left_of(record, dana) == []
    assert record.find_by_address("phone", robin.number) == [robin.contact_id]
    assert record.phone_call(robin.call_sid).caller == robin.number


def test_a_call_that_led_nowhere_goes_with_the_number_that_is_theirs_alone(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    record.announce_call("CA" + "0" * 32, caller=dana.number, attestation="", ttl_s=60)
    record.erase(dana.contact_id, own_words={}, now=NOW)
    assert rows_with(record, [dana.number]) == []


def test_what_the_books_need_stays_without_the_person(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    visit = record.calendar.visits_of(dana.contact_id)[0]
    record.erase(dana.contact_id, own_words=OWN_WORDS, now=NOW)
    kept = everything(record)
    assert {name for name, rows in kept.items() if any(NOBODY in row for row in rows)} == {
        "contacts", "sessions", "handoffs", "outcomes", "crm_cases", "calendar_visits",
    }  # fmt: skip
    with record._database.reading() as connection:
        one = connection.execute(sa.select(schema.calendar_visits)).one()
        case = connection.execute(sa.select(schema.crm_cases)).one()
        visits = connection.execute(sa.select(schema.sessions).order_by(schema.sessions.c.channel)).all()
        outcome = connection.execute(sa.select(schema.outcomes)).one()
        desk = connection.execute(sa.select(schema.handoffs).where(schema.handoffs.c.kind == "desk")).one()
    assert (one.starts_at, one.technician, one.details) == (
        visit.slot.start,
        visit.slot.technician,
        {"appliance": "dishwasher"},
    )
    assert (one.place, one.cancelled_at) == (None, None)
    assert (case.kind, case.subject, case.details, case.due_at) == ("repair", "", {"appliance": "dishwasher"}, None)
    assert [(row.channel, row.assurance, row.detail) for row in visits] == [
        ("phone", "anonymous", {}),
        ("web_chat", "authenticated", {}),
    ]
    assert (outcome.kind, outcome.data) == ("visit_booked", {})
    assert outcome.session_id in {row.session_id for row in visits}, "which visit to us led to it is still known"
    assert (desk.reason, desk.packet) == ("", {}), "a reason that is no word of ours may name somebody"


def test_what_is_kept_of_two_people_cannot_be_told_apart(record: Record) -> None:
    for name, number in (("Dana-Reyes", "+15035550177"), ("Robin-Quist", "+15035550188")):
        record.erase(somebody(record, name, number=number).contact_id, own_words=OWN_WORDS, now=NOW)
    with record._database.reading() as connection:
        assert connection.execute(sa.select(schema.contacts.c.contact_id)).scalars().all() == [NOBODY]
    with pytest.raises(Rejected, match="unknown_contact"):
        record.erase(NOBODY, own_words={})
    with pytest.raises(Rejected, match="unknown_contact"):
        record.person(NOBODY)


def test_a_visit_ahead_is_in_the_way_until_it_is_cancelled(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes", visit_at=NOW + timedelta(days=2))
    visit = record.calendar.visits_of(dana.contact_id)[0]
    assert [one.reference for one in record.holdings(dana.contact_id, now=NOW).ahead] == [visit.reference]
    before = everything(record)
    with pytest.raises(Rejected, match="visit_ahead"):
        record.erase(dana.contact_id, own_words={}, now=NOW)
    assert everything(record) == before
    record.erase(dana.contact_id, own_words={}, cancel_visits=True, now=NOW)
    assert record.calendar.busy([visit.slot.technician], NOW, NOW + timedelta(days=9)) == []
    assert left_of(record, dana) == []


def test_a_visit_that_was_cancelled_is_not_in_the_way_and_leaves_nothing(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes", visit_at=NOW + timedelta(days=9000))
    [visit] = record.calendar.visits_of(dana.contact_id)
    record.calendar.cancel(visit.visit_id, idempotency_key=f"cancel:{dana.contact_id}:m", now=NOW)
    assert record.holdings(dana.contact_id, now=NOW).ahead == ()
    assert record.last_seen(dana.contact_id) < visit.slot.end, "nobody was there"
    record.erase(dana.contact_id, own_words=OWN_WORDS, now=NOW + timedelta(days=9005))
    assert everything(record)["calendar_visits"] == []
    assert left_of(record, dana) == []


def test_a_visit_is_moved_before_its_customer_is_erased_or_not_at_all(record: Record) -> None:
    for round_ in range(6):
        dana = somebody(record, f"Dana-{round_}", number=f"+1503555017{round_}", visit_at=NOW + timedelta(days=2))
        [visit] = record.calendar.visits_of(dana.contact_id)
        later = replace(visit.slot, start=visit.slot.end, end=visit.slot.end + timedelta(hours=1), technician=f"kim {round_}")

        def move(number: int, visit: Visit = visit, slot: VisitSlot = later, name: str = dana.name) -> None:
            with contextlib.suppress(Rejected):
                record.calendar.move(visit.visit_id, slot, idempotency_key=f"move:{name}:{number}", now=NOW)

        threads = [threading.Thread(target=move, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        record.erase(dana.contact_id, own_words=OWN_WORDS, cancel_visits=True, now=NOW)
        for thread in threads:
            thread.join()
        assert left_of(record, dana) == []
        with pytest.raises(Rejected, match="unknown_visit"):
            record.calendar.move(visit.visit_id, later, idempotency_key="late", now=NOW)


def test_erasing_twice_is_known_without_keeping_the_id(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    assert record.erased_at(dana.contact_id) is None
    record.erase(dana.contact_id, own_words={}, now=NOW)
    assert [record.erased_at(one) for one in (dana.contact_id, dana.alias)] == [NOW, NOW]
    with pytest.raises(Rejected, match="unknown_contact"):
        record.erase(dana.contact_id, own_words={}, now=NOW)
    assert record.erased_at("c_somebody_never_seen") is None


def test_an_id_that_could_be_guessed_leaves_no_digest(record: Record) -> None:
    event_id = new_event_id()
    data = {"event": "user", "text": "hello", "timestamp": 1.0, "metadata": {"event_id": event_id}}
    record.append_events("+15035550177", [NewEvent(event_id, data, None, "cmdline")], expected=None)  # as Rasa's own tools may
    record.erase("+15035550177", own_words={}, now=NOW)
    assert everything(record)["erased"] == []


# ---- nothing brings them back


def turn_of(one: Somebody, text: str) -> Turn:
    return Turn(one.contact_id, one.chat, "web_chat", text, f"{one.chat}:late", "typed", None)


def event_of(one: Somebody) -> NewEvent:
    event_id = new_event_id()
    data = {"event": "user", "text": f"{one.name} again", "timestamp": 1.0, "metadata": {"event_id": event_id}}
    return NewEvent(event_id, data, one.chat, "web_chat")


@pytest.mark.parametrize("first_turn", [True, False])
def test_a_turn_that_was_under_way_is_not_saved(record: Record, first_turn: bool) -> None:
    dana = somebody(record, "Dana-Reyes")
    contact = record.create_contact() if first_turn else dana.contact_id
    head = record.window(contact).head
    assert (head.version == 0) is first_turn
    record.erase(contact, own_words={}, now=NOW)
    for expected in (head, None, Head(contact, 0)):
        with pytest.raises(ThroughlineError):
            record.append_events(contact, [event_of(dana)], expected=expected)
    assert rows_with(record, [contact, "again"]) == []


def test_what_an_action_still_writes_is_refused(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    record.erase(dana.contact_id, own_words={}, now=NOW)
    slot = VisitSlot(NOW + timedelta(days=1), NOW + timedelta(days=1, hours=2), "kim")
    late: list[Callable[[], Any]] = [
        lambda: record.store_message(turn_of(dana, "Dana-Reyes again")),
        lambda: record.crm.upsert_customer(dana.contact_id, {"name": dana.name}),
        lambda: record.crm.open_case(dana.contact_id, dana.name, {}, kind="repair", idempotency_key="late"),
        lambda: record.calendar.book(slot, dana.contact_id, {"customer_name": dana.name}, idempotency_key="late"),
        lambda: record.open_handoff(dana.contact_id, dana.chat, kind="desk", reason="late", packet={}, idempotency_key="late"),
        lambda: record.record_outcome(dana.contact_id, dana.chat, kind="late", data={}, idempotency_key="late"),
        lambda: record.add_address(dana.contact_id, "email", "Dana-Reyes@example.com", proof="typed"),
        lambda: record.open_session(dana.contact_id, "web_chat"),
    ]
    for write in late:
        with pytest.raises(Rejected, match=r"unknown_(contact|session)"):
            write()
    assert left_of(record, dana) == []


def test_their_browser_and_their_login_begin_anew(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    record.erase(dana.contact_id, own_words={}, now=NOW)
    with pytest.raises(Rejected, match="unknown_session"):
        record.chat_session(dana.token)
    again = record.contact_of_account(f"account-of-{dana.name}", proof="login")
    assert again not in (dana.contact_id, dana.alias)
    assert record.facts(again) == []


def test_of_an_erasure_and_a_writer_at_the_same_moment_one_comes_first(record: Record) -> None:
    """Whatever was written while they were erased was erased with them, or refused."""
    for day in range(5):
        dana = somebody(record, "Dana-Reyes", visit_at=NOW - timedelta(days=1 + day))
        begin, case = threading.Barrier(5), record.crm.cases_of(dana.alias)[0].case_id

        def write(work: Callable[[], Any], begin: threading.Barrier = begin) -> None:
            begin.wait()
            for _ in range(5):
                try:
                    work()
                except (ThroughlineError, sa.exc.IntegrityError):
                    return

        works: list[Callable[[], Any]] = [
            lambda dana=dana: record.append_events(dana.contact_id, [event_of(dana)], expected=None),
            lambda dana=dana: record.crm.upsert_customer(dana.alias, {"name": dana.name}),
            lambda dana=dana, case=case: record.crm.add_note(case, dana.name, idempotency_key=case),
            lambda dana=dana: record.store_message(turn_of(dana, f"{dana.name} again")),
            lambda dana=dana: record.erase(dana.contact_id, own_words={}, now=NOW),
        ]
        threads = [threading.Thread(target=write, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if record.erased_at(dana.contact_id) is None:  # chosen to give way to another writer
            record.erase(dana.contact_id, own_words={}, now=NOW)
        assert left_of(record, dana) == []


def test_an_erasure_that_fails_has_erased_nothing(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    dana = somebody(record, "Dana-Reyes")
    before = everything(record)

    def fails(*_: Any) -> None:
        raise OSError("the power went")

    monkeypatch.setattr("throughline.record.erasing.mark_erased", fails)
    with pytest.raises(OSError, match="the power went"):
        record.erase(dana.contact_id, own_words={}, now=NOW)
    assert everything(record) == before


# ---- what stands elsewhere


def test_a_call_that_was_asked_about_them_forgets_it(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    other = record.create_contact()
    record.add_address(other, "phone", dana.number, proof="caller_id")
    detail = {"call_sid": "CA1", "claims": [dana.contact_id, other]}
    session = record.open_session(other, "phone", detail=detail).session_id
    record.erase(dana.contact_id, own_words={}, now=NOW)
    assert record.session(session).detail == {"call_sid": "CA1", "claims": [other]}


def test_of_a_call_that_we_placed_and_somebody_else_took_nothing_of_theirs_is_left(record: Record) -> None:
    dana = somebody(record, "Dana")
    record.add_address(dana.contact_id, "phone", dana.number, proof="code")
    limits = CallLimits(per_number=3, over_all=9, rings_for=timedelta(minutes=2), lasts=timedelta(minutes=31))
    placed, _ = record.begin_call(dana.chat, proved_since=NOW, together=timedelta(hours=1), limits=limits)
    record.answer_call(placed.placed_id, "CA of nobody", ttl_s=60)
    who = record.create_contact()
    record.add_address(who, "phone", dana.number, proof="caller_id")
    detail = {"claims": [dana.contact_id], "chat_session_id": dana.chat, "placed": True}
    session = record.open_session(who, "phone", detail=detail).session_id
    record.note_call_session("CA of nobody", session)
    record.erase(dana.contact_id, own_words={}, now=NOW)
    assert record.session(session).detail == {"claims": [], "placed": True}
    ids = (dana.contact_id, dana.chat, placed.placed_id)
    assert rows_with(record, [*ids]) == []


def test_what_a_recording_company_keeps_is_owed_until_it_is_deleted(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    assert record.holdings(dana.contact_id).recordings == 2
    record.erase(dana.contact_id, own_words={}, now=NOW)
    owed = record.owed_deletions()
    assert [(one.kind, one.reference, one.since) for one in owed] == [
        ("call", dana.call_sid, NOW),
        ("recording", dana.recording, NOW),
    ]
    for one in owed:
        record.note_deleted(one)
        record.note_deleted(one)
    assert record.owed_deletions() == []


def test_nothing_is_left_in_the_files(reopen: Callable[[], Record], url: str) -> None:
    """SQLite: the file, the write-ahead log and what lies beside them. PostgreSQL only promises to overwrite, see docs/personal-data.md."""
    record = reopen()
    dana = somebody(record, "Dana-Reyes")
    robin = somebody(record, "Robin-Quist", number="+15035550188")
    for number in range(200):  # pages split, and rows are moved about
        say(record, robin.contact_id, robin.chat, f"Robin-Quist {number}")
        say(record, dana.contact_id, dana.chat, f"Dana-Reyes {number} " + "x" * number * 7)
    record.erase(dana.contact_id, own_words={}, now=NOW)
    assert record.scrub()
    if record.url.startswith("sqlite"):
        folder = Path(make_url(url).database).parent
        owed = [dana.call_sid, dana.recording]  # kept until they are deleted there
        assert files_with(folder, [mark for mark in dana.marks if mark not in owed]) == []
        assert files_with(folder, [robin.name]) != []
    assert rows_with(record, [dana.name]) == []
    assert len(record.conversation(robin.contact_id)) > 400


def test_scrubbing_gives_way_to_others(reopen: Callable[[], Record], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and what it could not do then it can do later."""
    monkeypatch.setattr("throughline.record.sqlite_ways.BUSY_TIMEOUT_MS", 100)
    record = reopen()
    engine = record._database.ways.engine
    if url.startswith("sqlite"):
        in_the_way = "SELECT * FROM contacts"  # a reader of an older state still needs what the log holds
    else:
        in_the_way = "LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE"  # as another vacuum holds it
        sa.event.listen(engine, "checkout", lambda connection, *_: connection.cursor().execute("SET lock_timeout = 100"))
    with engine.connect() as connection:
        connection.exec_driver_sql(in_the_way)
        record.create_contact()
        assert not record.scrub()
    assert record.scrub()


# ---- two people who were one for a while


def once_merged(record: Record) -> tuple[Somebody, Somebody]:
    """Dana, whom a merge made part of Robin for a while."""
    dana = somebody(record, "Dana-Reyes")
    robin = somebody(record, "Robin-Quist", number="+15035550188")
    say(record, dana.contact_id, dana.chat, "mine", slots={"brand": "Dana-Brand"})
    dana.marks.append("Dana-Brand")
    record.merge(dana.contact_id, robin.contact_id, reason=OPERATOR, session_id=None)
    say(record, robin.contact_id, dana.chat, "Dana-Reyes meanwhile")
    record.unmerge(dana.contact_id, reason=OPERATOR)
    return dana, robin


def test_what_a_merge_carried_over_goes_with_the_one_it_was_carried_from(record: Record) -> None:
    dana, robin = once_merged(record)
    whose = {"metadata": {"carried_from": dana.contact_id}}  # as an older release left it where it was carried to
    data = {"event": "slot", "name": "brand", "value": "Dana-Brand", "timestamp": 1.0, **whose}
    record.append_events(robin.contact_id, [new_event(data, dana.chat, "web_chat")], expected=None)
    before = record.window(robin.contact_id).head
    record.erase(dana.contact_id, own_words={}, now=NOW)
    assert left_of(record, dana) == []
    assert [event.data["text"] for event in record.conversation(robin.contact_id) if event.type_name == "user"] == [
        "Robin-Quist lives here",
        "this is Robin-Quist",
    ]
    assert record.window(robin.contact_id).head.version > before.version, "a tracker that was loaded before is out of date"


def test_the_other_is_erased_without_touching_the_one(record: Record) -> None:
    """But for what the assistant said while the two were one: it may speak of either."""
    dana, robin = once_merged(record)
    answered = "You said: Dana-Reyes meanwhile"
    mine = [event.seq for event in record.conversation(dana.contact_id) if event.data.get("text") != answered]
    record.erase(robin.contact_id, own_words={}, now=NOW)
    assert [event.seq for event in record.conversation(dana.contact_id)] == mine
    assert left_of(record, robin) == []


def test_export_tells_neither_what_was_the_others(record: Record) -> None:
    dana, robin = once_merged(record)
    ones, others = str(record.person(dana.contact_id)), str(record.person(robin.contact_id))
    assert [mark for mark in dana.marks if mark in others] == []
    assert [mark for mark in robin.marks if mark in ones] == []
    assert "Dana-Brand" in ones


# ---- export


def test_a_person_is_shown_everything_of_theirs(record: Record) -> None:
    dana = somebody(record, "Dana-Reyes")
    shown = record.person(dana.alias)
    assert next(iter(shown)) == "contacts"
    assert all(shown[holding.table.name] for holding in HOLDINGS)
    assert [mark for mark in dana.marks if mark not in str(shown)] == []
    assert isinstance(shown["sessions"][0]["started_at"], datetime)


def test_a_person_is_shown_how_they_were_recognised_and_by_nobodys_id_but_theirs(record: Record) -> None:
    other, session_of_other = record.create_contact(), record.open_session(record.create_contact(), "phone").session_id
    dana = somebody(record, "Dana-Reyes")
    record.raise_assurance(dana.call, Assurance.POSSESSED, lasts=timedelta(hours=1), now=NOW)
    wanted = [{"kind": "merge", "into": other, "because": "code"}]
    with record._database.writing() as connection:
        detail = {"reason": f"{dana.contact_id} is not {other}", "contact_id": other, "sessions": [dana.chat, session_of_other]}
        entry = {
            "action": "unmerge",
            "contact_id": dana.contact_id,
            "session_id": session_of_other,
            "detail": detail,
            "at": NOW,
        }
        connection.execute(schema.audit_log.insert().values(**entry))
        connection.execute(schema.messages.update().values(asked_for=wanted))
    shown = record.person(dana.contact_id)
    assert [one for one in (other, session_of_other) if one in str(shown)] == []
    [call] = [row for row in shown["sessions"] if row["session_id"] == dana.call]
    assert (call["assurance_at"], call["assurance_until"]) == (NOW, NOW + timedelta(hours=1))
    assert call["caller_vouched"] is False
    details = {row["action"]: row["detail"] for row in shown["audit_log"]}
    assert details["assurance"] == {"from": "anonymous", "to": "possessed"}
    assert details["unmerge"] == {"reason": f"{dana.contact_id} is not (somebody else's)", "sessions": [dana.chat]}
    assert shown["messages"][0]["asked_for"] == [{"kind": "merge", "because": "code"}]


def test_a_person_is_shown_nothing_of_others_and_no_secrets(record: Record) -> None:
    robin = somebody(record, "Robin-Quist", number="+15035550188")
    dana = somebody(record, "Dana-Reyes")
    text = str(record.person(dana.contact_id))
    assert [mark for mark in robin.marks if mark in text] == []
    with record._database.reading() as connection:
        secrets = [
            *connection.execute(sa.select(schema.codes.c.digest)).scalars(),
            *connection.execute(sa.select(schema.chat_tokens.c.token_sha256)).scalars(),
            *connection.execute(sa.select(schema.links.c.token_sha256)).scalars(),
            *connection.execute(sa.select(schema.call_tokens.c.token_sha256)).scalars(),
            "d" * 64,
        ]
    assert [secret for secret in secrets if secret in text] == []
    assert "claims" not in text
