"""Offers to go on in the chat: by telephone with a text message, whose link opens this conversation there; else with a one-time code that
finds it when it is typed there."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher
from rasa_sdk.types import DomainDict

from actions.one_time_code import one_time_code
from actions.sent_link import SENT, sent_link
from actions.situation import Event, both, situation, stays_open
from throughline import log
from throughline.domain import said_digits
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class OfferChat(Action):
    """``move_to_chat``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_offer_chat"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: DomainDict) -> list[Event]:
        """Send a link, or issue a code and say what to do with it. An open question stays open."""
        where = situation(tracker)
        try:
            code = await one_time_code(where)
        except (Unavailable, Rejected) as error:
            _log.error("code.not_issued", error=str(error))
            dispatcher.utter_message(response="utter_offer_chat_unavailable")
            return stays_open(where)
        said = said_digits.digits(code)
        if await sent_link(where, domain, code=said.shown):
            dispatcher.utter_message(response=SENT)
            return stays_open(where)
        minutes = where.settings.codes.code_ttl_s // 60
        dispatcher.utter_message(response="utter_offer_chat", code_minutes=minutes, **both(code=said))
        return stays_open(where)
