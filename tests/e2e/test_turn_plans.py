"""What real turns read does not grow: whatever the trained model's turns, the chat's door, a live page and the actions ask of the record is
counted (tests/rows_read.py), for somebody with a long history and among many others.

The actions run in this process, or what they ask would not be seen.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
import pytest_asyncio
from aiohttp import web
from rasa_sdk.executor import ActionExecutor
from rasa_sdk.interfaces import ActionExecutionRejection

from channels.chat_door import ChatDoor
from channels.live import LiveFeed
from tests.e2e import story
from tests.e2e.talk import Assistant, Customer
from tests.postgres import Postgres
from tests.rows_read import rows_read
from tests.unit.record.histories import history, mislead, put, put_business
from tests.waiting import until
from throughline.record import StoredEvent
from throughline.record.views import Unseen

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

MOST_ROWS = 400
"""That one statement of a turn may go through: a live window or two."""

MOST_TURNS = 16


class ActionsHere:
    """The action server, in this process."""

    def __init__(self) -> None:
        self._executor = ActionExecutor()
        self._executor.register_package("actions")

    async def start(self) -> str:
        """Listen on this machine. Returns the URL."""
        app = web.Application()
        app.router.add_post("/webhook", self._answer)
        self._server = web.AppRunner(app)
        await self._server.setup()
        await web.TCPSite(self._server, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._server.addresses[0][1]}/webhook"

    async def stop(self) -> None:
        """Stop."""
        await self._server.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            result = await self._executor.run(await request.json())
        except ActionExecutionRejection as rejected:
            return web.json_response({"error": str(rejected), "action_name": rejected.action_name}, status=400)
        return web.json_response(result)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def assistant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assistant]:
    """One assistant for each database."""
    url = None
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url(postgres.create_database(like=request.getfixturevalue("empty_postgresql_database")))
    actions = ActionsHere()
    running = Assistant(tmp_path_factory.mktemp(request.param), database_url=url, actions_url=await actions.start())
    await running.start()
    yield running
    await running.stop()
    running.app.record.close()
    await actions.stop()


async def test_no_statement_of_real_turns_goes_through_more_rows_than_a_few_windows(assistant: Assistant) -> None:
    record = assistant.app.record
    mislead(record)
    put_business(record, "only", technicians=[one.technician for one in assistant.app.business.technicians])
    put(record, history("dana", 3_000, aliases=[f"dana-{alias}" for alias in range(6)]))
    put(record, history("new", 60))
    put(record, history("later", 3_000))
    with rows_read(record) as asked:
        for contact in ("dana", "new"):
            await chats_books_and_calls(assistant, contact)
    assert asked.above(MOST_ROWS) == {}
    assert any("calendar_visits" in statement for statement in asked), "what actions ask is seen"
    assert len(asked) > 60


class Page:
    """A chat page that is open. What it shows comes by the live view."""

    def __init__(self, assistant: Assistant) -> None:
        server = SimpleNamespace(app=assistant.app, runner=assistant.runner, domain=assistant.runner.domain, login=None)
        self._record = assistant.app.record
        self._together = timedelta(minutes=assistant.app.business.privacy.together_minutes)
        self._door = ChatDoor(server)  # type: ignore[arg-type]
        self.shown: list[str] = []

    async def open(self, session_id: str) -> None:
        """Come back to this visit."""
        self._visit = await self._door.open(self._record.issue_chat_token(session_id), None, "192.0.2.7")
        self._feed = LiveFeed(self._record, together=self._together)
        start = await self._door.start_of(self._visit.session)
        self._feed.watch(self._visit.session, start, self._show, self._ready)

    async def says(self, text: str) -> None:
        """Type, and wait for what comes."""
        before = len(self.shown)
        assert await self._door.take(self._visit, {"message": text}) is not None
        await until(lambda: len(self.shown) > before)

    async def close(self) -> None:
        """Go."""
        await self._feed.close()

    async def _show(self, event: StoredEvent, unseen: Unseen) -> None:
        self.shown += [str(message.get("text")) for message in self._door.shown(event, unseen.standing, known=False)]

    async def _ready(self) -> None:
        pass


async def chats_books_and_calls(assistant: Assistant, contact: str) -> None:
    """A customer books a visit in the chat, goes on by telephone from a number that nobody knows, says the code there, and is heard."""
    record, customer, page = assistant.app.record, Customer(assistant, contact), Page(assistant)
    await page.open(customer.session_id)
    await customer.says("My washing machine leaks")
    for _ in range(MOST_TURNS):
        if customer.asked is None:
            break
        await customer.says(story.answer_to(customer.asked))
    assert [outcome.kind for outcome in record.outcomes(contact)] == ["visit_booked"]
    await page.says("what are your opening hours?")
    code = re.search(r"\b(\d{4}) ?(\d{4})\b", await customer.says("can I go on by phone?"))
    assert code is not None
    caller = Customer(assistant)
    await caller.calls(known=False)
    await caller.says(" ".join("".join(code.groups())))
    assert caller.contact_id == contact
    said = record.conversation(contact, limit=20, newest=True)
    heard = next(event for event in reversed(said) if event.type_name == "bot")
    record.record_heard(heard.event_id, session_id=caller.session_id, text_heard="", complete=False)
    await page.close()
