"""A day that was told by its distance from another ("a day later", "same time next week"): from which one it counts, and so which it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from actions.situation import Situation
from actions.times import asked_times, offered_days, times
from actions.visits import NoVisit, chosen_visit
from throughline.domain.answers import Said
from throughline.domain.journeys import Journey
from throughline.errors import Rejected, Unavailable


async def shifted_day(where: Situation, journey: Journey, said: Said, known: Mapping[str, Any]) -> dict[str, Any]:
    """The day, and with "same time" the hour, that ``said`` tells so, as facts of ``journey``. It counts from the day that was agreed
    (``known``), else from the visit that is to be moved, else from the days that are offered: earlier than the first of them, later than
    the last. Nothing where there is no such day, or the message names a day itself."""
    asked, shifts = asked_times(journey), said.values("day_shift")
    if asked is None or not shifts or said.values("date"):
        return {}
    day, clock = asked
    shift = timedelta(days=int(shifts[0]))
    try:
        start, hour = await _counts_from(where, journey, known, day, clock, later=int(shifts[0]) > 0)
    except (NoVisit, Unavailable, Rejected):
        return {}  # the question that follows says why
    if start is None:
        return {}
    told: dict[str, Any] = {day: (start + shift).isoformat()}
    if hour is not None and said.values("same_time") and not said.values("time"):
        told[clock] = hour
    return told


async def _counts_from(
    where: Situation, journey: Journey, known: Mapping[str, Any], day: str, clock: str, *, later: bool
) -> tuple[date | None, str | None]:
    """The day from which it counts, and its hour as a fact holds it, where there is one."""
    if known.get(day) is not None:
        return date.fromisoformat(str(known[day])), known.get(clock)
    if known.get("which_visit") is not None and "which_visit" in journey.needs:
        start = (await chosen_visit(where, known["which_visit"])).slot.start.astimezone(where.zone)
        return start.date(), start.strftime("%H:%M")
    free = await times(where, journey, known)
    days = offered_days(where, free) if free else []
    return (days[-1 if later else 0] if days else None), None
