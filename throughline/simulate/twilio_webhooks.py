"""Twilio's side of a webhook: signed requests, the limits of their answers, one more try, and then the fallback address.

Sources: twilio.com/docs/usage/security (signatures), /docs/usage/webhooks/webhooks-connection-overrides (timeouts and tries),
/docs/api/errors (the codes in ``WebhookFailed``).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from throughline.errors import Unavailable

TOTAL_S = 15.0
"""How long all tries of one webhook may take together."""
CONNECT_S = 5.0
TRIES = 2
_LEAST_S = 0.01  # of time left; timers are off by a millisecond, and a try takes some

NO_ANSWER, NOT_FOUND_OR_FAILED, NOT_XML, WRONG_TYPE = "11205", "11200", "12100", "12300"
"""Error codes: no connection or no answer in time, an answer that is not 2xx, no TwiML, and a content type that is not XML."""

_XML = ("text/xml", "application/xml", "application/xhtml+xml")


class WebhookFailed(Unavailable):
    """No usable answer came. ``code`` is Twilio's error code."""

    def __init__(self, code: str, url: str) -> None:
        self.code, self.url = code, url
        super().__init__(f"{code} {url}")


@dataclass(frozen=True)
class Webhook:
    """One request that was made and what was answered; ``status`` None is no answer."""

    url: str
    fields: Mapping[str, str]
    idempotency_token: str
    status: int | None
    content_type: str
    body: str
    took_ms: float

    @property
    def path(self) -> str:
        """The path of the address."""
        return urlsplit(self.url).path


def signature(auth_token: str, url: str, fields: Mapping[str, str] | None = None) -> str:
    """``X-Twilio-Signature``: base64 of HMAC-SHA1, by the auth token, over the full address and the sorted fields."""
    signed = url + "".join(key + value for key, value in sorted((fields or {}).items()))
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


@dataclass
class WebhookSender:
    """Makes signed requests to one server. ``made`` is every request, tries counted, in their order.

    ``connect_to`` is the server's real ``http://host:port`` where the public address ends at something in front of it.
    ``tries_again_on`` says what is tried once more, with the same idempotency token: ``connection``, ``timeout``, ``5xx``. (Twilio's
    default is ``connection`` alone; the other two are what ``#rp=all`` behind a webhook's address asks for.)
    """

    public_url: str
    auth_token: str
    connect_to: str | None = None
    total_s: float = TOTAL_S
    tries_again_on: Sequence[str] = ("connection", "timeout", "5xx")
    made: list[Webhook] = field(default_factory=list)

    async def post(self, url: str, fields: Mapping[str, str]) -> Webhook:
        """The first usable answer. Raises WebhookFailed."""
        token, deadline = str(uuid.uuid4()), time.monotonic() + self.total_s
        for attempt in range(TRIES):
            webhook, fault = await self._try(url, fields, token, deadline)
            self.made.append(webhook)
            if not fault:
                return webhook
            if fault not in self.tries_again_on or attempt == TRIES - 1 or deadline - time.monotonic() < _LEAST_S:
                break
        raise WebhookFailed(NO_ANSWER if webhook.status is None else NOT_FOUND_OR_FAILED, url)

    async def twiml(self, url: str, fields: Mapping[str, str]) -> str:
        """The TwiML answered. Raises WebhookFailed."""
        answer = await self.post(url, fields)
        if answer.content_type not in _XML:
            raise WebhookFailed(WRONG_TYPE, url)
        return answer.body

    async def _try(self, url: str, fields: Mapping[str, str], token: str, deadline: float) -> tuple[Webhook, str]:
        """One request, and what was wrong with its answer (empty: nothing)."""
        headers = {
            "Host": urlsplit(url).netloc,
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": signature(self.auth_token, url, fields),
            "I-Twilio-Idempotency-Token": token,
        }
        limits = aiohttp.ClientTimeout(total=max(_LEAST_S, deadline - time.monotonic()), sock_connect=CONNECT_S)
        began, status, kind, body = time.monotonic(), None, "", ""
        try:
            async with aiohttp.ClientSession(timeout=limits) as client:
                request = client.post(self._real(url), data=dict(fields), headers=headers, allow_redirects=False)
                async with request as answer:
                    body = await answer.text(errors="replace")
                    status, kind = answer.status, answer.content_type
            fault = "" if 200 <= status < 300 else f"{status // 100}xx"
        except asyncio.TimeoutError:
            fault = "timeout"
        except aiohttp.ClientError:
            fault = "connection"
        return Webhook(url, dict(fields), token, status, kind, body, (time.monotonic() - began) * 1000), fault

    def _real(self, url: str) -> str:
        """Where ``url`` is reached."""
        if self.connect_to and url.startswith(self.public_url + "/"):
            return self.connect_to.rstrip("/") + url[len(self.public_url) :]
        return url
