"""Customers who come back in the middle of a booking: in the visit they had, and after it has run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.chat_door import ChatDoor, Visit
from tests.unit.channels.small_server import SmallServer
from tests.website import login_token
from throughline.domain.assurance import CODE, TryLimits
from throughline.domain.turns import PHONE
from throughline.errors import Unavailable

pytestmark = pytest.mark.unit

HERE = "203.0.113.7"
LIMITS = TryLimits(3, 10, 30, timedelta(minutes=10), timedelta(minutes=30))
DAY_S = 86_400


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    made = SmallServer(tmp_path)
    yield made
    made.record.close()


@pytest.fixture
def door(server: SmallServer) -> ChatDoor:
    return server.chat_door


def leaves_in_mid_form(server: SmallServer, visit: Visit, *, ago_s: float = 3 * DAY_S, **slots: Any) -> None:
    """The booking is open, a few things are told, and then there was silence."""
    contact, session = visit.session.contact_id, visit.session.session_id
    events: list[dict[str, Any]] = [{"event": "user", "text": "it leaks"}, {"event": "active_loop", "name": "journey_form"}]
    events += [{"event": "slot", "name": name, "value": value} for name, value in slots.items()]
    for event in (
        *events,
        {"event": "slot", "name": "requested_slot", "value": "brand"},
        {"event": "bot", "text": "Which brand?"},
    ):
        server.runner.say(contact, session, {**event, "timestamp": time.time() - ago_s})


def greetings(server: SmallServer, visit: Visit) -> list[str]:
    """In which sessions somebody was welcomed back."""
    said = server.record.conversation(visit.session.contact_id)
    return [str(event.session_id) for event in said if event.data.get("text") == "Welcome back."]


async def test_after_days_in_the_visit_they_had(server: SmallServer, door: ChatDoor) -> None:
    visit = await door.open(None, None, HERE)
    leaves_in_mid_form(server, visit, appliance="dryer")
    again = await door.open(visit.session_id, None, HERE)
    await door.welcome_back(again.session)
    assert greetings(server, visit) == [visit.session.session_id]
    await door.welcome_back(again.session)
    assert len(greetings(server, visit)) == 1, "not at every reload"


async def test_of_pages_that_open_at_once_one(server: SmallServer, door: ChatDoor) -> None:
    """A browser restores its tabs; with a login each has a visit of its own."""
    dana = door.login_of(login_token("dana"))
    visits = [await door.open(None, dana, HERE) for _ in range(3)]
    leaves_in_mid_form(server, visits[0], appliance="dryer")
    said_after = await asyncio.gather(*(door.welcome_back(visit.session) for visit in visits))
    assert len(greetings(server, visits[0])) == 1
    assert len(set(said_after)) == 1 and None not in said_after, "all know where it stands"


async def test_not_after_a_short_while_and_not_out_of_a_form(server: SmallServer, door: ChatDoor) -> None:
    visit = await door.open(None, None, HERE)
    await door.welcome_back(visit.session)
    leaves_in_mid_form(server, visit, ago_s=60, appliance="dryer")
    await door.welcome_back(visit.session)
    server.runner.say(
        visit.session.contact_id,
        visit.session.session_id,
        {"event": "active_loop", "name": None, "timestamp": time.time() - DAY_S},
    )
    await door.welcome_back(visit.session)
    assert greetings(server, visit) == []


async def test_by_a_login_once_the_visit_has_run_out(server: SmallServer, door: ChatDoor) -> None:
    dana = door.login_of(login_token("dana"))
    visit = await door.open(None, dana, HERE)
    leaves_in_mid_form(server, visit, appliance="dryer", postcode="97201")
    server.record.end_session(visit.session.session_id, "expired")
    later = await door.open(visit.session_id, dana, HERE)
    assert later.is_new
    await door.welcome_back(later.session)
    assert greetings(server, visit) == [later.session.session_id]
    assert {fact.slot: fact.value for fact in server.record.facts(later.session.contact_id)} == {
        "appliance": "dryer",
        "postcode": "97201",
    }


async def test_by_a_code_once_the_visit_has_run_out(server: SmallServer, door: ChatDoor) -> None:
    """The code is read to them on the telephone, where they have shown who they are."""
    visit = await door.open(None, None, HERE)
    leaves_in_mid_form(server, visit, appliance="dryer")
    server.record.end_session(visit.session.session_id, "expired")
    stranger = await door.open(visit.session_id, None, HERE)
    await door.welcome_back(stranger.session)
    assert stranger.session.contact_id != visit.session.contact_id, "the old id alone is nobody's proof"
    assert greetings(server, visit) == []

    record, contact = server.record, visit.session.contact_id
    code = record.issue_code(contact, record.open_session(contact, PHONE).session_id, ttl_s=300)
    found = record.redeem_code(code, session_id=stranger.session.session_id, limits=LIMITS)
    record.merge(stranger.session.contact_id, found, reason=CODE, session_id=stranger.session.session_id)
    again = await door.open(stranger.session_id, None, HERE)
    assert again.session.contact_id == contact
    window = record.window(again.session.contact_id)
    assert [event["value"] for event in window.events if event.get("name") == "appliance"] == ["dryer"]
    assert [event["name"] for event in window.events if event["event"] == "active_loop"] == ["journey_form"]
    await door.welcome_back(again.session)
    assert greetings(server, visit) == [stranger.session.session_id]


async def test_what_cannot_be_said_now_keeps_nobody_out(server: SmallServer, door: ChatDoor) -> None:
    visit = await door.open(None, None, HERE)
    leaves_in_mid_form(server, visit, appliance="dryer")
    server.runner.error = Unavailable("the action server is away")
    await door.welcome_back(visit.session)
    assert greetings(server, visit) == []
