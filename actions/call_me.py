"""Calls the customer at a number that is surely theirs, from the chat. Where that can't be, offers the other ways to go on by phone.

The call goes on once it is answered and whoever picked up has said that it is them (confirm_call.py); where it does not come to that, the
telephone company's webhook has the chat told.
"""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction
from rasa_sdk.executor import CollectingDispatcher

from actions.situation import Event, situation, stays_open
from throughline import bootstrap, log
from throughline.errors import Rejected, Unavailable
from throughline.handoff.call_me import call_customer

_log = log.get_logger("actions")

_SHOWN_DIGITS = 2
# Reasons why there is no call, each with what is said before the other ways are offered.
_REFUSALS = {
    "no_number": "utter_call_me_no_number",
    "too_many_calls": "utter_call_me_too_many",
    "not_callable": "utter_call_me_unavailable",
}


class CallMe(Action):
    """``call_me``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_call_me"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Have the call placed, and say so only if it was. An open question stays open."""
        where, other_ways = situation(tracker), [FollowupAction("action_offer_phone")]
        if where.by_phone:
            dispatcher.utter_message(response="utter_phone_already")
            return stays_open(where)
        control = bootstrap.call_control() if where.settings.twilio.calls_per_hour else None
        if control is None or where.session_id is None:
            return other_ways
        try:
            placed = await call_customer(where.app.record, control, where.settings, where.business, where.session_id)
        except Rejected as refusal:
            if refusal.reason == "under_way":
                dispatcher.utter_message(response="utter_call_me_under_way")
                return stays_open(where)
            dispatcher.utter_message(response=_REFUSALS.get(refusal.reason, "utter_call_me_unavailable"))
            return other_ways
        except Unavailable as error:
            _log.error("call.not_placed", error=str(error))
            dispatcher.utter_message(response="utter_call_me_unavailable")
            return other_ways
        number_end = where.words.number_end.format(digits=placed.number[-_SHOWN_DIGITS:])
        dispatcher.utter_message(response="utter_call_me", number_end=number_end)
        return stays_open(where)
