"""One customer's conversation with a running assistant, on one channel or on both, and what it was like: told apart by where it stood after
each message and what it has led to.

Moving is what really happens. In the chat the customer asks to go on by phone and gets a code; a call from nobody we know begins; the code
is keyed, and the two become one. By phone they ask to go on in the chat, and the code that they hear is typed there.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rasa.shared.core.constants import DEFAULT_SLOT_NAMES
from rasa.shared.core.events import ActionExecuted, SlotSet

from tests.e2e import story
from tests.e2e.story_words import StoryWords
from tests.e2e.talk import Assistant
from throughline.domain.turns import PHONE, WEB_CHAT, Turn, TurnResult
from throughline.record import turn_context

ASKS = {WEB_CHAT: "can I go on by phone?", PHONE: "can I go on in the chat?"}
"""What a customer says on each channel to get a code for the other."""

OTHER = {WEB_CHAT: PHONE, PHONE: WEB_CHAT}

_BOOKKEEPING = ("ui_", "request")  # the beginnings of names of slots that are no facts
_TOLD = 8  # messages: well within what is passed on, also of a conversation that was moved


@dataclass(frozen=True)
class Standing:
    """Where a conversation stands after a message: the form that is open, the slot it asks for and the journey it is on, every fact, the
    names of the assistant's own slots that have a value, and the responses that were said last, by name and in words. ``over``: the call
    ended with it."""

    form: str | None = None
    asked: str | None = None
    journey: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    noted: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()
    words: str = ""
    over: bool = False

    @property
    def question(self) -> tuple[str | None, str | None]:
        """The form and what it asks for."""
        return self.form, self.asked


@dataclass(frozen=True)
class Ending:
    """What a conversation has led to, each with how often. Ids and references, which are chance, are left out."""

    facts: Mapping[str, Any]
    visits: Counter[str]
    cases: Counter[str]
    handoffs: Counter[str]
    outcomes: Counter[str]


@dataclass
class Held:
    """A conversation that was held: ``standings[i]`` after the customer's first i words (the story's ``before`` are none of them), as
    far as the call, if it is one, went. ``asked_again`` were asked although they were known."""

    story: StoryWords
    channel: str
    words: tuple[str, ...] = ()
    standings: list[Standing] = field(default_factory=list)
    ending: Ending | None = None
    asked_again: list[str] = field(default_factory=list)

    def all_standings(self) -> list[Standing]:
        """Every place at which something was said."""
        return self.standings

    @property
    def is_over(self) -> bool:
        """Whether it is a call that has ended."""
        return self.standings[-1].over


@dataclass
class Moved(Held):
    """One that was moved after ``after`` words from ``channel``: where it stood after the code was asked for (``asking``) and after it was
    given (``greeting``). ``broken``: why it did not become one conversation."""

    after: int = 0
    asking: Standing = Standing()
    greeting: Standing = Standing()
    broken: str = ""

    def all_standings(self) -> list[Standing]:
        """With the move."""
        return [*self.standings, self.asking, self.greeting]

    def __str__(self) -> str:
        return (
            f"{self.story.name!r}, moved from {self.channel} to {OTHER[self.channel]} after {place(self.words[: self.after])}"
        )


class BlankRecord:
    """The record of a running assistant as it is now; ``restore`` makes it so again, for its action server too."""

    def __init__(self, assistant: Assistant) -> None:
        self._file = assistant.app.record.url.removeprefix("sqlite:///")
        self._copy = sqlite3.connect(":memory:")
        with sqlite3.connect(self._file) as record:
            record.backup(self._copy)

    def restore(self) -> None:
        """Forget whatever was said since. No turn may be under way."""
        with sqlite3.connect(self._file, timeout=10) as record:
            self._copy.backup(record)


class Conversation:
    """What one customer says, on whichever channel they are."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._record = assistant.app.record
        self._slots = {slot.name for slot in assistant.agent.domain.slots} - DEFAULT_SLOT_NAMES
        self.contacts: list[str] = []
        self.said: list[str] = []
        self._about_moving: set[str] = set()

    async def begins(self, channel: str) -> Standing:
        """A chat is opened, or a call comes in, by nobody we know."""
        self.channel, self._contact_id = channel, self._record.create_contact()
        self.contacts.append(self._contact_id)
        self._session_id = self._record.open_session(self._contact_id, channel).session_id
        if channel == PHONE:
            return await self._standing(await self._assistant.runner.resume(self._contact_id, self._session_id, PHONE))
        return Standing()

    async def says(self, text: str, source: str = "typed") -> Standing:
        """One message."""
        self.said.append(text)
        turn = Turn(self._contact_id, self._session_id, self.channel, text, uuid.uuid4().hex, source)
        return await self._standing(await self._assistant.runner.take(turn))

    async def finds(self, slots: Mapping[str, Any]) -> Standing:
        """Slots of the assistant's own are set, and the question that each stands for is put, where the domain has one: ``utter_guess_X``
        for X in ``ui_guess``."""
        store = self._assistant.agent.tracker_store
        token = turn_context.current.set(turn_context.TurnContext(self._session_id, self.channel))
        try:
            tracker = await store.get_or_create_tracker(self._contact_id, append_action_listen=False)
            set_now = [SlotSet(name, value) for name, value in slots.items()]
            tracker.update_with_events([*set_now, ActionExecuted("action_listen")], self._assistant.agent.domain)
            await store.save(tracker)
        finally:
            turn_context.current.reset(token)
        result = TurnResult(self._contact_id, ())
        for name, value in slots.items():
            response = f"utter_{name.removeprefix('ui_')}_{value}"
            if response in self._assistant.agent.domain.responses:
                result = await self._assistant.runner.prompt(self._contact_id, self._session_id, self.channel, response)
        return await self._standing(result)

    async def asks_for_a_code(self) -> Standing:
        """One message, by which they want to go on on the other channel."""
        self._about_moving.add(ASKS[self.channel])
        return await self.says(ASKS[self.channel])

    async def gives(self, code: str) -> Standing:
        """The code, on the other channel than it was got on, in a chat or call of its own."""
        self._about_moving.add(code)
        await self.begins(OTHER[self.channel])
        return await self.says(code, "keypad" if self.channel == PHONE else "typed")

    async def ending(self) -> Ending:
        """What it has led to."""
        record, contact = self._record, self._contact_id
        visits = [
            f"{visit.details.get('appliance')}, {visit.slot.start:%Y-%m-%d %H:%M} to {visit.slot.end:%H:%M}, {visit.slot.technician}"
            for visit in await self._assistant.app.calendar.visits_of(contact)
        ]
        cases = [
            f"{case.subject}, {in_words(case.details['facts'])}, told: {self._told(case.details['conversation'])}"
            for case in await self._assistant.app.crm.cases_of(contact)
        ]
        handoffs = []
        for one in record.handoffs(contact):
            passed = in_words({fact["slot"]: fact["value"] for fact in one.packet["facts"]})
            asked, told = one.packet["open_question"], self._told(one.packet["transcript"])
            handoffs.append(f"{one.kind} because {one.reason}, {passed}, open: {asked}, told: {told}")
        facts = {fact.slot: _by_no_chance(fact.slot, fact.value) for fact in record.facts(contact) if fact.value is not None}
        outcomes = Counter(outcome.kind for outcome in record.outcomes(contact))
        return Ending(facts, Counter(visits), Counter(cases), Counter(handoffs), outcomes)

    def _told(self, transcript: Sequence[Mapping[str, Any]]) -> list[str]:
        """The customer's latest words in what was passed on, without those that were only about moving."""
        words = [str(line["text"]) for line in transcript if line["who"] == "customer"]
        return [text for text in words if text not in self._about_moving][-_TOLD:]

    def asked_again(self) -> list[str]:
        """Slots that were asked for although they were known."""
        return story.asked_again(self._record, self._contact_id)

    def broken(self) -> str:
        """Why this is not one conversation of one living contact, in the order in which it was said; empty where it is."""
        living = [self._record.resolve(contact) for contact in self.contacts]
        if len(set(living)) > 1:
            return "the two are still two contacts"
        if living[0] != self.contacts[0]:
            return "who was known has become a part of the stranger"
        held = [str(event.data["text"]) for event in story.events_of(self._record, self.contacts[0], "user")]
        if held != self.said:
            return f"the record holds {held}, said was {self.said}"
        left = self._record.unfinished_messages()
        return f"{len(left)} messages are not finished" if left else ""

    async def _standing(self, result: TurnResult) -> Standing:
        self._contact_id = result.contact_id
        tracker = await self._assistant.agent.tracker_store.retrieve(result.contact_id)
        assert tracker is not None
        values = {name: tracker.get_slot(name) for name in self._slots if tracker.get_slot(name) is not None}
        names = self._names(result)
        return Standing(
            form=tracker.active_loop_name,
            asked=result.expects.slot,
            journey=tracker.get_slot("ui_journey"),
            facts={name: _by_no_chance(name, value) for name, value in values.items() if not name.startswith(_BOOKKEEPING)},
            noted=frozenset(name for name in values if name.startswith(_BOOKKEEPING)),
            said=tuple(names[utterance.event_id] for utterance in result.utterances),
            words=" / ".join(utterance.text for utterance in result.utterances),
            over=result.end_session and self.channel == PHONE,
        )

    def _names(self, result: TurnResult) -> dict[str, str]:
        """The names of the responses that were said, by their events' ids."""
        if not result.utterances:
            return {}
        latest = self._record.conversation(result.contact_id, limit=60, newest=True)
        return {event.event_id: str((event.data.get("metadata") or {}).get("utter_action")) for event in latest}


def _by_no_chance(slot: str, value: Any) -> Any:
    """A fact without what is drawn anew in every conversation."""
    return "a visit" if slot == "which_visit" else value


def in_words(facts: Mapping[str, Any]) -> str:
    """Facts for a message to whoever reads what is wrong."""
    return ", ".join(f"{name}={facts[name]!r}" for name in sorted(facts))


def place(words: Sequence[str]) -> str:
    """Where a conversation is after these words, likewise."""
    return f"message {len(words)}, {words[-1]!r}" if words else "its beginning"
