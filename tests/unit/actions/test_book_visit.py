"""Booking: once, in a slot that is really free, and honestly told where it can't be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from actions.book_visit import BookVisit
from tests.unit.actions.conftest import Conversation
from tests.unit.record.somebody import entry_of
from throughline.bootstrap import Application
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.crm.embedded import EmbeddedCrm
from throughline.domain.visits import VisitSlot
from throughline.errors import Unavailable
from throughline.settings.server import ActionSettings, Settings

pytestmark = pytest.mark.unit

BOOK = BookVisit()
OVER = {"ui_done": ["repair"], "ui_journey": None, "ui_paused": None}
FACTS: dict[str, Any] = {
    "appliance": "dryer",
    "problem": "no heat",
    "brand": "Bosch",
    "since": "2026-11-20",
    "urgent": False,
    "customer_name": "Dana Reyes",
    "postcode": "97201",
    "visit_day": "2026-11-26",
    "visit_time": "10:00",
    "ui_booking": "b1",
}
TEN = datetime(2026, 11, 26, 18, tzinfo=timezone.utc)


@pytest.fixture
def complete(talk: Conversation) -> Conversation:
    """A form that has just been completed."""
    return talk.know(**FACTS).hears("ten", time="10:00")


async def test_the_visit_the_case_and_the_outcome_are_there_and_it_is_said(complete: Conversation, app: Application) -> None:
    done = await complete.do(BOOK)
    (visit,) = app.record.calendar.visits_of(complete.contact_id)
    assert visit.slot.start == TEN
    (case,) = app.record.crm.cases_of(complete.contact_id)
    assert case.subject == "dryer, the problem: no heat"
    assert case.details["visit"] == visit.reference
    assert case.details["facts"]["postcode"] == "97201"
    assert [outcome.kind for outcome in app.record.outcomes(complete.contact_id)] == ["visit_booked"]
    assert entry_of(app.record, complete.contact_id) == {"name": "Dana Reyes", "postcode": "97201"}
    assert done.said == ["utter_visit_booked"]
    assert done.values[0]["day_spoken"] == "Thursday, November twenty sixth"
    assert done.slots == {"ui_visit": visit.reference, **OVER}


async def test_the_same_booking_done_again_has_no_second_effect(complete: Conversation, app: Application) -> None:
    first, again = await complete.do(BOOK), await complete.do(BOOK)
    assert first.slots == again.slots
    assert len(app.record.calendar.visits_of(complete.contact_id)) == 1
    assert len(app.record.crm.cases_of(complete.contact_id)) == 1
    assert len(app.record.outcomes(complete.contact_id)) == 1


async def test_nobody_comes_twice_for_one_appliance(complete: Conversation, app: Application) -> None:
    """The visit was booked in a conversation that has become one with this."""
    await complete.do(BOOK)
    (visit,) = app.record.calendar.visits_of(complete.contact_id)
    done = await complete.know(ui_booking="b2", visit_day="2026-11-27").hears("ten", time="10:00").do(BOOK)
    assert done.said == ["utter_visit_known", "utter_visit_change"]
    assert done.slots == {"ui_visit": visit.reference, "ui_booking": "b1", **OVER}
    assert app.record.calendar.visits_of(complete.contact_id) == [visit]
    assert [(handoff.kind, handoff.reason) for handoff in app.record.handoffs(complete.contact_id)] == [
        ("change_visit", "booked_already")
    ]


async def test_another_appliance_gets_a_visit_of_its_own(complete: Conversation, app: Application) -> None:
    await complete.do(BOOK)
    done = await complete.know(ui_booking="b2", appliance="oven", visit_day="2026-11-27").hears("ten", time="10:00").do(BOOK)
    assert done.said == ["utter_visit_booked"]
    assert len(app.record.calendar.visits_of(complete.contact_id)) == 2


async def test_a_slot_that_was_taken_leads_back_into_the_form(complete: Conversation, app: Application) -> None:
    for technician in ("t-abe", "t-bea"):
        slot = VisitSlot(TEN, TEN.replace(hour=20), technician)
        app.record.calendar.book(slot, app.record.create_contact(), {}, idempotency_key=technician)
    done = await complete.do(BOOK)
    assert done.said == ["utter_visit_taken"]
    assert done.slots == {"visit_time": None}
    assert done.events[-1]["name"] == "journey_form"
    assert app.record.calendar.visits_of(complete.contact_id) == []


class Unreachable(EmbeddedCalendar):
    """A calendar that does not answer."""

    async def busy(self, *_: Any, **__: Any) -> list[VisitSlot]:
        """Nobody there."""
        raise Unavailable("no calendar")


class Slow(EmbeddedCalendar):
    """A calendar that answers too late."""

    async def busy(self, *_: Any, **__: Any) -> list[VisitSlot]:
        """Never, as far as the customer is concerned."""
        await asyncio.Event().wait()
        return []


@pytest.mark.parametrize("calendar", [Unreachable, Slow])
async def test_a_calendar_that_is_down_is_admitted_and_a_person_books(
    complete: Conversation, app: Application, use: Callable[..., Application], calendar: type[EmbeddedCalendar]
) -> None:
    use(calendar=calendar(app.record), settings=Settings(actions=ActionSettings(connector_timeout_ms=1000)))
    done = await complete.do(BOOK)
    assert done.said == ["utter_booking_unavailable"]
    (handoff,) = app.record.handoffs(complete.contact_id)
    assert handoff.kind == "booking"
    assert {fact["slot"] for fact in handoff.packet["facts"]} == set(FACTS) - {"ui_booking"}
    assert "ui_visit" not in done.slots


class NoCrm(EmbeddedCrm):
    """A CRM that does not answer."""

    async def open_case(self, *_: Any, **__: Any) -> Any:
        """Nobody there."""
        raise Unavailable("no CRM")


async def test_without_the_crm_the_visit_stands_and_the_office_is_told(
    complete: Conversation, app: Application, use: Callable[..., Application]
) -> None:
    use(crm=NoCrm(app.record))
    done = await complete.do(BOOK)
    assert done.said == ["utter_visit_booked"]
    assert [handoff.kind for handoff in app.record.handoffs(complete.contact_id)] == ["back_office"]
