"""Speaks more slowly, or faster again, from now on: on the phone, where there is a voice. A rule has the last words said again."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, situation

SPEED = "ui_speed"  # how fast the voice speaks for this caller; 1.0 is as usual


class ChangeSpeed(Action):
    """``slower``, ``faster``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_change_speed"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Change the speed by a step, within the bounds of data/business/phone.yml; say so, or that it goes no further."""
        where = situation(tracker)
        faster = where.intent == "faster"
        if not where.by_phone:
            dispatcher.utter_message(response="utter_faster" if faster else "utter_slower")
            return []
        speeds, now = where.business.phone.speed, float(tracker.get_slot(SPEED) or 1.0)
        changed = speeds.faster(now) if faster else speeds.slower(now)
        if changed == now:
            dispatcher.utter_message(response="utter_fastest" if faster else "utter_slowest")
            return []
        dispatcher.utter_message(response="utter_faster" if faster else "utter_slower")
        return [SlotSet(SPEED, changed)]
