"""Speaking by Rime over HTTP: a passage goes there, its audio comes back in the line's own format while it is being made.

Source: docs.rime.ai/api-reference/mistv3/http. ``POST /v1/rime-tts``; the ``Accept`` header names the format: ``audio/PCMU`` and
``audio/L16``, both without a header. The connection stays open from passage to passage; closing the speech closes it, so that what a
caller has interrupted is not made any longer. Refusals are plain text, not JSON.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from throughline.domain.transcripts import AudioFormat
from throughline.errors import Unavailable
from throughline.speech.http_client import Failed, HttpClient, checked_url
from throughline.speech.tts.passages import passages
from throughline.speech.tts.rime_account import LONGEST_PASSAGE, Account, as_words, within_bounds, word_for, word_for_refusal
from throughline.speech.tts.vendor_speech import spoken

_FORMATS = {"mulaw": "audio/PCMU", "l16": "audio/L16"}
_MOST_REFUSAL_BYTES = 2000


class RimeHttpTts:
    """Rime as a speaking engine."""

    def __init__(self, account: Account, *, url: str, first_audio_timeout_ms: float) -> None:
        """``first_audio_timeout_ms`` bounds connecting, and each wait for more of an answer. Nothing is opened yet."""
        self.name = f"rime {account.model}"
        self._account = account
        self._url = url
        self._http = HttpClient(timeout_ms=first_audio_timeout_ms)

    async def warm_up(self) -> None:
        """Open a connection. Raises Unavailable if Rime can't be reached. Key and voice only speaking tells: nothing asks for them that
        costs nothing."""
        word = ""
        try:
            self._account.headers()
            session, url = await self._http.session(), checked_url(self._url, "https", "http")
            async with session.head(url, timeout=self._http.patience, allow_redirects=False):
                pass  # whatever it answers: it is there
        except Exception as error:  # noqa: BLE001 -- the client raises whatever its parts raise
            word = word_for(error)
        if word:
            raise Unavailable(f"Rime: {word}")

    async def close(self) -> None:
        """Close the connections that are kept open. The next sentence opens them again."""
        await self._http.close()

    def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Chunks are 20 ms long. Markup loses its marks: see ``as_words``."""
        words, speed = as_words(text), within_bounds(speed)
        return spoken(lambda: self._passages(words, audio, speed), word_for, words, audio, vendor="Rime", engine=self.name)

    async def _passages(self, words: str, audio: AudioFormat, speed: float) -> AsyncGenerator[bytes, None]:
        session, url = await self._http.session(), checked_url(self._url, "https", "http")
        headers = {**self._account.headers(), "Accept": _FORMATS[audio.encoding]}
        for passage in passages(words, LONGEST_PASSAGE):
            asked = {**self._account.asked(audio, speed), "text": passage}
            async with session.post(
                f"{url}/v1/rime-tts", json=asked, headers=headers, timeout=self._http.patience, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    told = await answer.content.read(_MOST_REFUSAL_BYTES)
                    raise Failed(word_for_refusal(answer.status, told.decode(errors="replace")))
                if not answer.content_type.startswith("audio/"):
                    raise Failed("not_audio")
                async for chunk in answer.content.iter_any():
                    yield chunk
