"""Gas is smelt: safety words and a person, at once, from wherever the conversation stands. Never a form."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.handing_over import hand_over
from actions.situation import Event, form_ends, situation
from throughline import log
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class GasEmergency(Action):
    """``gas_smell``, and any message with words that are about gas."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_gas_emergency"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """The safety words come first and depend on nothing. That a colleague was alerted is said only if it is so."""
        dispatcher.utter_message(response="utter_gas_emergency")
        where = situation(tracker)
        try:
            await hand_over(where, kind="emergency", reason="gas_smell")
        except (Unavailable, Rejected) as error:
            _log.error("handoff.failed", error=str(error))
            return form_ends()
        dispatcher.utter_message(response="utter_gas_person")
        return form_ends(SlotSet("ui_handed_over", True))
