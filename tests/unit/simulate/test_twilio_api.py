"""The simulated REST API, spoken to by Twilio's own SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.unit.simulate.small_line import PUBLIC, SmallLine
from throughline.simulate.in_thread import in_thread
from throughline.simulate.twilio import SentText, TwilioApi, TwilioLine

pytestmark = pytest.mark.contract

ACCOUNT = "AC" + "1" * 32
SECRET = "the account's auth token"  # noqa: S105 - of nobody
NUMBER = "+15035550142"


class Local(TwilioHttpClient):
    """Twilio's HTTP client, at a local address."""

    def __init__(self, api: TwilioApi) -> None:
        super().__init__(timeout=2)
        self._api = api

    def request(self, method, url, *rest, **more):  # type: ignore[no-untyped-def]  # as in the SDK
        return super().request(method, url.replace("https://api.twilio.com", self._api.url), *rest, **more)


@pytest.fixture
def api() -> Iterator[TwilioApi]:
    line = TwilioLine(PUBLIC, account_sid=ACCOUNT, auth_token=SECRET)
    with in_thread(TwilioApi(line, numbers={NUMBER: {"voice_url": f"{PUBLIC}/webhooks/phone/voice"}})) as running:
        yield running


def client(api: TwilioApi, secret: str = SECRET) -> Client:
    return Client(ACCOUNT, secret, http_client=Local(api))


def test_the_account_and_its_number(api: TwilioApi) -> None:
    assert client(api).api.v2010.accounts(ACCOUNT).fetch().status == "active"
    (number,) = client(api).incoming_phone_numbers.list(phone_number=NUMBER)
    assert (number.phone_number, number.voice_url) == (NUMBER, f"{PUBLIC}/webhooks/phone/voice")
    assert client(api).incoming_phone_numbers.list(phone_number="+44") == []
    assert api.requests[-1].fields["PhoneNumber"] == "+44"


def test_a_text_message_is_noted_or_refused_as_twilio_would(api: TwilioApi) -> None:
    to = "+15035550170"
    sent = client(api).messages.create(to=to, from_=NUMBER, body="hello")
    assert (sent.status, sent.to, sent.body) == ("queued", to, "hello")
    assert api.texts == [SentText(NUMBER, to, "hello")]
    api.not_textable["+15035550171"] = 21610
    for fields, code in (
        ({"to": "anonymous"}, 21211),
        ({"to": "+15035550171"}, 21610),
        ({"from_": "+15035550199"}, 21660),
        ({"body": ""}, 21602),
        ({"body": "x" * 1601}, 21617),
    ):
        with pytest.raises(TwilioRestException) as caught:
            client(api).messages.create(**{"to": to, "from_": NUMBER, "body": "hello", **fields})
        assert (caught.value.status, caught.value.code) == (400, code)
    assert len(api.texts) == 1


@pytest.mark.parametrize(("fault", "status"), [("refuse_key", 401), ("error", 500), ("limit", 429)])
def test_it_can_be_told_to_misbehave(api: TwilioApi, fault: str, status: int) -> None:
    api.fault = fault
    with pytest.raises(TwilioRestException) as caught:
        client(api).api.v2010.accounts(ACCOUNT).fetch()
    assert caught.value.status == status
    assert api.requests == []


def test_a_wrong_key_is_refused_and_counted(api: TwilioApi) -> None:
    with pytest.raises(TwilioRestException) as caught:
        client(api, "another").api.v2010.accounts(ACCOUNT).fetch()
    assert (caught.value.status, caught.value.code) == (401, 20003)
    assert api.refused == 1


def test_an_unknown_call_is_not_found(api: TwilioApi) -> None:
    with pytest.raises(TwilioRestException) as caught:
        client(api).calls("CA" + "0" * 32).update(status="completed")
    assert (caught.value.status, caught.value.code) == (404, 20404)


@pytest.mark.parametrize("how", ["in this loop", "in a thread"])
async def test_a_call_is_changed_while_its_stream_is_open(small_line: SmallLine, how: str) -> None:
    line = TwilioLine(PUBLIC, account_sid=ACCOUNT, auth_token=SECRET, connect_to=small_line.address)
    twiml = "<Response><Say>I put you through.</Say><Dial>+15035550100</Dial></Response>"
    with in_thread(TwilioApi(line)) as elsewhere:
        async with TwilioApi(line) as here, line.call(from_="+15035550199", to=NUMBER) as call:
            await call.stream()
            api = here if how == "in this loop" else elsewhere
            changed = await asyncio.to_thread(lambda: client(api).calls(call.sid).update(twiml=twiml))
            await call.over()
            assert changed.status == "in-progress"
            assert call.status == "completed"
            with pytest.raises(TwilioRestException) as caught:
                await asyncio.to_thread(lambda: client(api).calls(call.sid).update(status="completed"))
    assert caught.value.code == 21220
    assert call.verbs == ["Connect", "Say", "Dial"], "the rest of the first document is dropped"
    assert small_line.streams[0].heard[-1]["event"] == "stop"
    assert small_line.names() == ["voice", "status"]


async def test_a_call_is_hung_up(small_line: SmallLine) -> None:
    line = TwilioLine(PUBLIC, account_sid=ACCOUNT, auth_token=SECRET, connect_to=small_line.address)
    async with TwilioApi(line) as api, line.call(from_="+15035550199", to=NUMBER) as call:
        await call.stream()
        await asyncio.to_thread(lambda: client(api).calls(call.sid).update(status="completed"))
        await call.over()
    assert small_line.names() == ["voice", "status"]


@pytest.mark.parametrize("twiml", ["no TwiML", "<Response>" + "<Pause/>" * 1000 + "</Response>"])
async def test_faulty_twiml_changes_nothing(small_line: SmallLine, twiml: str) -> None:
    line = TwilioLine(PUBLIC, account_sid=ACCOUNT, auth_token=SECRET, connect_to=small_line.address)
    async with TwilioApi(line) as api, line.call(from_="+15035550199", to=NUMBER) as call:
        caller = await call.stream()
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(lambda: client(api).calls(call.sid).update(twiml=twiml))
        assert caught.value.status == 400
        assert not caller.ended.is_set()


def test_a_call_is_placed_and_rings(api: TwilioApi) -> None:
    asked = {"to": "+15035550199", "from_": NUMBER, "url": f"{PUBLIC}/webhooks/phone/answered", "timeout": 5}
    placed = client(api).calls.create(**asked)
    assert (placed.status, placed.direction, placed.to) == ("queued", "outbound-api", "+15035550199")
    assert client(api).calls(placed.sid).fetch().status == "ringing"
    client(api).calls(placed.sid).update(status="completed")
    assert client(api).calls(placed.sid).fetch().status == "canceled"


@pytest.mark.parametrize(("changed", "code"), [({"to": "5550199"}, 21211), ({"from_": "+1503"}, 21210), ({"url": "/x"}, 21205)])
def test_a_call_that_is_not_placed(api: TwilioApi, changed: dict[str, str], code: int) -> None:
    asked = {"to": "+15035550199", "from_": NUMBER, "url": f"{PUBLIC}/webhooks/phone/answered", **changed}
    with pytest.raises(TwilioRestException) as refused:
        client(api).calls.create(**asked)
    assert refused.value.code == code
