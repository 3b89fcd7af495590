"""What the trials of lost speech and of bad media judge by: each finds what it is there to find."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks import bad_media, bad_messages, coded_voice, lost_ears, lost_voices
from benchmarks.bad_messages import Report
from benchmarks.coded_voice import EMBEDDED, VENDOR, Heard
from throughline.domain.transcripts import TELEPHONE
from throughline.simulate.elevenlabs import Asked
from throughline.speech import espeak_library

pytestmark = pytest.mark.unit

TEXT = "Your visit is on Friday at 10 AM, in Portland."


@pytest.fixture(scope="module", autouse=True)
def library_with_words() -> Iterator[None]:
    """The library that notes words, for these tests alone: espeak-ng has one state, and the next to load it takes it over."""
    load = espeak_library.load
    coded_voice.library.cache_clear()
    coded_voice.install()
    yield
    espeak_library.load = load
    load.cache_clear()


@pytest.fixture(scope="module")
def speech() -> bytes:
    return coded_voice.coded(TEXT, espeak_library.Voice("en-us"), VENDOR)


class TestWordsPlayed:
    def test_all_of_them(self, speech: bytes) -> None:
        assert [word.mark for word in coded_voice.decoded(speech)] == coded_voice.marks_of(TEXT)
        assert {word.speaker for word in coded_voice.decoded(speech)} == {VENDOR}

    def test_also_those_that_are_said_in_one(self) -> None:
        text = "A visit is 89 dollars, with the first 30 minutes included."
        words = coded_voice.decoded(coded_voice.coded(text, espeak_library.Voice("en-us"), VENDOR))
        assert [word.mark for word in words] == coded_voice.marks_of(text)

    def test_a_word_that_was_cut_is_not_heard(self, speech: bytes) -> None:
        words = coded_voice.decoded(speech)
        cut = speech[: words[4].last_byte] + b"\xff" * 8000
        assert len(coded_voice.decoded(cut)) == 4

    def test_a_word_with_a_hole_is_not_heard(self, speech: bytes) -> None:
        hole = coded_voice.decoded(speech)[4].last_byte - 160
        left = coded_voice.decoded(speech[:hole] + b"\xff" * 80 + speech[hole + 80 :])
        assert len(left) == len(coded_voice.marks_of(TEXT)) - 1

    def test_at_any_place_of_the_line(self, speech: bytes) -> None:
        assert len(coded_voice.decoded(b"\xff" * 33 + speech)) == len(coded_voice.marks_of(TEXT))


class TestLostVoices:
    def answer(self, from_s: float, *words: tuple[str, int]) -> lost_voices.Answer:
        heard = [Heard(coded_voice.mark_of(word), speaker, 160 * n, 160 * n) for n, (word, speaker) in enumerate(words)]
        frames = [(from_s + 0.02 * n, b"\x00\x80" * 80) for n in range(len(words))]
        return lost_voices.Answer(from_s, from_s + 1, frames, heard)

    def asked(self, text: str) -> Asked:
        return Asked(text, "voice", "model", "ulaw_8000", 0.5, fault="stall_midway", outcome="closed")

    def test_words_that_neither_voice_said_are_missing(self) -> None:
        answer = self.answer(0, ("One", VENDOR), ("two", VENDOR), ("four", EMBEDDED))
        (lost,) = lost_voices._judged([self.asked("One two three four")], [answer])
        assert (lost.words, lost.heard, lost.twice) == (4, 3, 0)

    def test_words_that_both_said_are_counted(self) -> None:
        answer = self.answer(0, ("One", VENDOR), ("two", VENDOR), ("two", EMBEDDED), ("three", EMBEDDED))
        (lost,) = lost_voices._judged([self.asked("One two three")], [answer])
        assert (lost.heard, lost.twice) == (3, 1)

    def test_two_with_the_same_sentence_are_judged_apart(self) -> None:
        whole = self.answer(0, ("One", VENDOR), ("two", EMBEDDED))
        half = self.answer(0, ("One", VENDOR))
        judged = lost_voices._judged([self.asked("One two")] * 2, [whole, half])
        assert sorted(lost.heard for lost in judged) == [1, 2]

    def test_what_was_heard_by_nobody_is_lost(self) -> None:
        (lost,) = lost_voices._judged([self.asked("One two")], [])
        assert lost.heard == 0
        assert lost.silence_ms == float("inf")

    def test_the_silence_is_that_between_its_words(self) -> None:
        answer = self.answer(0, ("One", VENDOR), ("two", EMBEDDED), ("three", EMBEDDED))
        answer.frames[1] = (0.8, answer.frames[1][1])
        answer.frames[2] = (5.0, answer.frames[2][1])
        (lost,) = lost_voices._judged([self.asked("One two")], [answer])
        assert lost.silence_ms == pytest.approx(800)


def test_words_of_a_call_are_compared_in_their_order() -> None:
    said = [lost_ears.Utterance("my machine is leaking", "drop"), lost_ears.Utterance("it is a bosch", "")]
    call = lost_ears.Call(said, ["My machine leaking", "it is a a bosch"])
    call.compare()
    assert [utterance.kept for utterance in said] == [3, 4]
    assert call.added == 1


class TestLateness:
    def test_is_counted_from_when_a_piece_would_have_to_be_played(self) -> None:
        came = [(0.0, True), (0.0, False), (0.05, False), (0.06, False), (3.0, True)]
        assert bad_media.lateness_ms(came) == pytest.approx([0, 0, 10, 0, 0])

    def test_pieces_that_come_ahead_are_never_late(self) -> None:
        assert max(bad_media.lateness_ms([(0.019 * n, n == 0) for n in range(100)])) == 0


class TestOrder:
    FRAMES = (b"a", b"b", b"c", b"d")

    @pytest.mark.parametrize(
        ("heard", "wrong"), [("abcd", 0), ("acd", 0), ("acbd", 1), ("abbcd", 1), ("dcba", 3), ("abxcd", 1)]
    )
    def test_what_is_moved_or_doubled_is_found(self, heard: str, wrong: int) -> None:
        assert bad_media.out_of_order(self.FRAMES, [letter.encode() for letter in heard]) == wrong


class TestAnswers:
    def wrongly(self, kind: str, outcome: str) -> list[str]:
        report = Report()
        report.add(kind, outcome, 1)
        return bad_media._wrongly_answered(report)

    def test_what_is_let_pass_must_not_end_a_call(self) -> None:
        assert not self.wrongly("let in: number twice", "goes on")
        assert self.wrongly("let in: number twice", "closed (1000)")

    def test_all_else_must(self) -> None:
        assert not self.wrongly("let in: not JSON", "closed (1000)")
        assert self.wrongly("let in: not JSON", "goes on")
        assert self.wrongly("before start: number twice", "goes on")
        assert self.wrongly("bad token: not JSON", "no socket (429)")

    def test_every_kind_has_an_answer_to_give(self) -> None:
        assert not bad_messages.LET_PASS.keys() & bad_messages.ENDS.keys()


async def test_the_coded_voice_speaks_telephone() -> None:
    speech = b"".join([piece async for piece in coded_voice.CodedVoice().speak(TEXT, TELEPHONE)])
    await asyncio.sleep(0)
    assert len(coded_voice.decoded(speech)) == len(coded_voice.marks_of(TEXT))
