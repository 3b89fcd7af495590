"""A call as our own page makes it: asks for a token, then opens the media stream with sound at 16 kHz, and is told captions."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urljoin

import aiohttp

from throughline.domain.transcripts import WIDEBAND, AudioFormat
from throughline.errors import ProtocolError, Rejected, Unavailable
from throughline.simulate.call import Caller

PAGE_CALL = "/webhooks/phone/page-call"
_ANSWERS_WITHIN_S = 10


async def page_caller(
    address: str,
    *,
    origin: str | None = None,
    session_id: str | None = None,
    audio: AudioFormat = WIDEBAND,
    connect_to: tuple[str, int] | None = None,
) -> Caller:
    """A caller that is let in, still to be dialled. ``address`` is the server's, ``origin`` that of the page (default: the same).

    ``session_id`` is the token of a chat whose conversation the call goes on with. ``audio``: our page sends 16 kHz.
    ``connect_to``: host and port by which the media go, where that isn't the server's. Raises Unavailable, Rejected or ProtocolError.
    """
    address = address.rstrip("/")
    origin = origin or address
    url = address + PAGE_CALL
    try:
        limits = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN_S)
        asked: dict[str, Any] = {"json": {"session_id": session_id}, "headers": {"Origin": origin}}
        async with aiohttp.ClientSession(timeout=limits) as client, client.post(url, **asked) as answer:
            status, body = answer.status, await answer.json()
    except asyncio.TimeoutError as error:
        raise Unavailable(f"{url} gave no answer within {_ANSWERS_WITHIN_S} s") from error
    except (aiohttp.ContentTypeError, ValueError) as error:
        raise ProtocolError(f"{url} is no phone line of ours") from error
    except aiohttp.ClientError as error:
        raise Unavailable(f"{url} cannot be reached ({type(error).__name__})") from error
    if not isinstance(body, dict) or status == 404:
        raise ProtocolError(f"{url} is no phone line of ours: {status}")
    if status != 200 or not isinstance(body.get("token"), str):
        raise Rejected(str(body.get("error") or status), str(body.get("message") or ""))
    media = urljoin(address + "/", str(body.get("media_url") or ""))
    if media.startswith("http"):
        media = "ws" + media.removeprefix("http")
    return Caller(media, body["token"], audio=audio, origin=origin, connect_to=connect_to)
