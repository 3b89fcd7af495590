"""Has a person see to what could not be done, and says so."""

from __future__ import annotations

from rasa_sdk.executor import CollectingDispatcher

from actions.handing_over import hand_over
from actions.situation import Situation
from throughline import log
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


async def pass_on(where: Situation, dispatcher: CollectingDispatcher, *, reason: str, key: str) -> bool:
    """Open a hand-off of the journey's kind; whether it was taken. Where not even that can be done, the customer hears how to reach us."""
    try:
        await hand_over(where, kind=where.journey.journey, reason=reason, key=f"{reason}:{key}")
    except (Unavailable, Rejected) as error:
        _log.error("handoff.failed", error=str(error))
        dispatcher.utter_message(response="utter_person_unavailable", company_phone=where.business.company.phone_shown)
        return False
    dispatcher.utter_message(response="utter_passed_on")
    return True
