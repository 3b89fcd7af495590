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
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

from throughline.domain.transcripts import AudioFormat
from throughline.errors import Unavailable
from throughline.speech import vendor_sdks
from throughline.speech.http_client import Failed
from throughline.speech.tts.elevenlabs_words import as_words, within_bounds, word_for
from throughline.speech.tts.vendor_speech import spoken

if TYPE_CHECKING:
    import httpx
    from elevenlabs.client import AsyncElevenLabs

_CONNECTIONS = 256
"""At most so many sentences at once: more than a server's calls."""
_IDLE_S = 120
"""How long a connection is kept open with nothing to say: longer than callers take to answer. One that the other side has closed
meanwhile is noticed and made anew."""


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
            raise Unavailable(f"ElevenLabs: {word}")

    async def close(self) -> None:
        """Close the connections that are kept open. The next sentence opens them again."""
        http, self._http, self._client = self._http, None, None
        if http is not None:
            await http.aclose()

    def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Chunks are 20 ms long. Markup loses its marks: see ``as_words``."""
        words, speed = as_words(text), within_bounds(speed)
        return spoken(
            lambda: self._chunks(words, audio, speed), _what_failed, words, audio, vendor="ElevenLabs", engine=self.name
        )

    async def _chunks(self, words: str, audio: AudioFormat, speed: float) -> AsyncGenerator[bytes, None]:
        """The answer's audio. Raises what the SDK raises, and Failed."""
        client = await self._opened()
        from elevenlabs.types.voice_settings import VoiceSettings

        # At the usual speed the voice's own settings stay untouched.
        settings: dict[str, Any] = {} if speed == 1.0 else {"voice_settings": VoiceSettings(speed=speed)}
        encoding = "ulaw" if audio.encoding == "mulaw" else "pcm"
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
                raise Failed("not_audio")
            async for chunk in response.data:
                yield chunk

    async def _opened(self) -> AsyncElevenLabs:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        if self._client is not None and self._loop is loop:
            return self._client
        return await loop.run_in_executor(None, self._made, loop)

    def _made(self, loop: asyncio.AbstractEventLoop) -> AsyncElevenLabs:
        """Import the SDK and make the client, once for a loop (in a worker thread)."""
        if not re.fullmatch(r"[!-~]+", self._key):
            raise Failed("key_malformed")  # the HTTP client would log it while it refuses it
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


def _what_failed(error: Exception) -> str:
    """One word for what went wrong, of ours."""
    if isinstance(error, Failed):
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
        return word_for(error.status_code or 0, error.body)
    for kind, word in words.items():  # narrow kinds come before wide ones
        if isinstance(error, kind):
            return word
    return f"failed_by_{type(error).__name__}"
