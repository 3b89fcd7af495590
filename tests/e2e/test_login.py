"""The website's login over the running product: whose conversation a chat is, by socket and by REST, and that nothing but the website's own
token decides it."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
import requests

from tests.e2e import story
from tests.e2e.page import HANDHELD, open_page
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.website import bad_tokens, login_token
from throughline.domain.assurance import Assurance
from throughline.domain.turns import PHONE
from throughline.record import Record, Session
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.rest_chat import RestCustomer

pytestmark = pytest.mark.e2e


@pytest.fixture
def dana() -> str:
    """The website's id of a customer of this test alone."""
    return f"dana-{secrets.token_hex(4)}"


def session_of(record: Record, session_id: str | None) -> Session:
    assert session_id
    return record.chat_session(session_id)


def said(record: Record, contact: str) -> list[str]:
    return [str(event.data["text"]) for event in story.events_of(record, contact, "user")]


def texts(chat: ChatCustomer) -> list[str]:
    return [str(message.get("text")) for message in chat.messages]


async def rasas_widget(stack: Stack, token: str, session_id: str | None) -> ChatCustomer:
    return ChatCustomer(stack.address, session_id=session_id, auth={"token": token})


async def rasa_webchat(stack: Stack, token: str, session_id: str | None) -> ChatCustomer:
    return ChatCustomer(stack.address, session_id=session_id, login=token)


Opens = Callable[[Stack, str, str | None], Awaitable[ChatCustomer]]
by_either_widget = pytest.mark.parametrize("opens", [rasas_widget, rasa_webchat], ids=["auth", "customData"])


@by_either_widget
async def test_a_login_is_one_person_on_whichever_device(stack: Stack, record: Record, dana: str, opens: Opens) -> None:
    async with await opens(stack, login_token(dana), None) as laptop:
        await laptop.ask("my dryer is making a noise")
        session = session_of(record, laptop.session_id)
        assert session.assurance is Assurance.AUTHENTICATED
    async with await opens(stack, login_token(dana), None) as tablet:
        await tablet.wait_for_messages(2)
        assert texts(tablet)[0] == "You: my dryer is making a noise", "what was said before is shown"
        await tablet.ask("it's a Miele")
        assert session_of(record, tablet.session_id).contact_id == session.contact_id
        assert story.open_question(record, session.contact_id) == "since", "and goes on"
    async with await opens(stack, login_token(dana), laptop.session_id) as reloaded:
        assert reloaded.session_id == laptop.session_id


@by_either_widget
async def test_after_logging_out_nothing_of_it_is_shown(stack: Stack, record: Record, dana: str, opens: Opens) -> None:
    async with await opens(stack, login_token(dana), None) as page:
        await page.ask("my dryer is making a noise")
    session = session_of(record, page.session_id)
    for other in (
        ChatCustomer(stack.address, session_id=page.session_id),
        ChatCustomer(stack.address, session_id=page.session_id, auth={"token": ""}),
        await opens(stack, login_token("emil"), page.session_id),
    ):
        async with other:
            await other.ask("what do you know about me?")
            assert other.session_id != page.session_id
            assert session_of(record, other.session_id).contact_id != session.contact_id
            assert "dryer" not in " ".join(texts(other))
    assert said(record, session.contact_id) == ["my dryer is making a noise"]


@by_either_widget
async def test_what_an_anonymous_visitor_wrote_is_not_the_logins(stack: Stack, record: Record, dana: str, opens: Opens) -> None:
    async with ChatCustomer(stack.address) as visitor:
        await visitor.ask("my dryer is making a noise")
    async with await opens(stack, login_token(dana), visitor.session_id) as page:
        assert page.session_id != visitor.session_id
        await page.ask("hello")
        assert said(record, session_of(record, page.session_id).contact_id) == ["hello"]
        assert "dryer" not in " ".join(texts(page))


async def test_a_page_whose_token_arrives_late_is_moved_before_its_words_are_taken(
    stack: Stack, record: Record, dana: str
) -> None:
    async with ChatCustomer(stack.address, login=login_token(dana)) as earlier:
        await earlier.ask("my dryer is making a noise")
    async with ChatCustomer(stack.address) as page:
        anonymous = session_of(record, page.session_id)
        page.login = login_token(dana)
        await page.ask("it's a Miele")
        moved = session_of(record, page.session_id)
        assert moved.assurance is Assurance.AUTHENTICATED, "it was told its new session"
        assert moved.contact_id == session_of(record, earlier.session_id).contact_id
        assert said(record, moved.contact_id) == ["my dryer is making a noise", "it's a Miele"]
        assert said(record, anonymous.contact_id) == []
        page.login = None
        await page.ask("since yesterday")
        assert session_of(record, page.session_id).session_id == moved.session_id, "it stays logged in while it is open"
        page.login = login_token("emil")
        await page.ask("hello")
        assert session_of(record, page.session_id).contact_id != moved.contact_id, "until somebody else logs in"


async def test_a_token_that_came_late_leads_back_to_the_session_the_page_had(stack: Stack, dana: str) -> None:
    async with ChatCustomer(stack.address, login=login_token(dana)) as before:
        await before.ask("my dryer is making a noise")
    async with ChatCustomer(stack.address, session_id=before.session_id) as reloaded:
        assert reloaded.session_id != before.session_id
        reloaded.login = login_token(dana)
        await reloaded.ask("it's a Miele")
        assert reloaded.session_id == before.session_id


@pytest.mark.parametrize("what", bad_tokens())
async def test_no_other_token_lets_anybody_in(stack: Stack, record: Record, what: str) -> None:
    """By the socket in three ways, and by REST: told so, no session, nothing taken."""
    async with ChatCustomer(stack.address, login=login_token("dana")) as victim:
        await victim.ask("my secret")
    owner = session_of(record, victim.session_id).contact_id
    before, token = len(record.latest_conversations(limit=1000)), bad_tokens()[what]
    words = "run out" if what == "expired" else "can't confirm your login"
    for page in (await rasas_widget(stack, token, victim.session_id), await rasa_webchat(stack, token, victim.session_id)):
        await page.connect()
        await page.ask_for_session()
        await page.wait_for_messages(1)
        page.login = None  # as rasa-webchat asks after the page has
        await page.ask_for_session()
        await page.wait_for_messages(2)
        answers = [*texts(page), *await page.ask("what do you know about me?")]
        assert len(answers) == 3 and all(words in answer for answer in answers), "told to its requests, and to its words"
        assert page.session_id == victim.session_id, "no session was confirmed"
        await page.close()
    async with ChatCustomer(stack.address) as late:
        issued, late.login = late.session_id, token
        (answer,) = await late.ask("what do you know about me?")
        assert words in answer
        assert late.session_id == issued
    async with RestCustomer(stack.address, session_id=victim.session_id, login=token) as client:
        for refused in (await client.say("what do you know about me?"), await client.history()):
            assert refused.status_code == 401
            assert words in refused.json()["message"]
    assert "what do you know about me?" not in said(record, owner)
    assert len(record.latest_conversations(limit=1000)) == before, "nobody's conversation has gone on"


async def test_when_a_login_runs_out_nothing_is_taken_or_shown_until_it_is_renewed(
    stack: Stack, record: Record, dana: str
) -> None:
    async with ChatCustomer(stack.address, login=login_token(dana, exp=time.time() + 4)) as page:
        await page.ask("my dryer is making a noise")
        contact = session_of(record, page.session_id).contact_id
        async with ChatCustomer(stack.address, login=login_token(dana)) as elsewhere:
            await asyncio.sleep(4)
            shown = len(page.messages)
            await elsewhere.ask("it's a Miele")
            for token in (page.login, None):
                page.login = token
                (answer,) = (await page.ask("hello"))[-1:]
                assert "run out" in answer
        assert not any("Miele" in text for text in texts(page)[shown:]), "what went on elsewhere is not shown"
        assert said(record, contact) == ["my dryer is making a noise", "it's a Miele"]
        page.login = login_token(dana)
        answers = " ".join(await page.ask("since yesterday"))
        assert "You: it's a Miele" in " ".join(texts(page)[shown:]), answers
        assert said(record, contact)[-1] == "since yesterday"
        assert story.asked_again(record, contact) == []


async def test_a_page_renews_its_login_by_asking_for_its_session(stack: Stack, record: Record, dana: str) -> None:
    async with ChatCustomer(stack.address, login=login_token(dana, exp=time.time() + 2)) as page:
        session_id = page.session_id
        await asyncio.sleep(2)
        page.login = login_token(dana)
        await page.ask_for_session()
        page.login = None
        await page.ask("my dryer is making a noise")
        assert page.session_id == session_id
        assert said(record, session_of(record, session_id).contact_id) == ["my dryer is making a noise"]


async def test_rest_and_socket_are_one_conversation(stack: Stack, record: Record, dana: str) -> None:
    async with RestCustomer(stack.address, login=login_token(dana)) as app:
        assert await app.ask("my dryer is making a noise")
        async with ChatCustomer(stack.address, login=login_token(dana)) as page:
            await page.ask("it's a Miele")
            contact = session_of(record, page.session_id).contact_id
        seen = (await app.history()).json()
        assert "You: it's a Miele" in [message["text"] for message in seen["messages"]]
        assert await app.ask("since yesterday", message_id="m1") == await app.ask("since yesterday", message_id="m1")
        assert said(record, contact) == ["my dryer is making a noise", "it's a Miele", "since yesterday"]
        assert story.asked_again(record, contact) == []


async def test_a_whole_booking_over_rest(stack: Stack, record: Record) -> None:
    async with RestCustomer(stack.address) as app:
        await app.ask("my washing machine is leaking")
        contact = session_of(record, app.session_id).contact_id
        for _ in range(12):
            slot = story.open_question(record, contact)
            if slot is None:
                break
            answer = await app.ask(story.answer_to(slot))
        assert "booked" in " ".join(answer)
        assert len(record.calendar.visits_of(contact)) == 1


async def test_one_tap_in_the_chat_calls_and_keys_the_code(stack: Stack, record: Record) -> None:
    async with ChatCustomer(stack.address) as chat:
        await chat.ask("My dishwasher won't drain")
        await chat.ask("can I go on by phone?")
        (link,) = [reply for message in chat.messages for reply in message.get("quick_replies", ()) if "url" in reply]
        assert link["url"] == link["payload"]
        dialled = re.fullmatch(r"tel:(\+[0-9]+)(,+)([0-9]{8})", link["url"])
        assert dialled is not None
        number, pauses, code = dialled.groups()
        assert number == COMPANY_NUMBER
        async with stack.line().call(from_="+15035550131", to=number) as call:
            caller = await call.stream()
            await asyncio.sleep(
                0.5
            )  # in the middle of the greeting; a telephone waits longer, two seconds for each of the pauses
            assert len(pauses) == 2
            await caller.key(code)
            await caller.wait_answer()
        contact = session_of(record, chat.session_id).contact_id
        resumed = " ".join(story.said_by_assistant(record, contact, PHONE))
        assert "dishwasher" in resumed


async def test_in_the_browser(stack: Stack, record: Record, dana: str, pictures: Path) -> None:
    script = f"window.websiteLogin = () => sessionStorage.getItem('token') ?? {json.dumps(login_token(dana))};"
    async with open_page(stack.page, script=script, size=HANDHELD) as page:
        await page.ask_in_chat("my dryer is making a noise")
        session = session_of(record, await page.session_id())
        assert session.assurance is Assurance.AUTHENTICATED
        await page.reload()
        await page.ask_in_chat("can I go on by phone?")
        assert session_of(record, await page.session_id()) == replace(session, shown_seq=ANY), "a reload takes it up again"
        link = page.tab.locator("a.rw-reply")
        assert re.fullmatch(r"tel:\+15035550142,,[0-9]{8}", await link.get_attribute("href") or "")
        assert await link.is_visible()
        await page.screenshot(pictures / "chat-tap-to-call.png")

        await page.tab.evaluate("sessionStorage.setItem('token', 'no token')")
        await page.tab.reload()
        refused = page.tab.locator("#chat-status", has_text="can't confirm your login")
        await refused.wait_for()
        await page.tab.locator(".rw-conversation-container").wait_for(state="detached")
        await page.screenshot(pictures / "chat-login-refused.png")
        assert page.problems == []


async def test_who_logs_out_in_the_browser_leaves_nothing_in_the_page(stack: Stack, record: Record, dana: str) -> None:
    script = f"window.websiteLogin = () => sessionStorage.getItem('out') ? null : {json.dumps(login_token(dana))};"
    async with open_page(stack.page, script=script) as page:
        await page.ask_in_chat("my dryer is making a noise")
        session_id = await page.session_id()
        await page.tab.evaluate("sessionStorage.setItem('out', '1')")
        await page.reload()
        await page.ask_in_chat("what do you know about me?")
        assert "dryer" not in " ".join(line.text for line in await page.chat_messages())
        assert await page.session_id() != session_id
        assert page.problems == []


def test_a_login_that_is_set_up_wrongly_is_told_at_start_with_every_fault(tmp_path: Path) -> None:
    wrong = Stack(tmp_path, settings={"login": {"audience": ""}}, environment={"THROUGHLINE_LOGIN_SECRET": "secret"})
    with pytest.raises(RuntimeError) as told:
        wrong.start()
    printed = " ".join(str(told.value).split())
    assert "login.audience" in printed
    assert "THROUGHLINE_LOGIN_SECRET holds only 6 bytes" in printed


def test_a_logged_in_chats_call_needs_its_login(stack: Stack, record: Record, dana: str) -> None:
    """The session's id stays in the browser after logging out; it opens no call that would tell the account's story."""

    def ask(session_id: str | None, token: str | None) -> requests.Response:
        headers = {"Origin": stack.address, **({"Authorization": f"Bearer {token}"} if token is not None else {})}
        url = f"{stack.address}/webhooks/phone/page-call"
        return requests.post(url, json={"session_id": session_id}, headers=headers, timeout=10)

    opened = requests.post(
        f"{stack.address}/webhooks/web_chat/messages",
        json={"message": "my dryer is making a noise"},
        headers={"Authorization": f"Bearer {login_token(dana)}"},
        timeout=30,
    ).json()
    session = session_of(record, opened["session_id"])
    for token in (None, login_token("emil")):
        assert ask(opened["session_id"], token).status_code == 403
    for what, token in bad_tokens().items():
        refused = ask(opened["session_id"], token)
        assert refused.status_code == 401, what
        assert "token" not in refused.json()
    for session_id in (opened["session_id"], None):
        call = ask(session_id, login_token(dana)).json()
        assert record.redeem_call_token(call["token"]).contact_id == session.contact_id
