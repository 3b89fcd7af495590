"""Two of everything: two servers, each with its action server, on one PostgreSQL, behind one address."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.e2e.stack import TWILIO_ACCOUNT, TWILIO_TOKEN, Stack
from tests.e2e.voice import Voice
from tests.postgres import Postgres
from tests.scale.balancer import Balancer
from throughline import record as record_room
from throughline.record import Record
from throughline.simulate.in_thread import in_thread
from throughline.simulate.twilio import TwilioLine

DRAIN_S = 15
"""How long a server that is told to stop lets its calls go on."""


@dataclass
class House:
    """The servers and what stands in front of them. ``public`` is the address that customers know."""

    servers: tuple[Stack, Stack]
    balancer: Balancer
    record: Record

    @property
    def public(self) -> str:
        return self.balancer.address

    def lead_to(self, *servers: Stack) -> None:
        """Have new connections go to the first of these that takes them."""
        self.balancer.ports[:] = [server.port for server in servers]

    def line(self) -> TwilioLine:
        """The company's telephone number."""
        return TwilioLine(self.public, account_sid=TWILIO_ACCOUNT, auth_token=TWILIO_TOKEN, connect_to=self.public)

    def killed(self, server: Stack) -> Stack:
        """Kill one server and its action server; the other one."""
        server.kill()
        return next(other for other in self.servers if other is not server)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Running, and whole again for each test (see ``whole``)."""
    postgres = Postgres(durable=True, connections=200)
    postgres.start()
    url = postgres.url(postgres.create_database())
    with in_thread(Balancer([])) as balancer:
        servers = tuple(
            Stack(
                tmp_path_factory.mktemp(name),
                settings={"phone": {"drain_s": DRAIN_S}},
                environment={"DATABASE_URL": url, "THROUGHLINE_PUBLIC_URL": balancer.address},
            )
            for name in ("first", "second")
        )
        assert len(servers) == 2
        with ThreadPoolExecutor() as pool:
            list(pool.map(Stack.start, servers))
        record = record_room.open(url, secret=servers[0].secret)
        yield House(servers, balancer, record)
        record.close()
        for server in servers:
            server.stop()
    postgres.stop()


@pytest.fixture
def whole(house: House) -> House:
    """Both servers run, and connections go to the first."""
    for server in house.servers:
        if not server.runs:
            server.start()
    house.lead_to(*house.servers)
    return house


@pytest.fixture(scope="session")
def voice() -> Voice:
    """A customer's voice."""
    return Voice()
