"""Offers to go on by phone: the page's own phone, or a call with a one-time code that finds this conversation again. Where the chat is on a
telephone, one tap calls and keys the code."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.one_time_code import one_time_code
from actions.situation import Event, both, situation, stays_open
from throughline import log
from throughline.domain import said_digits
from throughline.domain.tel_link import tel_link
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class OfferPhone(Action):
    """``move_to_phone``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_offer_phone"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Issue a code and say what to do with it. An open question stays open."""
        where = situation(tracker)
        if where.by_phone:
            dispatcher.utter_message(response="utter_phone_already")
            return stays_open(where)
        phone, ttl_s = where.business.company.phone_shown, where.settings.codes.code_ttl_s
        try:
            code = await one_time_code(where)
        except (Unavailable, Rejected) as error:
            _log.error("code.not_issued", error=str(error))
            dispatcher.utter_message(response="utter_offer_phone_unavailable", company_phone=phone)
            return stays_open(where)
        values = both(code=said_digits.digits(code))
        values["call_link"] = tel_link(where.business.company.phone, code, pauses=where.business.phone.code_pauses)
        dispatcher.utter_message(response="utter_offer_phone", company_phone=phone, code_minutes=ttl_s // 60, **values)
        return stays_open(where)
