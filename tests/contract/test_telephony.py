"""What every call control keeps to, and whatever sends text messages (throughline/telephony/protocol.py): Twilio's, by its SDK, against a
local server of its API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
import structlog

from throughline.errors import Rejected, Unavailable
from throughline.simulate.twilio import SentText, TwilioApi
from throughline.telephony import twiml
from throughline.telephony.twilio_control import TwilioControl

pytestmark = pytest.mark.contract

ACCOUNT, TOKEN, CALL = "AC" + "7" * 32, "an auth token for tests only", "CA" + "7" * 32
HANG_UP = twiml.hang_up()
OURS, THEIRS = "+15035550142", "+15035550170"


@dataclass
class OnTheLine:
    """A call that is going on."""

    followed: list[str] = field(default_factory=list)
    status: str = "in-progress"

    @property
    def resource(self) -> dict[str, str | None]:
        return {"sid": CALL, "status": self.status}

    def update(self, twiml: str) -> None:
        self.followed.append(twiml)

    def end(self) -> None:
        self.status = "completed"

    async def ring(self) -> None:
        self.status = "ringing"


@dataclass
class Account:
    """An account with one call."""

    call: OnTheLine = field(default_factory=OnTheLine)
    account_sid: str = ACCOUNT
    auth_token: str = TOKEN
    placed: list[dict[str, str]] = field(default_factory=list)

    @property
    def calls(self) -> dict[str, OnTheLine]:
        return {CALL: self.call}

    def place(self, asked: Mapping[str, str]) -> OnTheLine:
        self.placed.append(dict(asked))
        return self.call


@pytest_asyncio.fixture
async def api() -> AsyncIterator[TwilioApi]:
    async with TwilioApi(Account(), numbers={OURS: {}}) as opened:
        yield opened


def control_of(api: TwilioApi, token: str = TOKEN, text_from: str = OURS) -> TwilioControl:
    return TwilioControl(ACCOUNT, token, api_url=api.url, timeout_ms=500, text_from=text_from)


def call_of(api: TwilioApi) -> OnTheLine:
    account = api.line
    assert isinstance(account, Account)
    return account.call


async def test_a_call_follows_other_instructions(api: TwilioApi) -> None:
    await control_of(api).follow(CALL, HANG_UP)
    assert call_of(api).followed == [HANG_UP]


async def test_a_call_is_hung_up(api: TwilioApi) -> None:
    await control_of(api).hang_up(CALL)
    assert call_of(api).status == "completed"


HOUSE, CUSTOMER = "+15035550142", "+15035550100"
ASKED = {
    "answered_url": "https://phone.example.com/webhooks/phone/answered?placed=p_1",
    "fallback_url": "https://phone.example.com/webhooks/phone/fallback",
    "status_url": "https://phone.example.com/webhooks/phone/status?placed=p_1",
}


def placed_by(api: TwilioApi) -> list[dict[str, str]]:
    account = api.line
    assert isinstance(account, Account)
    return account.placed


async def test_a_call_is_placed_from_the_companys_number_and_asks_by_post(api: TwilioApi) -> None:
    assert await control_of(api).place(CUSTOMER, from_=HOUSE, ring_s=20, **ASKED) == CALL
    assert placed_by(api) == [
        {
            "To": CUSTOMER,
            "From": HOUSE,
            "Url": ASKED["answered_url"],
            "Method": "POST",
            "FallbackUrl": ASKED["fallback_url"],
            "FallbackMethod": "POST",
            "StatusCallback": ASKED["status_url"],
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": "completed",
            "Timeout": "20",
        }
    ], "and nobody listens for a machine first"


@pytest.mark.parametrize("number", ["5035550100", "+15035550199"])
async def test_a_number_that_cannot_be_called(api: TwilioApi, number: str) -> None:
    api.not_called = {"+15035550199"}
    with structlog.testing.capture_logs() as logged, pytest.raises(Rejected, match="not_callable") as told:
        await control_of(api).place(number, from_=HOUSE, ring_s=20, **ASKED)
    assert placed_by(api) == []
    assert number not in str(told.value) + str(logged)


async def test_a_number_that_is_not_the_companys_calls_nobody(api: TwilioApi) -> None:
    api.numbers = {HOUSE: {}}
    with pytest.raises(Rejected, match="not_callable"):
        await control_of(api).place(CUSTOMER, from_="+15035550143", ring_s=20, **ASKED)


@pytest.mark.parametrize("fault", ["refuse_key", "stall", "error", "limit"])
async def test_a_company_that_places_no_calls(api: TwilioApi, fault: str) -> None:
    api.fault = fault
    with structlog.testing.capture_logs() as logged, pytest.raises(Unavailable) as told:
        await control_of(api).place(CUSTOMER, from_=HOUSE, ring_s=20, **ASKED)
    assert CUSTOMER not in str(told.value) + str(logged)
    assert placed_by(api) == []


@pytest.mark.parametrize("call_sid", [CALL, "CA" + "8" * 32])
async def test_a_call_that_is_over_or_unknown(api: TwilioApi, call_sid: str) -> None:
    call_of(api).status = "completed"
    with pytest.raises(Rejected, match="unknown_call"):
        await control_of(api).follow(call_sid, HANG_UP)
    assert call_of(api).followed == []


@pytest.mark.parametrize("fault", ["refuse_key", "stall", "error", "limit"])
async def test_a_company_that_does_not_do_it(api: TwilioApi, fault: str) -> None:
    api.fault = fault
    with structlog.testing.capture_logs() as logged, pytest.raises(Unavailable) as told:
        await control_of(api).hang_up(CALL)
    assert TOKEN not in str(told.value) + str(logged)
    assert told.value.__cause__ is None, "the SDK's own error may hold what was sent"
    assert call_of(api).status == "in-progress"


RECORDINGS = {"RE" + "1" * 32: CALL, "RE" + "2" * 32: CALL, "RE" + "3" * 32: "CA" + "9" * 32}


async def test_a_recording_is_deleted_and_is_gone_when_asked_again(api: TwilioApi) -> None:
    api.recordings = dict(RECORDINGS)
    for _ in range(2):
        await control_of(api).delete_recording("RE" + "1" * 32)
        assert list(api.recordings) == ["RE" + "2" * 32, "RE" + "3" * 32]


async def test_everything_recorded_of_a_call_is_deleted_and_nothing_of_others(api: TwilioApi) -> None:
    api.recordings = dict(RECORDINGS)
    for _ in range(2):
        await control_of(api).delete_recordings_of(CALL)
        assert list(api.recordings) == ["RE" + "3" * 32]


@pytest.mark.parametrize("fault", ["refuse_key", "stall", "error", "limit"])
async def test_a_recording_that_is_not_deleted_is_told(api: TwilioApi, fault: str) -> None:
    api.recordings, api.fault = dict(RECORDINGS), fault
    for deleting in (control_of(api).delete_recording("RE" + "1" * 32), control_of(api).delete_recordings_of(CALL)):
        with pytest.raises(Unavailable):
            await deleting
    assert api.recordings == RECORDINGS


TEXT = "Go on here: https://example.com/demo/#link=Abc_-123"


async def test_a_text_message_is_taken(api: TwilioApi) -> None:
    await control_of(api).send_text(THEIRS, TEXT)
    assert api.texts == [SentText(OURS, THEIRS, TEXT)]


@pytest.mark.parametrize("code", [21211, 21265, 21408, 21610, 21612, 21614, 21635])
async def test_a_number_that_gets_no_text_messages_is_told_apart(api: TwilioApi, code: int) -> None:
    api.not_textable[THEIRS] = code
    with structlog.testing.capture_logs() as logged, pytest.raises(Rejected, match="not_textable") as told:
        await control_of(api).send_text(THEIRS, TEXT)
    assert str(code) in str(told.value)
    assert not any(secret in str(told.value) + str(logged) for secret in (TOKEN, THEIRS, "Abc_-123"))
    assert told.value.__cause__ is None
    assert api.texts == []


async def test_what_is_no_number_gets_none(api: TwilioApi) -> None:
    with pytest.raises(Rejected, match="not_textable"):
        await control_of(api).send_text("anonymous", TEXT)


@pytest.mark.parametrize("text_from", ["", "+15035550143", "voice only"])
async def test_without_a_number_that_may_send_none_is_taken(api: TwilioApi, text_from: str) -> None:
    """The operator's fault, or the company's: it says nothing about the number that was to get one."""
    if text_from == "voice only":
        api.voice_only.add(text_from := OURS)
    with pytest.raises(Unavailable):
        await control_of(api, text_from=text_from).send_text(THEIRS, TEXT)
    assert api.texts == []


async def test_a_trial_account_that_has_not_verified_the_number(api: TwilioApi) -> None:
    api.not_textable[THEIRS] = 21608
    with pytest.raises(Unavailable, match="21608"):
        await control_of(api).send_text(THEIRS, TEXT)


@pytest.mark.parametrize("fault", ["refuse_key", "stall", "error", "limit"])
async def test_a_text_message_that_was_not_taken_is_told(api: TwilioApi, fault: str) -> None:
    api.fault = fault
    with structlog.testing.capture_logs() as logged, pytest.raises(Unavailable) as told:
        await control_of(api).send_text(THEIRS, TEXT)
    assert not any(secret in str(told.value) + str(logged) for secret in (TOKEN, THEIRS, "Abc_-123"))
    assert api.texts == []


async def test_a_company_that_is_not_there() -> None:
    control = TwilioControl(ACCOUNT, TOKEN, api_url="http://127.0.0.1:9", timeout_ms=500, text_from=OURS)
    for asking in (control.hang_up(CALL), control.send_text(THEIRS, TEXT)):
        with pytest.raises(Unavailable, match="can't be reached"):
            await asking
