"""What is offered to a customer: with the ways of the technicians, without what is held for whoever is in a hurry."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rasa_sdk import Tracker

from actions.agenda import Agenda, agenda, is_in_time
from actions.book_visit import BookVisit
from actions.move_visit import MoveVisit
from actions.situation import Situation
from actions.validate_journey_form import ValidateJourneyForm
from tests.unit.actions.conftest import NOW, Conversation, Done
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


FURNACE: dict[str, Any] = {**SALEM, "problem": "no heat", "brand": "Carrier", "since": "2026-11-22", "customer_name": "Dana"}


async def urgent(talk: Conversation) -> Done:
    """The last question before the day is answered."""
    return await talk.know(**FURNACE).asks("urgent").hears("yes it is", "affirm").do(ValidateJourneyForm())


async def test_a_promise_that_is_kept_needs_no_words(talk: Conversation) -> None:
    done = await urgent(talk)
    assert (done.said, done.asks) == ([], "visit_day")


async def test_a_promise_that_can_not_be_kept_is_said_before_anything_is_offered(talk: Conversation, app: Application) -> None:
    for day in (NOW.date(), TUESDAY):
        taken(app, day, 8, 18, "Salem")
    done = await urgent(talk)
    assert (done.said, done.asks) == (["utter_later_than_promised"], "visit_day")
    assert done.values[0]["promised_hours"] == app.business.promise("furnace").within_hours
    assert done.values[0]["told_in"] == talk.session_id


async def test_it_is_said_once_and_again_where_something_else_is_promised(talk: Conversation, app: Application) -> None:
    for day in (NOW.date(), TUESDAY):
        taken(app, day, 8, 18, "Salem")
    talk.know(**FURNACE, urgent=True).asks("visit_day")
    assert (await talk.hears("wednesday please", date="2026-11-25").do(ValidateJourneyForm())).said == []
    done = await talk.hears("no, the boiler", "correct", appliance="boiler").do(ValidateJourneyForm())
    assert done.said == ["utter_noted", "utter_later_than_promised"]


async def test_who_is_in_no_hurry_was_promised_nothing(talk: Conversation, app: Application) -> None:
    for day in (NOW.date(), TUESDAY):
        taken(app, day, 8, 18, "Salem")
    done = await talk.know(**FURNACE).asks("urgent").hears("no, it can wait", "not_urgent").do(ValidateJourneyForm())
    assert (done.said, done.asks) == ([], "visit_day")


async def test_where_nothing_is_free_at_all_the_question_says_so(talk: Conversation, app: Application) -> None:
    for ahead in range(app.business.thresholds.days_ahead + 1):
        taken(app, NOW.date() + timedelta(days=ahead), 8, 18, "Salem")
    assert (await urgent(talk)).said == []


async def test_a_visit_moves_with_its_own_way_and_keeps_its_place(talk: Conversation, app: Application) -> None:
    """Cal is in Portland until noon on Tuesday: from there to Salem it is an hour."""
    taken(app, TUESDAY, 8, 12, "Portland")
    slot = VisitSlot(hour(WEDNESDAY, 8), hour(WEDNESDAY, 10), "t-cal", "Salem")
    details = {**FURNACE, "urgent": False, "session": talk.session_id}
    visit = app.record.calendar.book(slot, talk.contact_id, details, idempotency_key="moving")
    talk.know(ui_journey="move_visit", ui_booking="b1", which_visit=visit.reference).asks("visit_time")
    done = await talk.know(visit_day="2026-11-24").hears("at noon", time="12:00").do(ValidateJourneyForm())
    assert (done.said, done.asks) == (["utter_time_full"], "visit_time")
    await talk.know(visit_time="14:00").hears("at two then", time="14:00").do(MoveVisit())
    [moved] = app.record.calendar.visits_of(talk.contact_id)
    assert (moved.slot.start, moved.slot.place) == (hour(TUESDAY, 14), "Salem")
