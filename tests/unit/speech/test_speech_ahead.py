"""A call's voice that begins before it is known whether what it says is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import Unavailable
from throughline.speech.tts.ahead import SpeechAhead

pytestmark = pytest.mark.unit

PIECES = [b"one", b"two", b"three"]


class Voice:
    """Says three pieces of everything, the first once it is told to."""

    name = "voice"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: list[bytes] = []
        self.open = 0
        self.goes = asyncio.Event()
        self.goes.set()
        self.fails = 0

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        self.asked.append(text)
        self.open += 1
        try:
            await self.goes.wait()
            if self.fails:
                self.fails -= 1
                raise Unavailable("no voice")
            for piece in PIECES:
                self.made.append(piece)
                yield piece
        finally:
            self.open -= 1

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def voice() -> Voice:
    return Voice()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def said(ahead: SpeechAhead, text: str = "Which brand is it?", audio: AudioFormat = TELEPHONE) -> list[bytes]:
    return [piece async for piece in ahead.speak(text, audio)]


async def test_what_was_begun_ahead_is_made_once_and_said_whole(voice: Voice) -> None:
    ahead = SpeechAhead(voice)
    ahead.prepare("Which brand is it?", TELEPHONE)
    ahead.prepare("Which brand is it?", TELEPHONE)
    await settle()
    assert voice.made == PIECES[:1], "no more than its first piece is taken ahead"
    assert await said(ahead) == PIECES
    assert (voice.asked, voice.open) == (["Which brand is it?"], 0)
    assert await said(ahead) == PIECES, "said again it is made again"
    assert len(voice.asked) == 2


async def test_a_first_piece_that_is_still_to_come_is_waited_for(voice: Voice) -> None:
    voice.goes.clear()
    ahead = SpeechAhead(voice)
    ahead.prepare("Which brand is it?", TELEPHONE)
    saying = asyncio.create_task(said(ahead))
    await settle()
    assert not saying.done()
    voice.goes.set()
    assert await saying == PIECES
    assert len(voice.asked) == 1


@pytest.mark.parametrize("other", [{"text": "Okay."}, {"audio": WIDEBAND}])
async def test_what_turns_out_otherwise_is_made_as_ever_and_the_beginning_closed(voice: Voice, other: dict[str, str]) -> None:
    ahead = SpeechAhead(voice)
    ahead.prepare("Which brand is it?", TELEPHONE)
    await settle()
    assert await said(ahead, **other) == PIECES  # type: ignore[arg-type]
    await settle()
    assert (len(voice.asked), voice.open) == (2, 0)


async def test_of_two_beginnings_the_later_one_counts(voice: Voice) -> None:
    voice.goes.clear()
    ahead = SpeechAhead(voice)
    ahead.prepare("Okay.", TELEPHONE)
    await settle()
    ahead.prepare("Which brand is it?", TELEPHONE)
    await settle()
    assert voice.open == 1, "the first is closed, though its first piece had not come"
    voice.goes.set()
    assert await said(ahead) == PIECES
    assert voice.asked == ["Okay.", "Which brand is it?"]


async def test_a_voice_that_has_failed_ahead_is_told_of_once_and_tried_again(voice: Voice) -> None:
    voice.fails = 1
    ahead = SpeechAhead(voice)
    ahead.prepare("Which brand is it?", TELEPHONE)
    await settle()
    with pytest.raises(Unavailable):
        await said(ahead)
    assert await said(ahead) == PIECES


async def test_who_stops_listening_stops_the_voice_at_any_moment(voice: Voice) -> None:
    voice.goes.clear()
    ahead = SpeechAhead(voice)
    ahead.prepare("Which brand is it?", TELEPHONE)
    saying = asyncio.create_task(said(ahead))
    await settle()
    saying.cancel()
    await asyncio.wait({saying})
    assert (saying.cancelled(), voice.open) == (True, 0)


async def test_what_was_begun_and_never_wanted_is_closed_with_the_call(voice: Voice) -> None:
    ahead = SpeechAhead(voice)
    ahead.prepare("Which brand is it?", TELEPHONE)
    await settle()
    assert voice.open == 1
    await ahead.close()
    assert voice.open == 0
    await ahead.close()
