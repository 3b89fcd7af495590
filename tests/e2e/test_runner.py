"""What a turn keeps when something breaks in the middle of it: the trained model, the real runner, record and actions.

Between the runner and the action server stands one of the test's own, which passes calls on unless it is told to fail, to stall or to
wait. The record is a real file, locked from outside where a save has to fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog
from aiohttp import web

from tests.e2e.talk import Assistant, Customer
from tests.waiting import until
from throughline import log
from throughline.domain.turns import PHONE, WEB_CHAT, Turn, TurnResult
from throughline.errors import Unavailable
from throughline.record import sqlite_ways

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

FORM = "validate_journey_form"  # the action that every fact of a fault goes through
FAULT = "my washing machine leaks"

Trouble = Callable[[web.Request], Awaitable[web.Response]]


class Between:
    """An action server that passes every call on to the real one, except where a test says otherwise."""

    def __init__(self, real_url: str) -> None:
        self._real_url = real_url
        self._ended = asyncio.Event()
        self.called: list[str] = []
        self.instead: dict[str, Trouble] = {}
        self.afterwards: dict[str, Callable[[], Awaitable[None]]] = {}  # once, between the real answer and passing it on

    def begin(self) -> None:
        """Nothing was called yet, and nothing is in the way."""
        self.called.clear()
        self.instead.clear()
        self.afterwards.clear()

    async def start(self) -> str:
        """Listen on this machine. Returns the URL."""
        app = web.Application()
        app.router.add_post("/webhook", self._answer)
        self._server = web.AppRunner(app)
        await self._server.setup()
        site = web.TCPSite(self._server, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._server.addresses[0][1]}/webhook"

    async def stop(self) -> None:
        """Let whoever stalls go, and stop."""
        self._ended.set()
        await self._server.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        call = await request.json()
        action = call["next_action"]
        self.called.append(action)
        if action in self.instead:
            return await self.instead[action](request)
        async with aiohttp.ClientSession() as session, session.post(self._real_url, json=call) as answer:
            passed_on = web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
        if action in self.afterwards:
            await self.afterwards.pop(action)()
        return passed_on

    async def fails(self, request: web.Request) -> web.Response:
        """An exception in the action, told as rasa-sdk does, with the customer's words in it."""
        return web.json_response({"error": (await request.json())["tracker"]["latest_message"]["text"]}, status=500)

    async def stalls(self, _request: web.Request) -> web.Response:
        """No answer."""
        await self._ended.wait()
        return web.Response(status=500)

    async def hangs_up(self, request: web.Request) -> web.Response:
        """The server dies in the middle of it."""
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def complains(self, request: web.Request) -> web.Response:
        """The call was wrong, it says. No action has declined anything: that would have the action's name."""
        return web.json_response({"error": (await request.json())["tracker"]["latest_message"]["text"]}, status=400)

    async def mumbles(self, request: web.Request) -> web.Response:
        """An answer that cannot be read."""
        latest = (await request.json())["tracker"]["latest_message"]["text"]
        return web.Response(text=latest, content_type="application/json")

    async def talks_nonsense(self, request: web.Request) -> web.Response:
        """An answer that is none, with the customer's words in it."""
        latest = (await request.json())["tracker"]["latest_message"]["text"]
        return web.json_response({"events": [{"event": "slot", "name": "problem", "value": latest}], "responses": latest})


class Hold:
    """Keeps an action's answer back: ``reached`` is set once the turn waits for it, until ``go`` is set."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.go.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assistant(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """One assistant for all of them. A locked database gives up soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_ways, "BUSY_TIMEOUT_MS", 1500)
        running = Assistant(tmp_path_factory.mktemp("runner"))
        await running.start()
        yield running
        await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def in_between(assistant: Assistant) -> AsyncIterator[Between]:
    """The server in between, with the runner's calls going to it."""
    endpoint = assistant.agent.action_endpoint
    server = Between(endpoint.url)
    endpoint.url = await server.start()
    yield server
    await server.stop()


@pytest.fixture
def actions(in_between: Between) -> Between:
    """As it is at the beginning of a test."""
    in_between.begin()
    return in_between


@pytest.fixture
def customer(assistant: Assistant, actions: Between) -> Customer:
    """Somebody new, in the chat."""
    return Customer(assistant)


@pytest.fixture
def lock(assistant: Assistant) -> Iterator[sqlite3.Connection]:
    """Another program that can lock the record: ``BEGIN IMMEDIATE``, until ``ROLLBACK``."""
    other = sqlite3.connect(assistant.app.record.url.removeprefix("sqlite:///"), isolation_level=None)
    yield other
    other.close()


def words(assistant: Assistant, contact_id: str, type_name: str = "user", after: int = 0) -> list[str]:
    """What the record holds of the customer's words, or of the assistant's (``bot``)."""
    events = assistant.app.record.conversation(contact_id, after_seq=after)
    return [str(event.data["text"]) for event in events if event.type_name == type_name]


def last_seq(assistant: Assistant, contact_id: str) -> int:
    """The place of the latest event."""
    return max((event.seq for event in assistant.app.record.conversation(contact_id)), default=0)


def response(assistant: Assistant, name: str, channel: str | None = None) -> str:
    """What the domain says under this name."""
    variants = assistant.runner.domain.responses[name]
    return next(str(variant["text"]) for variant in variants if variant.get("channel") == channel)


def turn_of(customer: Customer, text: str, message_id: str | None = None) -> Turn:
    """A message, with an id of one's own choice."""
    return Turn(customer.contact_id, customer.session_id, customer.channel, text, message_id or uuid.uuid4().hex)


def lines(result: TurnResult) -> list[str]:
    """What was said."""
    return [utterance.text for utterance in result.utterances]


# ---- actions that fail


@pytest.mark.parametrize("trouble", ["fails", "stalls", "hangs_up", "complains", "mumbles", "talks_nonsense"])
async def test_a_turn_whose_action_fails_is_an_apology_and_nothing_else(
    assistant: Assistant, actions: Between, customer: Customer, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await customer.says("hello")
    before, facts = last_seq(assistant, customer.contact_id), customer.facts()
    actions.begin()
    actions.instead[FORM] = getattr(actions, trouble)
    if trouble == "stalls":
        monkeypatch.setattr(assistant.agent.action_endpoint, "_timeout_s", 0.3)

    said = await customer.says(FAULT)

    assert said == response(assistant, "utter_apology")
    assert actions.called == [FORM], "no later action of that turn was called"
    events = assistant.app.record.conversation(customer.contact_id, after_seq=before)
    kept = [(event.type_name, event.data.get("name") or event.data.get("text")) for event in events]
    assert kept == [("user", FAULT), ("action", "utter_apology"), ("bot", said), ("action", "action_listen")]
    assert customer.facts() == facts
    assert assistant.app.record.unfinished_messages() == []

    monkeypatch.undo()
    actions.begin()
    await customer.says(FAULT)
    assert customer.asked == "brand", "the next message is understood as if nothing had been"


async def test_a_booking_that_fails_leaves_the_last_question_open_and_is_made_once(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    await customer.says("my dryer doesn't heat, it's a Bosch, since yesterday. I'm Ana Ruiz in 97214")
    answers = {"problem": "no heat", "brand": "bosch", "since": "yesterday", "urgent": "no", "visit_day": "any day is fine"}
    while customer.asked in answers:
        await customer.says(answers[customer.asked])
    assert customer.asked == "visit_time"
    facts, book = customer.facts(), "action_book_visit"
    actions.begin()
    actions.instead[book] = actions.fails

    assert await customer.says("any time") == response(assistant, "utter_apology")
    assert actions.called[-1] == book
    assert (customer.facts(), customer.asked) == (facts, "visit_time")
    assert assistant.app.record.calendar.visits_of(customer.contact_id) == []

    actions.begin()
    await customer.says("any time")
    assert len(assistant.app.record.calendar.visits_of(customer.contact_id)) == 1
    assert words(assistant, customer.contact_id).count("any time") == 2


async def test_a_call_begins_with_a_welcome_where_nothing_can_be_looked_up(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    await customer.says(FAULT)
    facts = customer.facts()
    actions.instead["action_resume"] = actions.fails
    assert await customer.calls() == response(assistant, "utter_call_welcome", PHONE)
    assert customer.facts() == facts


# ---- messages that come twice, side by side, or from somebody who goes away


async def test_a_repeated_message_has_no_second_effect(assistant: Assistant, customer: Customer) -> None:
    turn = turn_of(customer, FAULT)
    first = await assistant.runner.take(turn)
    after = last_seq(assistant, customer.contact_id)

    assert lines(first)
    assert await assistant.runner.take(turn) == first, "the same answer"
    assert last_seq(assistant, customer.contact_id) == after


async def test_a_message_repeated_while_it_is_being_taken_has_no_second_effect(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    actions.afterwards[FORM] = hold = Hold()
    turn = turn_of(customer, FAULT)
    first = asyncio.create_task(assistant.runner.take(turn))
    await hold.reached.wait()
    again = asyncio.create_task(assistant.runner.take(turn))
    hold.go.set()
    assert lines(await first) == lines(await again) != []
    assert words(assistant, customer.contact_id) == [FAULT]


async def test_two_quick_messages_are_taken_one_after_the_other(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    actions.afterwards[FORM] = hold = Hold()
    first = asyncio.create_task(assistant.runner.take(turn_of(customer, FAULT)))
    await hold.reached.wait()
    second = asyncio.create_task(assistant.runner.take(turn_of(customer, "miele")))
    await until(lambda: len(assistant.app.record.unfinished_messages()) == 2)
    assert words(assistant, customer.contact_id) == [], "the second waits for the first"
    hold.go.set()

    results = await asyncio.gather(first, second)
    assert [result.expects.slot for result in results] == ["brand", "since"], "the second answers what the first was asked"
    assert words(assistant, customer.contact_id) == [FAULT, "miele"]
    assert words(assistant, customer.contact_id, "bot") == [*lines(results[0]), *lines(results[1])]


async def test_a_turn_is_finished_when_its_caller_goes_away(assistant: Assistant, actions: Between, customer: Customer) -> None:
    actions.afterwards[FORM] = hold = Hold()
    gone = asyncio.create_task(assistant.runner.take(turn_of(customer, FAULT)))
    await hold.reached.wait()
    gone.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await gone
    assert gone.cancelled()
    hold.go.set()

    await customer.says("miele")  # waits for the turn before
    assert words(assistant, customer.contact_id) == [FAULT, "miele"]
    assert customer.facts() == {"appliance": "washing machine", "problem": "leaks", "brand": "Miele"}
    assert assistant.app.record.unfinished_messages() == []


# ---- a caller who speaks on


async def test_a_turn_that_is_taken_back_leaves_nothing_and_is_taken_whole(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    before = last_seq(assistant, customer.contact_id)
    actions.afterwards[FORM] = hold = Hold()
    half = turn_of(customer, "my washing machine")
    taken = asyncio.create_task(assistant.runner.take(half))
    await hold.reached.wait()
    await assistant.runner.withdraw(half.message_id)
    hold.go.set()

    assert (await taken).withdrawn
    assert last_seq(assistant, customer.contact_id) == before
    assert assistant.app.record.unfinished_messages() == []
    await customer.says("my washing machine leaks since yesterday")
    assert words(assistant, customer.contact_id) == ["my washing machine leaks since yesterday"]
    assert customer.facts().keys() == {"appliance", "problem", "since"}


async def test_a_turn_whose_action_may_have_had_an_effect_is_not_taken_back(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    actions.afterwards["action_request_person"] = hold = Hold()
    turn = turn_of(customer, "I want to talk to a person")
    taken = asyncio.create_task(assistant.runner.take(turn))
    await hold.reached.wait()
    await assistant.runner.withdraw(turn.message_id)
    hold.go.set()

    result = await taken
    assert not result.withdrawn
    assert lines(result) == words(assistant, customer.contact_id, "bot") != []
    assert words(assistant, customer.contact_id) == ["I want to talk to a person"]
    assert len(assistant.app.record.handoffs(customer.contact_id)) == 1


async def test_what_was_understood_ahead_is_what_the_turn_would_have_understood(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    foresight = assistant.runner._dialogue._foresight
    await customer.says(FAULT)
    await customer.says("miele")
    used = foresight.used
    await assistant.runner.foresee("monday", "since")  # in the past, because it is asked since when
    await customer.says("monday")
    assert foresight.used == used + 1
    ahead = customer.facts()["since"]

    await assistant.runner.foresee("tuesday", "visit_day")  # for another question than the open one: of no use
    other = Customer(assistant)
    await other.says(FAULT)
    await other.says("miele")
    await other.says("tuesday")
    assert foresight.used == used + 1
    await other.says("no, since monday")
    assert other.facts()["since"] == ahead


@pytest.mark.parametrize(
    ("text", "slot", "is_whole"),
    [
        ("samsung I'm pretty sure", "brand", True),
        ("it just sits there full of water", "brand", False),  # no brand, and a story
        ("it's a maytag", "since", True),  # answers another question than the one that is open
        ("since last thursday", "brand", True),
        ("my maytag dryer", "since", False),
        ("since last night around two in the morning", "since", True),
        ("okay", "visit_day", False),  # "tomorrow then"
        ("okay", "sure", True),
        ("no", None, True),
        ("yes", "urgent", False),  # "we've got a newborn"
        ("no it can wait", "urgent", True),
        ("linda", "customer_name", False),
        ("linda kowalski", "customer_name", True),
        ("good morning", "visit_time", False),
        ("hello", None, False),  # "is this the repair company"
        ("hello I'm calling about the furnace", None, False),
        ("since yesterday", "since", True),
        ("it began on sunday night I think", "since", False),  # "and then it got worse"
        ("my boiler keeps shutting off", "appliance", False),
        ("how much is a visit", None, True),
        ("second one's better for me", "visit_day", True),
        ("my cell is three six zero five five five oh one six one", None, True),
        ("my cell is three six zero five five five", None, False),
        ("my dryer stopped", None, False),
        ("no that's all thank you", None, True),
        ("I can manage for a few days", "urgent", True),  # an intent answers
    ],
)
async def test_what_somebody_says_whole_is_told_from_what_may_go_on(
    assistant: Assistant, text: str, slot: str | None, is_whole: bool
) -> None:
    assert await assistant.runner.foresee(text, slot) is is_whole


async def test_what_is_rehearsed_leaves_nothing_and_is_what_the_turn_is_answered(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    before = last_seq(assistant, customer.contact_id)
    rehearsed = await assistant.runner.rehearse(turn_of(customer, FAULT, message_id=""))
    assert last_seq(assistant, customer.contact_id) == before
    assert assistant.app.record.unfinished_messages() == []
    assert [utterance.event_id for utterance in rehearsed.utterances] == [""]

    taken = await assistant.runner.take(turn_of(customer, FAULT))
    assert lines(rehearsed) == lines(taken) != []
    assert rehearsed.expects == taken.expects
    assert words(assistant, customer.contact_id) == [FAULT]


async def test_a_rehearsal_ends_where_something_would_be_done(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    rehearsed = await assistant.runner.rehearse(turn_of(customer, "I want to talk to a person", message_id=""))
    assert lines(rehearsed) == []
    assert "action_request_person" not in actions.called
    assert assistant.app.record.handoffs(customer.contact_id) == []


async def test_a_rehearsal_whose_action_fails_tells_nothing(assistant: Assistant, actions: Between, customer: Customer) -> None:
    actions.instead[FORM] = actions.fails
    assert lines(await assistant.runner.rehearse(turn_of(customer, FAULT, message_id=""))) == []
    actions.begin()
    assert lines(await assistant.runner.take(turn_of(customer, FAULT))) != []


async def test_a_rehearsed_question_is_answered_in_full(assistant: Assistant, actions: Between, customer: Customer) -> None:
    rehearsed = await assistant.runner.rehearse(turn_of(customer, "how much is a visit", message_id=""))
    assert lines(rehearsed) == lines(await assistant.runner.take(turn_of(customer, "how much is a visit")))
    assert "89" in lines(rehearsed)[0]


async def test_a_card_number_is_kept_nowhere_and_answered(assistant: Assistant, customer: Customer) -> None:
    answer = await customer.says("I'd like to pay, it's 4242 4242 4242 4242")
    assert "never ask for card numbers" in answer
    assert "4242" not in str([event.data for event in assistant.app.record.conversation(customer.contact_id)])
    assert words(assistant, customer.contact_id) == ["I'd like to pay, it's my credit card number"]


# ---- a record that cannot be written


async def test_a_message_that_cannot_be_stored_is_not_taken(
    assistant: Assistant, actions: Between, customer: Customer, lock: sqlite3.Connection
) -> None:
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await customer.says(FAULT)
    lock.execute("ROLLBACK")

    assert actions.called == []
    assert assistant.app.record.unfinished_messages() == []
    assert assistant.app.record.conversation(customer.contact_id) == []


async def test_a_turn_that_cannot_be_saved_is_not_acknowledged_and_is_finished_later(
    assistant: Assistant, actions: Between, customer: Customer, lock: sqlite3.Connection
) -> None:
    record, runner = assistant.app.record, assistant.runner
    actions.afterwards[FORM] = _locks(lock)
    turn = turn_of(customer, FAULT)
    with pytest.raises(Unavailable):
        await runner.take(turn)
    lock.execute("ROLLBACK")

    assert record.conversation(customer.contact_id) == []
    assert customer.facts() == {}
    assert [left.turn for left in record.unfinished_messages()] == [turn]

    assert await runner.finish_left_over() == 1
    assert words(assistant, customer.contact_id) == [FAULT]
    assert len(words(assistant, customer.contact_id, "bot")) > 0
    assert customer.facts() == {"appliance": "washing machine", "problem": "leaks"}

    after = last_seq(assistant, customer.contact_id)
    assert await runner.finish_left_over() == 0
    assert last_seq(assistant, customer.contact_id) == after


# ---- what another server has left behind


async def test_what_was_left_is_taken_before_what_is_said_next(assistant: Assistant, customer: Customer) -> None:
    record = assistant.app.record
    left = turn_of(customer, FAULT)
    record.store_message(left)  # and the server that stored it died

    result = await assistant.runner.take(turn_of(customer, "miele"))

    assert words(assistant, customer.contact_id) == [FAULT, "miele"]
    assert result.expects.slot == "since", "miele answered what the message before had led to"
    assert record.unfinished_messages() == []
    after = last_seq(assistant, customer.contact_id)
    assert lines(await assistant.runner.take(left)) != [], (
        "its own server was alive after all, and comes late: it gets the answer"
    )
    assert last_seq(assistant, customer.contact_id) == after


async def test_a_call_that_goes_on_hears_what_its_last_words_led_to(assistant: Assistant, customer: Customer) -> None:
    await customer.calls(known=False)
    await customer.says(FAULT)
    assistant.app.record.store_message(turn_of(customer, "miele"))

    result = await assistant.runner.resume(customer.contact_id, customer.session_id, PHONE)

    assert words(assistant, customer.contact_id)[-1] == "miele"
    assert customer.facts()["brand"] == "Miele"
    assert words(assistant, customer.contact_id, "bot")[-len(result.utterances) :] == lines(result)


async def test_of_pages_that_ask_at_once_to_go_on_one_is_told(assistant: Assistant, customer: Customer) -> None:
    """Whether it is still to be said is asked where nobody else can say it meanwhile."""
    await customer.says(FAULT)
    spoken = last_seq(assistant, customer.contact_id)

    async def still() -> bool:
        return last_seq(assistant, customer.contact_id) == spoken

    resumed = [assistant.runner.resume(customer.contact_id, customer.session_id, WEB_CHAT, still=still) for _ in range(3)]
    results = await asyncio.gather(*resumed)

    assert [bool(result.utterances) for result in results].count(True) == 1
    assert {result.contact_id for result in results} == {customer.contact_id}


async def test_a_caller_who_was_asked_to_say_it_again_is_not_taken_to_have_said_it_twice(
    assistant: Assistant, customer: Customer
) -> None:
    await customer.calls(known=False)
    await customer.says(FAULT)
    assistant.app.record.store_message(turn_of(customer, "miele"))  # its save failed, and the caller heard an apology
    before = last_seq(assistant, customer.contact_id)

    await customer.says("bosch")

    assert words(assistant, customer.contact_id, after=before) == ["miele", "bosch"]
    assert words(assistant, customer.contact_id, "bot", before)[0] == response(assistant, "utter_apology", PHONE)
    assert customer.facts()["brand"] == "Bosch"
    assert customer.asked == "since"


@pytest.mark.parametrize("why", ["too old", "tried too often"])
async def test_what_comes_too_late_is_an_apology_and_no_action(
    assistant: Assistant, actions: Between, customer: Customer, lock: sqlite3.Connection, why: str
) -> None:
    record = assistant.app.record
    left = turn_of(customer, FAULT)
    record.store_message(left)
    if why == "too old":
        lock.execute("UPDATE messages SET received_at = '2026-01-01 00:00:00.000000' WHERE message_id = ?", (left.message_id,))
    else:
        for _ in range(2):
            record.count_attempt(left.message_id)

    assert await assistant.runner.finish_left_over() == 1

    assert actions.called == []
    assert words(assistant, customer.contact_id) == [FAULT]
    assert words(assistant, customer.contact_id, "bot") == [response(assistant, "utter_apology")]
    assert record.unfinished_messages() == []
    await customer.says(FAULT)
    assert customer.asked == "brand", "the next message is understood as if nothing had been"


async def test_a_turn_whose_lock_was_taken_away_is_not_saved_and_taken_again(
    assistant: Assistant, actions: Between, customer: Customer
) -> None:
    async def take_away() -> None:
        assistant.app.record.take_away(customer.contact_id)

    await customer.says("hello")
    actions.afterwards[FORM] = take_away
    await customer.says(FAULT)
    assert words(assistant, customer.contact_id) == ["hello", FAULT]
    assert customer.asked == "brand"
    assert actions.called.count(FORM) >= 2


def _locks(lock: sqlite3.Connection) -> Callable[[], Awaitable[None]]:
    async def now() -> None:
        lock.execute("BEGIN IMMEDIATE")

    return now


# ---- two contacts become one


async def _code(customer: Customer) -> str:
    offer = await customer.says("can I continue by phone")
    return "".join(character for character in offer.split("code:")[1].split(".")[0] if character.isdigit())


async def test_a_merge_carries_over_what_was_not_known_and_the_known_form_goes_on(
    assistant: Assistant, customer: Customer
) -> None:
    await customer.says("my dryer doesn't heat")
    code = await _code(customer)
    caller = Customer(assistant)
    await caller.calls(known=False)
    unknown = caller.contact_id
    await caller.says("my oven is broken, I'm Dana Reyes in 97201")
    assert caller.facts()["appliance"] == "oven"

    greeting = await caller.says(" ".join(code))

    assert caller.contact_id == customer.contact_id
    assert caller.facts() == {
        "appliance": "dryer",
        "problem": "doesn't heat",
        "customer_name": "Dana Reyes",
        "postcode": "97201",
    }
    assert "dryer" in greeting
    assert caller.asked == "brand"
    record = assistant.app.record
    assert record.resolve(unknown) == customer.contact_id
    assert words(assistant, customer.contact_id, after=0)[-2:] == ["my oven is broken, I'm Dana Reyes in 97201", " ".join(code)]

    late = Turn(unknown, caller.session_id, PHONE, "miele", uuid.uuid4().hex)
    result = await assistant.runner.take(late)
    assert (result.contact_id, result.expects.slot) == (customer.contact_id, "since"), (
        "a late message for the old id goes on there"
    )


async def test_a_merge_into_a_contact_that_is_in_no_form_brings_the_form_along(
    assistant: Assistant, customer: Customer
) -> None:
    code = await _code(customer)
    caller = Customer(assistant)
    await caller.calls(known=False)
    await caller.says(FAULT)
    assert caller.asked == "brand"
    await caller.says(" ".join(code))
    assert caller.contact_id == customer.contact_id
    assert caller.asked == "brand"
    await caller.says("miele")
    assert caller.facts() == {"appliance": "washing machine", "problem": "leaks", "brand": "Miele"}
    assert caller.asked == "since"


@pytest.mark.parametrize("broken", ["merge", "append_events"])
async def test_a_merge_that_its_server_did_not_get_to_is_made_by_whoever_comes_next(
    assistant: Assistant, customer: Customer, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The code was taken and the caller told so, when the record went away: before the merge, or before the greeting that follows it."""
    record, code = assistant.app.record, await _code(customer)
    caller = Customer(assistant)
    await caller.calls(known=False)
    await caller.says(FAULT)
    unknown, works, calls = caller.contact_id, getattr(record, broken), iter(range(10))

    def breaks(*args: Any, **kwargs: Any) -> Any:
        if broken == "append_events" and next(calls) == 0:
            return works(*args, **kwargs)  # the commit of the turn itself
        raise Unavailable("the database is down")

    with monkeypatch.context() as patch:
        patch.setattr(record, broken, breaks)
        assert "found you" in await caller.says(" ".join(code))
    assert (record.resolve(unknown) == customer.contact_id) == (broken == "append_events")
    [left] = record.unfinished_messages()
    assert [request["kind"] for request in left.asked_for] == ["merge"]

    result = await assistant.runner.take(Turn(unknown, caller.session_id, PHONE, "miele", uuid.uuid4().hex))

    assert result.contact_id == record.resolve(unknown) == customer.contact_id
    assert result.expects.slot == "since", "the form came along, and miele answers it"
    assert record.unfinished_messages() == []
    after = last_seq(assistant, customer.contact_id)
    assert await assistant.runner.finish_left_over() == 0
    assert last_seq(assistant, customer.contact_id) == after


async def test_after_a_merge_was_taken_back_both_go_on_with_their_own(assistant: Assistant, customer: Customer) -> None:
    """A stranger has overheard the code. What both said in the meantime, and what the packet was made of, is told apart."""
    record = assistant.app.record
    await customer.says("my dryer doesn't heat")
    code = await _code(customer)
    caller = Customer(assistant)
    await caller.calls(known=False)
    stranger = caller.contact_id
    await caller.says("my oven is broken, I'm Dana Reyes in 97201")
    await caller.says(" ".join(code))
    await caller.says("miele")
    await customer.says("since yesterday")
    assert customer.asked == "urgent", "the brand is known by the other"
    await customer.says("I want to talk to a person")
    assert "Dana" in str(record.handoffs(customer.contact_id)[0].packet)

    record.unmerge(stranger, reason="operator")
    caller.contact_id = stranger
    await caller.says("it smells burnt")
    await customer.says("what are your opening hours")

    assert caller.contact_id == stranger
    assert caller.facts() | {"problem": ""} == {
        "appliance": "oven", "customer_name": "Dana Reyes", "postcode": "97201", "brand": "Miele", "problem": "",
    }  # fmt: skip
    assert customer.facts().keys() == {"appliance", "problem", "since"}
    assert words(assistant, stranger)[-2:] == ["miele", "it smells burnt"]
    assert words(assistant, customer.contact_id)[-2:] == ["I want to talk to a person", "what are your opening hours"]
    theirs, own = ("Dana", "97201", "oven", "iele", stranger), ("dryer", "n't heat", customer.contact_id)
    assert [word for word in theirs if word in str(record.person(customer.contact_id))] == []
    assert [word for word in own if word in str(record.person(stranger))] == []


# ---- what the log tells


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that is logged at INFO and above, as an operator's log has it."""
    before, page = structlog.get_config(), io.StringIO()
    log.configure(level="INFO")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(page))
    caplog.set_level(logging.INFO)
    yield lambda: page.getvalue() + caplog.text
    structlog.configure(**before)


async def test_the_log_tells_of_turns_and_never_who_or_what(
    assistant: Assistant, actions: Between, customer: Customer, lock: sqlite3.Connection, logged: Callable[[], str]
) -> None:
    text = "I'm Zebulon Quackenbush in 97214, my dishwasher gurgles"
    await customer.says(text)
    assert customer.facts()["customer_name"] == "Zebulon Quackenbush"
    for trouble in (actions.fails, actions.hangs_up, actions.complains, actions.mumbles, actions.talks_nonsense):
        actions.instead[FORM] = trouble
        await customer.says(text)
    actions.begin()
    actions.afterwards[FORM] = _locks(lock)
    with pytest.raises(Unavailable):
        await customer.says(text)
    lock.execute("ROLLBACK")
    await assistant.runner.finish_left_over()

    told = logged()
    assert "turn.taken" in told
    assert "turn.apology" in told
    for personal in ("Zebulon", "Quackenbush", "97214", "gurgles"):
        assert personal.lower() not in told.lower()
        assert personal.lower() not in assistant.actions_log().lower()
