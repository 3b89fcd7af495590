"""Listening with a Whisper model on a server that speaks OpenAI's protocol: OpenAI's own, or one of the company's with a graphics card
(speaches, LocalAI, vLLM, whisper.cpp).

Source: platform.openai.com/docs/api-reference/audio/createTranscription. ``POST {url}/audio/transcriptions``, multipart: ``file`` (a WAV
of one utterance), ``model``, ``language``, ``prompt``, ``response_format=json``, ``temperature=0``; the answer is ``{"text"}``.
Whisper takes whole utterances: ``utterances`` cuts them out, and there are no interim reports, since each would cost a request. What is
expected next and the company's own words go into the prompt (``prompts``).

Always holds: a call has one request under way and at most four utterances that wait; whatever goes wrong comes out as Unavailable with
one word of ours.
"""

from __future__ import annotations

import io
import json
import wave

import aiohttp

from throughline.domain.key_terms import NO_TERMS, KeyTerms
from throughline.domain.transcripts import WIDEBAND, AudioFormat, Transcript
from throughline.errors import Unavailable
from throughline.speech.http_client import Failed, HttpClient, checked_key, checked_url, what_failed, word_for_status
from throughline.speech.stt.prompts import prompt
from throughline.speech.stt.protocol import SttStream
from throughline.speech.stt.utterances import Utterance, UtteranceStream
from throughline.speech.within import within

_MOST_ANSWER_BYTES = 1 << 16
_MOST_TEXT = 4000  # characters: an utterance is 15 seconds long
_OK = 200
_NO_SUCH_PATH = (404, 405)


class OpenAiWhisper:
    """The listening engine."""

    demo = False

    def __init__(
        self, url: str, *, key: str = "", model: str, language: str = "en", timeout_ms: float, terms: KeyTerms = NO_TERMS
    ) -> None:
        """``url`` ends where ``/audio/transcriptions`` is to follow, mostly with ``/v1``. ``key`` may be empty: servers of one's own often
        want none. ``timeout_ms`` bounds an utterance's transcription from its sending to its words."""
        self.name = f"openai {model}"
        self._url = url
        self._key = key.strip()
        self._model = model
        self._language = language
        self._timeout_ms = timeout_ms
        self._terms = terms
        self._http = HttpClient(timeout_ms=timeout_ms)

    async def warm_up(self) -> None:
        """Open a connection and ask for the list of models, which costs nothing and shows whether the key is taken. Raises Unavailable. A
        server without such a list is there all the same."""
        word = ""
        try:
            await within(self._asked_for_models(), self._timeout_ms)
        except Exception as error:  # noqa: BLE001 -- the client raises whatever its parts raise
            word = what_failed(error)
        if word:
            raise Unavailable(f"{self.name}: {word}")

    async def close(self) -> None:
        """Close the connections that are kept open. The next utterance opens them again."""
        await self._http.close()

    async def open(self, audio: AudioFormat) -> SttStream:
        """Listen to one call. The server is not asked: it is when something was said."""
        return UtteranceStream(self.transcribe, audio, engine=self.name, interims=False)

    async def transcribe(self, utterance: Utterance) -> Transcript:
        """The words of one utterance; an empty text where there are none. Raises Unavailable."""
        text, word = "", ""
        for again in (True, False):
            try:
                text, word = await within(self._asked(utterance), self._timeout_ms), ""
            except Exception as error:  # noqa: BLE001 -- the client raises whatever its parts raise
                word = what_failed(error)
            # A connection kept open may be closed by the other side just when it is used again.
            if word != "connection_lost" or not again:
                break
        if word:
            raise Unavailable(f"{self.name}: {word}")
        return Transcript(text, final=True)

    async def _asked(self, utterance: Utterance) -> str:
        session, url, headers = await self._http.session(), checked_url(self._url, "https", "http"), self._headers()
        form = aiohttp.FormData()
        form.add_field("file", _wav(utterance.audio), filename="utterance.wav", content_type="audio/wav")
        for name, value in self._fields(utterance).items():
            form.add_field(name, value)
        async with session.post(
            f"{url}/audio/transcriptions", data=form, headers=headers, timeout=self._http.patience, allow_redirects=False
        ) as answer:
            if answer.status != _OK:
                raise Failed(_word_for(answer.status, await _body(answer)))
            return _text(await _body(answer))

    def _fields(self, utterance: Utterance) -> dict[str, str]:
        fields = {"model": self._model, "language": self._language, "response_format": "json", "temperature": "0"}
        told = prompt(utterance.expectation, self._terms.expected(utterance.expectation))
        return {**fields, "prompt": told} if told else fields

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {checked_key(self._key)}"} if self._key else {}

    async def _asked_for_models(self) -> None:
        session, url = await self._http.session(), checked_url(self._url, "https", "http")
        async with session.get(
            f"{url}/models", headers=self._headers(), timeout=self._http.patience, allow_redirects=False
        ) as answer:
            if answer.status not in (_OK, *_NO_SUCH_PATH):
                raise Failed(_word_for(answer.status, await _body(answer)))


def _wav(audio: bytes) -> bytes:
    """16 kHz linear PCM with the header of a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(WIDEBAND.sample_rate_hz)
        writer.writeframes(audio)
    return file.getvalue()


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """What is answered. Raises Failed where it is longer than any utterance's words."""
    body = b""
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _MOST_ANSWER_BYTES:
            raise Failed("not_understood")
    return body


def _text(body: bytes) -> str:
    """The words in an answer. Raises Failed."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Failed("not_understood") from None
    text = told.get("text") if isinstance(told, dict) else None
    if not isinstance(text, str):
        raise Failed("not_understood")
    return " ".join(text[:_MOST_TEXT].split())


def _word_for(status: int, body: bytes) -> str:
    """The word for a refusal. OpenAI's bodies are ``{"error": {"message", "type", "code"}}``; other servers have their own."""
    if b"insufficient_quota" in body:
        return "quota_used_up"
    if status in (400, 404) and b"model" in body:
        return "model_unknown"
    return word_for_status(status)
