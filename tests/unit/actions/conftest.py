"""Actions with the company's real facts and a real record, at a moment that does not move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from throughline import bootstrap
from throughline import record as record_room
from throughline.bootstrap import Application
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.crm.embedded import EmbeddedCrm
from throughline.settings.business import load_business
from throughline.settings.knowledge import load_knowledge
from throughline.settings.server import Settings

NOW = datetime(2026, 11, 23, 18, tzinfo=timezone.utc)  # a Monday, 10 in the morning in Portland


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """The application that actions get from bootstrap."""
    record = record_room.open(f"sqlite:///{tmp_path}/record.db", secret=b"for tests")
    record.migrate()
    application = Application(
        settings=Settings(),
        business=load_business(Path("data/business")),
        record=record,
        crm=EmbeddedCrm(record),
        calendar=EmbeddedCalendar(record),
        knowledge={topic.name: topic for topic in load_knowledge()},
    )
    monkeypatch.setattr(bootstrap, "application", lambda: application)
    monkeypatch.setattr("actions.situation.now", lambda: NOW)
    yield application
    record.close()


@pytest.fixture
def use(app: Application, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Application]:
    """Replace parts of the application: ``use(calendar=...)``."""

    def replaced(**parts: Any) -> Application:
        other = replace(app, **parts)
        monkeypatch.setattr(bootstrap, "application", lambda: other)
        return other

    return replaced


@dataclass
class Done:
    """What an action did: the responses it chose, with their values, and its events."""

    said: list[str]
    values: list[dict[str, Any]]
    events: list[dict[str, Any]]
    slots: dict[str, Any] = field(default_factory=dict)
    asks: str | None = "unchanged"
    """The slot that the form is told to ask for, which is not among ``slots``; None where it is told to end."""

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]


@dataclass
class Conversation:
    """A tracker in the making."""

    contact_id: str
    session_id: str
    channel: str = "web_chat"
    slots: dict[str, Any] = field(default_factory=dict)
    loop: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    message: dict[str, Any] = field(default_factory=dict)

    def know(self, **slots: Any) -> Conversation:
        """Facts from before the message."""
        self.slots |= slots
        self.events += [{"event": "slot", "name": name, "value": value} for name, value in slots.items()]
        return self

    def asks(self, slot: str) -> Conversation:
        """The form is open at ``slot``."""
        self.loop = "journey_form"
        self.events.append({"event": "active_loop", "name": "journey_form"})
        return self.know(requested_slot=slot)

    def hears(self, text: str, intent: str = "inform", **entities: Any) -> Conversation:
        """The customer's message; entities by kind, their spans found in the text where their value stands there."""
        found = []
        for kind, value in entities.items():
            start = max(text.find(str(value)), 0)
            found.append({"entity": kind, "value": value, "start": start, "end": start + len(str(value))})
        metadata = {"session_id": self.session_id}
        self.message = {"text": text, "intent": {"name": intent}, "entities": found, "metadata": metadata}
        event = {"event": "user", "text": text, "input_channel": self.channel, "message_id": f"m{len(self.events)}"}
        self.events += [{"event": "action", "name": "action_listen"}, {**event, "metadata": metadata}]
        return self

    def begins(self) -> Conversation:
        """The form begins with the message."""
        self.loop = "journey_form"
        self.events.append({"event": "active_loop", "name": "journey_form"})
        return self

    async def do(self, action: Action, domain: dict[str, Any] | None = None) -> Done:
        """Run ``action`` here; with the ``domain`` if it is sent one."""
        dispatcher = CollectingDispatcher()
        loop = {"name": self.loop} if self.loop else {}
        tracker = Tracker(
            self.contact_id, dict(self.slots), self.message, list(self.events), False, None, loop, "action_listen"
        )
        events = await action.run(dispatcher, tracker, domain or {})
        responses = [message["response"] or message["text"] for message in dispatcher.messages]
        changed = {event["name"]: event["value"] for event in events if event["event"] == "slot"}
        asks = changed.pop("requested_slot", "unchanged")
        return Done(responses, dispatcher.messages, events, changed, asks)


@pytest.fixture
def talk(app: Application) -> Conversation:
    """Somebody new in the chat."""
    contact = app.record.create_contact()
    return Conversation(contact, app.record.open_session(contact, "web_chat").session_id)
