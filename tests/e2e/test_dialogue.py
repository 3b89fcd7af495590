"""The dialogue as customers have it: the trained model, the real runner, the real actions and a record, talked to in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.e2e.talk import Assistant, Customer

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

# What any reply to gas must say, whatever the wording around it.
_SAFETY = ("leave the building", "outside")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """One assistant for all of them."""
    running = Assistant(tmp_path_factory.mktemp("dialogue"))
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def customer(assistant: Assistant) -> Customer:
    """Somebody new, in the chat."""
    return Customer(assistant)


def weekday_ahead(days: int) -> date:
    """A working day of the company at least ``days`` from now that is no holiday, Monday to Friday."""
    day = datetime.now(timezone.utc).astimezone(ZoneInfo("America/Los_Angeles")).date() + timedelta(days=days)
    while day.weekday() > 4 or day.strftime("%m-%d") in ("12-25", "01-01", "07-04"):
        day += timedelta(days=1)
    return day


def said(day: date) -> str:
    """The day as a customer says it."""
    return f"{day:%B} {day.day}"


async def test_what_was_said_in_chat_is_not_asked_again_on_the_phone(assistant: Assistant, customer: Customer) -> None:
    day = weekday_ahead(3)
    await customer.says("my washing machine leaks")
    await customer.says(f"I'm Dana Reyes in 97201, {said(day)} would be good")
    assert customer.facts() == {
        "appliance": "washing machine",
        "problem": "leaks",
        "customer_name": "Dana Reyes",
        "postcode": "97201",
        "visit_day": day.isoformat(),
    }

    greeting = await customer.calls()
    assert "Dana" in greeting
    assert "washing machine" in greeting
    assert "9 7 2 0 1" in greeting
    asked = [customer.asked]
    for answer in ("bosch", "since yesterday", "it can wait"):
        await customer.says(answer)
        asked.append(customer.asked)
    confirmed = await customer.says("in the morning")

    assert asked == ["brand", "since", "urgent", "visit_time"], "only what was open is asked"
    visits = assistant.app.record.calendar.visits_of(customer.contact_id)
    cases = assistant.app.record.crm.cases_of(customer.contact_id)
    assert [visit.slot.start.astimezone(ZoneInfo("America/Los_Angeles")).date() for visit in visits] == [day]
    assert len(cases) == 1
    assert "washing machine" in cases[0].subject
    assert any("leaks" in line["text"] for line in cases[0].details["conversation"])
    reference = visits[0].reference
    assert " ".join(reference[:3]) in confirmed, "the reference is said digit by digit"
    assert [outcome.kind for outcome in assistant.app.record.outcomes(customer.contact_id)] == ["visit_booked"]

    assert reference in await _in_chat(customer, "when is my visit")


async def _in_chat(customer: Customer, text: str) -> str:
    customer.returns_to_chat()
    return await customer.says(text)


async def test_a_code_from_the_chat_finds_the_conversation_again(customer: Customer) -> None:
    await customer.says("my dryer doesn't heat")
    offer = await customer.says("can I continue by phone")
    code = "".join(character for character in offer.split("code:")[1].split(".")[0] if character.isdigit())
    assert len(code) == 8
    known = customer.contact_id

    welcome = await customer.calls(known=False)
    assert "code" in welcome
    wrong = "00000000" if code != "00000000" else "11111111"
    assert "doesn't match" in await customer.says(wrong)
    greeting = await customer.says(" ".join(code))

    assert customer.contact_id == known
    assert "dryer" in greeting
    assert customer.asked == "brand"

    await customer.calls(known=False)
    assert "used" in await customer.says(code)


@pytest.mark.parametrize(
    "words", ["i smell gas", "the stove smells of gas", "we have a gas leak", "it smells like rotten eggs in here"]
)
@pytest.mark.parametrize("in_form", [False, True])
async def test_gas_comes_before_everything(assistant: Assistant, customer: Customer, words: str, in_form: bool) -> None:
    if in_form:
        await customer.says("my dishwasher won't drain")
        assert customer.asked
    reply = (await customer.says(words)).lower()
    assert all(part in reply for part in _SAFETY)
    assert customer.asked is None, "never a form"
    assert [handoff.kind for handoff in assistant.app.record.handoffs(customer.contact_id)] == ["emergency"]


async def test_a_person_gets_everything_that_was_said(assistant: Assistant, customer: Customer) -> None:
    await customer.says("my furnace won't start")
    await customer.says("I want to talk to a person")
    (handoff,) = assistant.app.record.handoffs(customer.contact_id)
    assert {fact["slot"]: fact["value"] for fact in handoff.packet["facts"]} == {
        "appliance": "furnace",
        "problem": "won't start",
    }
    assert handoff.packet["open_question"] == "brand"
    assert [line["text"] for line in handoff.packet["transcript"] if line["who"] == "customer"] == [
        "my furnace won't start",
        "I want to talk to a person",
    ]
    assert customer.asked is None
    assert "colleague" in await customer.calls()


@pytest.mark.parametrize(
    ("correction", "slot", "value"),
    [
        ("no, the dryer", "appliance", "dryer"),
        ("sorry my zip is 97209", "postcode", "97209"),
        ("no my name is Marta Kowalski", "customer_name", "Marta Kowalski"),
    ],
)
async def test_a_fact_is_corrected_and_the_question_stays(customer: Customer, correction: str, slot: str, value: str) -> None:
    await customer.says("my washing machine leaks")
    await customer.says("I'm Dana Reyes in 97201")
    asked = customer.asked
    reply = await customer.says(correction)
    assert customer.facts()[slot] == value
    assert value in reply
    assert customer.asked == asked


async def test_a_question_in_between_is_answered_and_the_open_one_put_again(customer: Customer) -> None:
    await customer.says("my oven doesn't heat")
    question = (await customer.says("what?")).splitlines()[-1]
    assert question
    for words, part in [("how much is it?", "$89"), ("when are you open", "7:30"), ("do you come to 97301", "Salem")]:
        reply = await customer.says(words)
        assert part in reply
        assert "oven" in reply.splitlines()[-1], "the open question comes last"
        assert customer.asked == "brand"
    assert customer.facts()["postcode"] == "97301", "what was said in a question is known too"


async def test_not_understood_three_times_leads_to_a_person(assistant: Assistant, customer: Customer) -> None:
    for words in ("what is the capital of france", "play some jazz music", "asdf qwer zxcv"):
        await customer.says(words)
    assert [handoff.reason for handoff in assistant.app.record.handoffs(customer.contact_id)] == ["not_understood"]


async def test_outside_the_area_is_said_at_once_and_leaves_a_way_out(customer: Customer) -> None:
    await customer.says("my dryer doesn't heat")
    reply = await customer.says("I'm Tom Baker in 90210")
    assert "outside" in reply
    assert "person" in reply
    assert "postcode" not in customer.facts()


async def test_waiting_and_parting_leave_the_question_open(customer: Customer) -> None:
    await customer.says("my washing machine leaks")
    await customer.calls()
    assert "take your time" in await customer.says("hold on")
    assert customer.asked == "brand"
    await customer.says("miele")
    await customer.says("goodbye")
    assert customer.last.end_session
    customer.returns_to_chat()
    await customer.says("two days ago")
    assert customer.facts()["brand"] == "Miele"
    assert customer.asked == "urgent"


async def test_another_fault_after_the_visit_begins_anew(assistant: Assistant, customer: Customer) -> None:
    await customer.says(f"my dryer doesn't heat, it's a Bosch. I'm Ana Ruiz in 97214, {said(weekday_ahead(4))} at ten")
    while customer.asked in ("since", "urgent", "visit_time", "problem", "brand"):
        answers = {"since": "yesterday", "urgent": "no", "visit_time": "any time", "problem": "no heat", "brand": "bosch"}
        await customer.says(answers[customer.asked])
    assert len(assistant.app.record.calendar.visits_of(customer.contact_id)) == 1
    await customer.says("my oven is broken too")
    assert customer.asked in ("problem", "brand")
    assert customer.facts()["appliance"] == "oven"
    assert "visit_day" not in customer.facts()
    assert customer.facts()["customer_name"] == "Ana Ruiz"


async def test_another_day_after_the_booking_moves_the_visit(assistant: Assistant, customer: Customer) -> None:
    await customer.says(f"my dryer doesn't heat, it's a Bosch. I'm Ana Ruiz in 97214, {said(weekday_ahead(5))} at ten")
    while customer.asked in ("since", "urgent", "visit_time", "problem", "brand"):
        answers = {"since": "yesterday", "urgent": "no", "visit_time": "any time", "problem": "no heat", "brand": "bosch"}
        await customer.says(answers[customer.asked])
    (visit,) = assistant.app.record.calendar.visits_of(customer.contact_id)
    day = weekday_ahead(7)
    await customer.says(f"can we make it {said(day)} instead")
    assert assistant.app.record.calendar.visits_of(customer.contact_id) == [visit], "it stands until there is a time, too"
    await customer.says("any time")
    (moved,) = assistant.app.record.calendar.visits_of(customer.contact_id)
    assert (moved.reference, moved.slot.start.astimezone(ZoneInfo("America/Los_Angeles")).date()) == (visit.reference, day)


async def test_what_only_a_person_can_change_goes_to_one(assistant: Assistant, customer: Customer) -> None:
    await customer.says(f"my dryer doesn't heat, it's a Bosch. I'm Ana Ruiz in 97214, {said(weekday_ahead(5))} at ten")
    while customer.asked in ("since", "urgent", "visit_time", "problem", "brand"):
        answers = {"since": "yesterday", "urgent": "no", "visit_time": "any time", "problem": "no heat", "brand": "bosch"}
        await customer.says(answers[customer.asked])
    (visit,) = assistant.app.record.calendar.visits_of(customer.contact_id)
    await customer.says("no, my ZIP code is 97201")
    assert [handoff.kind for handoff in assistant.app.record.handoffs(customer.contact_id)] == ["change_visit"]
    assert assistant.app.record.calendar.visits_of(customer.contact_id) == [visit]


@pytest.mark.parametrize(
    ("told", "known", "asked"),
    [
        (
            "my fridge is warm and everything is melting",
            {"appliance": "refrigerator", "problem": "warm and everything is melting"},
            "brand",
        ),
        (
            "I need someone to look at my dryer, it's a Whirlpool, making a loud squeal, not urgent, I'm Dana Reyes in 97209",
            {
                "appliance": "dryer", "brand": "Whirlpool", "problem": "making a loud squeal", "urgent": False,
                "customer_name": "Dana Reyes", "postcode": "97209",
            },
            "since",
        ),
        ("our water heater only gives lukewarm water", {"appliance": "water heater", "problem": "only gives lukewarm water"}, "brand"),
        ("can someone come out for my furnace", {"appliance": "furnace"}, "problem"),
    ],
)  # fmt: skip
async def test_what_the_first_message_tells_is_not_asked(
    customer: Customer, told: str, known: dict[str, object], asked: str
) -> None:
    await customer.says(told)
    assert customer.facts() == known
    assert customer.asked == asked


async def test_a_doubt_about_the_brand_is_no_problem(customer: Customer) -> None:
    await customer.says("i have trouble with my fridge")
    await customer.says("it's a Samsung i think")
    assert customer.facts() == {"appliance": "refrigerator", "brand": "Samsung"}
    assert customer.asked == "problem"


async def test_naming_a_part_of_the_appliance_loses_nothing(customer: Customer) -> None:
    await customer.says("i need a repair for the stove")
    await customer.says("burner won't light")
    assert customer.facts() == {"appliance": "oven", "problem": "burner won't light"}
    assert customer.asked == "brand"


async def test_an_appliance_we_do_not_repair_does_not_replace_one_that_we_do(customer: Customer) -> None:
    await customer.says("my oven doesn't get hot")
    reply = await customer.says("my television is broken")
    assert "washing machine" in reply, "what we repair instead"
    assert customer.facts()["appliance"] == "oven"
    assert customer.asked == "brand"


async def test_one_word_chooses_the_time(customer: Customer) -> None:
    day = weekday_ahead(3)
    await customer.says("my washing machine leaks, it's a Bosch, since yesterday, not urgent")
    await customer.says(f"my name is Dana Reyes, 97201, {said(day)}")
    assert customer.asked == "visit_time"
    assert "booked" in await customer.says("morning")


async def test_a_yes_with_a_reason_is_a_yes(customer: Customer) -> None:
    await customer.says("my furnace won't start, it's a Lennox, since yesterday")
    assert customer.asked == "urgent"
    await customer.says("yes of course there are kids in the house")
    assert customer.facts()["urgent"] is True


async def test_for_somebody_else_the_booking_begins_with_what_is_told(customer: Customer) -> None:
    assert "what's broken" in await customer.says("i'm calling for my mother")
    reply = await customer.says("it's about my tenant's dishwasher")
    assert customer.facts()["appliance"] == "dishwasher"
    assert customer.asked == "problem"
    assert "of course" in reply.lower()


async def test_another_language_is_offered_a_person_and_gets_one(customer: Customer) -> None:
    reply = await customer.says("hola habla español")
    assert "inglés" in reply
    assert "a person?" in reply
    assert "colleague" in await customer.says("sí")


async def test_an_insult_in_the_form_is_answered_kindly_and_the_question_stays(customer: Customer) -> None:
    await customer.says("my washing machine leaks")
    assert "sorry" in (await customer.says("you stupid bot")).lower()
    assert customer.asked == "brand"
    assert "sorry" not in (await customer.says("you're useless")).lower()
    assert customer.asked == "brand"
    await customer.says("bosch")
    assert customer.facts()["brand"] == "Bosch"


async def test_slower_says_the_last_thing_once_more(customer: Customer) -> None:
    hours = await customer.says("what are your hours")
    assert hours in await customer.says("slower please")


async def test_slower_on_the_phone_is_slower_from_then_on_and_in_the_next_call(customer: Customer) -> None:
    await customer.calls(known=False)
    assert customer.last.speed is None
    await customer.says("my washing machine leaks")
    asked_again = await customer.says("you talk too fast")
    assert "company made it" in asked_again  # the brand, in other words
    assert (customer.last.speed, customer.last.speed_once) == (0.85, None)
    await customer.says("slower please")
    assert customer.last.speed == 0.7
    await customer.says("you can speak a bit faster")
    assert customer.last.speed == 0.85
    await customer.calls()
    assert customer.last.speed == 0.85


async def test_what_after_the_greeting_is_answered_in_other_words_then_in_the_same_ones_slower(customer: Customer) -> None:
    greeting = await customer.calls(known=False)
    assert "Hello" in greeting
    again = await customer.says("what did you say")
    assert "Hello" not in again
    assert "code" in again
    assert customer.last.speed_once is None
    assert await customer.says("sorry what was that") == again
    assert (customer.last.speed, customer.last.speed_once) == (None, 0.85)


async def cut_off_while_told(customer: Customer, assistant: Assistant, heard: str, reason: str = "line_lost") -> None:
    """The call at hand ends in the middle of what was said last, of which ``heard`` was heard."""
    record = assistant.app.record
    for utterance in customer.last.utterances:
        text = heard if utterance.text.startswith(heard) else ""
        record.record_heard(utterance.event_id, session_id=customer.session_id, text_heard=text, complete=False)
    record.end_session(customer.session_id, reason)


async def test_who_was_cut_off_and_calls_again_hears_the_rest(assistant: Assistant, customer: Customer) -> None:
    await customer.calls()
    await customer.says("my dryer doesn't heat")
    answer, question = (await customer.says("how much is a visit")).split("\n")
    first, second = answer.split(". ", 1)
    await cut_off_while_told(customer, assistant, f"{first}. {second[:9]}")
    again = (await customer.calls()).split("\n")
    assert again[1:] == [f"We were cut off. I was saying: {second}", question]
    assert customer.asked == "brand"


async def test_who_was_cut_off_while_they_were_greeted_is_greeted_anew(assistant: Assistant, customer: Customer) -> None:
    await customer.says("my dryer doesn't heat")
    greeting = await customer.calls()
    await cut_off_while_told(customer, assistant, "Hi")
    assert (await customer.calls()).split("\n")[1:] == greeting.split("\n")[1:]


@pytest.mark.parametrize("reason", ["completed", "silence"])
async def test_a_call_that_we_ended_was_not_cut_off(assistant: Assistant, customer: Customer, reason: str) -> None:
    await customer.calls()
    await customer.says("my dryer doesn't heat")
    answer = (await customer.says("how much is a visit")).split("\n")[0]
    await cut_off_while_told(customer, assistant, answer[:9], reason)
    assert "cut off" not in await customer.calls()
