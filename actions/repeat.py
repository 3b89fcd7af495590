"""Says the last thing again, in other words where there are some: in the form its question more plainly; elsewhere what was said last.

A response ``utter_x`` is said again as ``utter_x_again``, if the domain has that, without values in it; else in the same words, and then
on the phone a little slower. What matters is the last utterance, the question: a greeting before it isn't said again, nor is what was said
only in passing (``passing`` in data/business/dialogue.yml).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.change_speed import SPEED
from actions.questions import open_question, put
from actions.situation import Event, Situation, events_before_message, request, situation, stays_open
from throughline.domain.privacy import placeholders

_AGAIN = "_again"
_AGAIN_ASKED = "utter_again_"
_SPEED_JUST_CHANGED = ("slower", "faster")


class Repeat(Action):
    """``repeat``, ``slower``, ``faster``, and an answer that does not fit the open question."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_repeat"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Mapping[str, Any]) -> list[Event]:
        """Say it again. Sent the domain, whose responses tell what can be said in other words."""
        where = situation(tracker)
        last = _last_said(where)
        name = str((last.get("metadata") or {}).get("utter_action") or "") if last else ""
        slot = open_question(where) if where.in_form else None
        if slot:
            await put(slot, where, dispatcher, again=True)
            in_other_words = not name.startswith(_AGAIN_ASKED)
        elif _has(domain, name + _AGAIN):
            dispatcher.utter_message(response=name + _AGAIN)
            in_other_words = True
        elif last:
            told_in = (last.get("metadata") or {}).get("session_id")
            dispatcher.utter_message(response="utter_said_again", said=last["text"], told_in=told_in)
            in_other_words = False
        else:
            dispatcher.utter_message(response="utter_what_next")
            in_other_words = True
        return [*([] if in_other_words else _slowly(where)), *stays_open(where)]


def _last_said(where: Situation) -> Event | None:
    """What the assistant has said last before the message, but not in passing. For a caller only what was said in this call: what was
    written in the chat is written for the eye."""
    for event in reversed(events_before_message(where.tracker)):
        metadata = event.get("metadata") or {}
        if event.get("event") != "bot" or not event.get("text"):
            continue
        if metadata.get("utter_action") in where.business.dialogue.passing:
            continue
        if not where.by_phone or metadata.get("session_id") == where.session_id:
            return event
    return None


def _has(domain: Mapping[str, Any], response: str) -> bool:
    """Whether the domain has such a response, with no value in it."""
    variants = (domain.get("responses") or {}).get(response)
    return bool(variants) and not placeholders(variants)


def _slowly(where: Situation) -> list[Event]:
    """Say it a step slower this once, unless the speed has been changed just now."""
    if not where.by_phone or where.intent in _SPEED_JUST_CHANGED:
        return []
    now = float(where.tracker.get_slot(SPEED) or 1.0)
    return [request("speed_once", speed=where.business.phone.speed.slower(now))]
