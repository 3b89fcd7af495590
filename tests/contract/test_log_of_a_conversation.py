"""A conversation over the real doors, with everything that can go wrong in it, leaves nothing of what was said in the log."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.contract.test_chat_rest import MESSAGES, Client, client  # noqa: F401 - a fixture
from tests.website import login_token
from throughline import log
from throughline.errors import Unavailable

pytestmark = pytest.mark.contract

NAME, NUMBER, WORDS = "Dana-Reyes", "+15035550177", "my husband collapsed"
SAID = f"I am {NAME}, {NUMBER}, {WORDS}"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[io.StringIO]:
    """Everything that is logged by anybody at every level, but for what structlog prints (capsys has that)."""
    config, factory, stream = structlog.get_config(), logging.getLogRecordFactory(), io.StringIO()
    root, handler = logging.getLogger(), logging.StreamHandler(stream)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    log.configure(level="DEBUG")
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    logging.setLogRecordFactory(factory)
    structlog.configure(**config)


async def test_nothing_that_was_said_is_logged(
    client: Client,  # noqa: F811 - the fixture
    logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = [await client.say(SAID), await client.say(SAID, f"not a session of {NAME}"), await client.say(SAID * 9)]
    answers.append(await client.say(SAID, token=f"{NAME}.{NUMBER}.x"))
    answers.append(await client.say(SAID, token=login_token(NAME)))
    answers.append(await client.post(MESSAGES, SAID.encode()))
    answers.append(await client.post(MESSAGES, b"\xff" + SAID.encode()))
    answers.append(await client.post(f"/webhooks/web_chat/{WORDS}".replace(" ", "-"), {"session_id": NAME}))
    for error in (ValueError(f"cannot read {SAID!r}"), KeyError(NAME), Unavailable("the database is away")):
        client.server.runner.error = error
        answers.append(await client.say(SAID))
    client.server.runner.error = None
    client.server.runner.goes_on.clear()
    slow = await client.say(SAID)  # answered late; its turn fails behind it
    client.server.record.close()
    client.server.runner.goes_on.set()
    await asyncio.gather(*client.rest.under_way, return_exceptions=True)
    assert {answer.status_code for answer in [*answers, slow]} >= {200, 400, 401, 404, 413, 503}
    printed = capsys.readouterr()
    everything = logged.getvalue() + printed.out + printed.err
    assert "chat.request_refused" in everything and "chat.failed" in everything and "ValueError" in everything
    assert [mark for mark in (NAME, NUMBER, WORDS) if mark in everything] == []
