"""The way out on the real record and its trackers: where a value is from survives saving, the live window and merges."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rasa.core.actions.action import RemoteAction
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, BotUttered, Event, SlotSet, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from channels.said import Said, source_of
from throughline import record as record_room
from throughline.domain.assurance import Assurance, TryLimits
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.record import Record, Session
from throughline.record.tracker_store import RecordTrackerStore
from throughline.record.turn_context import TurnContext, current
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

DOMAIN = Domain.load("domain.yml")
BUSINESS = load_business(Path("data/business"))
WITHHELD = DOMAIN.responses["utter_withheld"][0]["text"]
LIMITS = TryLimits(3, 10, 30, timedelta(minutes=10), timedelta(minutes=30))


class Conversations:
    """Turns of any session on a real record, over a window of two turns, and what would be said to whom."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder}/record.db"
        self.record: Record = record_room.open(url, secret=b"for tests")
        self.store = RecordTrackerStore(DOMAIN, url, window_user_turns=2)
        self.out = Said(application=lambda: SimpleNamespace(business=BUSINESS, record=self.record))  # type: ignore[arg-type, return-value]
        self.out.responses = DOMAIN.responses

    def visit(self, contact_id: str | None = None, channel: str = WEB_CHAT, level: str = "anonymous") -> Session:
        contact = contact_id or self.record.create_contact()
        return self.record.open_session(contact, channel, assurance=Assurance.of(level))

    async def turn(self, session: Session, *events: Event) -> None:
        """One turn of that visit."""
        contact = self.record.resolve(session.contact_id)
        token = current.set(TurnContext(session.session_id, session.channel))
        try:
            tracker = await self.tracker(contact)
            for event in (ActionExecuted("action_listen"), UserUttered("words"), *events, BotUttered("Okay.")):
                tracker.update(event)
            tracker.update(ActionExecuted("action_listen"))
            await self.store.save(tracker)
        finally:
            current.reset(token)

    async def tracker(self, contact: str) -> DialogueStateTracker:
        return await self.store.retrieve(contact) or self.store.init_tracker(contact)

    async def says(self, session: Session, response: str, **values: Any) -> str:
        """What this visit would be told."""
        token = current.set(TurnContext(session.session_id, session.channel))
        try:
            tracker = await self.tracker(self.record.resolve(session.contact_id))
            said = await self.out.generate(response, tracker, session.channel, **values)
        finally:
            current.reset(token)
        assert said is not None
        return str(said["text"])


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Conversations]:
    rasas = RemoteAction._utter_responses
    made = Conversations(tmp_path)
    yield made
    made.record.close()
    RemoteAction._utter_responses = staticmethod(rasas)


async def test_a_visitor_is_told_what_they_said_and_another_visit_only_once_it_is_proven(here: Conversations) -> None:
    chat = here.visit()
    await here.turn(chat, SlotSet("customer_name", "Jo"), SlotSet("postcode", "97201"))
    known = "your name, Jo, and ZIP code 97201"
    assert await here.says(chat, "utter_known", known=known) == f"This is what I have: {known}."
    later = here.visit(chat.contact_id)
    assert await here.says(later, "utter_known", known=known) == WITHHELD
    assert await here.says(later, "utter_goodbye", comma_name=", Jo") == "Goodbye, and thank you."
    here.record.raise_assurance(later.session_id, Assurance.POSSESSED, lasts=None)
    assert await here.says(later, "utter_known", known=known) == f"This is what I have: {known}."
    assert await here.says(later, "utter_goodbye", comma_name=", Jo") == "Goodbye, Jo, and thank you."


async def test_the_chat_and_the_call_that_gave_its_code_tell_each_other_what_was_told_and_no_later_call(
    here: Conversations,
) -> None:
    chat, call = here.visit(), here.visit(channel=PHONE)
    await here.turn(chat, SlotSet("appliance", "oven"))
    code = here.record.issue_code(chat.contact_id, chat.session_id, ttl_s=300)
    here.record.redeem_code(code, session_id=call.session_id, limits=LIMITS)
    here.record.merge(call.contact_id, chat.contact_id, reason="code", session_id=call.session_id)
    assert await here.says(call, "utter_ask_problem") == "What's wrong with the oven?"
    await here.turn(call, SlotSet("customer_name", "Jo"))
    assert await here.says(chat, "utter_goodbye", comma_name=", Jo") == "Goodbye, Jo, and thank you."
    later = here.visit(chat.contact_id, PHONE, "possessed")
    await here.turn(later, SlotSet("customer_name", "Al"))
    assert await here.says(chat, "utter_goodbye", comma_name=", Al") == "Goodbye, and thank you."


async def test_what_a_merge_carries_over_stays_told_where_it_was_told(here: Conversations) -> None:
    call, chat = here.visit(channel=PHONE), here.visit()
    await here.turn(call, SlotSet("appliance", "oven"))
    await here.turn(chat, SlotSet("brand", "Bosch"))
    here.record.merge(call.contact_id, chat.contact_id, reason="operator", session_id=None)
    tracker = await here.tracker(chat.contact_id)
    assert tracker.get_slot("appliance") == "oven"
    assert source_of(tracker, "appliance") == call.session_id
    assert await here.says(call, "utter_ask_problem") == "What's wrong with the oven?"
    assert await here.says(chat, "utter_ask_problem") == "What's wrong with the appliance?"


async def test_a_fact_that_was_put_back_stays_told_where_it_was_told(here: Conversations) -> None:
    known, other = here.visit(level="possessed"), here.visit()
    await here.turn(known, SlotSet("postcode", "97201"))
    asks = here.visit(known.contact_id)
    put_back = SlotSet("postcode", "97201", metadata={"told_in": known.session_id})
    await here.turn(asks, SlotSet("postcode", "10001"), put_back)
    (fact,) = here.record.facts(known.contact_id)
    assert (fact.value, fact.session_id) == ("97201", known.session_id)
    here.record.merge(known.contact_id, other.contact_id, reason="operator", session_id=None)
    tracker = await here.tracker(other.contact_id)
    assert source_of(tracker, "postcode") == known.session_id


@pytest.mark.parametrize("seed", range(4))
async def test_the_live_window_knows_where_everything_was_told(here: Conversations, seed: int) -> None:
    chance, sessions = random.Random(seed), [here.visit()]  # noqa: S311 - the same every time
    contact = sessions[0].contact_id
    sessions += [here.visit(contact) for _ in range(2)]
    cuts = 0
    for turn in range(16):
        facts = chance.sample(["appliance", "brand", "postcode", "customer_name"], chance.randint(0, 2))
        events = [SlotSet(slot, chance.choice([f"{slot} {turn}", f"{slot} 1", None])) for slot in facts]
        await here.turn(chance.choice(sessions), *events)
        windowed, whole = await here.store.retrieve(contact), await here.store.retrieve_full_tracker(contact)
        assert windowed is not None
        assert whole is not None
        cuts += len(windowed.events) < len(whole.events)
        for slot in ("appliance", "brand", "postcode", "customer_name"):
            assert windowed.get_slot(slot) == whole.get_slot(slot)
            if windowed.get_slot(slot) is not None:
                assert source_of(windowed, slot) == source_of(whole, slot) in {session.session_id for session in sessions}
    assert cuts > 5


async def test_a_window_of_an_older_release_tells_nobody_but_who_is_known(here: Conversations) -> None:
    header = {"at": 1.0, "slots": {"customer_name": "Jo"}, "loop": None}
    tracker = here.store._tracker("c_1", header, [])
    assert tracker.get_slot("customer_name") == "Jo"
    chat, proven = here.visit(), here.visit(level="possessed")
    for session, said in ((chat, "Goodbye, and thank you."), (proven, "Goodbye, Jo, and thank you.")):
        token = current.set(TurnContext(session.session_id, WEB_CHAT))
        out = await here.out.generate("utter_goodbye", tracker, WEB_CHAT, comma_name=", Jo")
        current.reset(token)
        assert out is not None
        assert out["text"] == said
