"""What every vendor's voice owes a call, whatever way its audio comes: markup is words, frames are whole, nothing goes on for ever,
and what fails says so with one word of ours.

A vendor's adapter makes the audio (``attempt``); ``spoken`` hands it on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.errors import Unavailable
from throughline.log import get_logger
from throughline.speech.audio import Framer

_log = get_logger("speech")

_LONGEST_MS_PER_CHAR = 200
_LONGEST_MS = 10_000
"""Speech longer than this, and so much for each character, is not the text's: three times as long as a slow speaker takes."""


def words_of(text: str, obeyed: re.Pattern[str]) -> str:
    """``text`` without the marks in ``obeyed``, which a voice would obey instead of saying them: a customer's words come back in recaps,
    and nobody is to make the assistant pause, whisper or mispronounce by a name they give. The marks become spaces, and what stood
    between them is read as words. Empty where there is nothing to pronounce."""
    words = " ".join(obeyed.sub(" ", text).split())
    return words if any(character.isalnum() for character in words) else ""


async def spoken(
    attempt: Callable[[], AsyncGenerator[bytes, None]],
    what_failed: Callable[[Exception], str],
    words: str,
    audio: AudioFormat,
    *,
    vendor: str,
    engine: str,
) -> AsyncIterator[bytes]:
    """The audio of ``attempt`` in frames of 20 ms, the last one shorter; none for no words. Raises Unavailable, ``vendor: word``.

    A connection that was kept open may be closed by the other side just when it is used again: then, as long as nothing was said, it
    is tried once more. ``what_failed`` names whatever ``attempt`` raises.
    """
    if not words:
        return
    longest_bytes = (_LONGEST_MS + _LONGEST_MS_PER_CHAR * len(words)) * audio.frame_bytes // FRAME_MS
    said_bytes, word = 0, ""
    for again in (True, False):
        try:
            async with aclosing(_framed(attempt(), audio)) as frames:
                async for frame in frames:
                    said_bytes += len(frame)
                    if said_bytes > longest_bytes:
                        _log.warning("speech.cut", engine=engine, reason="too_long", characters=len(words))
                        return
                    yield frame
                    await asyncio.sleep(0)  # of what has come at once, nobody else on this loop waits for all
            word = "" if said_bytes else "no_audio"
        except Exception as error:  # noqa: BLE001 -- clients and SDKs raise whatever their parts raise
            word = what_failed(error)
        if word != "connection_lost" or said_bytes or not again:
            break
    if word:
        failure = Unavailable(f"{vendor}: {word}")
        try:
            raise failure
        finally:
            failure.__context__ = None  # what the vendor's client raised, or was cancelled with, must not hang on to ours


async def _framed(chunks: AsyncGenerator[bytes, None], audio: AudioFormat) -> AsyncGenerator[bytes, None]:
    """``chunks`` cut anew. Half a sample at the end is left out; what came before a failure is handed on before it."""
    framer, sample_bytes = Framer(audio.frame_bytes), 1 if audio.encoding == "mulaw" else 2
    async with aclosing(chunks):
        failure: Exception | None = None
        try:
            async for chunk in chunks:
                for frame in framer.push(chunk):
                    yield frame
        except Exception as error:  # noqa: BLE001 -- raised again below
            failure = error
        rest = framer.rest()
        if whole := rest[: len(rest) // sample_bytes * sample_bytes]:
            yield whole
        if failure is not None:
            raise failure
