"""What is said about a visit after it was booked: another day or time moves it, calling it off cancels it, a fact goes to the case as a
note, and what can't be changed without a person goes to one.

The booked visit itself is never changed here: moving and cancelling are journeys of their own, which ask and confirm.
"""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.answer_area import asks_area
from actions.handing_over import hand_over, latest_message_name
from actions.situation import FORM, Event, Situation, both, put_back, situation, slots_before_message
from throughline import log
from throughline.domain import answers, recap
from throughline.domain.answers import Said
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")
_WORDS_OF_NOTHING = 4  # a longer correction says what is to change, even where we can't read it: a person can
_OF_THE_VISIT = ("appliance", "postcode", "visit_day", "visit_time", "urgent")
_WHEN = {"visit_day", "visit_time"}


class ChangeVisit(Action):
    """``correct``, ``inform``, ``urgent`` and ``stop`` after a visit was booked."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_change_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Note it, or pass it on."""
        where = situation(tracker)
        before = recap.told(slots_before_message(tracker))
        message = tracker.latest_message or {}
        said = Said(str(message.get("text") or ""), where.intent, tuple(message.get("entities") or ()))
        changes = {
            slot: value
            for slot, value in answers.volunteered(said, before, where.business, where.business.journeys.usual).items()
            if value != before.get(slot)
        }
        restored = [
            put_back(tracker, slot, before.get(slot)) for slot in _OF_THE_VISIT if tracker.get_slot(slot) != before.get(slot)
        ]
        if asks_area(tracker, said):
            return [*restored, FollowupAction("action_answer_area")]
        of_the_visit = {slot for slot in changes if slot in _OF_THE_VISIT}
        another_day = bool(said.values("day_shift")) and not of_the_visit  # "a day later": the form knows from when it counts
        if where.intent == "stop" or another_day or (of_the_visit and of_the_visit <= _WHEN):
            journey = "cancel_visit" if where.intent == "stop" else "move_visit"
            return [*restored, SlotSet("ui_journey", journey), FollowupAction(FORM)]
        unread = where.intent == "correct" and not changes and len(said.text.split()) > _WORDS_OF_NOTHING
        if unread or where.intent == "urgent" or of_the_visit:
            await _pass_on(where, dispatcher)
            return [*restored, FollowupAction("action_listen")]
        if not changes and where.intent == "inform":
            return [FollowupAction("action_clarify")]  # a question, it may be: "how long will he be here?"
        if not changes:
            dispatcher.utter_message(response="utter_change_what")
            return [FollowupAction("action_listen")]
        await _note(where, dispatcher, changes)
        return [FollowupAction("action_listen")]


async def _pass_on(where: Situation, dispatcher: CollectingDispatcher) -> None:
    try:
        await hand_over(where, kind="change_visit", reason="customer_wants_change")
    except (Unavailable, Rejected) as error:
        _log.error("handoff.failed", error=str(error))
        dispatcher.utter_message(response="utter_person_unavailable", company_phone=where.business.company.phone_shown)
        return
    dispatcher.utter_message(response="utter_visit_change")


async def _note(where: Situation, dispatcher: CollectingDispatcher, changes: dict[str, Any]) -> None:
    said = recap.in_one_breath(changes, where.words, where.today)
    if said is None:
        dispatcher.utter_message(response="utter_change_what")
        return
    crm = where.app.crm
    try:
        cases = await where.bounded(crm.cases_of(where.contact_id))
        if not cases:
            await _pass_on(where, dispatcher)
            return
        await where.bounded(crm.add_note(cases[0].case_id, said.shown, idempotency_key=f"note:{latest_message_name(where)}"))
    except (Unavailable, Rejected) as error:
        _log.error("note.failed", error=str(error))
        await _pass_on(where, dispatcher)
        return
    dispatcher.utter_message(response="utter_visit_note", told_in=where.session_id, **both(fact=said))
