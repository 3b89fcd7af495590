"""Twilio's signatures: what is let in, and what isn't (throughline/telephony/twilio_signature.py)."""

from __future__ import annotations

import string
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from throughline.errors import Rejected
from throughline.telephony.twilio_signature import MAX_BODY_BYTES, TwilioSignature, digests

pytestmark = pytest.mark.unit

ACCOUNT, TOKEN = "AC" + "0" * 32, "a token for tests"
URL = "https://phone.example.com/webhooks/phone/voice"
CALL = {"AccountSid": ACCOUNT, "CallSid": "CA" + "1" * 32, "From": "+15035550100", "CallStatus": "ringing"}
CHECK = TwilioSignature(ACCOUNT, TOKEN)


def signed(fields: dict[str, str], url: str = URL, token: str = TOKEN) -> str:
    signature: str = RequestValidator(token).compute_signature(url, fields)
    return signature


def posted(fields: dict[str, str]) -> bytes:
    return urlencode(fields).encode()


def refused(url: str, body: bytes, signature: str) -> str:
    with pytest.raises(Rejected) as refusal:
        CHECK.fields(url, body, signature)
    return refusal.value.reason


def test_what_twilio_signed_is_let_in() -> None:
    assert CHECK.fields(URL, posted(CALL), signed(CALL)) == CALL


def test_the_documented_example() -> None:
    """The example of twilio.com/docs/usage/security: its signature comes out."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    signature = signed(fields, "https://mycompany.com/myapp.php?foo=1&bar=2", "12345")
    assert signature == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


@pytest.mark.parametrize("port", ["", ":443"])
def test_with_and_without_the_usual_port(port: str) -> None:
    url = f"https://phone.example.com{port}/webhooks/phone/voice"
    assert CHECK.fields(URL, posted(CALL), signed(CALL, url)) == CALL


def test_the_upgrade_of_a_websocket() -> None:
    url = "wss://phone.example.com/webhooks/phone/media"
    CHECK.check_upgrade(url, signed({}, url))
    for signature in ("", signed({}, url, "another"), signed({}, URL), signed(CALL, url)):
        with pytest.raises(Rejected, match=r"no_signature|bad_signature"):
            CHECK.check_upgrade(url, signature)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("", "no_signature"),
        ("x", "bad_signature"),
        ("A" * 27 + "=", "bad_signature"),
        ("A" * 100_000, "bad_signature"),
        ("\u00e9" * 27 + "=", "bad_signature"),
        (signed(CALL, token="another"), "bad_signature"),  # noqa: S106
        (signed(CALL, URL + "?x=1"), "bad_signature"),
        (signed(CALL, URL.replace("https", "http")), "bad_signature"),
        (signed(CALL, URL.replace("voice", "status")), "bad_signature"),
        (signed({**CALL, "From": "+15035550199"}), "bad_signature"),
    ],
)
def test_forged_signatures(signature: str, reason: str) -> None:
    assert refused(URL, posted(CALL), signature) == reason


def test_another_account_of_the_same_token() -> None:
    other = {**CALL, "AccountSid": "AC" + "9" * 32}
    assert refused(URL, posted(other), signed(other)) == "other_account"
    none = {"CallSid": CALL["CallSid"]}
    assert refused(URL, posted(none), signed(none)) == "other_account"


@pytest.mark.parametrize("call_sid", ["", "CA1", "CA" + "g" * 32, "CA" + "1" * 33, "CA" + "1" * 32 + "\n"])
def test_an_id_that_is_none(call_sid: str) -> None:
    fields = {**CALL, "CallSid": call_sid}
    assert refused(URL, posted(fields), signed(fields)) == "bad_body"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"a=1&" * 300,
        b"A" * (MAX_BODY_BYTES + 1),
        posted(CALL) + b"&From=%2B15035550100",  # the same again: distinct values are signed once
        posted(CALL) + b"&From=%2B15035550199",
        posted(CALL) + b"&=x",
        posted(CALL) + b"&CallSid=%FF%FE",
    ],
)
def test_bodies_that_are_no_form_of_distinct_fields(body: bytes) -> None:
    assert refused(URL, body, signed(CALL)) == "bad_body"


@given(st.integers(min_value=0, max_value=len(posted(CALL)) - 1), st.sampled_from(string.printable))
def test_no_altered_letter_is_let_in(position: int, letter: str) -> None:
    body = posted(CALL).decode()
    altered = body[:position] + letter + body[position + 1 :]
    if altered == body:
        return
    try:
        fields = CHECK.fields(URL, altered.encode(), signed(CALL))
    except Rejected:
        return
    assert fields == CALL  # the same in another spelling, such as %2b for %2B


@given(st.integers(min_value=1, max_value=12))
def test_text_moved_between_a_field_and_its_neighbour(count: int) -> None:
    """The signature alone would allow it: names and values are signed in one string."""
    moved = {**CALL}
    status = moved.pop("CallStatus")
    moved["CallSid"] += ("CallStatus" + status)[:count]
    moved[("CallStatus" + status)[count:] or "X"] = ""
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in moved.items()).encode()
    assert refused(URL, body, signed(CALL)) in ("bad_body", "bad_signature")


def test_a_request_is_known_by_its_content_and_by_its_name() -> None:
    signature = signed(CALL)
    content, name = digests(URL, signature, "idempotent-1")
    assert digests(URL, signature, "") == [content]
    assert digests(URL, "other", "idempotent-1")[1] == name
    assert digests(URL, signature, "x" * 100_000)[0] == content
    assert len({content, name, *digests(URL + "?", signature, "idempotent-2")}) == 4
