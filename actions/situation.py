"""What every action begins with: where the conversation stands, and the company's application to act with.

Actions run in Rasa's action server, a process of its own, while the runner holds the conversation's lock: they read the record and act
on the connectors, and return what should change as events. They never write events and never take locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from rasa_sdk import Tracker
from rasa_sdk.events import ActiveLoop, FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from throughline import bootstrap
from throughline.bootstrap import Application
from throughline.domain import recap, speakable
from throughline.domain.company import Business
from throughline.domain.journeys import Journey
from throughline.domain.knowledge import Topic
from throughline.domain.privacy import told_in
from throughline.domain.turns import PHONE, REHEARSED
from throughline.domain.words import Said, Words
from throughline.errors import Unavailable
from throughline.settings.server import Settings

FORM = "journey_form"
Event = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Situation:
    """One conversation at one moment. ``now`` is UTC; ``today`` is the company's local day."""

    app: Application
    tracker: Tracker
    now: datetime

    @property
    def business(self) -> Business:
        """The company."""
        return self.app.business

    @property
    def words(self) -> Words:
        """The company's small words."""
        return self.app.business.words

    @property
    def settings(self) -> Settings:
        """The operator's settings."""
        return self.app.settings

    @property
    def zone(self) -> tzinfo:
        """The company's time zone."""
        return ZoneInfo(self.business.company.timezone)

    @property
    def today(self) -> date:
        """The company's local day."""
        return self.now.astimezone(self.zone).date()

    @property
    def contact_id(self) -> str:
        """Whose conversation it is."""
        return str(self.tracker.sender_id)

    @property
    def session_id(self) -> str | None:
        """The visit or call the latest message came from; None where it came from Rasa's own tools."""
        return self._metadata.get("session_id")

    @property
    def is_rehearsed(self) -> bool:
        """The message has not been sent yet, and may never be: only what it would be answered is wanted."""
        return bool(self._metadata.get(REHEARSED))

    @property
    def _metadata(self) -> Mapping[str, Any]:
        return (self.tracker.latest_message or {}).get("metadata") or {}

    @property
    def channel(self) -> str:
        """The channel of the latest message."""
        return str(self.tracker.get_latest_input_channel() or "")

    @property
    def by_phone(self) -> bool:
        """Whether the latest message was spoken on the phone line."""
        return self.channel == PHONE

    @property
    def intent(self) -> str:
        """The intent of the latest message."""
        return str(((self.tracker.latest_message or {}).get("intent") or {}).get("name") or "")

    def topic(self, least: float) -> Topic | None:
        """The topic of data/knowledge that the latest message is about, with a confidence of ``least`` or more."""
        found = next(iter((self.tracker.latest_message or {}).get("knowledge") or ()), None)
        if found is None or float(found["confidence"]) < least:
            return None
        return self.app.knowledge.get(str(found["topic"]))

    @property
    def matters(self) -> list[dict[str, Any]]:
        """The two matters that the latest message is about, what is answered at once first: ``intent``, and ``start`` and ``end`` of the
        words. Empty where it is about one."""
        return list((self.tracker.latest_message or {}).get("matters") or ())

    @property
    def in_form(self) -> bool:
        """Whether a journey is under way."""
        return bool(self.tracker.active_loop_name == FORM)

    @property
    def journey(self) -> Journey:
        """The journey that is under way, or was last; the usual one where there was none."""
        journeys = self.business.journeys
        journey = journeys.named(self.tracker.get_slot("ui_journey")) or journeys.usual
        return journey.looking if journey.finds and self.tracker.get_slot("ui_finding") else journey

    @property
    def facts(self) -> dict[str, Any]:
        """What the customer has told us."""
        return recap.told(self.tracker.slots)

    def told(self, slot: str) -> Any:
        """What the customer has told of it; None where they have not, could not, or would rather not."""
        value = self.facts.get(slot)
        return None if value == self.words.unknown else value

    async def bounded(self, call: Awaitable[T]) -> T:
        """``call``, for no longer than the settings allow. Raises Unavailable then, and what the call raises."""
        try:
            return await asyncio.wait_for(call, self.settings.actions.connector_timeout_ms / 1000)
        except asyncio.TimeoutError as error:
            raise Unavailable("no answer in time") from error

    def day(self, value: date) -> Said:
        """A day in words."""
        return speakable.day(value, self.words, self.today)


def situation(tracker: Tracker) -> Situation:
    """The situation now."""
    return Situation(bootstrap.application(), tracker, now())


def now() -> datetime:
    """The present moment, UTC. The one clock of all actions."""
    return datetime.now(timezone.utc)


def both(**said: Said) -> dict[str, str]:
    """Each value under its name for the eye, and under ``<name>_spoken`` for the ear, as responses take them."""
    values = {}
    for name, value in said.items():
        values[name], values[f"{name}_spoken"] = value.shown, value.spoken
    return values


def comma_name(where: Situation) -> str:
    """``, Dana`` for a greeting: the first name we know; empty without one."""
    name = where.facts.get("customer_name")
    return where.words.comma_name.format(name=str(name).split()[0]) if name else ""


def stays_open(where: Situation) -> list[Event]:
    """Events after something was said in the middle of the form that leaves its question open: the form listens on without asking
    again. (A digression marks the form as rejected, and Rasa would not offer it the next message; setting it again clears that.)"""
    return [ActiveLoop(FORM), FollowupAction("action_listen")] if where.in_form else [FollowupAction("action_listen")]


def form_ends(*then: Event) -> list[Event]:
    """Events that end the form and listen. The facts stay."""
    return [ActiveLoop(None), SlotSet("requested_slot", None), *then, FollowupAction("action_listen")]


def journey_ends(where: Situation, dispatcher: CollectingDispatcher, *then: Event) -> list[Event]:
    """Events after a journey came to its end. The one that it interrupted is taken up again; without one we listen."""
    done = [name for name in where.tracker.get_slot("ui_done") or () if name != where.journey.journey]
    found = [SlotSet("ui_finding", None)] if where.journey.is_looking else []
    over = [*then, *found, SlotSet("ui_done", [*done, where.journey.journey])]
    *earlier, last = where.tracker.get_slot("ui_paused") or [None]
    paused = where.business.journeys.named(last)
    if paused is None:
        return [
            *over,
            SlotSet("ui_journey", None),
            SlotSet("ui_paused", None),
            *next_matter(where, dispatcher, where.tracker.get_slot("ui_next")),
            FollowupAction("action_listen"),
        ]
    dispatcher.utter_message(response="utter_back_to_journey", journey=paused.named)
    return [*over, SlotSet("ui_journey", last), SlotSet("ui_paused", earlier or None), FollowupAction(FORM)]


def next_matter(where: Situation, dispatcher: CollectingDispatcher, mentioned: Mapping[str, Any] | None) -> list[Event]:
    """Ask whether to go on with what was mentioned beside the journey that is over (as the slot ``ui_next`` holds it);
    ``action_follow_guess`` takes the answer."""
    if mentioned is None:
        return []
    journey = where.business.journeys.begun_by(mentioned["intent"])
    if journey is None or mentioned["intent"] not in where.business.dialogue.guesses:
        return [SlotSet("ui_next", None)]
    dispatcher.utter_message(response="utter_next_matter", journey=journey.named)
    return [SlotSet("ui_guess", mentioned["intent"]), SlotSet("ui_next", dict(mentioned))]


def answered(where: Situation) -> list[Event]:
    """Events after a question was answered: in the form the rules put the open question again, elsewhere we go on with the other matter
    of the message, or listen."""
    if where.in_form:
        return []
    intents = [str(matter["intent"]) for matter in where.matters]
    if len(intents) < 2 or _went_on(where):
        return [FollowupAction("action_listen")]
    first, intent = intents[:2]
    journey = where.business.journeys.begun_by(intent)
    if journey is not None:
        return [SlotSet("ui_journey", journey.journey), FollowupAction(FORM)]
    action = where.business.dialogue.guesses.get(intent)
    # Another page of data/knowledge would be the first one's again: the message carries the topics of that.
    return [FollowupAction(action if action and intent != first else "action_listen")]


def _went_on(where: Situation) -> bool:
    """Whether another question of the latest message was answered before this one."""
    for event in reversed(where.tracker.events):
        if event.get("event") == "user":
            return False
        if event.get("event") == "action" and event.get("name") in where.business.dialogue.guesses.values():
            return True
    return False


def request(kind: str, **details: Any) -> Event:
    """An event that asks the server for something beyond slots, to be carried out after the turn."""
    event: Event = SlotSet("request", None)
    event["metadata"] = {"request": {"kind": kind, **details}}
    return event


def put_back(tracker: Tracker, slot: str, value: Any) -> Event:
    """A slot set to what was known before the latest message, or is made of that: it stays told where it was told. As told in this visit it
    could be said to whoever is here (data/business/privacy.yml)."""
    for event in reversed(events_before_message(tracker)):
        if event.get("event") == "slot" and event.get("name") == slot and event.get("value") is not None:
            restored: Event = SlotSet(slot, value)
            return {**restored, "metadata": {"told_in": told_in(event.get("metadata"))}}
    unchanged: Event = SlotSet(slot, value)
    return unchanged


def events_before_message(tracker: Tracker) -> Sequence[Event]:
    """The events before the latest message of the customer."""
    events: Sequence[Event] = tracker.events
    for position in range(len(events) - 1, -1, -1):
        if events[position].get("event") == "user":
            return events[:position]
    return events


def slots_before_message(tracker: Tracker) -> dict[str, Any]:
    """What every slot held before the latest message of the customer."""
    return {event["name"]: event["value"] for event in events_before_message(tracker) if event.get("event") == "slot"}
