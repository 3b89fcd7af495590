"""A booked visit: found again, whether it may be changed, and in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from actions.situation import Situation, both
from throughline.domain import said_digits, speakable
from throughline.domain.company import local_time
from throughline.domain.visits import Visit
from throughline.errors import Rejected


class NoVisit(Exception):
    """No visit is booked that is not over."""


class NotYours(Exception):
    """Whoever is here may not be told of the visit, and so may not change it."""


async def open_visits(where: Situation) -> list[Visit]:
    """The customer's visits that are not over, soonest first, with those of other conversations that were found in this session.
    Raises Unavailable, or Rejected for a contact nobody knows."""
    visits = await where.bounded(where.app.calendar.visits_of(where.contact_id))
    own = {visit.visit_id for visit in visits}
    visits += [visit for visit in await _found_visits(where) if visit.visit_id not in own]
    return sorted((visit for visit in visits if visit.slot.end > where.now), key=lambda visit: visit.slot.start)


async def find_visit(where: Situation, reference: str, postcode: str) -> Visit:
    """The visit of that reference at that ZIP code, of whichever conversation: from now on one of this session's. A wrong pair is counted.
    Raises Rejected("no_match"|"too_many_tries"|"closed"), or Unavailable."""
    if where.session_id is None or where.is_rehearsed:  # Rasa's own tools, or no turn yet: nobody's tries could be counted
        raise Rejected("no_match")
    record, limits = where.app.record, where.settings.codes.limits()
    await where.bounded(record.call(record.refuse_if_too_many, where.session_id, limits=limits))
    visit = await where.bounded(where.app.calendar.find(reference))
    if visit is not None and visit.slot.end <= where.now:
        visit = None
    # As for a proof: a call lasts until it ends, a page may be left open.
    lasts = None if where.by_phone else timedelta(hours=where.settings.identity.chat_hours)
    match = record.call(record.match_visit, where.session_id, visit, postcode=postcode, limits=limits, lasts=lasts)
    await where.bounded(match)
    if visit is None:
        raise Rejected("no_match")
    return _told_here(where, visit)


async def _found_visits(where: Situation) -> list[Visit]:
    """What was found in this session, or in one in the same hands. Raises Unavailable, or Rejected."""
    if where.session_id is None:
        return []
    record, together = where.app.record, timedelta(minutes=where.business.privacy.together_minutes)
    references = await where.bounded(record.call(record.found_visits, where.session_id, together=together))
    visits = [await where.bounded(where.app.calendar.find(reference)) for reference in references]
    return [_told_here(where, visit) for visit in visits if visit is not None and visit.cancelled_at is None]


def _told_here(where: Situation, visit: Visit) -> Visit:
    """The visit as one that whoever is here may be told of: they have shown in this session that they know it."""
    return dataclasses.replace(visit, details={**visit.details, "session": where.session_id})


async def booked_visit(where: Situation) -> Visit | None:
    """The next of them; None without one. Raises as it does."""
    return next(iter(await open_visits(where)), None)


async def chosen_visit(where: Situation, reference: object) -> Visit:
    """The open visit of that reference. Raises NoVisit, Unavailable, or Rejected."""
    for visit in await open_visits(where):
        if visit.reference == reference:
            return visit
    raise NoVisit


async def changeable_visits(where: Situation) -> list[Visit]:
    """The open visits that whoever is here may change: those that they may be told of (data/business/privacy.yml, ``reference``).
    Raises NoVisit, NotYours, Unavailable, or Rejected."""
    visits = await open_visits(where)
    if not visits:
        raise NoVisit
    if where.session_id is None:  # Rasa's own tools: what they booked themselves
        return [visit for visit in visits if visit.details.get("session") is None]
    privacy, record = where.business.privacy, where.app.record
    together = timedelta(minutes=privacy.together_minutes)
    standing = await where.bounded(record.call(record.standing, where.session_id, together=together))
    kept = privacy.values["reference"]
    theirs = [
        visit for visit in visits if standing.assurance >= kept.level or visit.details.get("session") in standing.together
    ]
    if not theirs:
        raise NotYours
    return theirs


async def changeable_visit(where: Situation, reference: object) -> Visit:
    """The one of them of that reference. Raises as it does."""
    for visit in await changeable_visits(where):
        if visit.reference == reference:
            return visit
    raise NoVisit


def late_fee(where: Situation, visit: Visit) -> int:
    """What changing the visit costs now: nothing until the hour of the day before that the company names."""
    hours, start = where.business.hours, visit.slot.start.astimezone(where.zone)
    until = datetime.combine(start.date() - timedelta(days=1), local_time(hours.free_changes_until), where.zone)
    return where.business.prices.late_change if where.now > until else 0


def visit_values(where: Situation, visit: Visit) -> dict[str, str | None]:
    """``day``, ``start``, ``end`` and ``reference``, each for eye and ear; ``told_in`` is the visit or call in which it was booked."""
    start, end = (moment.astimezone(where.zone) for moment in (visit.slot.start, visit.slot.end))
    said = both(
        day=where.day(start.date()),
        start=speakable.clock(start.time(), where.words, half_of_day=False),
        end=speakable.clock(end.time(), where.words, half_of_day=False),
        reference=said_digits.digits(visit.reference),
    )
    return {**said, "told_in": visit.details.get("session")}


def wanted_of(visit: Visit) -> Mapping[str, Any]:
    """What the visit was booked for, as facts: its agenda is theirs."""
    return {slot: visit.details.get(slot) for slot in ("appliance", "postcode", "urgent")}
