"""Moves a booked visit to the day and time that were agreed, and says it aloud. It keeps its reference."""

from __future__ import annotations

import dataclasses
from datetime import date

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.outcomes import journey_key, note_outcome
from actions.passing_on import pass_on
from actions.questions import why_not
from actions.situation import FORM, Event, Situation, journey_ends, situation
from actions.times import times
from actions.visits import NotYours, NoVisit, changeable_visit, visit_values
from throughline import log
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class MoveVisit(Action):
    """When the visit, its day and its time are known."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_move_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Move it. A window that was taken meanwhile leads back into the form; what can't be done here goes to a person."""
        where = situation(tracker)
        key = f"move:{journey_key(where)}"
        try:
            visit = await changeable_visit(where, where.facts.get("which_visit"))
            slot = await _wanted(where)
            move = where.app.calendar.move
            moved = await where.bounded(move(visit.visit_id, slot, idempotency_key=key, now=where.now)) if slot else None
        except (NoVisit, NotYours) as error:
            dispatcher.utter_message(response=why_not(error))
            return journey_ends(where, dispatcher)
        except (Unavailable, Rejected) as error:
            if not (isinstance(error, Rejected) and error.reason == "slot_taken"):
                _log.error("move.failed", error=str(error))
                await pass_on(where, dispatcher, reason="visit_not_moved", key=key)
                return journey_ends(where, dispatcher)
            moved = None
        if moved is None:
            dispatcher.utter_message(response="utter_visit_taken")
            # The form comes back and asks for another window of that day, or, where it is full, for another day.
            return [SlotSet("visit_time", None), FollowupAction(FORM)]
        await _note(where, visit, moved, key)
        told = dataclasses.replace(visit, slot=moved.slot)  # as the visit that whoever is here may be told of
        dispatcher.utter_message(response="utter_visit_moved", **visit_values(where, told))
        return journey_ends(where, dispatcher, SlotSet("ui_visit", moved.reference))


async def _wanted(where: Situation) -> VisitSlot | None:
    facts = where.facts
    free = await times(where, where.journey, facts)
    if free is None or "visit_day" not in facts or "visit_time" not in facts:
        return None
    return free.find(date.fromisoformat(facts["visit_day"]), facts["visit_time"], where.words)


async def _note(where: Situation, before: Visit, moved: Visit, key: str) -> None:
    """The outcome, with where it was before. The visit stands as it is now without it."""
    data = {
        "reference": moved.reference,
        "visit_id": moved.visit_id,
        "from": before.slot.start.isoformat(),
        "start": moved.slot.start.isoformat(),
    }
    try:
        await note_outcome(where, "visit_moved", data, key=f"outcome:{key}")
    except (Unavailable, Rejected) as error:
        _log.error("outcome.failed", error=str(error))
