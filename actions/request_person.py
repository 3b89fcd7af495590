"""Asks a person to take over, with everything that was said."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.handing_over import caller, hand_over
from actions.situation import Event, Situation, both, form_ends, request, situation
from throughline import log
from throughline.domain import scheduling, speakable
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class RequestPerson(Action):
    """``ask_person``, and where words have failed too often. The form ends; its facts stay and go along."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_request_person"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Open the hand-off and say when somebody will answer."""
        where = situation(tracker)
        reason = "asked_for_person" if where.intent == "ask_person" else "not_understood"
        try:
            number = await caller(where)
            await hand_over(where, kind="person", reason=reason)
        except (Unavailable, Rejected) as error:
            _log.error("handoff.failed", error=str(error))
            dispatcher.utter_message(response="utter_person_unavailable", company_phone=where.business.company.phone_shown)
            return form_ends()
        transfers = _say_when(where, dispatcher, number)
        return form_ends(
            SlotSet("ui_handed_over", True), SlotSet("ui_guess", None), *([request("transfer")] if transfers else [])
        )


def _say_when(where: Situation, dispatcher: CollectingDispatcher, number: str | None) -> bool:
    """Say when a person takes over; True where the call is put through to one now. ``number`` as ``caller`` gives it."""
    hours = where.business.hours
    opens = scheduling.next_opening(where.now, hours, where.zone)
    if opens is not None and not scheduling.is_open(where.now, hours, where.zone):
        said = speakable.moment(opens.astimezone(where.zone), where.words, where.today)
        dispatcher.utter_message(response="utter_person_later", **both(opens=said))
    elif number is not None and where.settings.twilio.transfer_to:
        dispatcher.utter_message(response="utter_person_transfer")
        return True
    else:
        dispatcher.utter_message(response="utter_person_call_back" if number else "utter_person_now")
    return False
