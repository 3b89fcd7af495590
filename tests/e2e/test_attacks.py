"""Ten thousand who want in and may not: forged, altered, replayed and unsigned requests and upgrades."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import secrets
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import websockets.client
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

from tests.e2e.stack import COMPANY_NUMBER, TWILIO_ACCOUNT, TWILIO_TOKEN
from tests.e2e.vendor_line import VendorLine
from throughline.simulate.twilio import signature

pytestmark = pytest.mark.e2e

ATTEMPTS = 10_000
AT_ONCE = 12
TABLES = ("contacts", "sessions", "phone_calls", "call_tokens", "processed_requests", "events", "handoffs")
HOOKS = ("voice", "resume?step=1", "dialled", "recorded", "status", "fallback")
SILENCE = base64.b64encode(b"\xff" * 160).decode()

Attempt = Callable[[], Awaitable[str]]


def rows(file: Path) -> dict[str, int]:
    with sqlite3.connect(file) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}  # noqa: S608


class Attacker:
    """Knows the addresses, a call's id and everything that was ever sent, but not the account's token."""

    def __init__(self, line: VendorLine, http: aiohttp.ClientSession, replays: list[tuple[str, dict[str, str]]]) -> None:
        self._line, self._http, self._replays = line, http, replays
        self._dice = random.Random(20261122)  # noqa: S311 - the same ten thousand every time
        self.media_url = line.stack.media_url
        # Twilio's signature of the upgrade is the same for every call of one address: it may have been overheard.
        self.overheard = signature(TWILIO_TOKEN, self.media_url)
        self.used_token = ""

    def attempts(self, count: int) -> list[Attempt]:
        """That many, of all kinds, in an order of their own."""
        kinds = [self.unsigned, self.forged, self.altered, self.replayed, self.foreign_upgrade, self.upgrade_with_bad_token]
        weights = [2, 3, 3, 2, 2, 1]
        return self._dice.choices(kinds, weights, k=count)

    def _fields(self) -> dict[str, str]:
        return {
            "AccountSid": TWILIO_ACCOUNT,
            "CallSid": "CA" + self._dice.randbytes(16).hex(),
            "From": "+1503555" + str(self._dice.randrange(1000, 9999)),
            "To": COMPANY_NUMBER,
            "CallStatus": "ringing",
        }

    async def _post(self, hook: str, fields: dict[str, str], signed: str | None) -> str:
        headers = {} if signed is None else {"X-Twilio-Signature": signed}
        address = f"{self._line.stack.address}/webhooks/phone/{hook}"
        async with self._http.post(address, data=fields, headers=headers) as answer:
            return str(answer.status)

    async def unsigned(self) -> str:
        return await self._post(self._dice.choice(HOOKS), self._fields(), None)

    async def forged(self) -> str:
        hook, fields = self._dice.choice(HOOKS), self._fields()
        address = self._dice.choice([self._line.stack.address, "https://other.example"]) + f"/webhooks/phone/{hook}"
        right_for_another = signature(TWILIO_TOKEN, "https://other.example/webhooks/phone/voice", fields)
        made_up = base64.b64encode(self._dice.randbytes(20)).decode()
        guess = signature(self._dice.choice(["", TWILIO_ACCOUNT, "token"]), address, fields)
        return await self._post(hook, fields, self._dice.choice([right_for_another, made_up, guess, "", "x" * 5000]))

    async def altered(self) -> str:
        """What was signed once, with a letter of its body or its hook changed."""
        address, fields = self._dice.choice(self._replays)
        signed = signature(TWILIO_TOKEN, self._line.stack.address + address, fields)
        changed, name = dict(fields), self._dice.choice(sorted(fields))
        hook = address.removeprefix("/webhooks/phone/")
        kind = self._dice.randrange(4)
        if kind == 0:
            changed[name] = changed[name] + self._dice.choice("0aA+ ")
        elif kind == 1:
            del changed[name]
        elif kind == 2:
            changed["Added"] = "1"
        else:
            hook = self._dice.choice([other for other in (*HOOKS, "resume?step=2", "voice?x=1") if other != hook])
        return await self._post(hook, changed, signed)

    async def replayed(self) -> str:
        address, fields = self._dice.choice(self._replays)
        signed = signature(TWILIO_TOKEN, self._line.stack.address + address, fields)
        return await self._post(address.removeprefix("/webhooks/phone/"), fields, signed)

    async def foreign_upgrade(self) -> str:
        headers = self._dice.choice(
            [
                {},
                {"Origin": "https://evil.example"},
                {"Origin": "null"},
                {"X-Twilio-Signature": ""},
                {"X-Twilio-Signature": base64.b64encode(self._dice.randbytes(20)).decode()},
                {"X-Twilio-Signature": signature("guess", self.media_url)},
                {"X-Twilio-Signature": signature(TWILIO_TOKEN, "wss://other.example/webhooks/phone/media")},
                {"X-Twilio-Signature": "x", "Origin": self._line.stack.address},
            ]
        )
        try:
            async with websockets.client.connect(self.media_url, extra_headers=headers):
                return "opened"
        except InvalidStatusCode as error:
            return str(error.status_code)

    async def upgrade_with_bad_token(self) -> str:
        """Past the upgrade, by an overheard signature or as a page; then with a token that is none, used, or another door's."""
        twilio = self._dice.random() < 0.5
        headers = {"X-Twilio-Signature": self.overheard} if twilio else {"Origin": self._line.stack.address}
        token = self._dice.choice(["", secrets.token_urlsafe(32), self.used_token, "x" * 500])
        start = {
            "streamSid": "MZ1",
            "callSid": "CA" + "1" * 32,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": token},
        }
        try:
            async with websockets.client.connect(self.media_url, extra_headers=headers) as socket:
                await socket.send(json.dumps({"event": "start", "start": start}))
                await socket.send(json.dumps({"event": "media", "media": {"payload": SILENCE}}))
                return f"answered {await asyncio.wait_for(socket.recv(), 20)}"
        except ConnectionClosed:
            return "closed"
        except InvalidStatusCode as error:
            return str(error.status_code)


async def test_ten_thousand_attempts_let_nobody_in(nova: VendorLine) -> None:
    async with nova.call("+15035550140") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        call.hang_up()
        await call.over()
    replays = [(hook.url.removeprefix(nova.stack.address), dict(hook.fields)) for hook in call.webhooks]
    assert {address.rpartition("/")[2] for address, _ in replays} == {"voice", "status"}
    before = rows(nova.stack.folder / "record.db")
    bought = nova.deepgram.connections, len(nova.elevenlabs.asked)

    outcomes: Counter[tuple[str, str]] = Counter()
    async with aiohttp.ClientSession() as http:
        attacker = Attacker(nova, http, replays)
        connect = next(hook for hook in call.webhooks if hook.path.endswith("/voice")).body
        attacker.used_token = connect.partition('name="token" value="')[2].partition('"')[0]
        assert attacker.used_token
        waiting = iter(attacker.attempts(ATTEMPTS))

        async def attack() -> None:
            for attempt in waiting:
                outcomes[(attempt.__name__, await attempt())] += 1

        await asyncio.gather(*(attack() for _ in range(AT_ONCE)))

    assert sum(outcomes.values()) == ATTEMPTS
    let_in = {outcome: count for outcome, count in outcomes.items() if outcome[1] not in ("403", "429", "closed")}
    # A status that comes again while Twilio might still send it is acknowledged once more, and changes nothing.
    assert set(let_in) <= {("replayed", "204")}, let_in
    assert (nova.deepgram.connections, len(nova.elevenlabs.asked)) == bought, "no speech was bought"
    assert rows(nova.stack.folder / "record.db") == before, "nothing was written"

    async with nova.call("+15035550141") as call:
        caller = await call.stream()
        await caller.wait_quiet()
        await caller.say(await nova.recording("my washing machine is leaking"))
        await caller.wait_answer()
        assert nova.heard_from(call) == ["my washing machine is leaking"], "who may call is answered"
