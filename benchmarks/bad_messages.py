"""Messages that no carrier should send, and who sends them to the media endpoint (benchmarks/bad_media.py tells what is measured).

Runs in a process of its own, beside the one that measures.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import websockets.client
from websockets.exceptions import ConnectionClosed, InvalidState, InvalidStatusCode

from throughline.simulate.page_call import PAGE_CALL

MEDIA = "/webhooks/phone/media"
SID = "MZ" + "b" * 32
FRAME = base64.b64encode(b"\xff" * 160).decode()

_ENDS_WITHIN_S = 1.0
_TOLERATED = 40
"""Messages to a call that lets them pass."""
_AT_ONCE = 6

Message = str | bytes
Maker = Callable[[random.Random, int], Message]


def _media(number: int, **changes: Any) -> str:
    media = {"track": "inbound", "chunk": str(number), "timestamp": str(20 * number), "payload": FRAME}
    body = {"event": "media", "sequenceNumber": str(number), "streamSid": SID, "media": media}
    body.update({key: value for key, value in changes.items() if key in body})
    media.update({key: value for key, value in changes.items() if key in media})
    return json.dumps(body)


# ``number`` is the next of the call. Those of the first group are let pass, the others end their call.
LET_PASS: dict[str, Maker] = {
    "unknown event": lambda random_, number: json.dumps({"event": f"news{random_.random()}", "sequenceNumber": str(number)}),
    "binary frame": lambda _, number: _media(number).encode(),
    "another track": lambda _, number: _media(number, track="outbound"),
    "chunk twice": lambda _, number: _media(number, chunk="1"),
    "number twice": lambda _, number: _media(1),
    "number went back": lambda random_, number: _media(max(1, number - random_.randint(2, 200))),
    "numbers left out": lambda random_, number: _media(number * 50 + random_.randint(0, 40)),
    "no number": lambda _, number: json.dumps({"event": "media", "streamSid": SID, "media": {"payload": FRAME}}),
    "odd length": lambda random_, number: _media(number, payload=base64.b64encode(b"\x5a" * random_.randint(1, 159)).decode()),
    "no audio": lambda _, number: _media(number, payload=""),
    "a quarter of a second": lambda _, number: _media(number, payload=base64.b64encode(b"\x5a" * 8192).decode()),
    "NaN": lambda _, number: _media(number)[:-1] + ', "more": NaN}',
    "unknown mark": lambda _, number: json.dumps(
        {"event": "mark", "sequenceNumber": str(number), "streamSid": SID, "mark": {"name": f"no-{number}"}}
    ),
}
ENDS: dict[str, Maker] = {
    "not JSON": lambda random_, _: random_.choice(["", "{", "nonsense", '{"event":"media"', "\x00", "'"]),
    "not UTF-8": lambda random_, _: random_.randbytes(200),
    "no object": lambda random_, _: random_.choice(["[]", "1", "null", "NaN", '"media"', "Infinity"]),
    "no event": lambda random_, _: json.dumps({"event": random_.choice([None, 1, [], {}, True])}),
    "wrong types": lambda random_, number: json.dumps(
        {"event": "media", "sequenceNumber": str(number), "streamSid": SID, "media": random_.choice([None, 1, [], "x"])}
    ),
    "payload of another type": lambda random_, number: _media(number, payload=random_.choice([None, 1, [], {}])),
    "number of another type": lambda random_, _: _media(1, sequenceNumber=random_.choice([None, 7, -1, "x", "9" * 40, 1e308])),
    "nested deep": lambda random_, _: random_.choice(["[", '{"a":']) * random_.randint(1000, 3000),
    "another stream": lambda _, number: _media(number, streamSid="MZ" + "c" * 32),
    "no base64": lambda random_, number: _media(number, payload=random_.choice(["=== ", "é", "*" * 200, "A"])),
    "too much audio": lambda _, number: _media(number, payload="A" * 12_000),
    "20,000 characters": lambda _, number: _media(number, payload="A" * 20_000),
    "a megabyte": lambda _, number: _media(number, payload="A" * 1_000_000),
    "bad key": lambda random_, number: json.dumps(
        {
            "event": "dtmf",
            "sequenceNumber": str(number),
            "streamSid": SID,
            "dtmf": {"digit": random_.choice(["", "12", "x", None])},
        }
    ),
    "second start": lambda _, number: json.dumps({"event": "start", "sequenceNumber": str(number), "start": {}}),
}


@dataclass
class Report:
    """What was sent, and how it was answered: kind -> outcome -> sockets."""

    sent: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, kind: str, outcome: str, messages: int) -> None:
        """Note one socket."""
        self.outcomes.setdefault(kind, Counter())[outcome] += 1
        self.sent += messages


class _Senders:
    def __init__(self, address: str, total: int, seed: int) -> None:
        self._address, self._total = address, total
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._numbers = itertools.count(1)
        self._plan = self._planned()
        self.report = Report()

    def _planned(self) -> Iterator[tuple[str, Maker, str]]:
        """Kind, maker, and to whom: a call that was let in, or a socket that is not: before its start, or with a token that is none."""
        while True:
            for kind, maker in LET_PASS.items():
                yield kind, maker, "let in"
                yield kind, maker, "before start"
            for kind, maker in ENDS.items():
                yield kind, maker, "let in"
                for _ in range(10):
                    yield kind, maker, self._random.choice(["before start", "before start", "slow, before start", "bad token"])
            yield "media after stop", lambda _, number: _media(number), "stopped"

    async def run(self) -> Report:
        """Send all, some sockets at a time."""
        async with aiohttp.ClientSession() as client:
            await asyncio.gather(*(self._sender(client) for _ in range(_AT_ONCE)))
        return self.report

    async def _sender(self, client: aiohttp.ClientSession) -> None:
        while self.report.sent < self._total:
            kind, maker, where = next(self._plan)
            try:
                await self._one(client, kind, maker, where)
            except (InvalidStatusCode, aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                self.report.add(f"{where}: {kind}", f"no socket ({getattr(error, 'status_code', type(error).__name__)})", 0)

    async def _one(self, client: aiohttp.ClientSession, kind: str, maker: Maker, where: str) -> None:
        origin = {
            "X-Forwarded-For": f"10.{self._random.randrange(256)}.{self._random.randrange(256)}.{self._random.randrange(256)}"
        }
        token = "none-of-yours"  # noqa: S105 -- that is what it says
        if where in ("let in", "stopped"):
            headers = {**origin, "Origin": self._address}
            async with client.post(self._address + PAGE_CALL, json={"session_id": None}, headers=headers) as answer:
                token = (await answer.json()).get("token", token)
        url = self._address.replace("http", "ws", 1) + MEDIA
        socket = await websockets.client.connect(
            url, origin=self._address, extra_headers=origin, max_size=None, compression=None, close_timeout=1
        )  # type: ignore[arg-type]
        reading = asyncio.ensure_future(_read(socket))
        sent = 0
        try:
            with contextlib.suppress(ConnectionClosed, InvalidState):  # the latter: closed between two fragments
                if "before start" not in where:
                    await socket.send(_start(token))
                if where == "stopped":
                    await socket.send(json.dumps({"event": "stop", "sequenceNumber": "2", "streamSid": SID, "stop": {}}))
                for number in range(2, 2 + (_TOLERATED if where == "let in" and kind in LET_PASS else 1)):
                    message = maker(self._random, number + 1)
                    sent += 1
                    await socket.send(_slowly(message) if where.startswith("slow") and message else message)
            await asyncio.wait({reading}, timeout=_ENDS_WITHIN_S if where != "let in" or kind in ENDS else 0.2)
            close = socket.close_rcvd
            outcome = f"closed ({close.code if close else 'cut'})" if reading.done() else "goes on"
            self.report.add(f"{where}: {kind}", outcome, sent)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            socket.transport.abort()  # the handshake of closing would take longer than all the rest


async def _read(socket: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()


async def _slowly(message: Message) -> AsyncIterator[Message]:
    """In some twenty fragments, with pauses between them."""
    size = max(1, min(len(message) // 20, 4096))
    for start in range(0, min(len(message), 20 * size), size):
        yield message[start : start + size]
        await asyncio.sleep(0.02)


def _start(token: str) -> str:
    start = {
        "streamSid": SID,
        "callSid": "CA" + "b" * 32,
        "accountSid": "AC" + "b" * 32,
        "tracks": ["inbound"],
        "customParameters": {"token": token},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": SID, "start": start})


def send_all(address: str, total: int, seed: int, results: Any) -> None:
    """The process's whole life; the report goes into ``results``, a queue."""
    results.put(asyncio.run(_Senders(address, total, seed).run()))
