"""What a customer of these tests knows, and how the record tells whether anything was asked twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from throughline.record import Record, StoredEvent

# How the customer answers each of the form's questions. Spoken words are ones that the demo recogniser can tell apart.
ANSWERS = {
    "appliance": "the washing machine",
    "problem": "it is leaking",
    "brand": "it's a Bosch",
    "since": "since yesterday",
    "urgent": "no",
    "customer_name": "Dana Reyes",
    "postcode": "97201",
    "visit_time": "the first one",
}


def a_weekday() -> str:
    """The name of a weekday on which technicians of the area work, a few days ahead; one that the demo recogniser can tell apart, which by
    telephone hears "two days" for Tuesday."""
    day = datetime.now(ZoneInfo("America/Los_Angeles")).date() + timedelta(days=3)
    while day.weekday() not in (2, 3):
        day += timedelta(days=1)
    return day.strftime("%A")


def answer_to(slot: str) -> str:
    """What the customer says to the question for ``slot``."""
    return a_weekday() if slot == "visit_day" else ANSWERS[slot]


def open_question(record: Record, contact_id: str) -> str | None:
    """The slot that the assistant has asked for last and that is still open."""
    asked = [event.data["value"] for event in events_of(record, contact_id, "slot") if event.data["name"] == "requested_slot"]
    return asked[-1] if asked else None


def events_of(record: Record, contact_id: str, *types: str) -> list[StoredEvent]:
    """The contact's events of these types, in order."""
    return [event for event in record.conversation(contact_id) if event.type_name in types]


def asked_again(record: Record, contact_id: str) -> list[str]:
    """Slots that were asked for although the customer had given them before."""
    given: set[str] = set()
    repeated = []
    for event in events_of(record, contact_id, "slot"):
        name, value = event.data["name"], event.data["value"]
        if name == "requested_slot":
            if value in given:
                repeated.append(value)
        elif value is not None:
            given.add(name)
        else:
            given.discard(name)
    return repeated


def said_by_assistant(record: Record, contact_id: str, channel: str) -> list[str]:
    """Everything the assistant has said on one channel."""
    return [str(event.data.get("text")) for event in events_of(record, contact_id, "bot") if event.channel == channel]
