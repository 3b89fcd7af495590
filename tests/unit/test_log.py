"""Personal data stays out of the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from throughline import log

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def fail(words: str) -> None:
    raise ValueError("a constant text" if words else "")


@pytest.mark.parametrize("kept", [False, True])
def test_marked_keys_are_dropped_unless_the_operator_wants_them(capsys: pytest.CaptureFixture[str], kept: bool) -> None:
    log.configure(personal_data=kept)
    log.get_logger("call").info("call.heard", session="s_1", personal_text="Dana Reyes")
    printed = capsys.readouterr().out
    assert "call.heard" in printed
    assert "s_1" in printed
    assert ("Dana Reyes" in printed) is kept


def test_what_rasa_logs_of_a_message_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(level="DEBUG")
    said = {
        "parse_data_text": "I'm Dana Reyes",
        "parse_data_entities": [{"value": "Dana Reyes"}],
        "rasa_events": ["Dana Reyes"],
    }
    structlog.get_logger().debug("processor.message.parse", **said)
    printed = capsys.readouterr().out
    assert "processor.message.parse" in printed
    assert "Dana Reyes" not in printed


def test_a_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    try:
        fail("Dana Reyes")
    except ValueError:
        log.get_logger("call").exception("call.task_failed")
    printed = capsys.readouterr().out
    assert "ValueError" in printed
    assert "Dana Reyes" not in printed.replace('fail("Dana Reyes")', "")


def test_libraries_that_tell_every_request_are_quiet() -> None:
    for name in ("httpx", "twilio.http_client"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    log.configure()
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("twilio.http_client").isEnabledFor(logging.INFO)
