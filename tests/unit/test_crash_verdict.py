"""The trial of crashes sees what it is there to see: a record that has lost, doubled, reordered or misplaced something is not passed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.crash_trial import MUST_BE_NONE, Message, Trial, verdict
from throughline import record as record_room
from throughline.domain.turns import WEB_CHAT, Turn
from throughline.domain.visits import VisitSlot
from throughline.record import Record
from throughline.record.entries import NewEvent
from throughline.record.schema import calendar_visits, events

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    opened = record_room.open(f"sqlite:///{tmp_path}/record.db")
    opened.migrate()
    yield opened
    opened.close()


class Talk:
    """A customer who was answered, as the record has it, until something is done to the record."""

    def __init__(self, record: Record, folder: Path) -> None:
        self.record = record
        self.contact = record.create_contact()
        self.session = record.open_session(self.contact, WEB_CHAT).session_id
        self.trial = Trial(argparse.Namespace(), folder, record.url)

    def answered(self, message_id: str, at: float) -> None:
        turn = Turn(self.contact, self.session, WEB_CHAT, "hello", message_id)
        self.record.store_message(turn)
        self.append("user", f"{message_id}:user", message_id, finished=message_id)
        self.append("bot", f"{message_id}:bot", message_id)
        self.trial.sent.append(Message(turn, at, acknowledged_at=at + 0.5, said=(f"{message_id}:bot",), tries=1))

    def append(self, kind: str, event_id: str, message_id: str, *, finished: str | None = None) -> None:
        metadata = {"event_id": event_id, "session_id": self.session}
        data = {"event": kind, "timestamp": 1.0, "text": "hello", "message_id": message_id, "metadata": metadata}
        event = NewEvent(event_id, data, self.session, WEB_CHAT)
        self.record.append_events(self.contact, [event], expected=None, message_id=finished)

    def sql(self, statement: sa.sql.Executable) -> None:
        with self.record._database.writing() as connection:
            connection.execute(statement)

    def wrong(self) -> dict[str, int]:
        return {what: count for what, count in list(verdict(self.trial).items())[:MUST_BE_NONE] if count}


@pytest.fixture
def talk(record: Record, tmp_path: Path) -> Talk:
    talk = Talk(record, tmp_path)
    for place in range(3):
        talk.answered(f"m{place}", float(place))
    assert talk.wrong() == {}
    return talk


def test_a_lost_turn(talk: Talk) -> None:
    talk.sql(events.delete().where(events.c.event_id == "m1:user"))
    assert talk.wrong() == {"acknowledged turns lost": 1}


def test_a_lost_answer(talk: Talk) -> None:
    talk.sql(events.delete().where(events.c.event_id == "m1:bot"))
    assert talk.wrong() == {"acknowledged answers lost": 1}


def test_a_lost_report_of_what_was_heard(talk: Talk) -> None:
    talk.trial.heard.append(("m1:bot", talk.session))
    assert talk.wrong() == {"reports of what was heard lost": 1}


def test_a_doubled_turn(talk: Talk) -> None:
    talk.append("user", "again", "m1")
    assert talk.wrong()["turns doubled"] == 1


def test_a_turn_behind_one_that_was_said_after_its_answer(talk: Talk) -> None:
    talk.sql(events.update().where(events.c.event_id == "m0:user").values(id=1000))
    assert talk.wrong() == {"turns reordered": 1}


def test_a_turn_in_somebody_elses_conversation(talk: Talk) -> None:
    stranger = talk.record.create_contact()
    talk.sql(events.update().where(events.c.event_id == "m1:user").values(sender_id=stranger))
    assert talk.wrong()["turns in the wrong conversation"] == 1


def test_a_message_that_nobody_finished(talk: Talk) -> None:
    talk.record.store_message(Turn(talk.contact, talk.session, WEB_CHAT, "hello", "m9"))
    assert talk.wrong() == {"messages stored and never finished": 1}


def test_a_turn_that_another_server_did_not_see(talk: Talk) -> None:
    talk.trial.invisible += 1
    assert talk.wrong() == {"acknowledged turns another server did not see": 1}


def visit(talk: Talk, hour: int, *, technician: str = "t-abe", booking: str = "b1") -> str:
    start = NOON + timedelta(hours=hour)
    slot = VisitSlot(start, start + timedelta(hours=2), technician)
    key = f"{technician}:{hour}"
    return talk.record.calendar.book(slot, talk.contact, {"booking": booking}, idempotency_key=key).visit_id


def test_a_booking_that_led_to_two_visits(talk: Talk) -> None:
    visit(talk, 0)
    assert talk.wrong() == {}
    visit(talk, 2)
    assert talk.wrong() == {"visits doubled": 1}


def test_a_technician_with_two_visits_at_once(talk: Talk) -> None:
    visit(talk, 0)
    visit(talk, 0, technician="t-bea", booking="b2")
    assert talk.wrong() == {}
    talk.sql(calendar_visits.update().values(technician="t-abe"))
    assert talk.wrong() == {"visits doubled": 1}


def test_a_visit_with_two_outcomes(talk: Talk) -> None:
    for key in ("first", "second"):
        data = {"visit_id": "v_1"}
        talk.record.record_outcome(talk.contact, talk.session, kind="visit_booked", data=data, idempotency_key=key)
    assert talk.wrong() == {"outcomes doubled": 1}


def test_a_fault_of_a_servers_own(talk: Talk) -> None:
    talk.trial.faults += 1
    assert talk.wrong() == {"faults of a server's own": 1}


def test_a_trial_that_shows_less_than_it_was_to_says_so(talk: Talk) -> None:
    talk.trial.options = argparse.Namespace(kills=2, restarts=0, locks=0, full_disks=1)
    talk.trial.kills, talk.trial.full_disks = 2, 1
    assert talk.trial.not_shown() == []
    talk.trial.kills = 1
    assert talk.trial.not_shown() == ["1 of 2 kills happened"]
    talk.trial.sent[0].acknowledged_at = None
    assert talk.trial.not_shown()[-1] == "1 of 3 messages got no answer"
