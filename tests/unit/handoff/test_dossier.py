"""What a person is given comes from the record, however long ago it was said or done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from throughline.handoff import dossier
from throughline.record import Record, store
from throughline.record.entries import NewEvent
from throughline.record.events import new_event_id

pytestmark = pytest.mark.unit


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = store.open(f"sqlite:///{tmp_path}/record.db")
    record.migrate()
    yield record
    record.close()


def turn(record: Record, contact_id: str, said: str, action: str, answer: str) -> None:
    dicts = [
        {"event": "user", "text": said},
        {"event": "action", "name": action},
        {"event": "bot", "text": answer},
        {"event": "action", "name": "action_listen"},
    ]
    events = [NewEvent(new_event_id(), {**data, "timestamp": time.time()}, None, "web_chat") for data in dicts]
    record.append_events(contact_id, events, expected=None)


async def test_what_was_done_long_ago_is_told_though_rasa_is_given_the_latest_turns_only(record: Record) -> None:
    contact_id = record.create_contact()
    turn(record, contact_id, "what are your prices", "action_answer_prices", "From $89.")
    for number in range(20):
        turn(record, contact_id, f"hello {number}", "action_clarify", "Sorry?")
    lines, tried = await dossier.latest(record, contact_id, messages=100)
    assert tried == ["action_answer_prices", "action_clarify"]
    assert [(line.who, line.text) for line in lines[:2]] == [("customer", "what are your prices"), ("assistant", "From $89.")]
    assert len(lines) == 42


async def test_no_more_lines_than_asked_for_and_the_latest(record: Record) -> None:
    contact_id = record.create_contact()
    for number in range(5):
        turn(record, contact_id, f"question {number}", "action_clarify", f"answer {number}")
    lines, _ = await dossier.latest(record, contact_id, messages=3)
    assert [line.text for line in lines] == ["answer 3", "question 4", "answer 4"]
