"""Whose turn it is: when the caller is done, and when the caller interrupts."""

import pytest

from throughline.call.call_settings import CallSettings
from throughline.call.turn_taking import Spoken, TurnTaking
from throughline.domain.transcripts import Transcript
from throughline.domain.turns import Expectation

pytestmark = pytest.mark.unit

LOUD, QUIET = -20.0, -70.0


def turns(expects: str = "free") -> TurnTaking:
    taking = TurnTaking(CallSettings())
    taking.expectation = Expectation(expects)
    return taking


def final(text: str, confidence: float | None = None) -> Transcript:
    return Transcript(text, final=True, confidence=confidence)


def interim(text: str) -> Transcript:
    return Transcript(text, final=False)


def test_a_pause_after_a_final_transcript_ends_the_turn() -> None:
    taking = turns()
    taking.transcript(interim("my washing"), 0)
    taking.transcript(final("my washing machine leaks", 0.9), 1000)
    assert not taking.due(1699)
    assert taking.due(1700)
    assert taking.take() == Spoken("my washing machine leaks", 0.9, 1000)
    assert not taking.pending
    assert not taking.due(9999)


def test_quiet_that_the_engine_has_waited_for_counts() -> None:
    taking = turns()
    taking.transcript(Transcript("my washing machine leaks", final=True, quiet_ms=300), 1000)
    assert not taking.due(1399)
    assert taking.due(1400)
    taking.transcript(Transcript("badly", final=True, quiet_ms=5000), 1400)
    assert taking.due(1400)  # never before it was said


def test_an_interim_transcript_never_ends_a_turn() -> None:
    taking = turns()
    taking.transcript(interim("my washing"), 0)
    assert not taking.due(60_000)
    assert taking.pending


def test_the_engine_may_end_the_turn_at_once() -> None:
    taking = turns()
    taking.transcript(Transcript("it leaks", final=True, end_of_turn=True), 1000)
    assert taking.due(1000)


def test_the_engine_may_end_the_turn_with_nothing_new_to_say() -> None:
    taking = turns()
    taking.transcript(final("it leaks"), 1000)
    taking.transcript(Transcript("", final=True, end_of_turn=True), 1200)
    assert taking.due(1200)


def test_finals_before_the_pause_make_one_turn() -> None:
    taking = turns()
    taking.transcript(final("my name is", 0.9), 0)
    taking.transcript(interim("dana"), 500)
    assert not taking.due(800)  # the caller is speaking again
    taking.transcript(final("Dana Reyes", 0.7), 1500)
    assert not taking.due(2199)
    assert taking.due(2200)
    assert taking.take() == Spoken("my name is Dana Reyes", 0.7, 1500)


def test_an_empty_final_says_nothing() -> None:
    taking = turns()
    taking.transcript(interim("um"), 0)
    taking.transcript(final(""), 300)
    assert not taking.pending
    assert not taking.due(9999)
    assert taking.take() is None


@pytest.mark.parametrize("kind", ["yes_no", "choice", "date", "digits"])
def test_a_short_answer_is_over_sooner(kind: str) -> None:
    taking = turns(kind)
    taking.transcript(final("thursday"), 0)
    assert not taking.due(349)
    assert taking.due(350)


@pytest.mark.parametrize(
    ("kind", "text", "pause_ms"),
    [
        ("postcode", "nine seven two", 700),
        ("postcode", "nine seven two oh one", 350),
        ("postcode", "97201", 350),
        ("reference", "two eight four", 700),
        ("reference", "two eight four one nine three", 350),
        ("code", "1234", 700),
        ("code", "1234 5678", 350),
        ("code", "one two three four five six seven eight", 350),
    ],
)
def test_a_number_said_in_groups_is_waited_for(kind: str, text: str, pause_ms: int) -> None:
    taking = turns(kind)
    taking.transcript(final(text), 0)
    assert not taking.due(pause_ms - 1)
    assert taking.due(pause_ms)


def test_interim_words_without_a_final_are_asked_for_and_then_taken() -> None:
    taking = turns()
    taking.transcript(interim("it leaks"), 0)
    assert not taking.wants_flush(2999)
    assert taking.wants_flush(3000)
    assert not taking.wants_flush(3020)
    assert not taking.wants_flush(6000)
    assert taking.due(6700)
    assert taking.take() == Spoken("it leaks", None, 6000)


def test_enough_words_interrupt() -> None:
    taking = turns()
    taking.reply_begins()
    taking.transcript(interim("no"), 0)
    assert not taking.interrupts
    taking.transcript(interim("no the"), 200)
    assert taking.interrupts


def test_one_word_interrupts_with_loud_speech() -> None:
    taking = turns()
    taking.reply_begins()
    for _ in range(24):
        taking.loudness(LOUD, 20)
    assert not taking.interrupts
    taking.transcript(interim("stop"), 480)
    assert not taking.interrupts
    taking.loudness(LOUD, 20)
    assert taking.interrupts


def test_loudness_alone_does_not_interrupt() -> None:
    taking = turns()
    taking.reply_begins()
    for _ in range(500):
        taking.loudness(LOUD, 20)
    assert not taking.interrupts


def test_the_loudness_of_a_word_is_remembered_until_it_is_reported() -> None:
    taking = turns()
    taking.reply_begins()
    for _ in range(25):
        taking.loudness(LOUD, 20)
    for _ in range(49):
        taking.loudness(QUIET, 20)
    taking.transcript(final("stop"), 1500)
    assert taking.interrupts
    taking.loudness(QUIET, 20)
    assert not taking.interrupts


def test_what_was_said_before_the_reply_does_not_interrupt_it() -> None:
    taking = turns()
    taking.transcript(final("and it is a Bosch"), 0)
    taking.transcript(interim("bought last year"), 100)
    taking.reply_begins()
    assert not taking.interrupts
    taking.transcript(interim("bought last year in"), 200)
    assert taking.interrupts


def test_words_from_before_the_reply_wait_for_the_answer_they_are_joined_to() -> None:
    taking = turns()
    taking.transcript(final("it is a Bosch"), 0)
    taking.reply_begins()
    taking.reply_ends(5000)
    assert not taking.due(5699)
    taking.transcript(final("since yesterday"), 5600)
    assert taking.due(6300)
    assert taking.take() == Spoken("it is a Bosch since yesterday", None, 5600)


def test_an_answer_given_before_the_question_has_ended_counts_at_its_end() -> None:
    taking = turns("yes_no")
    taking.reply_begins()
    taking.transcript(final("yes"), 1000)
    taking.reply_ends(3000)
    assert taking.due(3000)
