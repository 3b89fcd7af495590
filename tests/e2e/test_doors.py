"""Who is let in, and what becomes of bad input: at the chat's socket, at the phone line's, and at the page's entry."""

from __future__ import annotations

import asyncio
import json

import pytest
import requests
import websockets.client
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

from tests.e2e import story
from tests.e2e.stack import SESSIONS_PER_MINUTE, Stack
from throughline.domain.transcripts import TELEPHONE
from throughline.errors import Unavailable
from throughline.record import Record
from throughline.simulate.call import Caller
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.e2e


def call_token(stack: Stack) -> str:
    return str(stack.page_call().json()["token"])


async def assert_line_is_closed(caller: Caller) -> None:
    await asyncio.wait_for(caller.ended.wait(), 10)
    assert caller.heard == b"", "no speech was made for it"


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "a" * 5000])
async def test_a_call_without_a_known_token_is_refused(stack: Stack, token: str) -> None:
    async with stack.page_caller(token, TELEPHONE) as caller:
        await assert_line_is_closed(caller)


async def test_a_token_lets_in_one_call_only(stack: Stack) -> None:
    token = call_token(stack)
    async with stack.page_caller(token, TELEPHONE) as first:
        await first.wait_quiet()
        async with stack.page_caller(token, TELEPHONE) as second:
            await assert_line_is_closed(second)
        assert not first.ended.is_set(), "the first call goes on"


async def test_sockets_that_were_not_let_in_do_not_keep_the_line_busy(stack: Stack) -> None:
    """More of them than the line takes calls."""
    open_sockets = [await websockets.client.connect(stack.media_url, origin=stack.address) for _ in range(12)]
    async with stack.page_caller(call_token(stack), TELEPHONE) as caller:
        await caller.first_frame()
    for socket in open_sockets:
        await socket.close()


BAD_MESSAGES = [
    "not json",
    "[]",
    "{}",
    '{"event": 7}',
    '{"event": "media"}',
    '{"event": "media", "media": {"payload": "%%%"}}',
    '{"event": "start", "start": {}}',
    '{"event": "mark", "mark": null}',
    json.dumps({"event": "media", "media": {"payload": "A" * 60_000}}),
    "x" * 200_000,
]


async def test_a_bad_message_ends_its_own_call_and_no_other(stack: Stack) -> None:
    async with stack.page_caller(call_token(stack), TELEPHONE) as good:
        await good.wait_quiet()
        for message in BAD_MESSAGES:
            socket = await websockets.client.connect(stack.media_url, origin=stack.address)
            await socket.send(message)
            with pytest.raises(ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), 10)
        heard = len(good.heard)
        await good.key("1")
        await good.wait_answer()
        assert len(good.heard) > heard


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "http://localhost:1"])
def test_a_foreign_page_gets_no_call(stack: Stack, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    answer = requests.post(f"{stack.address}/webhooks/phone/page-call", json={"session_id": None}, headers=headers, timeout=10)
    assert answer.status_code == 403
    assert answer.json()["error"] == "foreign_origin"
    assert answer.json()["message"]


@pytest.mark.parametrize("session_id", ["unknown", "a" * 5000, 7, ["x"], {"a": 1}])
def test_a_foreign_session_gets_no_call(stack: Stack, session_id: object) -> None:
    answer = stack.page_call(session_id)
    assert answer.status_code == 403
    assert "token" not in answer.json()


@pytest.mark.parametrize("body", ["", "{", "x" * 100_000, "null"])
def test_a_malformed_request_for_a_call_is_refused(stack: Stack, body: str) -> None:
    headers = {"Origin": stack.address, "Content-Type": "application/json"}
    answer = requests.post(f"{stack.address}/webhooks/phone/page-call", data=body, headers=headers, timeout=10)
    assert answer.status_code in (400, 413)


async def test_a_foreign_page_gets_no_chat(stack: Stack) -> None:
    with pytest.raises(InvalidStatusCode):
        await ChatCustomer(stack.address, origin="https://evil.example").open()


async def test_nobody_takes_up_a_session_by_naming_one(stack: Stack, record: Record) -> None:
    async with ChatCustomer(stack.address) as victim:
        await victim.ask("my dryer is making a noise")
        session = record.chat_session(victim.session_id or "")
        for name in ("guess", session.session_id, session.contact_id, "a" * 5000, "../../x"):
            async with ChatCustomer(stack.address, session_id=name) as other:
                assert other.session_id not in (name, victim.session_id)
                assert record.chat_session(other.session_id or "").contact_id != session.contact_id


async def test_a_message_belongs_to_its_sockets_session_whatever_it_says(stack: Stack, record: Record) -> None:
    async with ChatCustomer(stack.address) as victim, ChatCustomer(stack.address) as other:
        await victim.ask("hello")
        said = {"message": "cancel everything", "session_id": victim.session_id}
        await other.send_raw("42" + json.dumps(["user_uttered", said]))
        await other.wait_for_messages(1)
        contact = record.chat_session(victim.session_id or "").contact_id
        assert [event.data["text"] for event in story.events_of(record, contact, "user")] == ["hello"]


@pytest.mark.parametrize("text", ["/restart", "/session_start", '/inform{"customer_name": "Mallory"}', " /affirm"])
async def test_words_are_never_a_command(stack: Stack, record: Record, text: str) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("my dryer is making a noise")
        await chat.ask(text)
        contact = record.chat_session(chat.session_id or "").contact_id
        assert not any(event.data["text"].startswith("/") for event in story.events_of(record, contact, "user"))
        assert story.events_of(record, contact, "restart") == []
        assert "Mallory" not in [fact.value for fact in record.facts(contact)]


@pytest.mark.parametrize(
    "packet",
    [
        '42["user_uttered"]',
        '42["user_uttered", null]',
        '42["user_uttered", []]',
        '42["user_uttered", {"message": null}]',
        '42["nothing", {}]',
    ],
)
async def test_a_message_without_words_changes_nothing(stack: Stack, packet: str) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.send_raw(packet)
        assert await chat.ask("hello")


@pytest.mark.parametrize("packet", ["42[", "9", "42{}", "4", "45-["])
async def test_a_broken_packet_ends_at_most_its_own_page(stack: Stack, packet: str) -> None:
    async with ChatCustomer(stack.address) as other, ChatCustomer(stack.address) as chat:
        await chat.send_raw(packet)
        assert await other.ask("hello")


async def test_a_message_too_long_is_answered_and_nothing_is_lost(stack: Stack, record: Record) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("my dryer is making a noise")
        await chat.ask("a" * 2000)
        contact = record.chat_session(chat.session_id or "").contact_id
        assert len(story.events_of(record, contact, "user")) == 1
        assert "dryer" in [fact.value for fact in record.facts(contact)]


async def test_an_enormous_packet_ends_its_own_page_only(stack: Stack) -> None:
    async with ChatCustomer(stack.address) as other:
        chat = ChatCustomer(stack.address)
        await chat.open()
        await chat.say("a" * 500_000)
        with pytest.raises(Unavailable):
            await chat.wait_for_messages(1, within_s=3)
        assert await other.ask("hello")
        await chat.close()


async def test_a_flood_is_slowed_down(stack: Stack) -> None:
    async with ChatCustomer(stack.address) as chat:
        for _ in range(60):
            await chat.say("hello")
        await chat.wait_for_messages(20, within_s=60)
        async with ChatCustomer(stack.address) as other:
            assert await other.ask("hello")


async def test_one_address_opens_so_many_sessions_and_no_more_and_nothing_is_lost(stack: Stack, record: Record) -> None:
    office, elsewhere = "203.0.113.7", "203.0.113.8"
    async with ChatCustomer(stack.address, forwarded_for=office) as early:
        await early.ask("my dryer is making a noise")
        for _ in range(SESSIONS_PER_MINUTE - 1):
            async with ChatCustomer(stack.address, forwarded_for=office):
                pass
        refused = ChatCustomer(stack.address, forwarded_for=office)
        await refused.connect()
        await refused.ask_for_session()
        await refused.wait_for_messages(1)
        answers = [str(refused.messages[0]["text"]), *await refused.ask("my oven is cold")]
        assert len(answers) == 2, "to the request, and to the words"
        assert all("wait a moment and try again" in answer for answer in answers), "told why, in the domain's words"
        assert refused.session_id is None
        await refused.close()

        await early.ask("it's a Miele")
        contact = record.chat_session(early.session_id or "").contact_id
        assert story.open_question(record, contact) == "since", "who was let in goes on"
        async with ChatCustomer(stack.address, forwarded_for=office, session_id=early.session_id) as reloaded:
            assert reloaded.session_id == early.session_id, "and takes up the session after a reload"
        async with ChatCustomer(stack.address, forwarded_for=elsewhere) as other:
            assert await other.ask("hello"), "and other addresses notice nothing"


async def test_a_page_that_was_given_no_session_when_it_asked_gets_one_with_its_first_words(
    stack: Stack, record: Record
) -> None:
    chat = ChatCustomer(stack.address)
    await chat.connect()
    await chat.ask("my dryer is making a noise")
    contact = record.chat_session(chat.session_id or "").contact_id
    assert story.open_question(record, contact) == "brand", "it was told the session's id, so a reload finds the conversation"
    await chat.close()
