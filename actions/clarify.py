"""What to do when a message was not understood: ask what was meant, ask for other words, then get a person.

Rasa's own two-stage fallback is a loop that takes the form's place, and its answers are intents typed as text, which our channels
refuse; this does the same in plain words, and in the middle of the form it only puts the open question more plainly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.guesses import put_guess
from actions.questions import open_question, put
from actions.situation import FORM, Event, Situation, situation, stays_open
from throughline.domain import answers

_POLICY = "ask_policy"
_LED_HERE = {FORM, "action_change_visit"}  # these may have tried first
_SILENT = ("action_listen", "action_extract_slots", "action_session_start")


class Clarify(Action):
    """``nlu_fallback``, and whatever no rule covers."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_clarify"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Take the next step."""
        where = situation(tracker)
        message = tracker.latest_message or {}
        if answers.about_gas(str(message.get("text") or ""), where.business):
            return [FollowupAction("action_gas_emergency")]
        if next(iter(tracker.get_latest_entity_values("code")), None) is not None:
            return [FollowupAction("action_redeem_code")]
        times = 1 + _earlier_failures(tracker)
        if times >= where.business.thresholds.misunderstood_before_person:
            dispatcher.utter_message(response="utter_misunderstood_person")
            return [SlotSet("ui_guess", None), FollowupAction("action_request_person")]
        if where.in_form:
            return await _ask_plainly(where, dispatcher)
        topic = where.topic(where.business.dialogue.topic_guess_confidence) if times == 1 else None
        if topic:
            put_guess(_POLICY, dispatcher, topic.heading)
            return [SlotSet("ui_guess", _POLICY), SlotSet("ui_topic", topic.name), *stays_open(where)]
        guess = _guess(where, message) if times == 1 else None
        if guess:
            put_guess(guess, dispatcher)
        else:
            dispatcher.utter_message(response="utter_rephrase" if times == 1 else "utter_rephrase_other")
            if times == 1:
                dispatcher.utter_message(response="utter_help")
        return [SlotSet("ui_guess", guess), *stays_open(where)]


async def _ask_plainly(where: Situation, dispatcher: CollectingDispatcher) -> list[Event]:
    dispatcher.utter_message(response="utter_rephrase")
    slot = open_question(where)
    if slot:
        await put(slot, where, dispatcher, again=True)
    return stays_open(where)


def _earlier_failures(tracker: Tracker) -> int:
    """How many messages before this one, without a break, ended here."""
    failures = 0
    done: set[str] = set()
    for event in reversed(_before_latest(tracker)):
        kind, name = event.get("event"), event.get("name")
        if kind == "action" and name not in _SILENT:
            done.add(str(name))
        elif kind == "user":
            if done - _LED_HERE != {"action_clarify"}:
                break
            failures += 1
            done = set()
    return failures


def _before_latest(tracker: Tracker) -> list[Event]:
    events = list(tracker.events)
    while events and events[-1].get("event") != "user":
        events.pop()
    return events[:-1]


def _guess(where: Situation, message: Mapping[str, Any]) -> str | None:
    """The likeliest intent that we can ask about; what a page answers is asked about by its topic, or not at all."""
    dialogue = where.business.dialogue
    for ranked in message.get("intent_ranking") or ():
        name, confidence = str(ranked["name"]), ranked["confidence"]
        if name in dialogue.guesses and name != _POLICY and confidence >= dialogue.guess_confidence:
            return name
    return None
