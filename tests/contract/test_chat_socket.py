"""The chat's socket: a real server on a real socket, real socket.io, a real record; the runner echoes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sanic import Sanic
from websockets.exceptions import InvalidStatusCode

from channels.web_chat import WebChat
from tests.unit.channels.small_server import SmallServer
from tests.waiting import until
from tests.website import ORIGIN
from throughline.domain.turns import PHONE, WEB_CHAT, Turn
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.contract

PAGES, MESSAGES = 10, 20
WIDGET = {"token": ""}
"""As Rasa's own widget connects: its pages begin empty."""


class Chat:
    """The chat of one small server."""

    def __init__(self, address: str, server: SmallServer, channel: WebChat) -> None:
        self.address, self.server, self.channel = address, server, channel
        self._pages = AsyncExitStack()

    def page(self, session_id: str | None = None, **options: Any) -> ChatCustomer:
        return ChatCustomer(self.address, session_id=session_id, origin=ORIGIN, **options)

    async def opened(self, session_id: str | None = None, **options: Any) -> ChatCustomer:
        """A page that is open until the test is over."""
        return await self._pages.enter_async_context(self.page(session_id, **options))

    async def close(self) -> None:
        await self._pages.aclose()

    @property
    def taken(self) -> list[str]:
        return [turn.text for turn in self.server.runner.taken]

    @property
    def addresses(self) -> list[str]:
        """By which the open pages are counted."""
        return [one.address for one in self.channel._sockets.values()]


@pytest_asyncio.fixture
async def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chat]:
    monkeypatch.setattr(Sanic, "test_mode", True)  # several applications in one process
    server, app = SmallServer(tmp_path, pages_per_address=PAGES, messages_per_minute=MESSAGES), Sanic("chat")
    app.ctx.throughline = server
    channel = WebChat()
    app.blueprint(channel.blueprint(_nobody), url_prefix="/webhooks/web_chat")
    for warm_up in server.warm_ups:
        await warm_up()
    listener = socket.create_server(("127.0.0.1", 0))
    running = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    assert running is not None
    await running.startup()
    await running.before_start()
    await running.start_serving()
    opened = Chat(f"http://127.0.0.1:{listener.getsockname()[1]}", server, channel)
    yield opened
    await opened.close()
    await channel._stop(app, None)
    running.close()
    await running.wait_closed()
    server.record.close()


async def _nobody(_message: Any) -> None:
    raise AssertionError("the runner owns a turn")


def texts(page: ChatCustomer) -> list[str]:
    return [str(message["text"]) for message in page.messages]


async def test_a_conversation(chat: Chat) -> None:
    page = await chat.opened()
    assert await page.ask("my dryer is loud") == ["You said: my dryer is loud"]
    assert chat.taken == ["my dryer is loud"]


# Pages of one session


@pytest.mark.parametrize("auth", [WIDGET, None], ids=["rasa's widget", "rasa-webchat"])
async def test_a_page_that_is_loaded_again_before_the_reply_has_the_question_once(chat: Chat, auth: Any) -> None:
    """Rasa's widget begins empty and is told it; rasa-webchat has kept it."""
    page = chat.page(auth=auth)
    await page.open()
    await page.ask("my dryer is loud")
    chat.server.runner.goes_on.clear()
    await page.say("since today")
    await until(chat.server.record.unfinished_messages)
    await page.close()
    again = await chat.opened(page.session_id, auth=auth)
    chat.server.runner.goes_on.set()
    own = ["You: my dryer is loud", "You said: my dryer is loud", "You: since today"] if auth else []
    await again.wait_for_messages(len(own) + 1)
    assert texts(again) == [*own, "You said: since today"]


async def test_what_is_typed_in_one_page_is_shown_in_every_other_and_once_in_its_own(chat: Chat) -> None:
    first = await chat.opened()
    second, widget = await chat.opened(first.session_id), await chat.opened(first.session_id, auth=WIDGET)
    assert await first.ask("my dryer is loud") == ["You said: my dryer is loud"]
    for other in (second, widget):
        await other.wait_for_messages(2)
        assert texts(other) == ["You: my dryer is loud", "You said: my dryer is loud"]
    assert await widget.ask("since today") == ["You said: since today"]
    await first.wait_for_messages(3)
    assert texts(first) == ["You said: my dryer is loud", "You: since today", "You said: since today"]


async def test_a_page_that_kept_its_history_is_shown_what_it_missed_without_its_own_words(chat: Chat) -> None:
    page = chat.page()
    await page.open()
    await page.ask("my dryer is loud")
    await page.close()
    session = chat.server.record.chat_session(page.session_id or "")
    await chat.server.runner.take(Turn(session.contact_id, session.session_id, WEB_CHAT, "since today", "late"))
    again = await chat.opened(page.session_id)
    await again.wait_for_messages(1)
    assert texts(again) == ["You said: since today"]


def leave_in_mid_form(chat: Chat, session_id: str | None) -> None:
    session = chat.server.record.chat_session(session_id or "")
    long_ago = {"timestamp": time.time() - 86_400}
    for event in ({"event": "active_loop", "name": "journey_form"}, {"event": "bot", "text": "Which brand?"}):
        chat.server.runner.say(session.contact_id, session.session_id, {**event, **long_ago})


async def test_of_pages_that_are_opened_again_at_once_one_welcomes_back(chat: Chat) -> None:
    page = chat.page()
    await page.open()
    leave_in_mid_form(chat, page.session_id)
    await page.close()
    pages = await asyncio.gather(*(chat.opened(page.session_id) for _ in range(4)))
    await until(lambda: all("Welcome back." in texts(one) for one in pages))
    await until(lambda: not any(one.waiting for one in chat.channel._sockets.values()))
    session = chat.server.record.chat_session(page.session_id or "")
    said = [event.data.get("text") for event in chat.server.record.conversation(session.contact_id)]
    assert said.count("Welcome back.") == 1


async def test_a_page_that_goes_before_it_has_its_session_leaves_no_view(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    opens, open_visit = asyncio.Event(), chat.server.chat_door.open

    async def late(*args: Any) -> Any:
        await opens.wait()
        return await open_visit(*args)

    monkeypatch.setattr(chat.server.chat_door, "open", late)
    page = chat.page()
    await page.connect()
    await page.ask_for_session()
    await until(lambda: chat.addresses)
    [mine] = chat.channel._sockets.values()
    await until(lambda: mine.waiting)
    await page.close()
    await until(lambda: not chat.addresses)
    opens.set()
    await until(lambda: not mine.waiting)
    assert chat.channel._feed._views == {}


# Bounds


async def test_a_pages_requests_for_its_session_are_bounded_as_its_messages_are(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be a task that waits, and look into the record."""
    page = await chat.opened()
    [mine] = chat.channel._sockets.values()
    await until(lambda: not mine.waiting)
    monkeypatch.setattr(chat.server.chat_door, "welcome_back", None)  # once it has its session there is nothing to look for
    async with mine.turn:
        for _ in range(30):
            await page.ask_for_session()
            await page.say("hello")
        await page.wait_for_messages(50)
        assert mine.waiting == 10
    await until(lambda: not mine.waiting)
    assert len(chat.taken) == 5
    assert all("wait a moment" in text for text in texts(page)[:50])


async def test_in_a_minute_a_page_asks_for_so_much(chat: Chat) -> None:
    page = await chat.opened()
    for _ in range(100):
        await page.send_raw("42" + json.dumps(["session_request", {"session_id": page.session_id}]))
    await until(lambda: len(page.messages) >= 100 - (MESSAGES + 10) + 1)
    other = await chat.opened(page.session_id)
    assert await other.ask("hello") == ["You said: hello"], "another page goes on"


async def test_pages_of_one_network_address_are_bounded_and_others_notice_nothing(chat: Chat) -> None:
    office, home = "2001:db8:1:2::", "2001:db8:1:3::"
    pages = [await chat.opened(forwarded_for=f"{office}{number:x}") for number in range(PAGES)]
    with pytest.raises(InvalidStatusCode) as refused:
        await chat.page(forwarded_for=f"{office}ffff").connect()
    assert refused.value.status_code == 429
    await chat.opened(forwarded_for=f"{home}1")
    await pages[0].close()
    await until(lambda: len(chat.addresses) == PAGES)
    assert (await chat.opened(forwarded_for=f"{office}ffff")).session_id


async def test_connections_that_are_opened_and_ask_for_nothing_are_counted_too(chat: Chat) -> None:
    async with httpx.AsyncClient(base_url=chat.address, headers={"X-Forwarded-For": "203.0.113.7"}) as http:
        polled = [await http.get("/socket.io/?EIO=4&transport=polling") for _ in range(PAGES + 3)]
    assert [answer.status_code for answer in polled] == [200] * PAGES + [429] * 3
    with pytest.raises(InvalidStatusCode):
        await chat.page(forwarded_for="203.0.113.7").connect()


async def test_how_often_an_address_connects_is_bounded(chat: Chat) -> None:
    outcomes = []
    for _ in range(3 * PAGES):
        page = chat.page(forwarded_for="203.0.113.7")
        with contextlib.suppress(InvalidStatusCode):
            await page.connect()
            outcomes.append("connected")
            await page.close()
            await until(lambda: not chat.addresses)
    assert len(outcomes) == 2 * PAGES


# Whom a page is counted as


async def test_who_sends_a_network_address_of_their_own_is_counted_by_what_the_proxy_saw(chat: Chat) -> None:
    """HAProxy's `option forwardfor` adds a line of its own behind the client's."""
    page = chat.page()
    page._headers = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.7")]  # type: ignore[assignment]
    await page.open()
    assert chat.addresses == ["203.0.113.7"]
    await page.close()


async def test_what_a_call_has_said_is_shown_by_one_look(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page may see is not asked anew for each event."""
    page = await chat.opened()
    record, session = chat.server.record, chat.server.record.chat_session(page.session_id or "")
    monkeypatch.setattr(record, "standing", None)
    call = record.open_session(session.contact_id, PHONE, detail={"chat_session_id": session.session_id}).session_id
    for number in range(20):
        chat.server.runner.say(session.contact_id, call, {"event": "bot", "text": f"{number}"}, PHONE)
    await page.wait_for_messages(20)
    assert texts(page) == [f"By phone: {number}" for number in range(20)]
