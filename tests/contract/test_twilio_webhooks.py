"""Twilio's webhooks over HTTP: a real server on a real socket, a real record; requests signed as Twilio signs them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import socket
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
import pytest_asyncio
from sanic import Blueprint, Sanic
from structlog.testing import capture_logs

from channels.line_answers import LineAnswers
from channels.twilio_webhooks import TwilioWebhooks, mount, next_for
from tests.waiting import until
from throughline import bootstrap
from throughline import record as record_room
from throughline.bootstrap import Application
from throughline.connectors.calendar.embedded import EmbeddedCalendar
from throughline.connectors.crm.embedded import EmbeddedCrm
from throughline.domain.assurance import CALL_BACK, CODE, Assurance
from throughline.domain.company import WEEKDAYS, Business, OpenDays
from throughline.domain.turns import PHONE, WEB_CHAT
from throughline.errors import Rejected
from throughline.record import PhoneCall, PlacedCall, Record, Session
from throughline.settings.business import load_business
from throughline.settings.server import Settings
from throughline.simulate.twilio_webhooks import signature
from throughline.telephony.twilio_signature import digests

pytestmark = pytest.mark.contract

ACCOUNT, TOKEN = "AC" + "0" * 32, "an auth token for tests only"
PUBLIC = "https://phone.example.com"
CALL, CALLER, PERSON, HOUSE = "CA" + "1" * 32, "+15035550100", "+15035550188", "+15035550142"
IMPATIENT_MS = 400
TABLES = ("contacts", "sessions", "phone_calls", "placed_calls", "call_tokens", "processed_requests", "handoffs")
NEVER = OpenDays(days=WEEKDAYS, opens="00:00", closes="00:00")
ALWAYS = OpenDays(days=WEEKDAYS, opens="00:00", closes="23:59")


@dataclass
class Line:
    """A telephone line's webhooks, and who asks them."""

    folder: Path
    app: Application
    http: httpx.AsyncClient
    server: SimpleNamespace
    busy: bool = False
    telephone: bootstrap.Telephone | None = None
    calls: list[str] = field(default_factory=list)
    told: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def record(self) -> Record:
        return self.app.record

    async def post(
        self, name: str, signed_for: str = PUBLIC, token: str = TOKEN, named: str = "", **fields: str
    ) -> httpx.Response:
        """Ask ``name`` as Twilio would."""
        told = {"AccountSid": ACCOUNT, "CallSid": CALL, "From": CALLER, "To": "+15035550142", "CallStatus": "ringing", **fields}
        path = f"/webhooks/phone/{name}"
        headers = {"X-Twilio-Signature": signature(token, signed_for + path, told), "Host": "other.example.net"}
        if named:
            headers["I-Twilio-Idempotency-Token"] = named
        return await self.http.post(path, data=told, headers=headers)

    async def verbs(self, name: str, **fields: str) -> list[ElementTree.Element]:
        """What Twilio is told to do."""
        answer = await self.post(name, **fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        verbs = list(ElementTree.fromstring(answer.text))  # noqa: S314 - our own server's
        words = {str(value) for value in dataclasses.asdict(self.app.business.phone.line).values()}
        assert {verb.text for verb in verbs if verb.tag == "Say"} <= words, "what is said stands in YAML"
        return verbs

    async def names(self, name: str, **fields: str) -> list[str]:
        return [verb.tag for verb in await self.verbs(name, **fields)]

    def counted(self) -> dict[str, int]:
        """How many rows the record has."""
        with sqlite3.connect(self.folder / "record.db") as connection:
            return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}  # noqa: S608

    def connected(self, reason: str | None = None, step: int = 1) -> Session:
        """The call was connected, and its session ended for ``reason``."""
        token = self.record.announce_call(CALL, caller=CALLER, attestation="", ttl_s=60)
        self.record.redeem_call_token(token, call_sid=CALL)
        for _ in range(step - 1):
            self.record.redeem_call_token(self.again(), call_sid=CALL)
        session = self.record.open_session(self.record.create_contact(), PHONE)
        self.record.note_call_session(CALL, session.session_id)
        if reason:
            self.record.end_session(session.session_id, reason)
        return session

    def again(self) -> str:
        return self.record.reconnect_call(CALL, after_step=self.record.phone_call(CALL).step, ttl_s=60)

    async def prompt(self, contact_id: str, session_id: str, channel: str, response: str) -> None:
        """As the runner's."""
        self.told.append((contact_id, session_id, channel, response))

    def places_call(self) -> tuple[PlacedCall, dict[str, str]]:
        """A customer has asked to be called; the call, and what Twilio tells of it."""
        contact, now = self.record.create_contact(), datetime.now(timezone.utc)
        self.record.add_address(contact, "phone", CALLER, proof=CODE)
        chat = self.record.open_session(contact, WEB_CHAT, assurance=Assurance.POSSESSED)
        placed, _ = self.record.begin_call(
            chat.session_id,
            proved_since=now - timedelta(days=1),
            together=timedelta(hours=1),
            limits=self.app.settings.call_limits(),
        )
        return placed, {"From": HOUSE, "To": CALLER, "Direction": "outbound-api"}

    def picked_up(self, token: str) -> Session:
        """Somebody has, and the stream was connected."""
        assert self.record.redeem_call_token(token, call_sid=CALL).contact_id is not None
        session = self.record.open_session(self.record.create_contact(), PHONE)
        self.record.note_call_session(CALL, session.session_id)
        return session

    @contextlib.contextmanager
    def record_hangs(self) -> Iterator[None]:
        """Nobody else can write to the record: it waits, for longer than a webhook may."""
        connection = sqlite3.connect(self.folder / "record.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            assert connection.in_transaction
        finally:
            connection.close()


def company(**hours: Any) -> Business:
    business = load_business(Path("data/business"))
    return replace(business, hours=replace(business.hours, closed=(), **hours))


@functools.cache
def empty_record() -> bytes:
    """A database with the record's tables, made once."""
    with tempfile.TemporaryDirectory() as folder:
        record = record_room.open(f"sqlite:///{folder}/record.db")
        record.migrate()
        record.close()
        return Path(folder, "record.db").read_bytes()


@contextlib.asynccontextmanager
async def open_line(
    folder: Path, *, transfer_to: str = "", office: OpenDays = NEVER, account: bool = True, webhook_ms: int = 10_000
) -> AsyncIterator[Line]:
    (folder / "record.db").write_bytes(empty_record())
    record = record_room.open(f"sqlite:///{folder}/record.db", secret=b"for tests")
    settings = Settings()
    settings = replace(
        settings,
        site=replace(settings.site, public_url=PUBLIC, public_url_env="NO_SUCH_VARIABLE"),
        twilio=replace(settings.twilio, transfer_to=transfer_to, webhook_ms=webhook_ms),
    )
    business = company(office=(office,))
    app = Application(settings, business, record, EmbeddedCrm(record), EmbeddedCalendar(record), {})
    environ = {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN} if account else {}
    server, sanic = SimpleNamespace(app=app, ready=True, draining=False), Sanic("webhooks")
    listener = socket.create_server(("127.0.0.1", 0))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as http:
        line = Line(folder, app, http, server, telephone=bootstrap.telephone(settings, environ))
        server.runner = line
        webhooks = TwilioWebhooks(server, line.telephone, LineAnswers(app), lambda: line.busy)  # type: ignore[arg-type]
        blueprint = Blueprint("phone")
        mount(blueprint, lambda: webhooks)
        sanic.blueprint(blueprint, url_prefix="/webhooks/phone")
        serving = await sanic.create_server(sock=listener, return_asyncio_server=True, access_log=False)
        assert serving is not None
        await serving.startup()
        await serving.before_start()
        await serving.start_serving()
        yield line
        serving.close()
        await serving.wait_closed()
    record.close()


@pytest.fixture(autouse=True)
def several_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sanic, "test_mode", True)


@pytest_asyncio.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    """A line without a person's telephone, or in the night: what can't be done by the assistant is a call-back."""
    async with open_line(tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture
async def staffed(tmp_path: Path) -> AsyncIterator[Line]:
    """A line with somebody at the telephone."""
    async with open_line(tmp_path, transfer_to=PERSON, office=ALWAYS) as opened:
        yield opened


@pytest_asyncio.fixture
async def hurried(tmp_path: Path) -> AsyncIterator[Line]:
    """As ``line``, and it waits for its record no longer than IMPATIENT_MS."""
    async with open_line(tmp_path, webhook_ms=IMPATIENT_MS) as opened:
        yield opened


@pytest_asyncio.fixture
async def hurried_staffed(tmp_path: Path) -> AsyncIterator[Line]:
    """As ``staffed``, likewise."""
    async with open_line(tmp_path, transfer_to=PERSON, office=ALWAYS, webhook_ms=IMPATIENT_MS) as opened:
        yield opened


async def test_a_call_is_connected(line: Line) -> None:
    connect, redirect = await line.verbs("voice", StirVerstat="TN-Validation-Passed-A")
    (stream,) = connect
    assert stream.attrib["url"] == "wss://phone.example.com/webhooks/phone/media"
    assert redirect.text == f"{PUBLIC}/webhooks/phone/resume?step=1"
    (token,) = stream
    assert token.attrib["name"] == "token"
    assert line.record.redeem_call_token(token.attrib["value"], call_sid=CALL).origin == "twilio"
    call = line.record.phone_call(CALL)
    assert (call.caller, call.attestation) == (CALLER, "TN-Validation-Passed-A")


@pytest.mark.parametrize(
    "name", ["voice", "answered?placed=p_1", "resume?step=1", "dialled", "recorded", "fallback", "status", "status?placed=p_1"]
)
async def test_only_twilio_is_listened_to(line: Line, name: str) -> None:
    before = line.counted()
    answers = [
        await line.http.post(f"/webhooks/phone/{name}", data={"CallSid": CALL}),
        await line.post(name, token="another"),  # noqa: S106
        await line.post(name, signed_for="https://other.example.net"),  # what the Host header says
        await line.post(name, signed_for="http://phone.example.com"),
        await line.post(name, AccountSid="AC" + "9" * 32),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert line.counted() == before


async def test_without_an_account_everybody_is_refused(tmp_path: Path) -> None:
    async with open_line(tmp_path, account=False) as closed:
        assert (await closed.post("voice")).status_code == 403
        assert (await closed.post("voice")).text == "not_configured"


async def test_a_request_that_comes_again_has_one_effect(line: Line) -> None:
    assert await line.names("voice", named="one") == ["Connect", "Redirect"]
    once = line.counted()
    first, second = [await line.verbs("voice", named="one") for _ in range(2)]
    assert {name: count for name, count in line.counted().items() if name != "call_tokens"} == {
        name: count for name, count in once.items() if name != "call_tokens"
    }
    tokens = [connect[0][0].attrib["value"] for connect, _ in (first, second)]
    line.record.redeem_call_token(tokens[0], call_sid=CALL)
    with pytest.raises(Rejected, match="used_token"):
        line.record.redeem_call_token(tokens[1], call_sid=CALL)


async def test_once_connected_a_call_is_not_announced_again(line: Line) -> None:
    line.connected()
    answer = await line.post("voice")
    assert (answer.status_code, answer.text) == (403, "replayed_call")


@pytest.mark.parametrize("named", ["", "idempotent"])
async def test_what_comes_again_later_than_twilio_would_send_it_is_refused(line: Line, named: str) -> None:
    fields = {"AccountSid": ACCOUNT, "CallSid": CALL, "From": CALLER, "To": "+15035550142", "CallStatus": "completed"}
    signed = signature(TOKEN, f"{PUBLIC}/webhooks/phone/status", fields)
    before = datetime.now(timezone.utc) - timedelta(minutes=2)
    known = digests("/webhooks/phone/status", "another signature" if named else signed, named)
    line.record.take_request(known, kind="status", now=before)
    line.connected()
    answer = await line.post("status", CallStatus="completed", named=named)
    assert (answer.status_code, answer.text) == (403, "replayed_request")
    assert line.record.phone_call(CALL).ended_at is None


async def test_when_all_lines_are_taken_the_caller_is_called_back(line: Line) -> None:
    line.busy = True
    said = [verb.text for verb in await line.verbs("voice") if verb.tag == "Say"]
    assert said == [line.app.business.phone.line.busy, line.app.business.phone.line.call_back]
    session = line.record.phone_call(CALL).session
    assert session is not None
    (handoff,) = line.record.handoffs(session.contact_id)
    assert (handoff.kind, handoff.reason, handoff.packet["call_back_to"]) == ("call_back", "busy", CALLER)
    await line.verbs("voice")
    assert len(line.record.handoffs(session.contact_id)) == 1, "asked again, promised once"


async def test_when_all_lines_are_taken_and_somebody_is_there_they_are_rung(staffed: Line) -> None:
    staffed.busy = True
    verbs = await staffed.verbs("voice")
    assert [verb.tag for verb in verbs] == ["Say", "Say", "Dial"]
    assert verbs[-1].text == PERSON
    assert verbs[-1].attrib["action"] == f"{PUBLIC}/webhooks/phone/dialled"


async def test_while_the_assistant_starts_callers_are_looked_after(staffed: Line) -> None:
    staffed.server.ready = False
    assert await staffed.names("voice") == ["Say", "Say", "Dial"]


@pytest.mark.parametrize("name", ["voice", "resume?step=1", "dialled", "fallback"])
async def test_while_the_record_hangs_a_message_is_taken(hurried: Line, name: str) -> None:
    with hurried.record_hangs():
        verbs = await hurried.verbs(name, DialCallStatus="no-answer")
    assert [verb.tag for verb in verbs if verb.tag != "Say"] == ["Record", "Redirect"]
    assert verbs[-1].text == f"{PUBLIC}/webhooks/phone/recorded"


async def test_while_the_record_hangs_somebody_who_is_there_is_rung_once(hurried_staffed: Line) -> None:
    with hurried_staffed.record_hangs():
        assert (await hurried_staffed.names("voice"))[-1] == "Dial"
        assert "Dial" not in await hurried_staffed.names("dialled", DialCallStatus="no-answer")
        assert await hurried_staffed.names("dialled", DialCallStatus="completed") == ["Hangup"]


async def test_while_the_record_hangs_nobody_leaves_a_message_twice(hurried: Line) -> None:
    with hurried.record_hangs():
        said = await hurried.verbs("recorded", RecordingUrl="https://api.twilio.com/x", RecordingSid="RE1")
        assert [verb.text for verb in said if verb.tag == "Say"] == [hurried.app.business.phone.line.message_taken]
        assert await hurried.names("recorded") == ["Hangup"]


async def test_a_message_left_is_listened_to_before_the_call_back(line: Line) -> None:
    await line.names("voice", From="anonymous")
    line.busy = True
    verbs = await line.verbs("fallback", From="anonymous", ErrorCode="11200")
    assert [verb.tag for verb in verbs] == ["Say", "Say", "Record", "Redirect"], "nobody can be called back at no number"
    recording = "https://api.twilio.com/2010-04-01/Accounts/AC/Recordings/RE1"
    said = await line.verbs("recorded", From="anonymous", RecordingUrl=recording, RecordingSid="RE1")
    assert [verb.text for verb in said if verb.tag == "Say"] == [line.app.business.phone.line.message_taken]
    session = line.record.phone_call(CALL).session
    assert session is not None
    (handoff,) = line.record.handoffs(session.contact_id)
    assert handoff.packet["recording"] == recording


async def test_a_message_is_listened_to_though_its_call_back_was_promised_after_all(
    hurried: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer could not wait for the record, which took the promise a moment later: the caller was asked for a message."""
    hurried.connected("failed")
    open_handoff = hurried.record.open_handoff

    def too_late(*args: Any, **kwargs: Any) -> str:
        time.sleep(2 * IMPATIENT_MS / 1000)
        return open_handoff(*args, **kwargs)

    monkeypatch.setattr(hurried.record, "open_handoff", too_late)
    assert "Record" in await hurried.names("resume?step=1", CallStatus="in-progress")
    await until(lambda: hurried.counted()["handoffs"])
    monkeypatch.setattr(hurried.record, "open_handoff", open_handoff)
    await hurried.names("recorded", RecordingUrl="https://api.twilio.com/Recordings/RE1", RecordingSid="RE1")
    session = hurried.record.phone_call(CALL).session
    assert session is not None
    (handoff,) = hurried.record.handoffs(session.contact_id)
    assert handoff.reason == "assistant_failed"
    assert handoff.packet["recording"] == "https://api.twilio.com/Recordings/RE1"


async def test_a_message_of_a_call_that_the_record_missed_is_taken_and_told(line: Line) -> None:
    """It was down when the call came in."""
    with capture_logs() as logged:
        said = await line.verbs("recorded", RecordingUrl="https://api.twilio.com/Recordings/RE1", RecordingSid="RE1")
    assert [verb.text for verb in said if verb.tag == "Say"] == [line.app.business.phone.line.message_taken]
    assert [entry["recording"] for entry in logged if entry["event"] == "phone.message_not_noted"] == ["RE1"]


async def test_who_leaves_no_message_is_hung_up_on(line: Line) -> None:
    assert await line.names("recorded") == ["Hangup"]


@pytest.mark.parametrize("reason", ["completed", "silence", "too_long", "hung_up"])
async def test_a_call_that_is_over_is_hung_up(line: Line, reason: str) -> None:
    line.connected(reason)
    assert await line.names("resume?step=1", CallStatus="in-progress") == ["Hangup"]


async def test_a_call_that_lost_its_server_goes_on_with_its_contact(line: Line) -> None:
    session = line.connected()
    connect, redirect = await line.verbs("resume?step=1", CallStatus="in-progress")
    assert redirect.text == f"{PUBLIC}/webhooks/phone/resume?step=2"
    token = connect[0][0].attrib["value"]
    assert line.record.redeem_call_token(token, call_sid=CALL).contact_id == session.contact_id
    answer = await line.post("resume?step=1", CallStatus="in-progress")
    assert (answer.status_code, answer.text) == (403, "replayed_call")


async def test_it_is_not_connected_for_ever(line: Line) -> None:
    line.connected(step=3)
    verbs = await line.verbs("resume?step=3", CallStatus="in-progress")
    assert next(verb.text for verb in verbs if verb.tag == "Say") == line.app.business.phone.line.trouble


@pytest.mark.parametrize("reason", ["listening_lost", "speaking_lost", "failed", "protocol_error", "too_slow"])
async def test_what_the_assistant_cannot_go_on_with_ends_in_a_call_back_with_everything(line: Line, reason: str) -> None:
    session = line.connected(reason)
    assert (await line.names("resume?step=1", CallStatus="in-progress"))[-1] == "Hangup"
    (handoff,) = line.record.handoffs(session.contact_id)
    assert (handoff.kind, handoff.reason) == ("call_back", "assistant_failed")


async def test_a_call_for_a_person_is_put_through(staffed: Line) -> None:
    staffed.connected("transferred")
    verbs = await staffed.verbs("resume?step=1", CallStatus="in-progress")
    assert [verb.tag for verb in verbs] == ["Say", "Dial"]
    assert verbs[0].text == staffed.app.business.phone.line.put_through


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed", "canceled"])
async def test_a_person_who_does_not_answer_calls_back(staffed: Line, status: str) -> None:
    session = staffed.connected("transferred")
    said = [verb.text for verb in await staffed.verbs("dialled", DialCallStatus=status) if verb.tag == "Say"]
    assert said == [staffed.app.business.phone.line.nobody, staffed.app.business.phone.line.call_back]
    assert [handoff.reason for handoff in staffed.record.handoffs(session.contact_id)] == ["nobody_answered"]


async def test_after_the_talk_with_a_person_the_call_is_over(staffed: Line) -> None:
    assert await staffed.names("dialled", DialCallStatus="completed") == ["Hangup"]


@pytest.mark.parametrize("step", ["", "0x1", "-1", "1000", "\u0661"])
async def test_a_step_that_is_none(line: Line, step: str) -> None:
    line.connected("completed")
    answer = await line.post(f"resume?step={httpx.URL('/?' + step).query.decode()}")
    assert answer.status_code == 403


async def test_an_unknown_call_is_refused(line: Line) -> None:
    assert (await line.post("resume?step=1")).status_code == 403
    assert (await line.post("status", CallStatus="completed")).status_code == 403


async def test_the_end_of_a_call_ends_its_session(line: Line) -> None:
    session = line.connected()
    assert (await line.post("status", CallStatus="in-progress")).status_code == 204
    assert line.record.session(session.session_id).ended_at is None
    assert (await line.post("status", CallStatus="completed")).status_code == 204
    assert line.record.session(session.session_id).end_reason == "hung_up"
    answer = await line.post("resume?step=1", CallStatus="in-progress")
    assert (answer.status_code, answer.text) == (403, "replayed_call")


async def test_the_record_may_be_down_when_a_call_ends(hurried: Line) -> None:
    hurried.connected()
    with hurried.record_hangs():
        assert (await hurried.post("status", CallStatus="completed")).status_code == 503


async def test_a_call_that_we_placed_is_connected_when_it_is_answered(line: Line) -> None:
    placed, fields = line.places_call()
    name = f"answered?placed={placed.placed_id}"
    connect, redirect = await line.verbs(name, CallStatus="in-progress", **fields)
    assert redirect.text == f"{PUBLIC}/webhooks/phone/resume?step=1"
    token = line.record.redeem_call_token(connect[0][0].attrib["value"], call_sid=CALL)
    assert (token.contact_id, token.chat_session_id) == (placed.contact_id, placed.session_id)
    answer = await line.post(name, CallStatus="in-progress", **fields)
    assert (answer.status_code, answer.text) == (403, "replayed_call")


async def test_one_whose_stream_never_came_is_connected_again_for_the_same_person(line: Line) -> None:
    placed, fields = line.places_call()
    await line.verbs(f"answered?placed={placed.placed_id}", **fields)
    connect, _ = await line.verbs("resume?step=1", CallStatus="in-progress", **fields)
    token = line.record.redeem_call_token(connect[0][0].attrib["value"], call_sid=CALL)
    assert token.contact_id == placed.contact_id


async def test_one_that_lost_its_server_goes_on_with_who_picked_up(line: Line) -> None:
    placed, fields = line.places_call()
    connect, _ = await line.verbs(f"answered?placed={placed.placed_id}", **fields)
    session = line.picked_up(connect[0][0].attrib["value"])
    again, redirect = await line.verbs("resume?step=1", CallStatus="in-progress", **fields)
    assert redirect.text == f"{PUBLIC}/webhooks/phone/resume?step=2"
    token = line.record.redeem_call_token(again[0][0].attrib["value"], call_sid=CALL)
    assert token.contact_id == session.contact_id != placed.contact_id


@pytest.mark.parametrize("placed_id", ["", "p_unknown", "p_" + "x" * 99, "c_1"])
async def test_a_call_that_nobody_has_placed_is_not_connected(line: Line, placed_id: str) -> None:
    _, fields = line.places_call()
    before = line.counted()
    for name in ("answered", "status"):
        answer = await line.post(f"{name}?placed={placed_id}", **{**fields, "CallStatus": "completed"})
        assert answer.status_code == 403
    after = line.counted()
    assert {**after, "processed_requests": 0} == {**before, "processed_requests": 0}


@pytest.mark.parametrize(
    ("status", "response"),
    [
        ("no-answer", "utter_call_unanswered"),
        ("busy", "utter_call_busy"),
        ("failed", "utter_call_failed"),
        ("canceled", "utter_call_failed"),
    ],
)
async def test_the_chat_is_told_once_that_nobody_answered(line: Line, status: str, response: str) -> None:
    placed, fields = line.places_call()
    for _ in range(2):
        answer = await line.post(f"status?placed={placed.placed_id}", **{**fields, "CallStatus": status})
        assert answer.status_code == 204
    assert line.told == [(placed.contact_id, placed.session_id, WEB_CHAT, response)]
    assert line.counted()["phone_calls"] == 0


async def test_the_chat_is_told_that_whoever_answered_did_not_say_who_they_are(line: Line) -> None:
    placed, fields = line.places_call()
    connect, _ = await line.verbs(f"answered?placed={placed.placed_id}", **fields)
    session = line.picked_up(connect[0][0].attrib["value"])
    await line.post(f"status?placed={placed.placed_id}", **{**fields, "CallStatus": "completed"})
    assert [response for *_, response in line.told] == ["utter_call_not_confirmed"]
    assert line.record.session(session.session_id).end_reason == "hung_up"


async def test_of_a_call_that_went_on_with_them_the_chat_is_told_nothing(line: Line) -> None:
    placed, fields = line.places_call()
    connect, _ = await line.verbs(f"answered?placed={placed.placed_id}", **fields)
    session = line.picked_up(connect[0][0].attrib["value"])
    line.record.merge(session.contact_id, placed.contact_id, reason=CALL_BACK, session_id=session.session_id)
    assert (await line.post(f"status?placed={placed.placed_id}", **{**fields, "CallStatus": "completed"})).status_code == 204
    assert line.told == []
    assert line.record.phone_call(CALL).ended_at is not None


async def test_where_the_assistant_cannot_go_on_whom_we_called_is_called_back_and_not_ourselves(line: Line) -> None:
    placed, fields = line.places_call()
    line.server.ready = False
    assert (await line.names(f"answered?placed={placed.placed_id}", **fields))[-1] == "Hangup"
    (handoff,) = line.record.handoffs(placed.contact_id)
    assert (handoff.packet["call_back_to"], handoff.session_id) == (CALLER, placed.session_id)


def test_what_a_call_does_next() -> None:
    """Every state of a call has an answer, and only one that lost its server is connected again."""
    moment = datetime(2026, 11, 24, tzinfo=timezone.utc)

    def after(reason: str | None, *, connected: int = 1, step: int = 1) -> str:
        ended = moment if reason else None
        session = Session("s", "c", PHONE, Assurance.ANONYMOUS, moment, ended, {}, end_reason=reason) if connected else None
        return next_for(PhoneCall(CALL, CALLER, "", step, connected, session, None), after_step=step, reconnects=2)

    assert after(None) == "connect"
    assert after("cancelled") == "connect"
    assert after("line_lost") == "connect"
    assert after(None, connected=0) == "connect"
    assert after("completed") == "hang_up"
    assert after("transferred") == "person"
    assert after("failed") == "trouble"
    assert after("refused") == "trouble"
    assert after(None, connected=3, step=3) == "trouble"
    assert after("cancelled", connected=1, step=2) == "connect", "the second connection never came about"
