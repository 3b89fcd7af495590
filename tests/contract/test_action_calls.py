"""Calls to an action server over a real socket: connections are kept, but never used where the server may be closing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rasa.utils.endpoints import EndpointConfig
from sanic.config import DEFAULT_CONFIG

from channels import action_calls
from channels.action_calls import ActionCalls, failures

pytestmark = pytest.mark.contract

KEPT_S = 0.6
ANSWER = b'{"events": [], "responses": []}'


class IdleServer:
    """Hangs up instead of answering on a connection that was idle for over KEPT_S: what a call meets that crosses the server's closing."""

    def __init__(self) -> None:
        self.connections = 0

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
                await reader.readexactly(length)
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
