"""Call control, text messages, and doing away with recordings, by Twilio's REST API, through its SDK.

The SDK waits while Twilio answers, so it runs in a thread of its own; each request has a timeout. Twilio's addresses stand in the SDK;
ours is put in their place where the settings name another one.

Sources: twilio.com/docs/voice/api/call-resource (create, update a call), /docs/voice/api/recording (list, delete),
/docs/messaging/api/message-resource (create), /docs/api/errors.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
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
# What Twilio answers where nothing is wrong with it or with us: by its error code, or by the status of the answer.
_OF_CALLS: Mapping[int, str] = {404: "unknown_call", 21220: "unknown_call"}  # 21220: the call is not in progress
_OF_TEXTS: Mapping[int, str] = dict.fromkeys(
    (
        21211,  # no valid number
        21265,  # a short code
        21408,  # the account sends nothing to that country
        21610,  # whoever has it asked for no more (STOP)
        21612,  # nobody carries messages between the two numbers
        21614,  # no mobile number
        21635,  # a landline; those of the USA, Canada and the UK are found out after Twilio has taken the message
    ),
    "not_textable",
)
_OF_PLACING: Mapping[int, str] = {400: "not_callable"}  # Twilio understands, and will not call that number
_NOT_SENT = ("failed", "undelivered", "canceled")


class TwilioControl:
    """One account's calls, and the text messages that it sends from the number ``text_from`` of its own (E.164). ``api_url`` is Twilio's,
    or another server's that speaks its protocol."""

    def __init__(self, account_sid: str, auth_token: str, *, api_url: str, timeout_ms: int, text_from: str = "") -> None:
        self._text_from = text_from
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
            refusals=_OF_PLACING,
        )
        return str(placed.sid)

    async def follow(self, call_sid: str, instructions: str) -> None:
        """See the protocol; ``instructions`` are TwiML."""
        await self._ask(lambda: self._client.calls(call_sid).update(twiml=instructions))

    async def hang_up(self, call_sid: str) -> None:
        """See the protocol."""
        await self._ask(lambda: self._client.calls(call_sid).update(status="completed"))

    async def send_text(self, to: str, text: str) -> None:
        """See the protocol."""
        if not self._text_from:
            raise Unavailable("there is no number to send text messages from")
        message = await self._ask(
            lambda: self._client.messages.create(to=to, from_=self._text_from, body=text), refusals=_OF_TEXTS
        )
        if message.status in _NOT_SENT:
            raise Rejected("not_textable", f"{message.status} (code {message.error_code})")

    async def delete_recording(self, recording: str) -> None:
        """See the protocol."""
        with contextlib.suppress(Rejected):  # Twilio has none of this id
            await self._ask(lambda: self._client.recordings(recording).delete())

    async def delete_recordings_of(self, call_sid: str) -> None:
        """See the protocol."""
        with contextlib.suppress(Rejected):
            for found in await self._ask(lambda: self._client.recordings.list(call_sid=call_sid)):
                await self.delete_recording(found.sid)

    async def _ask(self, request: Callable[[], Any], refusals: Mapping[int, str] = _OF_CALLS) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, request)
        except TwilioRestException as error:
            reason = refusals.get(error.code) or refusals.get(error.status)
            if reason is not None:
                raise Rejected(reason, f"code {error.code}") from None
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
