"""Speaking by ElevenLabs, through its SDK: a sentence goes there by HTTP, its audio comes back in the line's own format while it
is being made.

The connection stays open from sentence to sentence, because making one costs more than the voice's own first byte. Closing the
speech closes its stream at once: what a caller has interrupted is neither made nor paid for any longer. The SDK takes 0.7 s to
import, so this happens in a thread, at ``warm_up`` or at the first sentence, and only where there is a key.

Always holds: whatever goes wrong comes out as Unavailable with one word of ours; no text, header or body of the vendor's or the
SDK's gets into an error or a log line, since they may carry the key. Redirects are not followed: the key would go along.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.errors import Unavailable
from throughline.log import get_logger
from throughline.speech import vendor_sdks

if TYPE_CHECKING:
    import httpx
    from elevenlabs.client import AsyncElevenLabs

_log = get_logger("speech")

_CONNECTIONS = 256
"""At most so many sentences at once: more than a server's calls."""
_IDLE_S = 120
"""How long a connection is kept open with nothing to say: longer than callers take to answer. One that the other side has closed
meanwhile is noticed and made anew."""
_SLOWEST, _FASTEST = 0.7, 1.2
"""The speeds it takes. Source: elevenlabs.io/docs, "Voice settings"."""
_LONGEST_MS_PER_CHAR = 200
_LONGEST_MS = 10_000
"""Speech longer than this, and so much for each character, is not the text's: three times as long as a slow speaker takes."""

_OBEYED = re.compile(r"[<>\[\]＜＞［］﹤﹥\x00-\x1f\x7f]|[&＆](?=#?\w+;)")

_WORDS_BY_CODE = {
    "invalid_api_key": "key_refused",
    "missing_permissions": "key_not_permitted",
    "quota_exceeded": "quota_used_up",
    "payment_required": "not_in_plan",
    "voice_not_found": "voice_unknown",
    "model_not_found": "model_unknown",
}
_WORDS_BY_STATUS = {
    401: "key_refused",
    402: "quota_used_up",
    403: "key_not_permitted",
    404: "voice_unknown",
    422: "request_refused",
    429: "limit_reached",
}


def as_words(text: str) -> str:
    """``text`` without what ElevenLabs' models would obey instead of saying it: a customer's words come back to them in recaps, and
    nobody is to make the assistant pause, whisper or mispronounce by a name they give.

    Angle brackets make `<break>` (all models but v3) and `<phoneme>` (the English ones), square ones make v3's audio tags, entities
    could become either. The marks become spaces, and what stood between them is read as words. Source: help.elevenlabs.io, "Do
    pauses and SSML phoneme tags work with the API?". Their full-width twins go too: a text normaliser may turn them into the real
    ones. Empty where there is nothing to pronounce.
    """
    words = " ".join(_OBEYED.sub(" ", text).split())
    return words if any(character.isalnum() for character in words) else ""


class ElevenLabsTts:
    """ElevenLabs as a speaking engine."""

    def __init__(
        self, key: str, *, url: str = "https://api.elevenlabs.io", voice_id: str, model: str, first_audio_timeout_ms: int
    ) -> None:
        """``first_audio_timeout_ms`` bounds connecting, and each wait for more of an answer. Nothing is opened yet."""
        self.name = f"elevenlabs {model}"
        self._key = key.strip()
        self._url = url
        self._voice_id = voice_id
        self._model = model
        self._timeout_s = first_audio_timeout_ms / 1000
        self._making = threading.Lock()
        self._client: AsyncElevenLabs | None = None
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def warm_up(self) -> None:
        """Import the SDK, open a connection and ask for the voice, which costs nothing. Raises Unavailable: the key is refused,
        there is no such voice, or ElevenLabs can't be reached. Whether there is credit left only speaking tells."""
        word = ""
        try:
            client = await self._opened()
            await client.voices.get(self._voice_id, request_options={"max_retries": 0})
        except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its parts raise
            word = _what_failed(error)
        # A key may be good for speaking alone: it is known then, and the voice can't be looked at.
        if word and word != "key_not_permitted":
            raise _unavailable(word)

    async def close(self) -> None:
        """Close the connections that are kept open. The next sentence opens them again."""
        http, self._http, self._client = self._http, None, None
        if http is not None:
            await http.aclose()

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Chunks are 20 ms long. Markup loses its marks: see ``as_words``."""
        words = as_words(text)
        if not words:
            return
        speed = min(_FASTEST, max(_SLOWEST, speed))
        longest_bytes = (_LONGEST_MS + _LONGEST_MS_PER_CHAR * len(words)) * audio.frame_bytes // FRAME_MS
        said_bytes, word = 0, ""
        for again in (True, False):
            try:
                async with aclosing(self._chunks(words, audio, speed)) as chunks:
                    async for chunk in chunks:
                        said_bytes += len(chunk)
                        if said_bytes > longest_bytes:
                            _log.warning("speech.cut", engine=self.name, reason="too_long", characters=len(words))
                            return
                        yield chunk
                        await asyncio.sleep(0)  # of what has come at once, nobody else on this loop waits for all
                word = "" if said_bytes else "no_audio"
            except Exception as error:  # noqa: BLE001 -- the SDK raises whatever its parts raise
                word = _what_failed(error)
            # A connection kept open may be closed by the other side just when it is used again.
            if word != "connection_lost" or said_bytes or not again:
                break
        if word:
            raise _unavailable(word)  # outside of `except`: the vendor's error must not hang on to ours

    async def _chunks(self, words: str, audio: AudioFormat, speed: float) -> AsyncGenerator[bytes, None]:
        """The answer's audio. Raises what the SDK raises, and _Failed."""
        client = await self._opened()
        from elevenlabs.types.voice_settings import VoiceSettings

        # At the usual speed the voice's own settings stay untouched.
        settings: dict[str, Any] = {} if speed == 1.0 else {"voice_settings": VoiceSettings(speed=speed)}
        encoding = "ulaw" if audio.encoding == "mulaw" else "pcm"
        sample_bytes = 1 if audio.encoding == "mulaw" else 2
        async with client.text_to_speech.with_raw_response.stream(
            self._voice_id,
            text=words,
            model_id=self._model,
            output_format=f"{encoding}_{audio.sample_rate_hz}",
            # The SDK would collect 1,024 bytes before it hands on the first.
            request_options={"chunk_size": audio.frame_bytes},
            **settings,
        ) as response:
            content_type = response.headers.get("content-type", "")
            if "json" in content_type or content_type.startswith("text/"):
                raise _Failed("not_audio")
            async for chunk in response.data:
                if whole := chunk[: len(chunk) // sample_bytes * sample_bytes]:  # the last may end with half a sample
                    yield whole

    async def _opened(self) -> AsyncElevenLabs:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        if self._client is not None and self._loop is loop:
            return self._client
        return await loop.run_in_executor(None, self._made, loop)

    def _made(self, loop: asyncio.AbstractEventLoop) -> AsyncElevenLabs:
        """Import the SDK and make the client, once for a loop (in a worker thread)."""
        if not re.fullmatch(r"[!-~]+", self._key):
            raise _Failed("key_malformed")  # the HTTP client would log it while it refuses it
        with self._making:
            if self._client is None or self._loop is not loop:
                vendor_sdks.prepare()
                import httpx
                from elevenlabs.client import AsyncElevenLabs

                limits = httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_IDLE_S)
                self._http = httpx.AsyncClient(timeout=self._timeout_s, limits=limits, follow_redirects=False)
                # Without a timeout of its own the SDK takes the client's; its default is 240 s.
                self._client = AsyncElevenLabs(api_key=self._key, base_url=self._url, timeout=None, httpx_client=self._http)
                self._loop = loop
            return self._client


class _Failed(Exception):
    """Something we noticed ourselves. Carries the word for it."""

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(word)


def _unavailable(word: str) -> Unavailable:
    return Unavailable(f"ElevenLabs: {word}")


def _what_failed(error: Exception) -> str:
    """One word for what went wrong, of ours."""
    if isinstance(error, _Failed):
        return error.word
    if isinstance(error, ImportError):
        return "sdk_missing"
    import httpx
    from elevenlabs.core.api_error import ApiError

    words: dict[type[Exception], str] = {
        httpx.ConnectError: "not_reached",
        httpx.UnsupportedProtocol: "not_reached",
        httpx.ConnectTimeout: "not_reached",
        httpx.PoolTimeout: "too_many_at_once",
        httpx.TimeoutException: "too_slow",
        httpx.LocalProtocolError: "request_refused",
        httpx.TransportError: "connection_lost",
    }
    if isinstance(error, ApiError):
        return _word_for(error.status_code or 0, error.body)
    for kind, word in words.items():  # narrow kinds come before wide ones
        if isinstance(error, kind):
            return word
    return f"failed_by_{type(error).__name__}"


def _word_for(status: int, body: Any) -> str:
    """A refusal's word. Bodies are ``{"detail": {"status", "message"}}``, newer ones with ``code`` and ``type`` beside them, or
    ``{"detail": [...]}`` where a field of the request is wrong; anything may stand in the place of a body."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    if isinstance(detail, Mapping):
        for code in (detail.get("status"), detail.get("code")):
            if isinstance(code, str) and code in _WORDS_BY_CODE:
                return _WORDS_BY_CODE[code]
    if status in _WORDS_BY_STATUS:
        return _WORDS_BY_STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    return "broken_down" if status >= 500 else "request_refused"
