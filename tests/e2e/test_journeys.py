"""Every journey as customers hold it, on both channels: the trained model, the real runner and actions, a record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.e2e.talk import Assistant, Customer
from throughline.domain.scheduling import next_opening

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ANSWERS = {
    "appliance": "the dryer",
    "problem": "it makes a noise",
    "brand": "bosch",
    "since": "yesterday",
    "urgent": "no",
    "customer_name": "Dana Reyes",
    "postcode": "97209",
    "visit_day": "any day is fine",
    "visit_time": "any time",
    "product": "a heat pump",
    "invoice": "20817",
    "pay_parts": "in three payments",
    "wish": "the technician left mud all over my floor",
    "phone_number": "503 555 0144",
    "call_day": "the first one",
    "call_time": "any time",
    "sure": "yes",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """One assistant for all of them."""
    running = Assistant(tmp_path_factory.mktemp("journeys"))
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture(params=["chat", "phone"], loop_scope="module")
async def customer(assistant: Assistant, request: pytest.FixtureRequest) -> Customer:
    """Somebody new, on either channel."""
    somebody = Customer(assistant)
    if request.param == "phone":
        await somebody.calls(known=False)
    return somebody


async def answered(customer: Customer, reply: str, **answers: str) -> str:
    """Answer whatever is asked until nothing is; the last reply. No question may be put twice."""
    put = []
    while customer.asked:
        assert customer.asked not in put, f"{customer.asked} was asked again: {reply}"
        put.append(customer.asked)
        reply = await customer.says({**ANSWERS, **answers}[customer.asked])
    return reply


def cases(assistant: Assistant, customer: Customer) -> list[Any]:
    return assistant.app.record.crm.cases_of(customer.contact_id)


def outcomes(assistant: Assistant, customer: Customer) -> list[str]:
    return [outcome.kind for outcome in assistant.app.record.outcomes(customer.contact_id)]


def visits(assistant: Assistant, customer: Customer) -> list[Any]:
    return assistant.app.record.calendar.visits_of(customer.contact_id)


def in_days(days: int) -> str:
    """A day some time from now, as a customer says it."""
    day: date = datetime.now(timezone.utc).astimezone(ZoneInfo("America/Los_Angeles")).date() + timedelta(days=days)
    return f"{day:%B} {day.day}"


@pytest.mark.parametrize(
    ("words", "kind", "needs"),
    [
        ("i want a quote for a new furnace", "lead", {"product": "furnace", "postcode": "97209"}),
        (
            "your technician left mud all over my kitchen floor",
            "complaint",
            {"wish": ANSWERS["wish"].replace("the tech", "your tech")},
        ),
        ("i'd like to file a complaint", "complaint", {"wish": ANSWERS["wish"]}),
        ("you charged me twice for the last visit", "billing", {"invoice": "20817"}),
        ("can somebody call me back about my boiler please", "call_back", {"phone_number": "+15035550144"}),
        ("can you leave a message for the owner that the part has arrived", "message", {}),
    ],
)
async def test_what_a_person_sees_to_is_a_case_once(
    assistant: Assistant, customer: Customer, words: str, kind: str, needs: dict[str, str]
) -> None:
    reply = await answered(customer, await customer.says(words))
    (case,) = cases(assistant, customer)
    assert case.kind == kind, reply
    told = case.details["facts"]
    assert told["customer_name"] == "Dana Reyes"
    for slot, value in needs.items():
        assert value.split()[-1] in str(told[slot])
    assert outcomes(assistant, customer) == [kind]
    assert len(assistant.app.record.handoffs(customer.contact_id)) == 1
    if kind == "call_back":
        opens = next_opening(datetime.now(timezone.utc), assistant.app.business.hours, ZoneInfo("America/Los_Angeles"))
        assert case.due_at is not None
        assert opens is None or case.due_at > datetime.now(timezone.utc)


async def test_a_bill_is_paid_in_parts(assistant: Assistant, customer: Customer) -> None:
    reply = await answered(customer, await customer.says("can i pay my bill in installments"), pay_day=in_days(10))
    assert "arranged" in reply
    (case,) = cases(assistant, customer)
    assert (case.kind, case.details["agreed"], case.details["facts"]["pay_parts"]) == ("payment", True, 3)
    assert outcomes(assistant, customer) == ["payment_arranged"]


async def test_more_than_may_be_agreed_goes_to_a_person(assistant: Assistant, customer: Customer) -> None:
    await answered(customer, await customer.says("i need a payment plan"), pay_day=in_days(10), pay_parts="twelve")
    assert [handoff.kind for handoff in assistant.app.record.handoffs(customer.contact_id)] == ["payment"]
    assert outcomes(assistant, customer) == []


async def test_a_visit_is_booked_moved_and_cancelled(assistant: Assistant, customer: Customer) -> None:
    await answered(customer, await customer.says("my dryer makes a noise, it's a bosch"))
    (booked,) = visits(assistant, customer)
    reply = await customer.says("i need to move my appointment to another day")
    while customer.asked:
        reply = await customer.says({"visit_day": "the second one", "visit_time": "the last one"}[customer.asked])
    (moved,) = visits(assistant, customer)
    assert moved.reference == booked.reference
    assert moved.slot.start > booked.slot.start, reply
    await customer.says("actually, please cancel my appointment")
    assert customer.asked == "sure"
    assert "stays" in await customer.says("no, keep it")
    assert len(visits(assistant, customer)) == 1
    await customer.says("cancel my visit please")
    assert "cancelled" in await customer.says("yes")
    assert visits(assistant, customer) == []
    assert outcomes(assistant, customer) == ["visit_booked", "visit_moved", "visit_cancelled"]


async def test_without_a_visit_nothing_is_moved(customer: Customer) -> None:
    assert "no booked visit" in await customer.says("i need to reschedule my appointment")
    assert customer.asked is None


async def test_cancelling_what_is_not_booked_yet_stops_the_booking(assistant: Assistant, customer: Customer) -> None:
    await customer.says("my dishwasher leaks")
    assert "stopped" in await customer.says("actually, please cancel my appointment")
    assert customer.asked is None
    assert outcomes(assistant, customer) == []


async def test_a_journey_goes_on_where_the_one_that_interrupts_it_can_not_begin(customer: Customer) -> None:
    await customer.says("i want a quote for a new furnace")
    asked = customer.asked
    assert "no booked visit" in await customer.says("i need to reschedule my appointment")
    assert customer.asked == asked == "customer_name"


async def test_another_matter_in_between_and_back_again(assistant: Assistant, customer: Customer) -> None:
    await customer.says("my dishwasher leaks, it's a bosch")
    asked = customer.asked
    await customer.says("oh and you charged me twice last month")
    reply = await answered_until(customer, asked)
    assert "back to your repair" in reply
    await answered(customer, reply)
    assert sorted(outcomes(assistant, customer)) == ["billing", "visit_booked"]
    assert len(visits(assistant, customer)) == 1


async def answered_until(customer: Customer, slot: str | None) -> str:
    reply = ""
    while customer.asked != slot:
        reply = await customer.says(ANSWERS[str(customer.asked)])
    return reply


async def test_a_quote_says_roughly_what_it_comes_to(customer: Customer) -> None:
    await customer.says("i want to replace my furnace")
    reply = await customer.says("how much is that roughly")
    assert "7" in reply
    assert "furnace" in reply
    assert customer.asked == "customer_name"
