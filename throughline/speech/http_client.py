"""The HTTP client of the vendors that are reached without an SDK: requests that stream, and websockets.

aiohttp's session belongs to an event loop and keeps connections open; this makes one for the loop at hand, and names what goes wrong
with one word of ours. What aiohttp raises is never passed on or logged: its errors carry the request's headers, and with them the
key. Redirects are not followed, neither by requests nor by websockets: the key would go along.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp

_CONNECTIONS = 256
"""At most so many at once: more than a server's calls."""
_IDLE_S = 120
"""How long a connection is kept open with nothing to say: longer than callers take to answer."""
_KEY = re.compile(r"[!-~]+")

_WORDS_BY_STATUS = {
    400: "request_refused",
    401: "key_refused",
    402: "quota_used_up",
    403: "key_not_permitted",
    404: "not_found",
    413: "too_long",
    422: "request_refused",
    429: "limit_reached",
}


class Failed(Exception):
    """Something went wrong on the way. Carries the word for it, safe to log."""

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(word)


class HttpClient:
    """Makes sessions, one for the running loop. ``timeout_ms`` bounds connecting, and each wait for more of an answer."""

    def __init__(self, *, timeout_ms: float) -> None:
        self.patience = aiohttp.ClientTimeout(total=None, connect=timeout_ms / 1000, sock_read=timeout_ms / 1000)
        """To be given to each request."""
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def session(self) -> aiohttp.ClientSession:
        """The session of the running loop."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            before = self._session
            trace = aiohttp.TraceConfig()
            trace.on_request_redirect.append(_refuse)
            self._loop = loop
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None),  # a websocket lives long; who opens one bounds that
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_IDLE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
            )
            if before is not None:
                await before.close()
        return self._session

    async def close(self) -> None:
        """Close the connections that are kept open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _refuse(*_: Any) -> None:
    raise Failed("redirected")


def checked_key(key: str) -> str:
    """``key`` as it may stand in a header. Raises Failed: the HTTP library would quote it while it refuses it."""
    if not _KEY.fullmatch(key):
        raise Failed("key_malformed")
    return key


def checked_url(url: str, *schemes: str) -> str:
    """``url`` without a closing slash. Raises Failed if it is none of ``schemes``."""
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        raise Failed("address_malformed") from None
    if parts.scheme not in schemes or not parts.hostname or not port_is_one:
        raise Failed("address_malformed")
    return url.rstrip("/")


def word_for_status(status: int) -> str:
    """The word for an answer that is no success."""
    if 300 <= status < 400:
        return "redirected"
    return _WORDS_BY_STATUS.get(status, "broken_down" if status >= 500 else "request_refused")


def what_failed(error: Exception) -> str:
    """One word for what went wrong, of ours."""
    if isinstance(error, Failed):
        return error.word
    if isinstance(error, aiohttp.ClientResponseError):  # also a websocket that is refused
        return word_for_status(error.status) if error.status != 200 else "not_a_websocket"
    words: dict[type[Exception], str] = {  # narrow kinds come before wide ones
        asyncio.TimeoutError: "too_slow",
        aiohttp.InvalidURL: "address_malformed",
        aiohttp.ClientConnectorError: "not_reached",
        aiohttp.ClientError: "connection_lost",
        OSError: "connection_lost",
    }
    return next((word for kind, word in words.items() if isinstance(error, kind)), f"failed_by_{type(error).__name__}")
