"""From the telephone to the chat by a link in a text message, while the call is on; and whoever else brings that link."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e import story
from tests.e2e.page import HANDHELD, Browser, Page, open_browser, open_page
from tests.e2e.vendor_line import VendorLine
from tests.waiting import until
from throughline.domain.assurance import LINK, Assurance
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.simulate.call import Caller
from throughline.simulate.chat import ChatCustomer
from throughline.simulate.rest_chat import RestCustomer
from throughline.simulate.twilio import PlacedCall

pytestmark = pytest.mark.e2e

FAULT = "my washing machine is leaking"
MOVE = "can i go on in the chat"


@pytest.fixture
def line(nova: VendorLine) -> VendorLine:
    nova.api.texts.clear()
    nova.api.not_textable.clear()
    return nova


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        yield opened


async def says(line: VendorLine, caller: Caller, text: str) -> None:
    await caller.say(await line.recording(text))
    await caller.wait_answer()


async def linked(line: VendorLine, call: PlacedCall) -> tuple[Caller, str]:
    """The call, once its caller has told what is broken and been sent a link."""
    caller = await call.stream()
    await caller.wait_quiet()
    await says(line, caller, FAULT)
    await says(line, caller, MOVE)
    return caller, link_in(line)


def link_in(line: VendorLine) -> str:
    found = re.search(r"(\S+/demo/#link=[A-Za-z0-9_-]+)(?:\s|$)", line.api.texts[-1].body)
    assert found, line.api.texts
    return found.group(1)


def secret_of(link: str) -> str:
    return link.partition("#link=")[2]


def told(line: VendorLine, call: PlacedCall) -> str:
    """What the caller was told last."""
    events = story.events_of(line.record, line.session(call).contact_id, "user", "bot")
    last = max(index for index, event in enumerate(events) if event.type_name == "user")
    return " ".join(str(event.data["text"]) for event in events[last + 1 :])


async def everything_in(page: Page) -> str:
    return "\n".join(one.text for one in await page.chat_messages())


async def test_a_caller_goes_on_in_the_chat_while_the_call_is_on(line: VendorLine, browser: Browser, pictures: Path) -> None:
    number = "+15035550301"
    async with line.call(number) as call:
        caller, link = await linked(line, call)
        (text,) = line.api.texts
        assert text.to == number
        assert link.startswith(f"{line.stack.address}/demo/#link=")
        assert "text message" in told(line, call)
        contact = line.session(call).contact_id
        assert story.open_question(line.record, contact) == "brand", "the question stays open"

        async with open_page(link, browser=browser, size=HANDHELD) as page:
            await page.wait_for_bot("Which brand is the washing machine?")
            assert "You, by phone: my washing machine is leaking" in await everything_in(page), "what was said is there to read"
            assert "#" not in page.tab.url, "the link is gone from the address"
            await page.screenshot(pictures / "link.png")
            await page.ask_in_chat("it's a Bosch")
            assert story.open_question(line.record, contact) == "since"
            visit = line.record.chat_session(await page.session_id() or "")
            assert (visit.contact_id, visit.assurance) == (contact, Assurance.POSSESSED)

            await says(line, caller, "since yesterday")
            assert story.open_question(line.record, contact) == "urgent", "the call knows what was typed"
            await page.wait_for_bot("You, by phone: since yesterday")
            await page.reload()
            await page.ask_in_chat("it can wait")
            assert story.open_question(line.record, contact) == "customer_name"
            await page.ask_in_chat("I'm Maria Lopez, 97201")
            await says(line, caller, "what do you know about me")
            assert "Maria" in told(line, call), "the call and its chat are in the same hands"
            assert page.problems == []
        assert [one.proof for one in line.record.addresses_of(contact) if one.value == number] == [LINK]
        assert story.asked_again(line.record, contact) == []
        assert {event.channel for event in story.events_of(line.record, contact, "user")} == {PHONE, WEB_CHAT}
        assert not call.errors
    assert secret_of(link) not in line.log
    assert number not in line.log


async def test_a_second_browser_and_a_forger_get_nothing(line: VendorLine, browser: Browser) -> None:
    async with line.call("+15035550302") as call:
        _, link = await linked(line, call)
        forged = link[:-1] + ("A" if link[-1] != "A" else "B")
        async with open_page(forged, browser=browser) as page:
            await page.wait_for_bot("I don't know that link")
            assert "washing machine" not in await everything_in(page)
            assert "#" not in page.tab.url
        async with open_page(link, browser=browser) as first:
            await first.wait_for_bot("Which brand")
            async with open_page(link, browser=browser) as second:
                await second.wait_for_bot("That link was opened already")
                assert "washing machine" not in await everything_in(second)
                assert "#" not in second.tab.url
                assert await second.ask_in_chat("what are your hours"), "who it is goes on without it"
        contact = line.session(call).contact_id
        assert "hours" not in "".join(str(event.data["text"]) for event in story.events_of(line.record, contact, "user"))
        async with ChatCustomer(line.stack.address) as chat:
            for brought, outcome in ((secret_of(link), "used_link"), (secret_of(forged), "unknown_link"), ("", "unknown_link")):
                assert await chat.open_link(brought or "?") == outcome
            assert line.record.chat_session(chat.session_id or "").assurance is Assurance.ANONYMOUS
        async with RestCustomer(line.stack.address) as rest:
            assert (await rest.say("hello", link=secret_of(link))).status_code == 410


async def test_what_was_said_in_that_browser_before_does_not_come_along(line: VendorLine, browser: Browser) -> None:
    async with open_page(line.stack.page, browser=browser) as page, line.call("+15035550303") as call:
        await page.ask_in_chat("my oven is broken, I'm Robin Quist")
        before = line.record.chat_session(await page.session_id() or "")
        caller, link = await linked(line, call)
        await page.tab.goto(link)  # in a page that is open already
        await page.wait_for_bot("Which brand is the washing machine?")
        assert "Robin" not in await everything_in(page), "another conversation, another page"
        now = line.record.chat_session(await page.session_id() or "")
        contact = line.session(call).contact_id
        assert now.contact_id == contact
        assert line.record.session(before.session_id).contact_id == before.contact_id != contact
        await says(line, caller, "what do you know about me")
        assert not re.search("Robin|oven", told(line, call))
        assert page.problems == []


async def test_a_page_that_can_not_connect_keeps_its_link_and_brings_it_later(line: VendorLine, browser: Browser) -> None:
    async with open_page(line.stack.page, browser=browser) as page, line.call("+15035550304") as call:
        _, link = await linked(line, call)
        await page.tab.goto("about:blank")
        await page.tab.route("**/socket.io/**", lambda route: route.abort())
        await page.tab.goto(link)
        await page.tab.wait_for_timeout(1_500)
        assert page.tab.url == link
        await page.tab.unroute("**/socket.io/**")
        await page.wait_for_bot("Which brand")
        assert "#" not in page.tab.url


async def test_where_no_text_can_be_sent_the_code_is_told_at_once(line: VendorLine) -> None:
    number = "+15035550305"
    line.api.not_textable[number] = 21610
    async with line.call(number) as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await says(line, caller, MOVE)
        code = re.search(r"code: ((?:\d[ ,.]*){8})", told(line, call))
        assert code, told(line, call)
        assert line.api.texts == []
        async with ChatCustomer(line.stack.address) as chat:
            await chat.ask(re.sub(r"\D", "", code.group(1)))
            assert line.record.chat_session(chat.session_id or "").contact_id == line.session(call).contact_id


async def test_a_reload_in_the_middle_and_the_call_that_ends_lose_nothing(line: VendorLine) -> None:
    """The server has opened the link, and the page has not heard of it."""
    async with line.call("+15035550306") as call:
        _, link = await linked(line, call)
        contact = line.session(call).contact_id
        async with ChatCustomer(line.stack.address) as chat:
            assert await chat.open_link(secret_of(link)) == "opened"
        call.hang_up()
        await call.over()
        async with ChatCustomer(line.stack.address, session_id=chat.session_id) as again:
            assert again.session_id == chat.session_id
            assert await again.open_link(secret_of(link)) == "opened"
            await again.ask("it's a Bosch")
        await until(lambda: story.open_question(line.record, contact) == "since")
