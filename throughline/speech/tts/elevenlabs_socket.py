"""Speaking by ElevenLabs over its websocket ``stream-input``.

Source: elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input. One connection makes one text:

    us          {"text": " "} at the beginning, with {"voice_settings"}; {"text": words + " "}; {"text": ""} at the end
    ElevenLabs  {"audio": base64, ...} ... {"isFinal": true}; {"message", "error", "code"} where it refuses; then it closes

So the connection for the next sentence is opened while this one is spoken, at the same speed, and waits. ``auto_mode`` has whole
sentences made at once instead of gathered; SSML is not parsed. The SDK is not used: its realtime client exists in a blocking form only,
over ``websockets.sync``, which websockets has since version 13, and Rasa needs 10 (tried: it fails at the first call).

ElevenLabs itself advises HTTP (``elevenlabs``) where a text is whole from the beginning, as ours are. This form spares the request's own
round trip on a slow network, and is there where a proxy lets no long answers through.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import quote, urlencode

from throughline.domain.transcripts import TELEPHONE, AudioFormat
from throughline.errors import Unavailable
from throughline.speech.http_client import Failed, HttpClient, checked_key, checked_url, what_failed
from throughline.speech.tts.elevenlabs_words import as_words, within_bounds, word_for, word_for_code
from throughline.speech.tts.open_sockets import MOST_MESSAGE_BYTES, OpenSockets, Socket, Sound, audio_of, next_message
from throughline.speech.tts.vendor_speech import spoken
from throughline.speech.within import within

_INACTIVITY_S = 180  # the longest that ElevenLabs waits for more text
_IDLE_S = 150
_POLICY = 1008
_INTERNAL = 1011


class ElevenLabsSocketTts:
    """ElevenLabs as a speaking engine."""

    def __init__(self, key: str, *, url: str, voice_id: str, model: str, first_audio_timeout_ms: float) -> None:
        """``url`` is ElevenLabs' address, ``https://`` or ``wss://``. ``first_audio_timeout_ms`` bounds connecting, and each wait for more
        of an answer. Nothing is opened yet."""
        self.name = f"elevenlabs {model}"
        self._key = key.strip()
        self._url = re.sub(r"^http", "ws", url)
        self._voice_id = voice_id
        self._model = model
        self._timeout_ms = first_audio_timeout_ms
        self._http = HttpClient(timeout_ms=first_audio_timeout_ms)
        self._sockets = OpenSockets(self._connected, engine=self.name, idle_s=_IDLE_S)

    async def warm_up(self) -> None:
        """Open the connection for the first sentence. Raises Unavailable. Some refusals only come with a text."""
        word = ""
        try:
            self._sockets.put(await self._sockets.take(Sound(TELEPHONE)), Sound(TELEPHONE))
        except Exception as error:  # noqa: BLE001 -- the client raises whatever its parts raise
            word = _word_for(error)
        if word:
            raise Unavailable(f"ElevenLabs: {word}")

    async def close(self) -> None:
        """Close the connections that wait. The next sentence opens its own."""
        await self._sockets.close()
        await self._http.close()

    def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        """The speech for ``text``; see the protocol. Chunks are 20 ms long. Markup loses its marks: see ``as_words``."""
        words, sound = as_words(text), Sound(audio, within_bounds(speed))
        return spoken(lambda: self._chunks(words, sound), _word_for, words, audio, vendor="ElevenLabs", engine=self.name)

    async def _chunks(self, words: str, sound: Sound) -> AsyncGenerator[bytes, None]:
        socket = await self._sockets.take(sound)
        try:
            await socket.send_json({"text": f"{words} "})
            await socket.send_json({"text": ""})
            self._sockets.prepare(sound)
            while True:
                told = await next_message(socket, timeout_s=self._timeout_ms / 1000, why_closed=_why_closed)
                if "error" in told:
                    raise Failed(word_for_code(told["error"]))
                if chunk := audio_of(told.get("audio")):
                    yield chunk
                if told.get("isFinal") is True:
                    return
        finally:
            self._sockets.drop(socket)

    async def _connected(self, sound: Sound) -> Socket:
        session, url = await self._http.session(), checked_url(self._url, "wss", "ws")
        audio = sound.audio
        encoding = "ulaw" if audio.encoding == "mulaw" else "pcm"
        asked = {
            "model_id": self._model,
            "output_format": f"{encoding}_{audio.sample_rate_hz}",
            "auto_mode": "true",
            "enable_ssml_parsing": "false",
            "inactivity_timeout": str(_INACTIVITY_S),
        }
        opening = session.ws_connect(
            f"{url}/v1/text-to-speech/{quote(self._voice_id, safe='')}/stream-input?{urlencode(asked)}",
            headers={"xi-api-key": checked_key(self._key)},
            max_msg_size=MOST_MESSAGE_BYTES,
        )
        socket = await within(opening, self._timeout_ms)
        # At the usual speed the voice's own settings stay untouched.
        settings = {} if sound.speed == 1.0 else {"voice_settings": {"speed": sound.speed}}
        await socket.send_json({"text": " ", **settings})
        return socket


def _why_closed(code: int, _reason: str) -> str:
    return {_POLICY: "request_refused", _INTERNAL: "broken_down"}.get(code, "connection_lost")


def _word_for(error: Exception) -> str:
    """One word for what went wrong, of ours."""
    word = what_failed(error)
    return word_for(404, None) if word == "not_found" else word
