"""What was done for the customer's earlier messages, as far back as an action is told: the latest turns."""

from __future__ import annotations

from rasa_sdk import Tracker

from actions.situation import events_before_message


def lately(action: str, tracker: Tracker) -> bool:
    """Whether ``action`` was done for one of the messages before the latest."""
    return any(event.get("event") == "action" and event.get("name") == action for event in events_before_message(tracker))


def in_the_turn_before(action: str, tracker: Tracker) -> bool:
    """Whether ``action`` was done for the message right before the latest."""
    for event in reversed(events_before_message(tracker)):
        if event.get("event") == "user":
            return False
        if event.get("event") == "action" and event.get("name") == action:
            return True
    return False
