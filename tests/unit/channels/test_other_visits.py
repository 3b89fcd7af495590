"""What a chat page is shown of the same person's other visits and calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.unit.channels.small_server import SmallServer
from throughline.domain.assurance import Assurance, TryLimits
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.record import Session

pytestmark = pytest.mark.unit

LIMITS = TryLimits(3, 10, 30, timedelta(minutes=10), timedelta(minutes=30))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmallServer]:
    made = SmallServer(tmp_path)
    yield made
    made.record.close()


@pytest.fixture
def chat(server: SmallServer) -> Session:
    return server.record.open_session(server.record.create_contact(), WEB_CHAT)


def call(server: SmallServer, contact_id: str, **detail: str) -> Session:
    return server.record.open_session(contact_id, PHONE, assurance=Assurance.POSSESSED, detail=detail)


def speak(server: SmallServer, session: Session, words: str) -> None:
    """Two lines of a visit, one of each party."""
    contact = server.record.resolve(session.contact_id)
    server.runner.say(contact, session.session_id, {"event": "user", "text": words}, session.channel)
    server.runner.say(contact, session.session_id, {"event": "bot", "text": f"{words}!"}, session.channel)


def page(server: SmallServer, session: Session) -> list[str]:
    """What a page that was loaded just now shows."""
    together = timedelta(minutes=server.app.business.privacy.together_minutes)
    found = server.record.unseen(session.session_id, after_seq=0, limit=100, together=together)
    shown = [server.chat_door.shown(event, found.standing, known=False) for event in found.events]
    return [message["text"] for messages in shown for message in messages]


def test_a_chat_sees_the_call_that_gave_its_code_live(server: SmallServer, chat: Session) -> None:
    caller = server.record.open_session(server.record.create_contact(), PHONE)
    code = server.record.issue_code(chat.contact_id, chat.session_id, ttl_s=300)
    server.record.redeem_code(code, session_id=caller.session_id, limits=LIMITS)
    server.record.merge(caller.contact_id, chat.contact_id, reason="code", session_id=caller.session_id)
    speak(server, caller, "it is a Miele")
    assert page(server, chat) == ["You, by phone: it is a Miele", r"By phone: it is a Miele!"]


def test_a_chat_sees_the_call_from_its_page(server: SmallServer, chat: Session) -> None:
    speak(server, call(server, chat.contact_id, chat_session_id=chat.session_id), "it is loud")
    assert page(server, chat) == ["You, by phone: it is loud", "By phone: it is loud!"]


def test_a_browser_left_open_shows_nothing_of_a_later_call(server: SmallServer, chat: Session) -> None:
    speak(server, chat, "my dryer")
    speak(server, call(server, chat.contact_id), "my door code is 4711")
    assert page(server, chat) == ["You: my dryer", "my dryer!"]


def test_nor_of_the_call_it_led_to_hours_ago(server: SmallServer, chat: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    speak(server, call(server, chat.contact_id, chat_session_id=chat.session_id), "it is loud")
    later = datetime.now(timezone.utc) + timedelta(minutes=server.app.business.privacy.together_minutes + 1)
    monkeypatch.setattr("throughline.record.views.utc_now", lambda: later)
    assert page(server, chat) == []


def test_whoever_has_proven_who_they_are_sees_everything_until_it_lapses(
    server: SmallServer, chat: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(server, call(server, chat.contact_id), "it is loud")
    server.record.raise_assurance(chat.session_id, Assurance.POSSESSED, lasts=timedelta(hours=1))
    assert page(server, chat) == ["You, by phone: it is loud", "By phone: it is loud!"]
    later = datetime.now(timezone.utc) + timedelta(hours=2)
    monkeypatch.setattr("throughline.record.views.utc_now", lambda: later)
    assert page(server, chat) == []


def test_buttons_and_pictures_of_another_visit_are_not_shown_either(server: SmallServer, chat: Session) -> None:
    other = server.record.open_session(chat.contact_id, WEB_CHAT)
    data = {"buttons": [{"title": "Jo", "payload": "yes"}], "image": "https://x.example/jo.png"}
    server.runner.say(chat.contact_id, other.session_id, {"event": "bot", "text": "Are you Jo?", "data": data})
    server.runner.say(chat.contact_id, other.session_id, {"event": "bot", "text": "", "data": data})
    assert page(server, chat) == []


def test_what_belongs_to_no_visit_is_shown_to_whoever_is_known(server: SmallServer, chat: Session) -> None:
    server.runner.say(chat.contact_id, None, {"event": "bot", "text": "From a tool."})  # type: ignore[arg-type]
    assert page(server, chat) == []
    server.record.raise_assurance(chat.session_id, Assurance.POSSESSED, lasts=None)
    assert page(server, chat) == ["From a tool."]
