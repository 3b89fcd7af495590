"""What goes along when a conversation goes to a person."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from throughline.domain.visits import Fact, HandoffPacket
from throughline.handoff.packet import Line, actions_tried, as_json, build
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 22, 20, tzinfo=timezone.utc)
FACTS = [
    Fact("appliance", "dryer", "s_1", "web_chat", AT),
    Fact("postcode", "97201", "s_2", "phone", AT, confidence=0.8),
]
LINES = [
    Line("customer", "my dryer is broken", "web_chat", AT.isoformat()),
    Line("assistant", "Which brand?", "phone", AT.isoformat()),
]


def packet() -> HandoffPacket:
    return build(
        "c_1",
        "asked_for_person",
        facts=FACTS,
        transcript=LINES,
        open_question="brand",
        tried=["action_answer_prices"],
        words=load_business(Path("data/business")).words,
        today=date(2026, 11, 22),
    )


def test_it_holds_every_fact_with_its_source_and_none_that_was_not_said() -> None:
    assert packet().facts == tuple(FACTS)
    assert packet().summary == "the dryer and ZIP code 97201"


def test_it_keeps_the_open_question_and_the_order_of_what_was_said() -> None:
    assert packet().open_question == "brand"
    assert [line["text"] for line in packet().transcript] == ["my dryer is broken", "Which brand?"]


def test_it_becomes_plain_json() -> None:
    again = json.loads(json.dumps(as_json(packet())))
    assert again["facts"][1] == {
        "slot": "postcode",
        "value": "97201",
        "session_id": "s_2",
        "channel": "phone",
        "said_at": AT.isoformat(),
        "confidence": 0.8,
    }
    assert again["tried"] == ["action_answer_prices"]


def test_what_was_tried_leaves_out_the_machinery() -> None:
    names = ["action_listen", "action_answer_prices", "journey_form", "action_listen", "action_answer_prices", "action_clarify"]
    events = [{"event": "action", "name": name} for name in names] + [{"event": "user", "text": "hi"}]
    assert actions_tried(events) == ["action_answer_prices", "action_clarify"]
