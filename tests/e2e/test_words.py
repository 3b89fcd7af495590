"""What customers said that was once misread, talked through with the real model and the real actions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.e2e.talk import Assistant, Customer
from throughline.domain import scheduling

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """One assistant for all of them."""
    running = Assistant(tmp_path_factory.mktemp("words"))
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def customer(assistant: Assistant) -> Customer:
    """Somebody new, in the chat."""
    return Customer(assistant)


async def test_hours_of_a_day(customer: Customer) -> None:
    assert "closed on Christmas Day" in await customer.says("are you open on christmas day?")
    assert "closed on Sunday" in await customer.says("what about sundays, are you open?")
    assert "at 9 pm" in await customer.says("is somebody there tomorrow at 9pm?")
    await customer.calls(known=False)
    assert "December twenty fifth" in await customer.says("are you open december twenty fifth")


async def test_a_zip_code_after_the_area(customer: Customer) -> None:
    await customer.says("do you come to gresham?")
    assert "we come to 97030" in await customer.says("97030")
    assert customer.asked is None


async def test_a_question_beside_a_fault_is_answered_and_the_form_begins(customer: Customer) -> None:
    reply = await customer.says("my oven won't heat, how much is a visit?")
    assert "$89" in reply
    assert customer.asked == "brand"
    assert (customer.facts()["appliance"], customer.facts()["problem"]) == ("oven", "won't heat")


async def test_two_matters_one_after_the_other(customer: Customer) -> None:
    await customer.says("i want to complain about your rude technician and my fridge is not cooling anymore")
    assert customer.asked == "customer_name"
    await customer.says("Dana Reyes")
    done = await customer.says("503 555 0123")
    assert "also mentioned your repair" in done
    await customer.says("yes please")
    assert customer.asked == "brand"
    assert customer.facts()["appliance"] == "refrigerator"


async def test_two_matters_and_the_second_is_not_wanted(customer: Customer) -> None:
    await customer.says("please leave a message for the office. also i was charged twice for the last repair")
    for words in ("tell them the gate is open", "Dana Reyes", "i'd rather not give my number"):
        reply = await customer.says(words)
    assert "also mentioned your bill" in reply
    assert "anything else" in await customer.says("no thanks")


async def test_where_a_number_is_needed_it_is_explained_once(assistant: Assistant, customer: Customer) -> None:
    await customer.says("i want to complain about your rude technician")
    await customer.says("Dana Reyes")
    assert "Without a number" in await customer.says("I'd rather not give my number")
    assert customer.asked == "phone_number"
    told = await customer.says("i don't want to give you my number")
    assert "colleague" in told
    assert [handoff.kind for handoff in assistant.app.record.handoffs(customer.contact_id)] == ["person"]


async def test_a_day_later_moves_the_visit(assistant: Assistant, customer: Customer) -> None:
    for words in ("my dryer doesn't heat", "bosch", "since yesterday", "it can wait", "Dana Reyes", "97201", "the first one"):
        await customer.says(words)
    await customer.says("the first one")
    (visit,) = assistant.app.record.calendar.visits_of(customer.contact_id)
    assert "hours" in await customer.says("how long will he be here?")
    assert "take your time" in (await customer.says("no wait")).lower()
    await customer.says("can you come a week later, same time?")
    assert customer.asked in (None, "visit_day", "visit_time")
    (moved,) = assistant.app.record.calendar.visits_of(customer.contact_id)
    zone, hours = ZoneInfo("America/Los_Angeles"), assistant.app.business.hours
    day = visit.slot.start.astimezone(zone).date() + timedelta(weeks=1)
    if scheduling.span_of(day, hours, hours.visits, zone) and customer.asked is None:
        assert moved.slot.start.astimezone(zone).date() == day


async def test_nobody_is_booked_when_nobody_comes(customer: Customer) -> None:
    assert "no booked visit" in await customer.says("when does he come")
    assert customer.asked == "visit_reference"


async def test_what_we_do_not_know_is_not_guessed(customer: Customer) -> None:
    reply = await customer.says("what's the meaning of life")
    assert "didn't understand" in reply
    assert "person" in reply
