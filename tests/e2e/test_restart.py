"""A chat outlives a reload, a server that stops, and one that is killed in the middle of a turn; a call, a server that is told to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import story
from tests.e2e.page import open_page
from tests.e2e.stack import COMPANY_NUMBER, Stack
from tests.waiting import until
from throughline import record as record_room
from throughline.domain.turns import WEB_CHAT, Turn
from throughline.simulate.chat import ChatCustomer

pytestmark = pytest.mark.e2e


async def test_history_after_a_reload_and_after_a_restart(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    stack.start()
    try:
        record = record_room.open(stack.database_url, secret=stack.secret)
        async with open_page(stack.page) as page:
            await page.ask_in_chat("my dryer is making a noise")
            before = [line.text for line in await page.chat_messages()]
            await page.reload()
            await page.open_chat()
            assert [line.text for line in await page.chat_messages()] == before
            session_id = await page.session_id()
            contact = record.chat_session(session_id or "").contact_id

            stack.stop()
            # What a server leaves behind that was killed after it had stored a message and before it answered.
            session = record.chat_session(session_id or "")
            record.store_message(Turn(contact, session.session_id, WEB_CHAT, "it's a Miele", f"{session.session_id}:killed"))
            stack.start()

            await page.tab.wait_for_function(
                "(count) => document.querySelectorAll('.rw-response').length > count", arg=1, timeout=60_000
            )
            facts = {fact.slot: fact.value for fact in record.facts(contact)}
            assert facts["brand"] == "Miele", "the message was taken after all"
            assert record.unfinished_messages() == []
            await page.reload()
            await page.open_chat()
            texts = [line.text for line in await page.chat_messages()]
            assert texts[: len(before)] == before
            await page.ask_in_chat("since yesterday")
            assert record.chat_session(await page.session_id() or "").contact_id == contact
            assert story.asked_again(record, contact) == []

        # Rasa's own widget begins every page empty: the server tells it the whole history.
        async with ChatCustomer(stack.address, session_id=session_id, auth={"token": ""}) as widget:
            await widget.wait_for_messages(len(texts))
            shown = [message["text"] for message in widget.messages]
            assert any(text.endswith("my dryer is making a noise") for text in shown)
            assert widget.session_id == session_id
    finally:
        stack.stop()


async def test_the_only_server_that_is_told_to_stop_lets_its_call_end_and_takes_no_more(tmp_path: Path) -> None:
    stack = Stack(tmp_path, settings={"phone": {"drain_s": 60}})
    stack.start()
    try:
        record = record_room.open(stack.database_url, secret=stack.secret)
        async with stack.line().call(from_="+15035550171", to=COMPANY_NUMBER) as call:
            caller = await call.stream()
            await caller.wait_quiet()
            stack.begin_to_stop()
            await until(lambda: "phone.draining" in (tmp_path / "rasa.log").read_text(errors="replace"))
            async with stack.line().call(from_="+15035550172", to=COMPANY_NUMBER) as late:
                await late.over()
            assert late.streams == []
            assert late.verbs[-1] == "Hangup"
            assert late.said, "somebody will call back"
            promised = record.phone_call(late.sid).session
            assert promised is not None
            assert [handoff.reason for handoff in record.handoffs(promised.contact_id)] == ["assistant_failed"]
            await caller.key("97201#")
            await caller.wait_answer()
            assert len(call.streams) == 1
        await until(lambda: not stack.runs, 30)  # at once, now that nobody is on the line
    finally:
        stack.stop()
