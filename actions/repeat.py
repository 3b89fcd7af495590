"""Says the last thing again: in the form its question in plainer words, elsewhere what was said."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.questions import open_question, put
from actions.situation import Event, events_before_message, situation, stays_open


class Repeat(Action):
    """``repeat``, and an answer that does not fit the open question."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_repeat"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Say it again."""
        where = situation(tracker)
        slot = open_question(where) if where.in_form else None
        if slot:
            await put(slot, where, dispatcher, again=True)
            return stays_open(where)
        last = [event for event in events_before_message(tracker) if event.get("event") == "bot" and event.get("text")]
        if last:
            visit = (last[-1].get("metadata") or {}).get("session_id")
            dispatcher.utter_message(response="utter_said_again", said=last[-1]["text"], told_in=visit)
        else:
            dispatcher.utter_message(response="utter_what_next")
        return stays_open(where)
