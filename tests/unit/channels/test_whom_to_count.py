"""Whom a request is counted by, over a real socket: as the proxies in front of us write it, in one line or in several."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
import pytest_asyncio
from sanic import Sanic
from sanic.request import Request
from sanic.response import HTTPResponse, text

from channels.server import Server
from throughline.settings.server import Settings, SiteSettings

pytestmark = pytest.mark.unit

CLIENT, MADE_UP = "203.0.113.7", "198.51.100.1"
PEER = "127.0.0.1"


@pytest_asyncio.fixture
async def http(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server behind one proxy, which answers with whom it counts."""
    monkeypatch.setattr(Sanic, "test_mode", True)
    app, server = Sanic("addresses"), Server.__new__(Server)
    server.app = SimpleNamespace(settings=Settings(site=SiteSettings(trusted_proxies=1)))  # type: ignore[assignment]

    async def whom(request: Request) -> HTTPResponse:
        return text(server.network_address(request))

    app.add_route(whom, "/")
    listener = socket.create_server((PEER, 0))
    running = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    assert running is not None
    await running.startup()
    await running.before_start()
    await running.start_serving()
    async with httpx.AsyncClient(base_url=f"http://{PEER}:{listener.getsockname()[1]}") as client:
        yield client
    running.close()
    await running.wait_closed()


async def counted(http: httpx.AsyncClient, *lines: str) -> str:
    return (await http.get("/", headers=[("X-Forwarded-For", line) for line in lines])).text


async def test_behind_a_proxy_that_adds_a_line_of_its_own_nobody_chooses_whom_they_are_counted_as(
    http: httpx.AsyncClient,
) -> None:
    """So does HAProxy's `option forwardfor`."""
    assert await counted(http, MADE_UP, CLIENT) == CLIENT
    assert await counted(http, f"{MADE_UP}, {MADE_UP}", CLIENT) == CLIENT


async def test_nor_behind_one_that_adds_to_the_line(http: httpx.AsyncClient) -> None:
    assert await counted(http, f"{MADE_UP}, {CLIENT}") == CLIENT


async def test_where_no_proxy_wrote_an_address_it_is_the_peer(http: httpx.AsyncClient) -> None:
    assert await counted(http) == PEER
    assert await counted(http, CLIENT, "unknown") == PEER


async def test_all_addresses_of_an_ipv6_subscriber_are_one(http: httpx.AsyncClient) -> None:
    assert await counted(http, "2001:db8:1:2::1") == await counted(http, "[2001:db8:1:2:ffff::2]:443") == "2001:db8:1:2::/64"
