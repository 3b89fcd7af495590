"""Call control, and doing away with recordings, by Twilio's REST API, through its SDK.

The SDK waits while Twilio answers, so it runs in a thread of its own; each request has a timeout. Twilio's addresses stand in the SDK;
ours is put in their place where the settings name another one.

Sources: twilio.com/docs/voice/api/call-resource (create, update a call), /docs/voice/api/recording (list, delete).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from requests import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from throughline.errors import Rejected, Unavailable

_THREADS = 4
_BAD_REQUEST, _NOT_FOUND = 400, 404
_NOT_IN_PROGRESS = 21220  # twilio.com/docs/api/errors/21220: the call is not in progress


class TwilioControl:
    """One account's calls. ``api_url`` is Twilio's, or another server's that speaks its protocol."""

    def __init__(self, account_sid: str, auth_token: str, *, api_url: str, timeout_ms: int) -> None:
        self._client = Client(account_sid, auth_token, http_client=_At(api_url, timeout_s=timeout_ms / 1000))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="twilio")

    async def place(self, to: str, *, from_: str, answered_url: str, fallback_url: str, status_url: str, ring_s: int) -> str:
        """See the protocol. Without ``machine_detection``: Twilio would listen for seconds before anybody hears us."""
        placed = await self._ask(
            lambda: self._client.calls.create(
                to=to,
                from_=from_,
                url=answered_url,
                method="POST",
                fallback_url=fallback_url,
                fallback_method="POST",
                status_callback=status_url,
                status_callback_method="POST",
                status_callback_event=["completed"],  # however it ends: also busy, no-answer, failed, canceled
                timeout=ring_s,
            ),
            refused="not_callable",
        )
        return str(placed.sid)

    async def follow(self, call_sid: str, instructions: str) -> None:
        """See the protocol; ``instructions`` are TwiML."""
        await self._ask(lambda: self._client.calls(call_sid).update(twiml=instructions))

    async def hang_up(self, call_sid: str) -> None:
        """See the protocol."""
        await self._ask(lambda: self._client.calls(call_sid).update(status="completed"))

    async def delete_recording(self, recording: str) -> None:
        """See the protocol."""
        with contextlib.suppress(Rejected):  # Twilio has none of this id
            await self._ask(lambda: self._client.recordings(recording).delete())

    async def delete_recordings_of(self, call_sid: str) -> None:
        """See the protocol."""
        with contextlib.suppress(Rejected):
            for found in await self._ask(lambda: self._client.recordings.list(call_sid=call_sid)):
                await self.delete_recording(found.sid)

    async def _ask(self, request: Callable[[], Any], *, refused: str = "") -> Any:
        """``refused``: why a request is rejected that Twilio understands and will not do."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, request)
        except TwilioRestException as error:
            if error.status == _NOT_FOUND or error.code == _NOT_IN_PROGRESS:
                raise Rejected("unknown_call") from None
            if refused and error.status == _BAD_REQUEST:
                raise Rejected(refused, f"Twilio's code {error.code}") from None
            # Its text may hold what we sent, and that a telephone number.
            raise Unavailable(f"Twilio answers {error.status} (code {error.code})") from None
        except (TwilioException, RequestException, ValueError) as error:  # ValueError: an answer that is no JSON
            raise Unavailable(f"Twilio can't be reached ({type(error).__name__})") from None

    def close(self) -> None:
        """Let requests under way finish."""
        self._threads.shutdown(wait=False)


class _At(TwilioHttpClient):
    """Twilio's client for HTTP, at another address than the one that stands in the SDK."""

    def __init__(self, api_url: str, *, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s)
        self._address = api_url.rstrip("/")

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        """As the SDK's own, with its address replaced."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return super().request(method, f"{self._address}{parts.path}{query}", *args, **kwargs)
