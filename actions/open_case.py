"""Opens the case that a journey ends in, and has a person see to it where the company wants one to: a lead, a complaint, a disputed bill, a
call-back at a wished time, a message. What is said is the journey's own response, ``utter_done_<journey>``."""

from __future__ import annotations

from datetime import date, datetime

from rasa_sdk import Action, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.handing_over import hand_over
from actions.outcomes import journey_key, note_outcome, open_case
from actions.passing_on import pass_on
from actions.situation import Event, Situation, both, comma_name, journey_ends, situation
from throughline import log
from throughline.domain import said_digits, speakable
from throughline.domain.company import local_time
from throughline.domain.words import Said
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class OpenCase(Action):
    """The end of every journey that names it in data/business/journeys.yml."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_open_case"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Open it, once, and say so. Where the CRM can't be reached a person gets everything instead."""
        where = situation(tracker)
        journey = where.journey
        key = f"{journey.journey}:{journey_key(where)}"
        due_at = await _due_at(where)
        try:
            case = await open_case(where, key=key, due_at=due_at)
            if journey.person:
                await hand_over(where, kind=journey.case, reason=journey.journey, key=f"handoff:{key}")
            await note_outcome(
                where, journey.case, {"reference": case.reference, "case_id": case.case_id}, key=f"outcome:{key}"
            )
        except (Unavailable, Rejected) as error:
            _log.error("case.failed", error=str(error))
            await pass_on(where, dispatcher, reason="case_not_opened", key=key)
            return journey_ends(where, dispatcher)
        number = said_digits.phone_number(str(where.told("phone_number") or ""))
        values = both(reference=said_digits.digits(case.reference), number=number, **_due_said(where))
        dispatcher.utter_message(
            response=f"utter_done_{journey.journey}", told_in=where.session_id, comma_name=comma_name(where), **values
        )
        return journey_ends(where, dispatcher, *([SlotSet("ui_handed_over", True)] if journey.person else []))


async def _due_at(where: Situation) -> datetime | None:
    """The moment for which a call was wished, UTC; None where none was."""
    facts = where.facts
    if "call_day" not in where.journey.needs or "call_day" not in facts or "call_time" not in facts:
        return None
    day, clock = date.fromisoformat(str(facts["call_day"])), local_time(str(facts["call_time"]))
    return datetime.combine(day, clock, where.zone)


def _due_said(where: Situation) -> dict[str, Said]:
    facts = where.facts
    if "call_day" not in where.journey.needs or "call_day" not in facts or "call_time" not in facts:
        return {}
    day = where.day(date.fromisoformat(str(facts["call_day"])))
    return {"call_day": day, "call_time": speakable.clock(local_time(str(facts["call_time"])), where.words)}
