"""A booked visit: found again, and in words."""

from __future__ import annotations

from actions.situation import Situation, both
from throughline.domain import speakable
from throughline.domain.visits import Visit


async def booked_visit(where: Situation) -> Visit | None:
    """The customer's next visit that is not over; None without one. Raises Unavailable, or Rejected for a contact nobody knows."""
    visits = await where.bounded(where.app.calendar.visits_of(where.contact_id))
    return next((visit for visit in visits if visit.slot.end > where.now), None)


def visit_values(where: Situation, visit: Visit) -> dict[str, str | None]:
    """``day``, ``start``, ``end`` and ``reference``, each for eye and ear; ``told_in`` is the visit or call in which it was booked."""
    start, end = (moment.astimezone(where.zone) for moment in (visit.slot.start, visit.slot.end))
    said = both(
        day=where.day(start.date()),
        start=speakable.clock(start.time(), where.words, half_of_day=False),
        end=speakable.clock(end.time(), where.words, half_of_day=False),
        reference=speakable.digits(visit.reference),
    )
    return {**said, "told_in": visit.details.get("session")}
