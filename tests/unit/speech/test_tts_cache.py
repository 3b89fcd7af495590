"""A voice that keeps what it has said: what is kept, for how long, and what becomes of it when the disk has its ways."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import Unavailable
from throughline.speech.tts.cache import CachedTts
from throughline.speech.tts.relay import TtsRelay
from throughline.speech.tts.speech_store import SpeechStore

pytestmark = pytest.mark.unit

FIXED = "What can we do for you?"
PRIVATE = "Thank you, Dana."
LARGE = 10_000_000


class Voice:
    """Speaks 65 ms a character, each sentence in another tone; remembers what it was asked. ``breaks_after`` as many frames."""

    def __init__(self, name: str = "voice") -> None:
        self.name = name
        self.asked: list[str] = []
        self.closed = False
        self.breaks_after: int | None = None
        self.frames_per_character = 65 / 20

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        self.closed = True

    async def speak(self, text: str, audio: AudioFormat, *, speed: float = 1.0) -> AsyncIterator[bytes]:
        self.asked.append(text)
        for frame in range(round(len(text) * self.frames_per_character / speed)):
            if frame == self.breaks_after:
                raise Unavailable("broke off")
            yield bytes([len(self.asked)]) * audio.frame_bytes
            await asyncio.sleep(0)


Cached = Callable[..., CachedTts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "speech"


@pytest.fixture
def cached(folder: Path) -> Cached:
    """A voice with what is kept in ``folder``, as a server that has just started finds it."""

    def over(voice: Voice, *, settings: str = "calm", most_bytes: int = LARGE, memory_bytes: int = LARGE) -> CachedTts:
        found = CachedTts(voice, SpeechStore(folder, most_bytes=most_bytes, memory_bytes=memory_bytes), voice=settings)
        found.keep([FIXED, "Are you still there?", "Anything else?"])
        return found

    return over


async def said(tts: CachedTts, text: str = FIXED, audio: AudioFormat = TELEPHONE, speed: float = 1.0) -> bytes:
    speech = b"".join([chunk async for chunk in tts.speak(text, audio, speed=speed)])
    await tts.written()
    return speech


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.exists() else []


async def test_a_fixed_sentence_is_made_once_also_by_the_next_server(cached: Cached) -> None:
    first, second = Voice(), Voice()
    made = await said(cached(first))
    tts = cached(second)
    assert (await said(tts), await said(tts)) == (made, made)
    assert (first.asked, second.asked) == ([FIXED], [])


async def test_nothing_that_a_customer_said_reaches_the_disk(cached: Cached, folder: Path) -> None:
    voice = Voice()
    tts = cached(voice)
    await said(tts, PRIVATE)
    await said(tts, PRIVATE)
    assert voice.asked == [PRIVATE, PRIVATE]
    assert files(folder) == []


async def test_what_is_fixed_no_longer_is_made_anew(cached: Cached) -> None:
    voice = Voice()
    tts = cached(voice)
    await said(tts)
    tts.keep([])
    await said(tts)
    assert voice.asked == [FIXED, FIXED]


async def test_closing_it_closes_the_voice(cached: Cached) -> None:
    voice = Voice()
    await cached(voice).close()
    assert voice.closed


async def test_another_voice_format_speed_or_setting_has_speech_of_its_own(cached: Cached, folder: Path) -> None:
    await said(cached(Voice()))
    await said(cached(Voice()), audio=WIDEBAND)
    await said(cached(Voice()), speed=0.85)
    await said(cached(Voice("other")))
    await said(cached(Voice(), settings="lively"))
    assert len(files(folder)) == 5


async def test_speech_that_broke_off_is_not_kept(cached: Cached, folder: Path) -> None:
    voice = Voice()
    voice.breaks_after = 5
    with pytest.raises(Unavailable):
        await said(cached(voice))
    assert files(folder) == []


async def test_speech_that_nobody_heard_to_its_end_is_not_kept(cached: Cached, folder: Path) -> None:
    tts = cached(Voice())
    speech = tts.speak(FIXED, TELEPHONE)
    assert await speech.__anext__()
    await speech.aclose()  # type: ignore[attr-defined]
    await tts.written()
    assert files(folder) == []


@pytest.mark.parametrize("frames_per_character", [0.0, 0.3, 30.0])
async def test_speech_that_cannot_be_the_text_is_said_and_not_kept(
    cached: Cached, folder: Path, frames_per_character: float
) -> None:
    voice = Voice()
    voice.frames_per_character = frames_per_character
    speech = await said(cached(voice))
    assert len(speech) == 160 * round(len(FIXED) * frames_per_character)
    assert files(folder) == []


@pytest.mark.parametrize("damage", [b"", b"short", b"\x00" * 500], ids=["empty", "short", "other"])
async def test_a_damaged_file_is_removed_logged_and_made_anew(cached: Cached, folder: Path, damage: bytes) -> None:
    made = await said(cached(Voice()))
    (file,) = files(folder)
    file.write_bytes(damage)
    voice = Voice()
    with capture_logs() as logs:
        assert await said(cached(voice)) == made
    assert voice.asked == [FIXED]
    assert [log["event"] for log in logs] == ["speech.kept_damaged"]
    assert await said(cached(Voice())) == made  # whole again


async def test_a_disk_that_takes_nothing_costs_no_more_than_the_kept_speech(cached: Cached, folder: Path) -> None:
    folder.write_text("a file where the folder should be")  # noqa: ASYNC240 - before anything runs
    voice = Voice()
    tts = cached(voice)
    with capture_logs() as logs:
        made = await said(tts)
        assert await said(tts) == made
    assert voice.asked == [FIXED]  # it stays in memory
    assert {log["event"] for log in logs} == {"speech.store_failed"}


async def test_a_write_that_fails_half_way_leaves_nothing(
    cached: Cached, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with capture_logs() as logs:
        await said(cached(Voice()))
    assert files(folder) == []
    assert [log["reason"] for log in logs] == ["No space left on device"]


async def test_what_was_used_longest_ago_goes_first_where_there_is_no_room(cached: Cached, folder: Path) -> None:
    sizes = {}
    for hours_ago, text in ((3, FIXED), (2, "Are you still there?")):
        known = files(folder)
        await said(cached(Voice()), text)
        (file,) = [file for file in files(folder) if file not in known]
        sizes[text] = file.stat().st_size
        os.utime(file, (file.stat().st_mtime - 3600 * hours_ago,) * 2)
    room = sum(sizes.values()) + 10
    tts = cached(Voice(), most_bytes=room)
    await said(tts, FIXED)  # used just now, from the disk
    await said(tts, "Anything else?")
    again = Voice()
    await said(cached(again), FIXED)
    assert again.asked == []
    await said(cached(again), "Are you still there?")
    assert again.asked == ["Are you still there?"]


async def test_what_a_dead_server_left_half_written_goes(cached: Cached, folder: Path) -> None:
    folder.mkdir()  # noqa: ASYNC240 - before anything runs
    old, new = folder / "a.making", folder / "b.making"
    for file, age_s in ((old, 7200), (new, 1)):
        file.write_bytes(b"half")
        os.utime(file, (file.stat().st_mtime - age_s,) * 2)
    await said(cached(Voice()))
    assert not old.exists()
    assert new.exists()


async def test_memory_is_bounded_and_the_disk_has_the_rest(cached: Cached) -> None:
    voice = Voice()
    tts = cached(voice, memory_bytes=1)
    assert await said(tts) == await said(tts)
    assert voice.asked == [FIXED]
    assert tts._store._in_memory_bytes == 0


async def test_what_is_missing_is_told_and_made(cached: Cached) -> None:
    tts = cached(Voice())
    await tts.make(FIXED, TELEPHONE)
    texts = [FIXED, "Anything else?"]
    assert await tts.missing(texts, TELEPHONE) == ["Anything else?"]
    assert await tts.missing(texts, WIDEBAND) == texts


async def test_while_the_voice_rests_the_next_one_says_everything_and_nothing_of_it_is_kept(
    cached: Cached, folder: Path
) -> None:
    """Callers don't hear two voices by turns, and the second one's speech isn't taken for the first one's later."""
    first, second = Voice("first"), Voice("second")
    kept = cached(first)
    relay = TtsRelay([kept, second], first_audio_timeout_ms=1000, retry_after_s=60)
    first.breaks_after = 0
    async for _ in relay.speak(FIXED, TELEPHONE):
        pass
    first.breaks_after = None
    async for _ in relay.speak("Anything else?", TELEPHONE):
        pass
    await kept.written()
    assert (first.asked, second.asked) == ([FIXED], [FIXED, "Anything else?"])
    assert files(folder) == []
