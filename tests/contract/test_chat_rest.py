"""The chat's REST form over HTTP: a real server on a real socket, with Rasa's own CORS around it; the runner echoes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sanic import Blueprint, Sanic
from sanic_cors import CORS

from channels.chat_rest import ChatRest
from tests.unit.channels.small_server import SmallServer
from tests.waiting import until
from tests.website import ORIGIN, bad_tokens, login_token
from throughline.domain.turns import PHONE, Turn
from throughline.errors import Unavailable

pytestmark = pytest.mark.contract

MESSAGES, HISTORY = "/webhooks/web_chat/messages", "/webhooks/web_chat/history"
ANSWER_WITHIN_S = 0.3


class Client:
    """Somebody with an HTTP client. ``connections`` are those that the server has open."""

    def __init__(self, http: httpx.AsyncClient, server: SmallServer, rest: ChatRest, connections: set[Any]) -> None:
        self.http, self.server, self.rest, self.connections = http, server, rest, connections

    async def post(self, path: str, body: Any, token: str | None = None, **headers: str) -> httpx.Response:
        """Any body: JSON of it, unless it is bytes."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(path, content=content, headers=headers)

    async def say(self, message: Any, session_id: Any = None, token: str | None = None, **fields: Any) -> httpx.Response:
        return await self.post(MESSAGES, {"session_id": session_id, "message": message, **fields}, token)

    async def look(self, session_id: Any, token: str | None = None, **fields: Any) -> httpx.Response:
        return await self.post(HISTORY, {"session_id": session_id, **fields}, token)


@pytest_asyncio.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(Sanic, "test_mode", True)  # several applications in one process
    server, app = SmallServer(tmp_path, messages_per_minute=10, sessions_per_minute=10, message_chars=100), Sanic("rest")
    app.config.REQUEST_MAX_SIZE = 64 * 1024
    CORS(app, resources={r"/*": {"origins": ""}}, automatic_options=True)  # as rasa.server.configure_cors
    rest, blueprint = ChatRest(ANSWER_WITHIN_S), Blueprint("web_chat")
    rest.add_to(blueprint)
    rest.mount(app, server)  # type: ignore[arg-type]
    app.blueprint(blueprint, url_prefix="/webhooks/web_chat")
    listener = socket.create_server(("127.0.0.1", 0))
    running = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    assert running is not None
    await running.startup()
    await running.before_start()
    await running.start_serving()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as http:
        yield Client(http, server, rest, running.connections)
    running.close()
    await running.wait_closed()
    server.record.close()


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and reason. The message is the domain's, for the customer."""
    told = answer.json()
    assert set(told) == {"error", "message"}
    assert told["message"].strip()
    return answer.status_code, told["error"]


async def test_a_conversation(client: Client) -> None:
    first = (await client.say("my dryer is loud")).json()
    assert set(first) == {"session_id", "messages", "last"}
    assert first["messages"] == [{"text": "You said: my dryer is loud"}]
    second = (await client.say("since today", first["session_id"])).json()
    assert second["session_id"] == first["session_id"]
    assert second["messages"] == [{"text": "You said: since today"}], "the reply and nothing else"
    assert len({turn.contact_id for turn in client.server.runner.taken}) == 1


async def test_simple_clients_send_json_as_plain_text(client: Client) -> None:
    body = json.dumps({"message": "hello"}).encode()
    for kind in ("text/plain", "text/plain;charset=UTF-8", "application/json", "application/x-www-form-urlencoded"):
        answer = await client.post(MESSAGES, body, **{"Content-Type": kind})
        assert answer.json()["messages"] == [{"text": "You said: hello"}]


@pytest.mark.parametrize("message", [None, "", "  ", "/"])
async def test_a_message_without_words_opens_a_visit_and_no_more(client: Client, message: str | None) -> None:
    answer = (await client.say(message)).json()
    assert answer["messages"] == []
    assert client.server.runner.taken == []
    assert (await client.say("hello", answer["session_id"])).json()["session_id"] == answer["session_id"]


@pytest.mark.parametrize("text", ["/restart", '/inform{"customer_name": "Mallory"}', " / /session_start"])
async def test_words_are_never_a_command(client: Client, text: str) -> None:
    await client.say(text)
    assert not client.server.runner.taken[0].text.startswith("/")


async def test_a_message_sent_again_has_one_effect_and_the_same_answer(client: Client) -> None:
    first = (await client.say("hello", message_id="m1")).json()
    await client.say("and more", first["session_id"], message_id="m2")
    again = (await client.say("hello", first["session_id"], message_id="m1")).json()
    assert again == first
    assert len(client.server.runner.taken) == 2


async def test_an_answer_that_takes_too_long_is_not_lost(client: Client) -> None:
    session_id = (await client.say("hello")).json()["session_id"]
    client.server.runner.goes_on.clear()
    late = await client.say("slow", session_id, message_id="m2")
    assert refusal(late) == (504, "answer_late")
    assert "on its way" in late.json()["message"]
    client.server.runner.goes_on.set()
    assert (await client.say("slow", session_id, message_id="m2")).json()["messages"] == [{"text": "You said: slow"}]
    history = (await client.look(session_id)).json()
    assert [message["text"] for message in history["messages"]].count("You said: slow") == 1


async def test_a_client_that_hangs_up_loses_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.rest, "_answer_within_s", 20)  # it is the client that hangs up
    session_id = (await client.say("hello")).json()["session_id"]
    client.server.runner.goes_on.clear()
    request = asyncio.create_task(client.say("gone", session_id))
    await until(lambda: client.rest.under_way)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await until(lambda: not client.connections)  # the server has noticed
    client.server.runner.goes_on.set()
    await asyncio.gather(*client.rest.under_way)
    assert [turn.text for turn in client.server.runner.taken] == ["hello", "gone"]


async def test_when_nothing_can_be_stored_that_is_said(client: Client) -> None:
    client.server.runner.error = Unavailable("the database is gone")
    assert refusal(await client.say("hello")) == (503, "unavailable")


# Whose session it is


@pytest.mark.parametrize("name", ["guess", "a" * 5000, "../../x", "\x00", "half \ud800"])
async def test_a_session_that_is_not_ones_own_is_another_visit_and_shows_nothing(client: Client, name: str) -> None:
    victim = (await client.say("my dryer is loud")).json()["session_id"]
    other = (await client.say("hello", name)).json()
    assert other["session_id"] not in (name, victim)
    assert client.server.runner.taken[0].contact_id != client.server.runner.taken[1].contact_id
    assert refusal(await client.look(name)) == (403, "unknown_session")


async def test_a_login_opens_its_accounts_session_and_its_id_alone_opens_nothing(client: Client) -> None:
    dana = (await client.say("my secret", token=login_token("dana"))).json()
    for token in (None, login_token("emil")):
        assert refusal(await client.look(dana["session_id"], token)) == (403, "unknown_session")
        stranger = (await client.say("what was my secret?", dana["session_id"], token)).json()
        assert stranger["session_id"] != dana["session_id"]
        assert client.server.runner.taken[-1].contact_id != client.server.runner.taken[0].contact_id
    again = (await client.say("hello", dana["session_id"], login_token("dana"))).json()
    assert again["session_id"] == dana["session_id"]
    elsewhere = (await client.say("hello", None, login_token("dana"))).json()
    assert elsewhere["session_id"] != dana["session_id"]
    assert client.server.runner.taken[-1].contact_id == client.server.runner.taken[0].contact_id
    seen = (await client.look(elsewhere["session_id"], login_token("dana"))).json()["messages"]
    assert {"text": "You: my secret"} in seen, "one person, on whichever device"


@pytest.mark.parametrize("what", bad_tokens())
async def test_a_login_that_is_none_is_refused_and_never_anonymous(client: Client, what: str) -> None:
    dana = (await client.say("my secret", token=login_token("dana"))).json()["session_id"]
    token, reason = bad_tokens()[what], "expired_login" if what == "expired" else "bad_login"
    for answer in (
        await client.say("hello", dana, token),
        await client.say("hello", None, token),
        await client.look(dana, token),
    ):
        assert refusal(answer) == (401, reason)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert len(client.server.runner.taken) == 1


async def test_a_bearer_without_a_token_is_refused_and_other_authorizations_are_not_ours(client: Client) -> None:
    for value in ("Bearer", "bearer", "BEARER x"):
        assert refusal(await client.post(MESSAGES, {"message": "hello"}, Authorization=value)) == (401, "bad_login")
    assert (await client.post(MESSAGES, {"message": "hello"}, Authorization="Basic c3RhZ2luZzp4")).status_code == 200


# What was missed


def by_phone(client: Client, contact_id: str) -> None:
    """A call from the chat's page."""
    record, runner = client.server.record, client.server.runner
    chat = client.server.runner.taken[0].session_id
    call = record.open_session(contact_id, PHONE, detail={"chat_session_id": chat}).session_id
    runner.say(contact_id, call, {"event": "user", "text": "*it* is a Miele"}, PHONE)
    runner.say(contact_id, call, {"event": "bot", "text": "Since when?"}, PHONE)


async def test_history_has_the_phones_turns_too_and_goes_on_where_it_stopped(client: Client) -> None:
    session_id = (await client.say("my dryer is loud")).json()["session_id"]
    contact = client.server.runner.taken[0].contact_id
    whole = (await client.look(session_id)).json()
    assert [message["text"] for message in whole["messages"]] == ["You: my dryer is loud", "You said: my dryer is loud"]
    by_phone(client, contact)
    missed = (await client.look(session_id, after=whole["last"])).json()
    assert [message["text"] for message in missed["messages"]] == [r"You, by phone: \*it\* is a Miele", "By phone: Since when?"]
    assert (await client.look(session_id, after=missed["last"])).json() == {"messages": [], "last": missed["last"]}


async def test_an_answer_after_a_place_has_everything_since(client: Client) -> None:
    first = (await client.say("my dryer is loud")).json()
    by_phone(client, client.server.runner.taken[0].contact_id)
    second = (await client.say("since today", first["session_id"], after=first["last"])).json()
    assert [message["text"] for message in second["messages"]] == [
        r"You, by phone: \*it\* is a Miele",
        "By phone: Since when?",
        "You said: since today",
    ]
    assert (await client.look(first["session_id"], after=second["last"])).json()["messages"] == []


def leave_in_mid_form(client: Client) -> None:
    """A booking is open, and there was silence for days."""
    contact, long_ago = client.server.runner.taken[0].contact_id, {"timestamp": time.time() - 3 * 86_400}
    for event in ({"event": "active_loop", "name": "journey_form"}, {"event": "bot", "text": "Which brand?"}):
        client.server.runner.say(contact, client.server.runner.taken[0].session_id, {**event, **long_ago})


async def test_who_comes_back_in_the_middle_of_a_form_is_welcomed_back_where_the_chat_is_opened(client: Client) -> None:
    session_id = (await client.say("my dryer is loud")).json()["session_id"]
    leave_in_mid_form(client)
    opened = (await client.look(session_id)).json()
    assert [message["text"] for message in opened["messages"]][-2:] == ["Which brand?", "Welcome back."]
    again = (await client.look(session_id)).json()
    assert again == opened, "once"


async def test_or_where_a_client_says_nothing_yet(client: Client) -> None:
    session_id = (await client.say("my dryer is loud")).json()["session_id"]
    leave_in_mid_form(client)
    opened = (await client.say(None, session_id)).json()
    assert opened["messages"] == [{"text": "Welcome back."}]
    assert (await client.look(session_id, after=opened["last"])).json()["messages"] == []
    assert (await client.say(None, session_id)).json()["messages"] == [], "once"


async def test_who_speaks_at_once_is_answered_and_who_only_looks_for_what_is_new_is_not_spoken_to(client: Client) -> None:
    first = (await client.say("my dryer is loud")).json()
    leave_in_mid_form(client)
    assert (await client.look(first["session_id"], after=first["last"])).json()["messages"] == [{"text": "Which brand?"}]
    answer = (await client.say("a Miele", first["session_id"])).json()
    assert answer["messages"] == [{"text": "You said: a Miele"}]


# Bounds


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 30_000,
        b"null",
        b"[]",
        b'"hello"',
        {"message": 7},
        {"message": ["hello"]},
        {"message": "hello", "session_id": 7},
        {"message": "hello", "session_id": ["x"]},
        {"message": "hello", "message_id": 7},
        {"message": "hello", "message_id": ""},
        {"message": "hello", "message_id": "m" * 65},
        {"message": "hello", "after": -1},
        {"message": "hello", "after": True},
        {"message": "hello", "after": "1"},
        {"message": "hello", "after": 2**63},
        {"message": "half \ud800"},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_what_is_no_request_is_refused(client: Client, body: Any) -> None:
    assert refusal(await client.post(MESSAGES, body))[0] == 400
    assert client.server.runner.taken == []


async def test_what_is_too_long_is_refused(client: Client) -> None:
    assert refusal(await client.say("a" * 101)) == (413, "too_long")
    assert refusal(await client.post(MESSAGES, b" " * 100_000)) == (413, "too_large")
    assert refusal(await client.post(HISTORY, b" " * 100_000)) == (413, "too_large")
    assert client.server.runner.taken == []


async def test_a_body_without_an_end_is_refused(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    with contextlib.suppress(httpx.TransportError):  # the connection is closed while the client still sends
        assert refusal(await client.http.post(MESSAGES, content=endless())) == (413, "too_large")
    assert (await client.say("hello")).status_code == 200, "and others go on"
    assert len(client.server.runner.taken) == 1


async def test_messages_and_sessions_are_limited(client: Client) -> None:
    session_id = (await client.say("hello")).json()["session_id"]
    answers = [await client.say("hello", session_id) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200] * 9 + [429]
    assert refusal(answers[-1]) == (429, "too_fast")
    opened = [await client.say("hello") for _ in range(10)]
    assert [answer.status_code for answer in opened] == [200] * 9 + [429]
    away = await client.post(MESSAGES, {"message": "hello"}, **{"X-Forwarded-For": "203.0.113.9"})
    assert away.status_code == 200


async def test_looking_back_is_limited(client: Client) -> None:
    session_id = (await client.say("hello")).json()["session_id"]
    codes = [(await client.look(session_id, after=0)).status_code for _ in range(125)]
    assert codes[:120] == [200] * 120
    assert set(codes[120:]) == {429}
    assert refusal(await client.say(None, session_id)) == (429, "too_fast"), "so is looking without a word"


# Pages of other origins


async def test_a_page_of_an_allowed_origin_may_and_is_told_so(client: Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for path in (MESSAGES, HISTORY):
        preflight = await client.http.request("OPTIONS", path, headers={"Origin": ORIGIN, **asked})
        assert preflight.status_code == 204
        assert preflight.headers.get_list("Access-Control-Allow-Origin") == [ORIGIN]
        assert preflight.headers.get_list("Access-Control-Allow-Methods") == ["POST"]
        assert preflight.headers.get_list("Access-Control-Allow-Headers") == ["Authorization, Content-Type"]
        assert "Access-Control-Allow-Credentials" not in preflight.headers
    answer = await client.post(MESSAGES, {"message": "hello"}, Origin=ORIGIN)
    assert answer.status_code == 200
    assert answer.headers.get_list("Access-Control-Allow-Origin") == [ORIGIN]
    assert "Origin" in answer.headers["Vary"]
    refused = await client.post(MESSAGES, b"{", Origin=ORIGIN)
    assert refused.headers.get_list("Access-Control-Allow-Origin") == [ORIGIN], "so that the page can read why"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://www.harbor.example"])
async def test_a_foreign_page_may_not(client: Client, origin: str) -> None:
    preflight = await client.http.request("OPTIONS", MESSAGES, headers={"Origin": origin})
    assert preflight.status_code == 403
    assert "Access-Control-Allow-Origin" not in preflight.headers
    for path in (MESSAGES, HISTORY):
        answer = await client.post(path, {"message": "hello"}, Origin=origin)
        assert refusal(answer) == (403, "foreign_origin")
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert client.server.runner.taken == []


async def test_a_turn_of_somebody_else_is_never_in_an_answer(client: Client) -> None:
    """The message ids of two sessions may be alike."""
    one = (await client.say("mine", message_id="m1")).json()
    other = (await client.say("yours", message_id="m1")).json()
    assert (one["messages"], other["messages"]) == ([{"text": "You said: mine"}], [{"text": "You said: yours"}])
    turns: list[Turn] = client.server.runner.taken
    assert len({turn.message_id for turn in turns}) == 2


def sent_link(client: Client, **when: datetime) -> str:
    """A link of a call in which something was said."""
    record = client.server.record
    call = record.open_session(record.create_contact(), PHONE)
    client.server.runner.say(call.contact_id, call.session_id, {"event": "user", "text": "my dryer is loud"}, PHONE)
    return record.issue_link(call.contact_id, call.session_id, kind="phone", address="+15035550170", ttl_s=900, **when)


async def test_a_link_opens_its_conversation_before_the_message_is_taken(client: Client) -> None:
    link = sent_link(client)
    answer = (await client.say("since today", link=link)).json()
    assert [message["text"] for message in answer["messages"]] == [
        "You, by phone: my dryer is loud",
        "Welcome back.",
        "You: since today",
        "You said: since today",
    ]
    again = (await client.say("and more", answer["session_id"])).json()
    assert again["session_id"] == answer["session_id"]
    assert again["messages"] == [{"text": "You said: and more"}]


async def test_a_link_alone_needs_no_words(client: Client) -> None:
    answer = (await client.say("", link=sent_link(client))).json()
    assert [message["text"] for message in answer["messages"]] == ["You, by phone: my dryer is loud", "Welcome back."]
    assert client.server.runner.taken == []
    after = (await client.say("", answer["session_id"], after=answer["last"])).json()
    assert after["messages"] == []


async def test_a_link_moves_a_client_that_has_a_conversation_of_its_own(client: Client) -> None:
    own = (await client.say("I'm Maria")).json()["session_id"]
    answer = (await client.say("", own, link=sent_link(client))).json()
    assert answer["session_id"] != own
    assert "Maria" not in str(answer)


async def test_a_link_that_is_refused_takes_no_message(client: Client) -> None:
    link, now = sent_link(client), datetime.now(timezone.utc)
    await client.say("", link=link)
    own = (await client.say("hello", token=login_token())).json()["session_id"]
    for refused, told in (
        (await client.say("stolen", link=link), (410, "used_link")),
        (await client.say("late", link=sent_link(client, now=now - timedelta(hours=1))), (410, "expired_link")),
        (await client.say("forged", link="x" * 43), (403, "unknown_link")),
        (await client.say("mine", own, login_token(), link=sent_link(client)), (409, "account_link")),
        (await client.say("odd", link=7), (400, "bad_request")),
    ):
        assert refusal(refused) == told
    assert [turn.text for turn in client.server.runner.taken] == ["hello"]
