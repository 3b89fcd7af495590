"""The simulated Twilio: calls as Twilio makes them, so that what holds against it holds against the real one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from tests.unit.simulate.small_line import CONNECT, HANG_UP, PUBLIC, STREAM, SmallLine, Stream
from throughline.errors import ProtocolError, Unavailable
from throughline.simulate.twilio import Party, TwilioLine, signature
from throughline.simulate.twiml import parse

pytestmark = pytest.mark.contract

ACCOUNT = "AC" + "1" * 32
SECRET = "the account's auth token"  # noqa: S105 - of nobody
CALLER, NUMBER = "+15035550199", "+15035550142"
PAYLOADS = Path(__file__).parents[2] / "contract" / "payloads" / "twilio"
SAYS = b"\x80" * 160


def twilio(line: SmallLine, webhook_s: float = 15) -> TwilioLine:
    return TwilioLine(PUBLIC, account_sid=ACCOUNT, auth_token=SECRET, connect_to=line.address, webhook_s=webhook_s)


def redirected(name: str = "resume", **attributes: str) -> str:
    return f"<Redirect>{PUBLIC}/webhooks/phone/{name}</Redirect>"


def test_the_signature_is_the_one_of_twilios_documentation() -> None:
    fields = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309"}
    signed = signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", {**fields, "To": "+18005551212"})
    assert signed == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


async def test_a_call_from_ringing_to_its_status(small_line: SmallLine) -> None:
    async def hold(stream: Stream) -> None:
        await stream.say(SAYS, "sentence-1")
        assert (await stream.until("mark"))["mark"] == {"name": "sentence-1"}

    small_line.holds = hold
    line = twilio(small_line)
    async with line.call(from_=CALLER, to=NUMBER, stir="TN-Validation-Passed-A") as call:
        await call.over()
    assert call.verbs == ["Connect", "Redirect", "Hangup"]
    assert small_line.names() == ["voice", "resume", "status"]
    voice, resume, status = (small_line.fields(name) for name in ("voice", "resume", "status"))
    assert (voice["From"], voice["To"], voice["StirVerstat"]) == (CALLER, NUMBER, "TN-Validation-Passed-A")
    assert [fields["CallStatus"] for fields in (voice, resume, status)] == ["ringing", "in-progress", "completed"]
    assert {fields["CallSid"] for fields in (voice, resume, status)} == {call.sid}
    assert int(status["CallDuration"]) >= 1
    assert call.streams[0].heard == SAYS
    assert call.violations == call.errors == []


async def test_every_webhook_is_signed_over_its_public_address_and_its_fields(small_line: SmallLine) -> None:
    async with twilio(small_line).call(from_=CALLER, to=NUMBER):
        pass
    checks = RequestValidator(SECRET)
    for name, fields, headers in small_line.posted:
        url = f"{PUBLIC}/webhooks/phone/{name}"
        assert headers["Host"] == "voice.example"
        assert checks.validate(url, fields, headers["X-Twilio-Signature"])
        assert not checks.validate(url, {**fields, "From": "+1"}, headers["X-Twilio-Signature"])


async def test_the_streams_upgrade_is_signed_and_carries_the_calls_names(small_line: SmallLine) -> None:
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.stream()
        await asyncio.sleep(0.05)
    (stream,) = small_line.streams
    assert stream.headers["X-Twilio-Signature"] == RequestValidator(SECRET).compute_signature(STREAM, {})
    assert "Origin" not in stream.headers
    assert stream.heard[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert (stream.start["accountSid"], stream.start["callSid"]) == (ACCOUNT, call.sid)
    assert stream.start["customParameters"] == {"token": "let-me-in"}
    assert stream.start["streamSid"].startswith("MZ")


async def test_a_caller_who_hangs_up_stops_the_stream_and_ends_the_call(small_line: SmallLine) -> None:
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.stream()
        call.hang_up()
        await call.over()
        (stream,) = small_line.streams
        await asyncio.wait_for(stream.closed.wait(), 5)
    assert stream.heard[-1]["event"] == "stop"
    assert stream.heard[-1]["stop"] == {"accountSid": ACCOUNT, "callSid": call.sid}
    assert small_line.names() == ["voice", "status"], "no verb is done for a caller who is gone"


@pytest.mark.parametrize(
    ("party", "outcome"),
    [(Party(), "completed"), (Party("busy"), "busy"), (Party(rings_s=40), "no-answer"), (None, "no-answer")],
)
async def test_a_dialled_number_and_what_became_of_it(small_line: SmallLine, party: Party | None, outcome: str) -> None:
    action = f"{PUBLIC}/webhooks/phone/dialled"
    small_line.answers["voice"] = (
        f'<Response><Say>One moment.</Say><Dial timeout="25" action="{action}">{NUMBER}</Dial><Say>No.</Say></Response>'
    )
    small_line.answers["dialled"] = "<Response><Say>Bye.</Say></Response>"
    line = twilio(small_line)
    if party:
        line.parties[NUMBER] = party
    async with line.call(from_=CALLER, to="+1") as call:
        await call.over()
    assert call.dialled == [NUMBER]
    assert small_line.fields("dialled")["DialCallStatus"] == outcome
    assert call.said == ["One moment.", "Bye."]
    assert call.verbs == ["Say", "Dial", "Say"]


async def test_a_message_is_left_unless_the_caller_says_nothing(small_line: SmallLine) -> None:
    small_line.answers["voice"] = '<Response><Record maxLength="60" action="recorded"/><Say>Nothing.</Say></Response>'
    small_line.answers["recorded"] = HANG_UP
    line = twilio(small_line)
    async with line.call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.recorded == 1
    assert small_line.fields("recorded")["RecordingDuration"] == "5"
    line.leaves_message = False
    async with line.call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.said == ["Nothing."]


async def test_a_webhook_that_fails_once_is_tried_again_with_the_same_idempotency_token(small_line: SmallLine) -> None:
    small_line.answers["voice"] = [502, HANG_UP]
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    first, second = call.webhooks[:2]
    assert (first.status, second.status) == (502, 200)
    assert first.idempotency_token == second.idempotency_token != call.webhooks[2].idempotency_token
    assert small_line.posted[0][2]["I-Twilio-Idempotency-Token"] == first.idempotency_token
    assert call.errors == []


@pytest.mark.parametrize(
    ("answer", "code", "tries"),
    [
        (500, "11200", 2),
        (404, "11200", 1),
        ("stall", "11205", 1),
        ("no TwiML", "12100", 1),
        ((HANG_UP, "application/json"), "12300", 1),
    ],
)
async def test_a_webhook_that_fails_leads_to_the_fallback(small_line: SmallLine, answer: object, code: str, tries: int) -> None:
    small_line.answers["voice"] = answer
    small_line.answers["fallback"] = "<Response><Say>We call you back.</Say></Response>"
    async with twilio(small_line, webhook_s=0.2).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert small_line.names() == ["voice"] * tries + ["fallback", "status"]
    assert small_line.fields("fallback")["ErrorCode"] == code
    assert small_line.fields("fallback")["ErrorUrl"] == f"{PUBLIC}/webhooks/phone/voice"
    assert call.said == ["We call you back."]
    assert call.errors == [f"{code} {PUBLIC}/webhooks/phone/voice"]


async def test_without_any_answer_twilio_apologises_itself(small_line: SmallLine) -> None:
    small_line.answers.update(voice=500, fallback=500)
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.verbs == ["ApplicationError"]
    with pytest.raises(Unavailable):
        await call.stream()


async def test_a_refused_stream_goes_on_with_the_next_verb(small_line: SmallLine) -> None:
    small_line.refuses_streams = True
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.verbs == ["Connect", "Redirect", "Hangup"]
    assert call.errors == [f"31920 {STREAM}"]


async def test_a_call_that_lost_its_server_is_connected_again(small_line: SmallLine) -> None:
    async def fall_silent(_stream: Stream) -> None:
        return

    small_line.holds = fall_silent
    small_line.answers["resume"] = [CONNECT, HANG_UP]
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        second = await call.stream(2)
        await call.over()
    assert second is call.streams[1]
    assert [stream.start["callSid"] for stream in small_line.streams] == [call.sid] * 2
    assert small_line.streams[0].start["streamSid"] != small_line.streams[1].start["streamSid"]
    assert call.verbs == ["Connect", "Redirect", "Connect", "Redirect", "Hangup"]


async def test_a_stream_that_breaks_off_is_followed_by_the_next_verb(small_line: SmallLine) -> None:
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        (await call.stream()).cut()
        await call.over()
        await asyncio.wait_for(small_line.streams[0].closed.wait(), 5)
    assert call.verbs == ["Connect", "Redirect", "Hangup"]
    assert "stop" not in [message["event"] for message in small_line.streams[0].heard]


async def test_audio_of_any_length_plays_at_the_pace_of_real_time(small_line: SmallLine) -> None:
    """300 ms in one message: the mark after it comes back when the clock has ticked fifteen times."""

    async def hold(stream: Stream) -> None:
        before = len(stream.heard)
        await stream.say(bytes(range(240)) * 10, "end")
        await stream.until("mark")
        ticks = [message for message in stream.heard[before:] if message["event"] == "media"]
        assert len(ticks) >= 15

    small_line.holds = hold
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.streams[0].heard == bytes(range(240)) * 10
    assert call.verbs[-1] == "Hangup"


@pytest.mark.parametrize("name", ["voice", "resume", "status", "fallback", "dialled", "recorded"])
async def test_no_webhook_carries_a_field_that_twilio_does_not_send(small_line: SmallLine, name: str) -> None:
    documented = dict(parse_qsl((PAYLOADS / f"{name}.form").read_text().strip(), keep_blank_values=True))
    base = f"{PUBLIC}/webhooks/phone"
    small_line.answers["resume"] = f'<Response><Dial action="{base}/dialled">{NUMBER}</Dial></Response>'
    small_line.answers["dialled"] = f'<Response><Record action="{base}/recorded"/></Response>'
    small_line.answers["recorded"] = 500
    small_line.refuses_streams = True
    async with twilio(small_line).call(from_=CALLER, to=NUMBER, stir="TN-Validation-Passed-A") as call:
        await call.over()
    sent = small_line.fields(name)
    extra = (
        {"StirVerstat", "RecordingSid", "RecordingUrl", "RecordingDuration", "Digits"}
        if name == "fallback"
        else {"StirVerstat"}
    )
    assert set(sent) - extra <= set(documented)
    assert {"CallSid", "AccountSid", "From", "To", "CallStatus", "ApiVersion", "Direction"} <= set(sent)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["<Response>", "</Response>", "<Say>", "</Say>", "<Connect/>", "&", "x"]))
)
def test_any_text_is_twiml_or_none(text: str | list[str]) -> None:
    try:
        assert all(verb.name for verb in parse("".join(text)))
    except ProtocolError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("twiml", "error"),
    [
        ("<Answer/>", "12100"),
        (CONNECT.replace("/media", "/media?token=1"), "12100"),
        (CONNECT.replace("wss:", "https:"), "12100"),
        (f"<Response><Shout/>{redirected()}</Response>", "12200 <Shout>"),
    ],
)
async def test_faulty_twiml_shows_in_the_debugger(small_line: SmallLine, twiml: str, error: str) -> None:
    small_line.answers["voice"] = twiml
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.errors[0].startswith(error)
    assert call.verbs[-1] == "Hangup"


async def test_what_twilio_does_not_take_is_noted_and_passed_over(small_line: SmallLine) -> None:
    async def hold(stream: Stream) -> None:
        sid = stream.start["streamSid"]
        await stream.socket.send_bytes(b"audio")
        await stream.socket.send_str("{")
        await stream.socket.send_str('{"event": "caption", "who": "assistant", "text": "Hello", "final": true}')
        await stream.send("media", media={"payload": "///"})
        await stream.send("media", media={"payload": ""})
        await stream.send("media", media={"payload": "UklGRiQ="})
        await stream.send("clear", now=True)
        await stream.socket.send_str('{"event": "clear", "streamSid": "MZother"}')
        await stream.socket.send_str(f'{{"event": "mark", "streamSid": "{sid}", "mark": {{"name": "end"}}}}')
        await stream.until("mark")

    small_line.holds = hold
    async with twilio(small_line).call(from_=CALLER, to=NUMBER) as call:
        await call.over()
    assert call.violations == [
        "not text",
        "not JSON",
        "unsupported event 'caption'",
        "media that is not base64",
        "media without a payload of its own",
        "media with the header of a sound file",
        "clear with the fields ['event', 'now', 'streamSid']",
        "clear for another stream",
    ]
    assert call.streams[0].heard == b""


PLACED = {
    "To": CALLER,
    "From": NUMBER,
    "Url": f"{PUBLIC}/webhooks/phone/voice?placed=p_1",
    "FallbackUrl": f"{PUBLIC}/webhooks/phone/fallback",
    "StatusCallback": f"{PUBLIC}/webhooks/phone/status?placed=p_1",
    "Timeout": "1",
}


async def test_a_call_of_the_servers_rings_and_is_picked_up(small_line: SmallLine) -> None:
    line = twilio(small_line)
    placed = line.place(PLACED)
    ringing = asyncio.create_task(placed.ring())
    await asyncio.sleep(0.05)
    assert (placed.status, small_line.posted) == ("ringing", [])
    async with line.pick_up(CALLER) as call:
        assert call is placed
        await call.stream()
        with pytest.raises(Unavailable):
            async with line.pick_up(CALLER, within_s=0.1):
                raise AssertionError("it rings no more")
    await ringing
    assert small_line.names() == ["voice", "status"]
    voice, status = small_line.fields("voice"), small_line.fields("status")
    assert (voice["From"], voice["To"], voice["Direction"]) == (NUMBER, CALLER, "outbound-api")
    assert [fields["CallStatus"] for fields in (voice, status)] == ["in-progress", "completed"]
    checks = RequestValidator(SECRET)
    for (_, fields, headers), url in zip(small_line.posted, (PLACED["Url"], PLACED["StatusCallback"]), strict=True):
        assert checks.validate(url, fields, headers["X-Twilio-Signature"])


@pytest.mark.parametrize("outcome", ["no-answer", "busy", "failed"])
async def test_a_call_of_the_servers_that_is_not_picked_up(small_line: SmallLine, outcome: str) -> None:
    line = twilio(small_line)
    line.parties[CALLER] = Party(outcome)
    await line.place(PLACED).ring()
    assert small_line.names() == ["status"]
    assert (small_line.fields("status")["CallStatus"], small_line.fields("status")["CallDuration"]) == (outcome, "0")


async def test_it_rings_no_longer_than_it_was_asked_to(small_line: SmallLine) -> None:
    line = twilio(small_line)
    began = asyncio.get_running_loop().time()
    await line.place({**PLACED, "Timeout": "0.2"}).ring()
    assert 0.2 <= asyncio.get_running_loop().time() - began < 1
    assert small_line.fields("status")["CallStatus"] == "no-answer"
    with pytest.raises(Unavailable, match="did not ring"):
        async with line.pick_up(CALLER, within_s=0.1):
            pass


async def test_who_speaks_into_a_line_that_is_closed_is_not_kept_waiting(small_line: SmallLine) -> None:
    async def hang_up(stream: Stream) -> None:
        await stream.say(SAYS, "sentence-1")

    small_line.holds = hang_up
    line = twilio(small_line)
    async with line.call(from_=CALLER, to=NUMBER) as call:
        await call.over()
        await asyncio.wait_for(call.streams[0].say(SAYS), 1)
    assert call.streams[0].ended.is_set()
