"""Makes room for another fault after a visit was booked: who and where stay, what and when begin anew."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, slots_before_message

_OF_ONE_FAULT = ("appliance", "problem", "brand", "since", "urgent", "visit_day", "visit_time")
_OF_ONE_BOOKING = ("ui_visit", "ui_booking")


class NewFault(Action):
    """Before the form begins again."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_new_fault"

    async def run(self, _dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Forget the facts of the last fault, but not those that this very message brought."""
        before = slots_before_message(tracker)
        said_now = {str(item.get("value")) for item in (tracker.latest_message or {}).get("entities") or ()}
        stale = [
            slot
            for slot in _OF_ONE_FAULT
            if tracker.get_slot(slot) is not None
            and tracker.get_slot(slot) == before.get(slot)
            and str(tracker.get_slot(slot)) not in said_now
        ]
        return [SlotSet(slot, None) for slot in (*stale, *_OF_ONE_BOOKING)]
