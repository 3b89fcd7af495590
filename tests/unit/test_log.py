"""Personal data stays out of the log."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from throughline import log
from throughline.errors import Rejected, Unavailable

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before, factory = structlog.get_config(), logging.getLogRecordFactory()
    levels = {name: logging.getLogger(name).level for name in ("rasa", "rasa_sdk")}
    yield
    structlog.configure(**before)
    logging.setLogRecordFactory(factory)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def fail(words: str) -> None:
    raise ValueError(f"cannot read {words!r}")


def both_fail(words: str) -> None:
    try:
        fail(words)
    except ValueError as error:
        raise Unavailable("the calendar does not answer") from error


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What Python's own logging writes, at every level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("I/O operation on closed file.")])
def test_a_line_that_cannot_be_written_is_dropped(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    log.configure()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", Full())
        log.get_logger("record").error("record.listener_failed")


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


RASA = Path(importlib.util.find_spec("rasa").origin).parent  # type: ignore[union-attr,arg-type]
LOGGED = re.compile(
    r"structlogger\.(?:debug|info|warning|warn|error|exception)\(([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*)\)"
)


def test_of_everything_that_rasa_logs_in_keys_only_harmless_ones_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever keys the installed Rasa uses, taken from its source: a later release may have others."""
    source = "".join(file.read_text() for part in ("core", "nlu", "shared") for file in (RASA / part).rglob("*.py"))
    keys = {key for call in LOGGED.findall(source) for key in re.findall(r"\b([a-z_]+)=", call)}
    assert {"rasa_events", "slot_values", "parse_data_text", "tracker_latest_message"} <= keys
    log.configure(level="DEBUG")
    for key in keys - {"host", "topic", "action_name", "len_extraction_events", "successes"}:
        structlog.get_logger().debug("some.rasa.event", **{key: "Dana Reyes"})
    printed = capsys.readouterr().out
    assert printed.count("some.rasa.event") > 15
    assert "Dana Reyes" not in printed


@pytest.mark.parametrize("kept", [False, True])
def test_an_error_is_told_without_its_text(capsys: pytest.CaptureFixture[str], kept: bool) -> None:
    log.configure(personal_data=kept)
    try:
        both_fail("Dana " + "Reyes")
    except Unavailable:
        log.get_logger("call").exception("call.task_failed")
    printed = capsys.readouterr().out
    assert "in both_fail" in printed and "in fail" in printed, "the way through the code"
    assert "ValueError" in printed
    assert "the calendar does not answer" in printed, "our own errors quote nobody"
    assert ("Dana Reyes" in printed) is kept


def test_the_same_for_whoever_logs_it(written: io.StringIO) -> None:
    log.configure()
    try:
        both_fail("Dana " + "Reyes")
    except Unavailable as error:
        logging.getLogger("sanic.error").exception("Exception occurred while handling uri: %s", "/webhooks")
        logging.getLogger("rasa.core.agent").error("That went wrong: %s", error.__cause__)
    lines = written.getvalue()
    assert "handling uri: /webhooks" in lines and "in both_fail" in lines and "That went wrong: ValueError" in lines
    assert "Dana Reyes" not in lines


async def test_a_task_that_nobody_waited_for_quotes_nobody(written: io.StringIO) -> None:
    log.configure()

    async def work() -> None:
        fail("Dana Reyes")

    task = asyncio.get_running_loop().create_task(work())
    await asyncio.wait([task])
    del task
    gc.collect()
    assert "exception=ValueError" in written.getvalue()
    assert "Dana Reyes" not in written.getvalue().replace('fail("Dana Reyes")', "")


def test_rasas_own_debug_lines_are_off(written: io.StringIO) -> None:
    for name in ("rasa", "rasa_sdk"):
        logging.getLogger(name).setLevel(logging.DEBUG)  # rasa run --debug
    log.configure()
    logging.getLogger("rasa.core.actions.action").debug("Validating extracted slots: Dana Reyes")
    logging.getLogger("rasa_sdk.executor").debug("Contents of ignored event: Dana Reyes")
    logging.getLogger("rasa.core.agent").info("Model loaded")
    assert "Model loaded" in written.getvalue()
    assert "Dana Reyes" not in written.getvalue()


def test_an_error_of_our_own_may_be_told_and_others_only_by_their_kind() -> None:
    assert log.told(Rejected("too_long", "12 characters")) == "Rejected: too_long: 12 characters"
    assert log.told(FileNotFoundError(2, "No such file or directory", "models")).endswith("'models'")
    assert log.told(KeyError("Dana Reyes")) == "KeyError"
    assert log.told(asyncio.TimeoutError()) == "TimeoutError"


def test_libraries_that_tell_every_request_are_quiet() -> None:
    for name in ("httpx", "twilio.http_client"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    log.configure()
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("twilio.http_client").isEnabledFor(logging.INFO)
