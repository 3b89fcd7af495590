"""Speaking by Rime over its websocket ``/ws3``: one connection carries sentence after sentence, and nobody waits for a handshake.

Source: docs.rime.ai/api-reference/mistv3/websockets-json, .../docs/websockets-segment. Voice, format and speed stand in the address. With
``segment=never`` Rime gathers text until it is told ``flush``, and makes all of it at once:

    us    {"text": passage, "contextId": id}   {"operation": "flush"}
    Rime  chunk {data}  timestamps {...}  done {}   each with the contextId;  error {message}

After ``done`` the connection takes the next passage. One that a caller has interrupted is closed instead of cleared: ``clear`` takes
back what waits, not what is being made.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import urlencode

from throughline.domain.transcripts import TELEPHONE, AudioFormat
from throughline.errors import Unavailable
from throughline.speech.http_client import Failed, HttpClient, checked_url
from throughline.speech.tts.open_sockets import (
    MOST_MESSAGE_BYTES,
    OpenSockets,
    Socket,
    Sound,
    audio_of,
    next_message,
)
from throughline.speech.tts.passages import passages
from throughline.speech.tts.rime_account import (
    LONGEST_PASSAGE,
    Account,
    as_words,
    why_closed,
    within_bounds,
    word_for,
    word_for_refusal,
)
from throughline.speech.tts.vendor_speech import spoken
from throughline.speech.within import within

_FORMATS = {"mulaw": "mulaw", "l16": "pcm"}
_IDLE_S = 120


class RimeSocketTts:
    """Rime as a speaking engine."""

    def __init__(self, account: Account, *, url: str, first_audio_timeout_ms: float) -> None:
        """``url`` begins with ``wss://``. ``first_audio_timeout_ms`` bounds connecting, and each wait for more. Nothing is opened yet."""
        self.name = f"rime {account.model}"
        self._account = account
        self._url = url
        self._timeout_ms = first_audio_timeout_ms
        self._http = HttpClient(timeout_ms=first_audio_timeout_ms)
        self._sockets = OpenSockets(self._connected, engine=self.name, idle_s=_IDLE_S)
        self._contexts = itertools.count(1)

    async def warm_up(self) -> None:
        """Open a connection, which shows whether the key is taken, and keep it for the first sentence. Raises Unavailable."""
        word = ""
        try:
            self._sockets.put(await self._sockets.take(Sound(TELEPHONE)), Sound(TELEPHONE))
        except Exception as error:  # noqa: BLE001 -- the client raises whatever its parts raise
            word = word_for(error)
        if word:
            raise Unavailable(f"Rime: {word}")

    async def close(self) -> None:
        """Close the connections that are kept open. The next sentence opens them again."""
        await self._sockets.close()
        await self._http.close()

    def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Chunks are 20 ms long. Markup loses its marks: see ``as_words``."""
        words, sound = as_words(text), Sound(audio, within_bounds(speed))
        return spoken(lambda: self._passages(words, sound), word_for, words, audio, vendor="Rime", engine=self.name)

    async def _passages(self, words: str, sound: Sound) -> AsyncGenerator[bytes, None]:
        socket = await self._sockets.take(sound)
        whole = False
        try:
            for passage in passages(words, LONGEST_PASSAGE):
                context = str(next(self._contexts))
                await socket.send_json({"text": passage, "contextId": context})
                await socket.send_json({"operation": "flush"})
                while (chunk := await self._chunk(socket, context)) is not None:
                    yield chunk
            whole = True
        finally:
            if whole:
                self._sockets.put(socket, sound)
            else:
                self._sockets.drop(socket)

    async def _chunk(self, socket: Socket, context: str) -> bytes | None:
        """The next audio of ``context``, None at its end."""
        while True:
            told = await next_message(socket, timeout_s=self._timeout_ms / 1000, why_closed=why_closed)
            kind = told.get("type")
            if kind == "error":
                message = told.get("message")
                raise Failed(word_for_refusal(400, message if isinstance(message, str) else ""))
            if told.get("contextId") not in (None, context):
                continue
            if kind == "done":
                return None
            if kind == "chunk" and (chunk := audio_of(told.get("data"))):
                return chunk

    async def _connected(self, sound: Sound) -> Socket:
        session, url = await self._http.session(), checked_url(self._url, "wss", "ws")
        asked = {
            **self._account.asked(sound.audio, sound.speed),
            "audioFormat": _FORMATS[sound.audio.encoding],
            "segment": "never",
        }
        opening = session.ws_connect(
            f"{url}/ws3?{urlencode(asked)}",
            headers=self._account.headers(),
            max_msg_size=MOST_MESSAGE_BYTES,
        )
        return await within(opening, self._timeout_ms)
