"""What is offered to a customer: with the ways of the technicians, without what is held for whoever is in a hurry."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rasa_sdk import Tracker

from actions.agenda import Agenda, agenda, is_in_time
from actions.book_visit import BookVisit
from actions.situation import Situation
from tests.unit.actions.conftest import NOW, Conversation
from throughline.bootstrap import Application
from throughline.domain.visits import Visit, VisitSlot

pytestmark = pytest.mark.unit

SALEM: dict[str, Any] = {"appliance": "furnace", "postcode": "97301"}  # Cal alone does this there
PORTLAND: dict[str, Any] = {"appliance": "furnace", "postcode": "97201"}
WEDNESDAY, TUESDAY = date(2026, 11, 25), date(2026, 11, 24)


def hour(day: date, local: int) -> datetime:
    return datetime(day.year, day.month, day.day, local, tzinfo=ZoneInfo("America/Los_Angeles")).astimezone(timezone.utc)


def taken(app: Application, day: date, begin: int, end: int, place: str | None, technician: str = "t-cal") -> Visit:
    slot = VisitSlot(hour(day, begin), hour(day, end), technician, place)
    contact = app.record.create_contact()
    return app.record.calendar.book(slot, contact, {}, idempotency_key=f"{technician} {slot.start}")


async def offered(where: Situation, facts: dict[str, Any], day: date, **options: Any) -> list[str]:
    free = await agenda(where, facts, **options)
    assert free is not None
    return [free.clock_of(slot) for slot in free.slots(day)]


@pytest.fixture
def where(app: Application, talk: Conversation) -> Situation:
    tracker = Tracker(talk.contact_id, {}, {}, [], False, None, {}, "action_listen")
    return Situation(app, tracker, NOW)


async def test_who_is_in_a_hurry_is_offered_what_is_held(where: Situation, app: Application) -> None:
    taken(app, WEDNESDAY, 8, 14, "Salem")
    assert await offered(where, SALEM, WEDNESDAY) == []
    assert await offered(where, {**SALEM, "urgent": True}, WEDNESDAY) == ["16:00"]


async def test_what_is_held_is_offered_to_everybody_the_day_before(where: Situation, app: Application) -> None:
    taken(app, TUESDAY, 8, 14, "Salem")
    assert await offered(where, SALEM, TUESDAY) == ["16:00"]


async def test_a_company_day_begins_in_the_companys_zone(where: Situation, app: Application) -> None:
    """It is Tuesday in UTC, and Monday still where the company is: Wednesday is the day after tomorrow."""
    taken(app, WEDNESDAY, 8, 14, "Salem")
    late = datetime(2026, 11, 25, 7, 59, tzinfo=timezone.utc) - timedelta(days=1)
    assert await offered(Situation(app, where.tracker, late), SALEM, WEDNESDAY) == []
    assert await offered(Situation(app, where.tracker, late + timedelta(minutes=1)), SALEM, WEDNESDAY) == ["16:00"]


async def test_a_colleagues_visit_elsewhere_is_a_way_away(where: Situation, app: Application) -> None:
    taken(app, TUESDAY, 10, 12, "Salem")
    taken(app, TUESDAY, 8, 18, None, "t-dee")
    assert await offered(where, PORTLAND, TUESDAY) == ["14:00", "16:00"]


async def test_a_visit_that_is_moving_is_not_in_its_own_way(where: Situation, app: Application) -> None:
    visit = taken(app, TUESDAY, 12, 14, "Salem")
    assert await offered(where, SALEM, TUESDAY) == ["08:00", "16:00"]
    assert await offered(where, SALEM, TUESDAY, moving=visit) == ["08:00", "10:00", "12:00", "14:00", "16:00"]


async def test_a_promise_that_can_not_be_kept_is_known(where: Situation, app: Application) -> None:
    async def in_time() -> bool:
        free = await agenda(where, {**SALEM, "urgent": True})
        assert isinstance(free, Agenda)
        return is_in_time(where, free, "furnace")

    assert await in_time()
    for day in (NOW.date(), TUESDAY):
        taken(app, day, 8, 18, "Salem")
    assert not await in_time()


async def test_a_booked_visit_says_where_it_is(talk: Conversation, app: Application) -> None:
    facts = {**SALEM, "problem": "no heat", "customer_name": "Dana", "visit_day": "2026-11-24", "visit_time": "10:00"}
    await talk.know(**facts, urgent=False, ui_booking="b1").hears("ten", time="10:00").do(BookVisit())
    [visit] = app.record.calendar.visits_of(talk.contact_id)
    assert (visit.slot.technician, visit.slot.place) == ("t-cal", "Salem")
    assert [case.kind for case in app.record.crm.cases_of(talk.contact_id)] == ["repair"]
