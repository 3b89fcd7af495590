"""Arranges how a bill is paid, within what the company allows without asking (data/business/payment.yml); what goes beyond it is a
person's to decide."""

from __future__ import annotations

from datetime import date, timedelta

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from actions.handing_over import hand_over
from actions.outcomes import journey_facts, journey_key, note_outcome, open_case
from actions.passing_on import pass_on
from actions.situation import Event, Situation, both, comma_name, journey_ends, situation
from throughline import log
from throughline.domain import said_digits
from throughline.domain.words import Said
from throughline.errors import Rejected, Unavailable

_log = log.get_logger("actions")


class ArrangePayment(Action):
    """When the bill, the day of the first payment and their number are known."""

    def name(self) -> str:
        """As in domain.yml."""
        return "action_arrange_payment"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, _domain: object) -> list[Event]:
        """Arrange it and say so, or pass it on."""
        where = situation(tracker)
        key = f"payment:{journey_key(where)}"
        agreed = _within(where)
        try:
            case = await open_case(where, key=key, agreed=agreed)
            if agreed:
                data = {**_plan(where), "reference": case.reference, "case_id": case.case_id}
                await note_outcome(where, "payment_arranged", data, key=f"outcome:{key}")
            else:
                await hand_over(where, kind="payment", reason="beyond_what_is_allowed", key=f"handoff:{key}")
        except (Unavailable, Rejected) as error:
            _log.error("payment.failed", error=str(error))
            await pass_on(where, dispatcher, reason="payment_not_arranged", key=key)
            return journey_ends(where, dispatcher)
        first = where.day(date.fromisoformat(str(where.facts["pay_day"])))
        dispatcher.utter_message(
            response="utter_done_payment" if agreed else "utter_payment_asked",
            told_in=where.session_id,
            comma_name=comma_name(where),
            **both(first_day=first, parts=_parts_said(where), reference=said_digits.digits(case.reference)),
        )
        return journey_ends(where, dispatcher)


def _within(where: Situation) -> bool:
    payment, facts = where.business.payment, where.facts
    latest = where.today + timedelta(days=payment.latest_days)
    return date.fromisoformat(str(facts["pay_day"])) <= latest and int(facts["pay_parts"]) <= payment.most_parts


def _plan(where: Situation) -> dict[str, object]:
    facts = journey_facts(where)
    return {slot: facts.get(slot) for slot in ("invoice", "pay_day", "pay_parts")}


def _parts_said(where: Situation) -> Said:
    parts = int(where.facts["pay_parts"])
    form = where.words.one_payment if parts == 1 else where.words.payments
    return Said(form.shown.format(parts=parts), form.spoken.format(parts=parts))
