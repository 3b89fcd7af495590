"""Takes the yes of whoever has picked up when we called: it is the customer who asked for it, and the two become one conversation.

A call to a verified number that is answered so is a proof of who answers. Nothing of the conversation was said before.
"""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.identified import identified
from actions.situation import Event, request, situation
from throughline import log
from throughline.domain.assurance import CALL_BACK
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class ConfirmCall(Action):
    """``affirm``, from somebody whom we have called."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_confirm_call"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Ask the server to merge, which goes on with the conversation."""
        where, listen = situation(tracker), FollowupAction("action_listen")
        record, session_id = where.app.record, str(where.session_id)
        try:
            contact_id = await where.bounded(record.call(record.person_called, session_id))
        except (Unavailable, Rejected) as error:
            _log.error("call.not_confirmed", error=str(error))
            dispatcher.utter_message(response="utter_call_not_confirmable")
            return [request("end_call"), listen]
        await identified(where, session_id, contact_id, proof=CALL_BACK)
        dispatcher.utter_message(response="utter_call_confirmed")
        return [SlotSet("ui_placed", None), request("merge", into=contact_id, because=CALL_BACK), listen]
