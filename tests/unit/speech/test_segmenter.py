"""Utterances are cut out of the stream whole, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from throughline.speech import espeak_library
from throughline.speech.audio import Framer, Resampler
from throughline.speech.espeak_library import Voice
from throughline.speech.stt.segmenter import Segmenter, SegmenterSettings, SpeechEnded, SpeechEvent, SpeechGoesOn, SpeechStarted

pytestmark = pytest.mark.unit

RATE_HZ = 16000
FRAME_BYTES = 640


def said(text: str) -> bytes:
    pieces: list[bytes] = []
    library = espeak_library.load()
    library.synthesize(text, Voice(), lambda piece: pieces.append(piece) is None)
    resampler = Resampler(library.sample_rate_hz, RATE_HZ)
    return resampler.process(b"".join(pieces)) + resampler.flush()


def silence(ms: int) -> bytes:
    return bytes(ms * RATE_HZ // 1000 * 2)


def events_of(audio: bytes, segmenter: Segmenter) -> list[SpeechEvent]:
    return [event for frame in Framer(FRAME_BYTES).push(audio) for event in segmenter.push(frame)]


def utterances(events: list[SpeechEvent]) -> list[bytes]:
    found: list[bytes] = []
    for event in events:
        if isinstance(event, SpeechStarted):
            found.append(event.audio)
        elif isinstance(event, SpeechGoesOn):
            found[-1] += event.audio
    return found


def ms(audio: bytes) -> int:
    return len(audio) * 1000 // 2 // RATE_HZ


def test_silence_is_no_speech() -> None:
    assert events_of(silence(2000), Segmenter(RATE_HZ)) == []


def test_the_hiss_of_a_line_is_no_speech() -> None:
    hiss = np.random.default_rng(1).normal(0, 60, 3 * RATE_HZ).astype("<i2").tobytes()
    assert events_of(hiss, Segmenter(RATE_HZ)) == []


def test_an_utterance_comes_with_a_moment_before_and_after_it() -> None:
    words = said("My washing machine leaks")
    events = events_of(silence(1000) + words + silence(1000), Segmenter(RATE_HZ))
    assert isinstance(events[0], SpeechStarted)
    assert isinstance(events[-1], SpeechEnded)
    (utterance,) = utterances(events)
    assert words[:-FRAME_BYTES] in utterance
    assert 200 <= ms(utterance) - ms(words) <= 600


def test_a_short_pause_does_not_end_it_and_is_kept_in_it() -> None:
    one, two = said("four eight two one"), said("three three seven seven")
    (utterance,) = utterances(events_of(silence(500) + one + silence(340) + two + silence(1000), Segmenter(RATE_HZ)))
    assert one + silence(340) + two[: len(two) // 2] in utterance


def test_a_long_pause_ends_it() -> None:
    events = events_of(silence(500) + said("hello") + silence(900) + said("it leaks") + silence(900), Segmenter(RATE_HZ))
    assert len(utterances(events)) == 2
    assert [type(event) for event in events if not isinstance(event, SpeechGoesOn)] == [SpeechStarted, SpeechEnded] * 2


def test_endless_speech_is_cut() -> None:
    segmenter = Segmenter(RATE_HZ, SegmenterSettings(longest_ms=1000))
    pieces = utterances(events_of(said("word " * 20), segmenter))
    assert len(pieces) > 3
    assert all(ms(piece) <= 1000 for piece in pieces)


def test_flush_ends_what_is_going_on_and_only_that() -> None:
    segmenter = Segmenter(RATE_HZ)
    assert segmenter.flush() == []
    events_of(said("my washing machine"), segmenter)
    assert segmenter.speaking
    assert segmenter.flush() == [SpeechEnded()]
    assert not segmenter.speaking
    assert segmenter.flush() == []


def test_refuses_a_frame_of_another_length() -> None:
    with pytest.raises(ValueError, match="640 bytes"):
        Segmenter(RATE_HZ).push(bytes(320))
