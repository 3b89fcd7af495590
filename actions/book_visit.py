"""Books the visit once everything is known, opens the case with the conversation, and says it aloud.

Two systems never share a transaction: the calendar comes first, because only a visit that is really booked is worth a case, and every write
carries a key that names this booking, so that doing it again has no second effect.
"""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.agenda import agenda
from actions.handing_over import hand_over, latest_message_name
from actions.situation import FORM, Event, Situation, comma_name, situation
from actions.visits import visit_values
from throughline import log
from throughline.domain import recap
from throughline.domain.visits import Case, Visit
from throughline.errors import Rejected, Unavailable
from throughline.handoff import dossier

_log = log.get_logger("actions")
_MESSAGES = 40  # lines of the conversation that go into the case


class BookVisit(Action):
    """When the form is complete."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_book_visit"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Book. A slot that was taken meanwhile leads back into the form; a calendar that is down, or a visit that is booked already, leads
        to a person."""
        where = situation(tracker)
        key = str(tracker.get_slot("ui_booking") or where.contact_id)
        try:
            visit = await _book(where, key)
        except Unavailable as error:
            _log.error("booking.unavailable", error=str(error))
            return await _pass_on(where, dispatcher, key)
        except _Booked as found:
            return await _leave_as_it_is(where, dispatcher, found.visit)
        except Rejected as error:
            if error.reason != "slot_taken":
                _log.error("booking.rejected", reason=error.reason)
                return await _pass_on(where, dispatcher, key)
            visit = None
        if visit is None:
            dispatcher.utter_message(response="utter_visit_taken")
            # The form comes back and asks for another window of that day, or, where it is full, for another day.
            return [SlotSet("visit_time", None), FollowupAction(FORM)]
        await _tell_the_company(where, visit, key)
        values = visit_values(where, visit)
        dispatcher.utter_message(
            response="utter_visit_booked", comma_name=comma_name(where), appliance=where.facts["appliance"], **values
        )
        return [SlotSet("ui_visit", visit.reference), FollowupAction("action_listen")]


class _Booked(Exception):
    """A visit for this appliance is booked already, by another booking: in a conversation that became one with this since."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.reference)
        self.visit = visit


async def _book(where: Situation, key: str) -> Visit | None:
    """The booked visit; None where its window is free no more. Raises _Booked, Unavailable, or Rejected."""
    facts, calendar = where.facts, where.app.calendar
    visits = await where.bounded(calendar.visits_of(where.contact_id))
    for visit in visits:
        if visit.details.get("booking") == key:  # this turn is done again after a crash
            return visit
    for visit in visits:
        if visit.slot.end > where.now and visit.details.get("appliance") == facts.get("appliance"):
            raise _Booked(visit)
    free = await agenda(where, facts)
    if free is None or "visit_day" not in facts or "visit_time" not in facts:
        return None
    slot = free.find(date.fromisoformat(facts["visit_day"]), facts["visit_time"], where.words)
    if slot is None:
        return None
    details = {**facts, "booking": key, "session": where.session_id}
    return await where.bounded(calendar.book(slot, where.contact_id, details, idempotency_key=f"visit:{key}"))


async def _tell_the_company(where: Situation, visit: Visit, key: str) -> None:
    """The case and the outcome. The visit stands without them, so what fails here is passed to a person and not to the customer."""
    record = where.app.record
    try:
        await _open_case(where, visit, key)
    except (Unavailable, Rejected) as error:
        _log.error("case.failed", error=str(error))
        try:
            await hand_over(where, kind="back_office", reason="case_not_opened", key=f"case_not_opened:{key}")
        except (Unavailable, Rejected) as also:
            _log.error("handoff.failed", error=str(also))
    try:
        data = {"reference": visit.reference, "visit_id": visit.visit_id, "start": visit.slot.start.isoformat()}
        await where.bounded(
            record.call(
                record.record_outcome,
                where.contact_id,
                where.session_id,
                kind="visit_booked",
                data=data,
                idempotency_key=f"outcome:{key}",
            )
        )
    except (Unavailable, Rejected) as error:
        _log.error("outcome.failed", error=str(error))


async def _open_case(where: Situation, visit: Visit, key: str) -> Case:
    """A case with the facts and the conversation, on every channel so far."""
    facts = where.facts
    lines, _ = await where.bounded(dossier.latest(where.app.record, where.contact_id, messages=_MESSAGES))
    details: dict[str, Any] = {
        "facts": facts,
        "visit": visit.reference,
        "conversation": [dataclasses.asdict(line) for line in lines],
    }
    customer = {"name": facts.get("customer_name"), "postcode": facts.get("postcode")}
    await where.bounded(where.app.crm.upsert_customer(where.contact_id, customer))
    problem = recap.phrase("problem", facts["problem"], where.words, where.today)
    subject = f"{facts['appliance']}, {problem.shown}" if problem else str(facts["appliance"])
    return await where.bounded(
        where.app.crm.open_case(where.contact_id, subject, details, kind="repair", idempotency_key=f"case:{key}")
    )


async def _leave_as_it_is(where: Situation, dispatcher: CollectingDispatcher, visit: Visit) -> list[Event]:
    """Nobody comes twice for one appliance: say when the visit is, and have a person see whether it is to be changed."""
    try:
        await hand_over(where, kind="change_visit", reason="booked_already", key=f"booked_already:{latest_message_name(where)}")
    except (Unavailable, Rejected) as error:
        _log.error("handoff.failed", error=str(error))
        dispatcher.utter_message(response="utter_person_unavailable", company_phone=where.business.company.phone_shown)
        return [FollowupAction("action_listen")]
    dispatcher.utter_message(response="utter_visit_known", **visit_values(where, visit))
    dispatcher.utter_message(response="utter_visit_change")
    booked = [SlotSet("ui_visit", visit.reference), SlotSet("ui_booking", visit.details.get("booking"))]
    return [*booked, FollowupAction("action_listen")]


async def _pass_on(where: Situation, dispatcher: CollectingDispatcher, key: str) -> list[Event]:
    """Nothing is booked: say so, and have a person book it."""
    try:
        await hand_over(where, kind="booking", reason="calendar_unavailable", key=f"booking:{key}")
    except (Unavailable, Rejected) as error:
        _log.error("handoff.failed", error=str(error))
        dispatcher.utter_message(response="utter_person_unavailable", company_phone=where.business.company.phone_shown)
        return [FollowupAction("action_listen")]
    dispatcher.utter_message(response="utter_booking_unavailable")
    return [SlotSet("ui_handed_over", True), FollowupAction("action_listen")]
