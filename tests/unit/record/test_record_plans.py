"""What a turn reads does not grow: neither with the person's own history, nor with everybody else's, nor where the database's planner
knows nothing of what has just been stored, or knows it all.

Every statement of a turn is counted as it is asked (tests/rows_read.py). What a turn asks is written down here, one call for each; of the
turns that the trained model really takes, tests/e2e/test_turn_plans.py counts the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from tests.rows_read import RowsRead, rows_read
from tests.unit.record.conftest import LIMITS
from tests.unit.record.histories import WINDOW, history, inform, mislead, put, put_business
from throughline.domain.assurance import Assurance
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.domain.visits import VisitSlot
from throughline.record import Record, Session
from throughline.record.entries import Checkpoint, Head, Held, NewEvent
from throughline.record.events import new_event_id

pytestmark = pytest.mark.unit

LONG, MEDIUM, SHORT = 3_000, 400, 60
ALIASES = 6
MOST_ROWS = 3 * WINDOW
"""That one statement of a turn may go through."""

NEXT_WEEK = datetime.now(timezone.utc) + timedelta(days=7)
TOGETHER = timedelta(hours=1)
TECHNICIANS = ("ana", "ben", "carla")


class Asker:
    """Asks of the record what the parts of a server ask for one person's turn. ``number`` is a telephone number of theirs."""

    def __init__(self, record: Record, contact: str, number: str) -> None:
        self.record, self.contact, self.number = record, contact, number

    def turn(self) -> None:
        """All of it."""
        session, code = self.opens_the_chat()
        self.takes(Turn(self.contact, session.session_id, WEB_CHAT, "hello", f"now-{self.contact}"))
        self.acts(session.session_id)
        self.shows_it(session.session_id)
        self.calls(code)

    def opens_the_chat(self) -> tuple[Session, str]:
        """The chat's door, to somebody who comes and somebody who comes back. Their visit, and a code for a call."""
        record = self.record
        opened = record.open_session(self.contact, WEB_CHAT, caller=f"192.0.2.7 {self.contact}")
        session = record.chat_session(record.issue_chat_token(opened.session_id))
        assert not record.has_account(session.contact_id)
        start = record.history_start(session.contact_id, messages=8)
        assert len(record.conversation(session.contact_id, after_seq=start)) >= 8
        assert len(record.conversation(session.contact_id, limit=5, newest=True)) == 5
        record.conversation(session.contact_id, after_seq=start, limit=5)
        return session, record.issue_code(session.contact_id, session.session_id, ttl_s=600)

    def takes(self, turn: Turn) -> None:
        """The runner, with a tracker in memory, and one whose tracker others have added to; and what is left over."""
        record, contact = self.record, self.contact
        assert record.session(turn.session_id).contact_id == contact
        window = record.window(contact, known=True)
        held = Held(window.head, window.first_seq, len(window.events))
        assert record.window(contact, known=True, held=held).events == ()
        left = Turn(contact, turn.session_id, WEB_CHAT, "before", f"left-{contact}")
        assert record.store_message(left).is_new
        stored = record.store_message(turn)
        assert stored.is_new and stored.behind
        assert not record.store_message(turn).is_new
        assert not record.progress(turn.message_id).finished
        assert [one.turn for one in record.unfinished_of(contact, before=turn.message_id)] == [left]
        assert record.count_attempt(left.message_id) == 1
        after = self._saves(left, expected=window.head, asked_for=[{"kind": "merge"}])  # which is kept until it is made
        assert [one.turn for one in record.unfinished_of(contact)] == [left, turn]
        record.finish_message(left.message_id)
        cut = str(window.events[-WINDOW // 2]["metadata"]["event_id"])
        self._saves(turn, expected=after, checkpoint=Checkpoint(cut, {"at": 1.0, "slots": {}, "loop": None}))
        assert len(record.window(contact, held=held).events) > 6
        record.standing(turn.session_id, together=TOGETHER)
        assert [event.data["text"] for event in record.reply_to(turn.message_id)] == ["Hello."]

    def _saves(self, turn: Turn, **how: Any) -> Head:
        said = {"event": "user", "text": turn.text, "message_id": turn.message_id}
        what = (said, {"event": "slot", "name": "slot1", "value": "y"}, {"event": "bot", "text": "Hello."})
        new = []
        for data in what:
            event_id = new_event_id()
            data = {"timestamp": 2.0, **data, "metadata": {"event_id": event_id}}
            new.append(NewEvent(event_id, data, turn.session_id, turn.channel))
        return self.record.append_events(self.contact, new, message_id=turn.message_id, **how)

    def acts(self, session_id: str) -> None:
        """The actions, with the embedded calendar and CRM."""
        record, contact = self.record, self.contact
        assert [fact.value for fact in record.facts(contact) if fact.slot == "slot1"] == ["y"]
        begin, key = NEXT_WEEK, f"now-{contact}"
        record.calendar.busy(TECHNICIANS, begin, begin + timedelta(days=30))
        before = len(record.calendar.visits_of(contact))
        slot = VisitSlot(begin, begin + timedelta(hours=1), f"one for {contact}")
        record.calendar.book(slot, contact, {"problem": "leaks"}, idempotency_key=key)
        assert len(record.calendar.visits_of(contact)) == before + 1
        record.crm.upsert_customer(contact, {"name": "Dana"})
        case = record.crm.open_case(contact, "a fault", {}, kind="repair", idempotency_key=key)
        record.crm.add_note(case.case_id, "it leaks", idempotency_key=key)
        assert case in record.crm.cases_of(contact)
        record.record_outcome(contact, session_id, kind="visit_booked", data={}, idempotency_key=key)
        record.open_handoff(contact, session_id, kind="person", reason="asked", packet={}, idempotency_key=key)

    def shows_it(self, session_id: str) -> None:
        """The live view of a page: what was said here, and with it what was said in other visits."""
        record = self.record
        latest = record.conversation(self.contact, limit=20, newest=True)
        for after_seq, count in ((latest[-1].seq - 1, 1), (latest[0].seq, 19)):
            look = record.unseen(session_id, after_seq=after_seq, limit=200, together=TOGETHER)
            assert len(look.events) == count
        record.note_shown(session_id, latest[-1].seq)
        assert record.typed(session_id).waiting == frozenset()

    def calls(self, code: str) -> None:
        """The telephone line: a caller we may know, who says the code, and hears half of an answer."""
        record, hour_ago = self.record, datetime.now(timezone.utc) - timedelta(hours=1)
        record.add_address(self.contact, "phone", self.number, proof="code")
        assert record.callers_known(self.number, proofs=["code"], since=hour_ago) == [self.contact]
        caller = record.create_contact()
        call = record.open_session(caller, PHONE, caller=self.number, detail={"caller": self.number}).session_id
        assert record.match_fact(call, [self.contact], slot="slot1", value="y", limits=LIMITS) == self.contact
        assert record.redeem_code(code, session_id=call, limits=LIMITS) == self.contact
        record.merge(caller, self.contact, reason="code", session_id=call)
        record.raise_assurance(call, Assurance.POSSESSED, lasts=TOGETHER)
        assert record.resolve(caller) == self.contact
        record.standing(call, together=TOGETHER)
        said = record.reply_to(f"now-{self.contact}")[0]
        record.record_heard(said.event_id, session_id=call, text_heard="Hel", complete=False)
        record.end_session(call, "hung_up")


def numbered(people: Iterable[str]) -> dict[str, str]:
    """Telephone numbers."""
    return {contact: f"+1503555{number:04d}" for number, contact in enumerate(people)}


def asked_in_turns_of(record: Record, *people: str) -> RowsRead:
    """The statements of a turn of each."""
    with rows_read(record) as asked:
        for contact, number in numbered(people).items():
            Asker(record, contact, number).turn()
    return asked


def test_no_statement_of_a_turn_goes_through_more_rows_than_a_few_windows(record: Record) -> None:
    mislead(record)
    put_business(record, "only", technicians=TECHNICIANS)
    for contact in ("dana", "other"):
        put(record, history(contact, LONG, aliases=[f"{contact}-{alias}" for alias in range(ALIASES)]))
    put(record, history("new", SHORT))
    put(record, history("later", LONG))  # the others have been away since
    asked = asked_in_turns_of(record, "dana", "other", "new")
    assert asked.above(MOST_ROWS) == {}
    assert len(asked) > 60


def test_nor_where_the_planner_knows_of_many_conversations_of_medium_length(record: Record) -> None:
    """PostgreSQL once took everybody's events for the shortest way to one person's."""
    people = [f"medium-{number:03d}" for number in range(200)]
    put(record, *(history(contact, MEDIUM, sessions=4) for contact in people))
    put(record, history("everybody else", SHORT))
    put_business(record, "everybody else", technicians=TECHNICIANS)
    inform(record)
    asked = asked_in_turns_of(record, people[0], people[90], people[110])  # of the middle ones it expects the most
    assert asked.above(MOST_ROWS) == {}
    assert len(asked) > 60


def test_the_count_tells_when_a_statement_goes_through_everything(record: Record) -> None:
    put(record, history("dana", LONG))
    ids = "SELECT max(id + 0) FROM events WHERE sender_id = 'dana'"
    everything = f"SELECT events.* FROM events WHERE sender_id = 'dana' AND id + 0 = ({ids})"  # noqa: S608 - ours
    changes = f"UPDATE events SET channel = 'phone' WHERE id + 0 = ({ids})"  # noqa: S608
    copies = f"INSERT INTO marks (name, value) SELECT 'x', channel FROM events WHERE id + 0 = ({ids})"  # noqa: S608
    with rows_read(record) as asked, record._database.writing() as connection:
        for statement in (everything, changes, copies):
            connection.exec_driver_sql(statement)
        assert connection.execute(sa.text("SELECT count(*) FROM marks WHERE name = 'x'")).scalar() == 1
    assert set(asked.above(MOST_ROWS)) == {everything, changes, copies}
