"""Takes the ZIP code of a caller whose number we know: where it is that contact's, the two become one conversation and go on.

Nothing of the other conversation is said before, and a wrong ZIP code says nothing about the right one.
"""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.identified import identified
from actions.situation import FORM, Event, Situation, request, situation
from throughline import log
from throughline.domain.assurance import FACT
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")

_REFUSALS = {
    "no_match": "utter_postcode_no_match",
    "several_match": "utter_postcode_several",
    "too_many_tries": "utter_postcode_too_many",
    "closed": "utter_postcode_closed",
}
_LAST = frozenset({"several_match", "too_many_tries", "closed"})  # asking again leads nowhere


class MatchPostcode(Action):
    """``inform``, from a caller who was asked for a code or a ZIP code."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_match_postcode"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Match it and ask the server to merge. Facts of another kind begin a booking."""
        where = situation(tracker)
        postcode = next(iter(tracker.get_latest_entity_values("postcode")), None)
        if postcode is None or where.session_id is None:
            return [SlotSet("ui_claim", None), FollowupAction(FORM)]
        return await _match(where, where.session_id, str(postcode), dispatcher)


async def _match(where: Situation, session_id: str, postcode: str, dispatcher: CollectingDispatcher) -> list[Event]:
    record, listen = where.app.record, FollowupAction("action_listen")
    try:
        session = await where.bounded(record.call(record.session, session_id))
        matching = record.call(
            record.match_fact,
            session_id,
            [str(contact) for contact in session.detail.get("claims", ())],
            slot="postcode",
            value=postcode,
            limits=where.settings.codes.limits(),
        )
        contact_id = await where.bounded(matching)
    except Rejected as refusal:
        dispatcher.utter_message(response=_REFUSALS.get(refusal.reason, "utter_postcode_no_match"))
        return [*([SlotSet("ui_claim", None)] if refusal.reason in _LAST else []), listen]
    except Unavailable as error:
        _log.error("identity.unavailable", error=str(error))
        dispatcher.utter_message(response="utter_code_unavailable")
        return [listen]
    await identified(where, session_id, contact_id, proof=FACT)
    dispatcher.utter_message(response="utter_code_accepted")
    return [SlotSet("ui_claim", None), request("merge", into=contact_id, because=FACT), listen]
