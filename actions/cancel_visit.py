"""Cancels a booked visit once the customer has said that they are sure."""

from __future__ import annotations

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.outcomes import journey_key, note_outcome
from actions.passing_on import pass_on
from actions.questions import why_not
from actions.situation import Event, Situation, journey_ends, situation
from actions.visits import NotYours, NoVisit, changeable_visit, visit_values
from throughline import log
from throughline.domain.visits import Visit
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class CancelVisit(Action):
    """When it is known which one, and whether they are sure."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_cancel_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Cancel it, or leave it as it is."""
        where = situation(tracker)
        key = f"cancel:{journey_key(where)}"
        try:
            visit = await changeable_visit(where, where.facts.get("which_visit"))
            if not where.facts.get("sure"):
                dispatcher.utter_message(response="utter_visit_kept")
                return journey_ends(where, dispatcher)
            cancelled = await where.bounded(where.app.calendar.cancel(visit.visit_id, idempotency_key=key, now=where.now))
        except (NoVisit, NotYours) as error:
            dispatcher.utter_message(response=why_not(error))
            return journey_ends(where, dispatcher)
        except (Unavailable, Rejected) as error:
            _log.error("cancel.failed", error=str(error))
            await pass_on(where, dispatcher, reason="visit_not_cancelled", key=key)
            return journey_ends(where, dispatcher)
        await _note(where, cancelled, key)
        dispatcher.utter_message(response="utter_visit_cancelled", **visit_values(where, visit))
        stands = tracker.get_slot("ui_visit") not in (None, cancelled.reference)
        return journey_ends(where, dispatcher, *([] if stands else [SlotSet("ui_visit", None)]))


async def _note(where: Situation, visit: Visit, key: str) -> None:
    data = {"reference": visit.reference, "visit_id": visit.visit_id, "start": visit.slot.start.isoformat()}
    try:
        await note_outcome(where, "visit_cancelled", data, key=f"outcome:{key}")
    except (Unavailable, Rejected) as error:
        _log.error("outcome.failed", error=str(error))
