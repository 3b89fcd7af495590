"""Takes the one-time code from the other channel: the two become one conversation, and go on where it stood."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.identified import identified
from actions.situation import Event, Situation, request, situation, stays_open
from throughline import log
from throughline.domain.assurance import CODE
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")

# The record's reasons, each with what is said about it.
_REFUSALS = {
    "unknown_code": "utter_code_unknown",
    "expired_code": "utter_code_expired",
    "used_code": "utter_code_used",
    "too_many_tries": "utter_code_too_many",
    "closed": "utter_code_closed",
}


class RedeemCode(Action):
    """``give_code``."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_redeem_code"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Redeem it and ask the server to merge. An open question stays open."""
        where = situation(tracker)
        code = next(iter(tracker.get_latest_entity_values("code")), None)
        if code is None or where.session_id is None:
            dispatcher.utter_message(response="utter_code_ask")
            return stays_open(where)
        return await _redeem(where, where.session_id, str(code), dispatcher)


async def _redeem(where: Situation, session_id: str, code: str, dispatcher: CollectingDispatcher) -> list[Event]:
    record, limits = where.app.record, where.settings.codes.limits()
    try:
        contact_id = await where.bounded(record.call(record.redeem_code, code, session_id=session_id, limits=limits))
    except Rejected as refusal:
        dispatcher.utter_message(response=_REFUSALS.get(refusal.reason, "utter_code_unknown"))
        return stays_open(where)
    except Unavailable as error:
        _log.error("code.unavailable", error=str(error))
        dispatcher.utter_message(response="utter_code_unavailable")
        return stays_open(where)
    if contact_id == where.contact_id:
        dispatcher.utter_message(response="utter_code_known")
        return stays_open(where)
    await identified(where, session_id, contact_id, proof=CODE)
    dispatcher.utter_message(response="utter_code_accepted")
    return [request("merge", into=contact_id, because=CODE), *stays_open(where)]
