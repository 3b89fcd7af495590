"""The question "would you like ...?", which stands until the customer says something else."""

from __future__ import annotations

from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Situation, events_before_message

_ABOUT_MOVING = ("utter_call_", "utter_code_", "utter_offer_", "utter_link_", "utter_resume", "utter_goodbye")


def last_said(tracker: Tracker) -> str | None:
    """The response that was said last before the latest message."""
    for event in reversed(events_before_message(tracker)):
        if event.get("event") == "bot":
            return (event.get("metadata") or {}).get("utter_action")
    return None


def said_last_turn(tracker: Tracker) -> set[str]:
    """Every response that was said between the latest message and the one before it."""
    said = set()
    for event in reversed(events_before_message(tracker)):
        if event.get("event") == "user":
            break
        if event.get("event") == "bot":
            said.add(str((event.get("metadata") or {}).get("utter_action")))
    return said


def put_guess(guess: str, dispatcher: CollectingDispatcher, topic: str | None = None) -> None:
    """Ask "would you like ...?". ``topic`` names what a question about a policy is about."""
    about = {} if topic is None else {"topic": topic}
    dispatcher.utter_message(response=f"utter_guess_{guess}", **about)


def put_guess_again(where: Situation, dispatcher: CollectingDispatcher) -> bool:
    """Put the question once more if it was open when the customer moved to another channel; whether it was."""
    guess = where.tracker.get_slot("ui_guess")
    mentioned = where.business.journeys.begun_by(str(guess))
    if mentioned is not None and _last_before_moving(where.tracker) == "utter_next_matter":
        dispatcher.utter_message(response="utter_next_matter", journey=mentioned.named)
        return True
    if not guess or _last_before_moving(where.tracker) != f"utter_guess_{guess}":
        return False
    topic = where.app.knowledge.get(str(where.tracker.get_slot("ui_topic")))
    put_guess(str(guess), dispatcher, topic.heading if topic else None)
    return True


def _last_before_moving(tracker: Tracker) -> str | None:
    """The response that was said last, but for what was said about moving."""
    for event in reversed(tracker.events):
        said = str((event.get("metadata") or {}).get("utter_action") or "") if event.get("event") == "bot" else ""
        if said and not said.startswith(_ABOUT_MOVING):
            return said
    return None
