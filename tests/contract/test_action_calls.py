"""Calls to an action server over a real socket: connections are kept, but never used where the server may be closing them; and what is
sent stays as small as the latest turns are, however long the conversation is."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rasa.core.actions.action import RemoteAction
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, ActiveLoop, AllSlotsReset, BotUttered, Event, SlotSet, UserUttered
from rasa.utils.endpoints import EndpointConfig
from sanic.config import DEFAULT_CONFIG

from channels import action_calls
from channels.action_calls import ActionCalls, failures
from throughline.record.live_tracker import LiveTracker

pytestmark = pytest.mark.contract

KEPT_S = 0.6
ANSWER = b'{"events": [], "responses": []}'


class IdleServer:
    """Hangs up instead of answering on a connection that was idle for over KEPT_S: what a call meets that crosses the server's closing."""

    def __init__(self) -> None:
        self.connections = 0
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        clock, since = asyncio.get_running_loop().time, None
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if since is not None and clock() - since > KEPT_S:
                    return
                length = next(
                    int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
                )
                self.bodies.append(await reader.readexactly(length))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
                )
                since = clock()
        except asyncio.IncompleteReadError:
            pass  # the caller has closed it
        finally:
            writer.close()


@asynccontextmanager
async def calling(server: IdleServer, **settings: float) -> AsyncIterator[ActionCalls]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/webhook"
    calls = ActionCalls(EndpointConfig(url), timeout_s=5, **settings)
    token = failures.set([])
    try:
        yield calls
    finally:
        failures.reset(token)
        await calls.close()
        listening.close()
        await listening.wait_closed()


async def test_the_calls_of_a_turn_share_a_connection() -> None:
    server = IdleServer()
    async with calling(server) as calls:
        for _ in range(3):
            assert await calls.request(json={"next_action": "action_x"}, method="post") == {"events": [], "responses": []}
    assert server.connections == 1


async def test_a_connection_that_the_server_may_be_closing_is_not_used_again() -> None:
    server = IdleServer()
    async with calling(server, idle_s=KEPT_S / 2) as calls:
        for _ in range(2):
            assert await calls.request(json={"next_action": "action_x"}, method="post") == {"events": [], "responses": []}
            await asyncio.sleep(KEPT_S * 1.2)
    assert server.connections == 2


def test_ours_is_well_below_what_the_action_server_allows() -> None:
    assert DEFAULT_CONFIG["KEEP_ALIVE_TIMEOUT"] / 2 >= action_calls._IDLE_S  # rasa-sdk's server is Sanic, with its defaults


DOMAIN = Domain.from_yaml(
    """
    version: "3.1"
    slots:
      brand: {type: text, mappings: [{type: custom}]}
      model: {type: text, mappings: [{type: custom}]}
    forms: {journey_form: {required_slots: [brand]}}
    """
)
RANKING = [{"name": f"intent_{number}", "confidence": 0.01} for number in range(40)]


def exchange(number: int) -> list[Event]:
    intent = {"name": "inform", "confidence": 0.9}
    entities = [{"entity": "brand", "value": f"brand {number}"}]
    parsed = {
        "text": "it's a Bosch",
        "intent": intent,
        "entities": entities,
        "intent_ranking": RANKING,
        "text_tokens": [(0, 4)],
    }
    return [
        UserUttered("it's a Bosch", intent, entities, parsed, message_id=f"m{number}", input_channel="phone"),
        SlotSet("brand", f"brand {number}"),
        BotUttered("And the model?"),
        ActionExecuted("action_listen"),
    ]


async def sent(*told: Event) -> dict[str, Any]:
    """What reaches an action server of a conversation with these events."""
    server = IdleServer()
    action_calls.install()
    tracker = LiveTracker.from_events("c_1", list(told), DOMAIN.slots)
    async with calling(server) as calls:
        await RemoteAction("action_x", calls).run(None, None, tracker, DOMAIN)
    body = server.bodies[0]
    call: dict[str, Any] = json.loads(zlib.decompress(body) if body[:1] != b"{" else body)
    return call


def many(count: int) -> list[Event]:
    return [event for number in range(count) for event in exchange(number)]


async def test_what_is_sent_does_not_grow_with_the_conversation() -> None:
    sizes = {count: len(json.dumps(await sent(ActiveLoop("journey_form"), *many(count)))) for count in (2, 10, 100, 2_500)}
    assert sizes[2] < sizes[10] < 10_000
    assert sizes[2_500] - sizes[10] < 200, "longer numbers, no more events"


async def test_the_latest_message_is_whole_and_earlier_ones_say_what_they_meant() -> None:
    tracker = (await sent(*many(3)))["tracker"]
    assert tracker["latest_message"]["intent_ranking"] == RANKING
    users = [event for event in tracker["events"] if event["event"] == "user"]
    assert [user["text"] for user in users] == ["it's a Bosch"] * 3
    assert users[0]["message_id"] == "m0"
    assert users[0]["parse_data"] == {
        "intent": {"name": "inform", "confidence": 0.9},
        "entities": [{"entity": "brand", "value": "brand 0"}],
    }
    assert tracker["latest_input_channel"] == "phone"


async def test_before_the_latest_turns_stand_the_slots_and_the_form_as_they_were() -> None:
    model = SlotSet("model", "WM-3", metadata={"told_in": "s_1"})
    tracker = (await sent(SlotSet("model", "older"), model, ActiveLoop("journey_form"), *many(20)))["tracker"]
    before = tracker["events"][: [event["event"] for event in tracker["events"]].index("user")]
    assert [(event["event"], event["name"], event.get("value")) for event in before] == [
        ("slot", "model", "WM-3"),
        ("active_loop", "journey_form", None),
        ("slot", "brand", "brand 15"),
    ]
    assert before[0]["metadata"] == {"told_in": "s_1"}
    assert tracker["slots"] == {
        "brand": "brand 19",
        "model": "WM-3",
        **{k: v for k, v in tracker["slots"].items() if v is None},
    }
    assert tracker["active_loop"]["name"] == "journey_form"


async def test_what_was_forgotten_before_the_latest_turns_stays_forgotten() -> None:
    tracker = (await sent(SlotSet("model", "WM-3"), AllSlotsReset(), *many(20)))["tracker"]
    assert "model" not in [event.get("name") for event in tracker["events"]]


async def test_the_tracker_itself_keeps_its_events() -> None:
    told = many(20)
    tracker = LiveTracker.from_events("c_1", told, DOMAIN.slots)
    action_calls.install()
    async with calling(IdleServer()) as calls:
        await RemoteAction("action_x", calls).run(None, None, tracker, DOMAIN)
    assert list(tracker.events) == told
    assert tracker.events[0].parse_data["intent_ranking"] == RANKING
