"""Every journey as customers hold it, on both channels: the trained model, the real runner and actions, a record."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.e2e.talk import Assistant, Customer
from throughline.domain.scheduling import next_opening
from throughline.domain.turns import WEB_CHAT
from throughline.domain.visits import Visit, VisitSlot
from throughline.errors import Rejected

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


async def test_who_has_lost_the_reference_moves_nothing(customer: Customer) -> None:
    assert "no booked visit" in await customer.says("i need to reschedule my appointment")
    assert customer.asked == "visit_reference"
    assert "a person" in await customer.says("i lost my reference number")
    assert customer.asked is None


def spoken(digits: str, customer: Customer) -> str:
    """As it is typed in the chat, and as the recogniser writes it on the phone."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return digits if customer.channel == WEB_CHAT else " ".join(words[int(digit)] for digit in digits)


@pytest_asyncio.fixture(loop_scope="module")
async def booked(assistant: Assistant) -> Visit:
    """A dryer's visit at 97209 that somebody else has booked."""
    owner = Customer(assistant)
    await answered(owner, await owner.says("my dryer makes a noise, it's a bosch"))
    (visit,) = visits(assistant, owner)
    return visit


async def test_a_visit_of_another_conversation_is_found_and_moved(
    assistant: Assistant, customer: Customer, booked: Visit
) -> None:
    await customer.says("i need to move my appointment to another day")
    assert customer.asked == "visit_reference"
    await customer.says(spoken(booked.reference, customer))
    assert customer.asked == "visit_postcode"
    assert "found it" in await customer.says(spoken("97209", customer))
    while customer.asked:
        reply = await customer.says({"visit_day": "the second one", "visit_time": "the last one"}[customer.asked])
    (moved,) = assistant.app.record.calendar.visits_of(booked.contact_id)
    assert (moved.reference, moved.slot.start > booked.slot.start) == (booked.reference, True), reply
    assert "is now on" in reply
    assert visits(assistant, customer) == []
    assert outcomes(assistant, customer) == ["visit_moved"]


async def test_when_it_is_and_then_it_is_cancelled(assistant: Assistant, customer: Customer, booked: Visit) -> None:
    await customer.says("when is the technician coming")
    assert customer.asked == "visit_reference"
    await customer.says(f"the reference is {spoken(booked.reference, customer)}")
    assert "Your visit is" in await customer.says(f"it's {spoken('97209', customer)}")
    await customer.says("please cancel my appointment")
    assert customer.asked == "sure"
    assert "cancelled" in await customer.says("yes")
    assert assistant.app.record.calendar.visits_of(booked.contact_id) == []


async def test_a_wrong_reference_and_a_wrong_zip_code_sound_alike(customer: Customer, booked: Visit) -> None:
    other = f"{(int(booked.reference) + 1) % 1_000_000:06d}"
    said = []
    for reference, postcode in ((other, "97209"), (booked.reference, "97201"), (booked.reference, "97202")):
        await customer.says("i need to reschedule my appointment" if not said else spoken(reference, customer))
        if not said:
            await customer.says(spoken(reference, customer))
        said.append(await customer.says(spoken(postcode, customer)))
    assert said[0] == said[1] == said[2]
    assert "can't find" in said[0]
    await customer.says(spoken(booked.reference, customer))
    assert "any more" in await customer.says(spoken("97209", customer))
    assert customer.asked is None


async def test_who_is_in_a_hurry_is_told_where_the_promise_can_not_be_kept(assistant: Assistant, customer: Customer) -> None:
    calendar, begins = assistant.app.record.calendar, datetime.now(timezone.utc) + timedelta(minutes=1)
    for technician in ("t-cal", "t-dee"):
        full = VisitSlot(begins, begins + timedelta(days=4), technician)
        contact, key = assistant.app.record.create_contact(), f"{technician}{customer.contact_id}"
        with contextlib.suppress(Rejected):  # the other channel's test has filled it
            calendar.book(full, contact, {}, idempotency_key=key)
    reply = await customer.says("my furnace is broken, no heat, it's a carrier")
    heard = [reply]
    while customer.asked != "visit_day":
        heard.append(await customer.says({**ANSWERS, "urgent": "yes"}[str(customer.asked)]))
    assert "we promise" in heard[-1]
    assert sum("we promise" in line for line in heard) == 1
    assert "next free days" in heard[-1]


async def test_cancelling_what_is_not_booked_yet_stops_the_booking(assistant: Assistant, customer: Customer) -> None:
    await customer.says("my dishwasher leaks")
    assert "stopped" in await customer.says("actually, please cancel my appointment")
    assert customer.asked is None
    assert outcomes(assistant, customer) == []


async def test_a_journey_goes_on_where_the_one_that_interrupts_it_can_not_begin(customer: Customer) -> None:
    await customer.says("i want a quote for a new furnace")
    asked = customer.asked
    assert "no booked visit" in await customer.says("i need to reschedule my appointment")
    assert customer.asked == "visit_reference"
    assert "back to your quote" in await customer.says("i don't have it")
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
