"""What a journey need not ask: the only visit there is, and the number that somebody is calling from."""

from __future__ import annotations

from typing import Any

from actions.handing_over import caller
from actions.situation import Situation
from actions.visits import NotYours, NoVisit, changeable_visits
from throughline.domain.answers import Said
from throughline.domain.journeys import Journey
from throughline.errors import Rejected, Unavailable


async def foreknown(where: Situation, journey: Journey, said: Said) -> dict[str, Any]:
    """Facts for ``journey`` that nobody has to tell. Raises NoVisit or NotYours where it is about a visit and there is none that may be
    changed; Unavailable, or Rejected."""
    facts: dict[str, Any] = {}
    if "which_visit" in journey.needs:
        visits = await changeable_visits(where)
        named = [visit for visit in visits if visit.details.get("appliance") in said.values("appliance")]
        fitting = named if len(named) == 1 else visits
        if len(fitting) == 1:
            facts["which_visit"] = fitting[0].reference
            if "visit_time" in journey.needs and said.values("time") and not said.values("date"):
                # "At ten instead" is about the same day.
                facts["visit_day"] = fitting[0].slot.start.astimezone(where.zone).date().isoformat()
    if "phone_number" in journey.needs and where.tracker.get_slot("phone_number") is None:
        number = await caller(where)
        if number:
            facts["phone_number"] = number
    return facts


async def taken_up(where: Situation) -> Journey:
    """The journey under way as it is taken up again: looking for its visit where there is none yet."""
    journey = where.business.journeys.named(where.journey.journey) or where.journey
    if not journey.finds:
        return journey
    try:
        await changeable_visits(where)
    except NoVisit:
        return journey.looking
    except (NotYours, Unavailable, Rejected):
        return journey  # its next question says why
    return journey
