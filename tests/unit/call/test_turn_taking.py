"""Whose turn it is: when the caller is done, and when the caller interrupts."""

from pathlib import Path

import pytest

from throughline.call.call_settings import CallSettings
from throughline.call.turn_taking import Spoken, TurnTaking
from throughline.domain.transcripts import Transcript
from throughline.domain.turns import Expectation
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

LOUD, QUIET = -20.0, -70.0
SETTINGS = CallSettings(
    end_of_turn_ms=700, end_of_turn_told_ms=600, end_of_turn_whole_ms=250, end_of_turn_short_ms=200, end_of_turn_long_ms=1600
)
WORDS = load_business(Path("data/business")).phone.listening


def turns(expects: str = "free") -> TurnTaking:
    taking = TurnTaking(SETTINGS, WORDS)
    taking.expectation = Expectation(expects, "customer_name" if expects == "name" else None)
    return taking


def final(text: str, confidence: float | None = None) -> Transcript:
    return Transcript(text, final=True, confidence=confidence)


def interim(text: str) -> Transcript:
    return Transcript(text, final=False)


def sound(taking: TurnTaking, level_dbfs: float, from_ms: int, to_ms: int) -> None:
    """The line is so loud for so long."""
    for now_ms in range(from_ms + 20, to_ms + 20, 20):
        taking.sound(level_dbfs, 20, now_ms)


def speaks_once(taking: TurnTaking) -> None:
    """The caller's first turn, which tells how loud they are."""
    sound(taking, -15.0, 0, 400)
    taking.transcript(final("hello"), 600)
    sound(taking, QUIET, 400, 1000)
    assert taking.take(1000)


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


def test_a_whole_answer_that_the_engine_takes_for_one_is_given_the_shortest_pause() -> None:
    taking = turns("yes_no")
    taking.transcript(Transcript("yes it is", final=True, end_of_turn=True), 1000)
    assert not taking.due(1199)
    assert taking.due(1200)


def test_what_the_dialogue_understands_as_whole_is() -> None:
    taking = turns()
    taking.transcript(final("the dryer is loud"), 0)
    taking.is_whole("the dryer is loud")
    assert taking.due(250)
    taking.transcript(final("on sundays"), 240)  # but this is not what it has understood
    assert not taking.due(250 + 600)


def test_half_a_sentence_is_not_whole_whatever_is_understood() -> None:
    taking = turns()
    taking.transcript(final("the dryer is loud for"), 0)
    taking.is_whole("the dryer is loud for")
    assert not taking.due(1599)


def test_the_engine_shortens_the_pause_where_nothing_else_tells() -> None:
    taking = turns()
    taking.transcript(Transcript("it leaks", final=True, end_of_turn=True), 1000)
    assert not taking.due(1599)
    assert taking.due(1600)


def test_the_engine_may_end_the_turn_with_nothing_new_to_say() -> None:
    taking = turns()
    taking.transcript(final("it leaks"), 1000)
    taking.transcript(Transcript("", final=True, end_of_turn=True), 1040)
    assert not taking.due(1639)
    assert taking.due(1640)


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


@pytest.mark.parametrize(
    ("kind", "text", "pause_ms"),
    [
        ("yes_no", "Yes, please.", 250),
        ("yes_no", "no", 250),
        ("yes_no", "yes but only if it's before ten in the morning", 700),
        ("yes_no", "um", 1600),
        ("date", "thursday", 250),
        ("date", "next Thursday, November 26th.", 250),
        ("date", "thursday is no good for me", 700),
        ("date", "on the", 1600),
        ("time", "half past two", 250),
        ("time", "in the morning", 250),
        ("time", "in the afternoon please", 250),
        ("date", "um thursday would be better", 250),
        ("name", "it's Dana", 700),
        ("date", "okay and how long does it usually take", 250),
        ("free", "what do you charge", 250),
        ("free", "do you charge for", 1600),
        ("free", "how much", 700),
        ("free", "I know what you mean", 700),
        ("free", "all right thank you so much", 250),
        ("name", "Dana Reyes.", 250),
        ("name", "Dana", 700),
        ("name", "my name is", 1600),
        ("choice", "the second one", 250),
        ("choice", "my washing machine", 700),
        ("yes_no", "thank you", 700),
        ("name", "two oh six", 1600),
        ("yes_no", "five oh three", 1600),
        ("postcode", "nine seven two", 1600),
        ("postcode", "nine seven two oh one", 250),
        ("postcode", "97201", 250),
        ("postcode", "I live in Portland.", 700),
        ("reference", "two eight four", 1600),
        ("reference", "two eight four one nine three", 250),
        ("code", "1234", 1600),
        ("code", "1234 5678", 250),
        ("code", "one two three four five six seven eight", 250),
        ("phone_number", "five oh three", 1600),
        ("phone_number", "five oh three five five five oh one four two", 250),
        ("digits", "four seven one", 700),
        ("free", "my number is four seven", 1600),
        ("free", "it's um", 1600),
        ("free", "my washer is leaking and", 1600),
        ("free", "My washer is leaking,", 1600),
        ("free", "My washer is leaking.", 700),
        ("free", "it has been leaking for two weeks", 700),
    ],
)
def test_how_long_is_waited_depends_on_how_far_they_are(kind: str, text: str, pause_ms: int) -> None:
    taking = turns(kind)
    taking.transcript(final(text), 0)
    assert not taking.due(pause_ms - 1)
    assert taking.due(pause_ms)


def test_the_engine_does_not_end_what_is_not_finished() -> None:
    taking = turns("phone_number")
    taking.transcript(Transcript("five oh three", final=True, end_of_turn=True), 0)
    assert not taking.due(1599)
    taking.transcript(Transcript("five five five oh one four two", final=True, end_of_turn=True), 1599)
    assert taking.due(1799)


def test_the_pause_is_counted_from_the_last_sound() -> None:
    taking = turns()
    sound(taking, LOUD, 0, 1000)
    sound(taking, QUIET, 1000, 1400)
    taking.transcript(final("my washing machine leaks"), 1400)  # reported late
    assert not taking.due(1699)
    assert taking.due(1700)


def test_who_speaks_too_softly_for_the_line_is_waited_for_by_reports() -> None:
    taking = turns()
    sound(taking, LOUD, 0, 100)
    sound(taking, -50.0, 100, 5000)
    taking.transcript(final("my washing machine leaks"), 5000)
    assert not taking.due(5699)
    assert taking.due(5700)


def test_nobody_is_cut_off_who_is_heard_to_speak_on() -> None:
    taking = turns()
    sound(taking, LOUD, 0, 1000)
    sound(taking, QUIET, 1000, 1300)
    taking.transcript(Transcript("my washing machine leaks", final=True, end_of_turn=True), 1300)
    sound(taking, LOUD, 1300, 1380)
    assert not taking.due(1380)
    sound(taking, LOUD, 1380, 3980)  # but a noise that brings no words is not waited for
    assert taking.due(3980)


def test_the_engine_is_asked_for_its_last_word_when_they_seem_to_be_done() -> None:
    taking = turns("yes_no")
    sound(taking, LOUD, 0, 400)
    taking.transcript(interim("yes please"), 420)
    sound(taking, QUIET, 400, 540)
    assert not taking.wants_flush(540)
    sound(taking, QUIET, 540, 560)
    assert taking.wants_flush(560)
    assert not taking.wants_flush(580)  # once
    assert not taking.due(700)  # what is interim ends nothing
    taking.transcript(Transcript("Yes, please.", final=True, end_of_turn=True), 600)  # because it was asked
    assert not taking.due(649)
    assert taking.due(650)


def test_what_may_be_the_turn_is_told_ahead_once() -> None:
    taking = turns()
    sound(taking, LOUD, 0, 1000)
    taking.transcript(interim("my washer leaks"), 1000)
    assert taking.foresight(1000) is None  # they are speaking
    sound(taking, QUIET, 1000, 1080)
    assert taking.foresight(1080) == "my washer leaks"
    assert taking.foresight(1100) is None
    taking.transcript(final("My washer leaks."), 1300)
    assert taking.foresight(1300) == "My washer leaks."


def test_what_the_engine_thinks_may_be_all_is_told_ahead_on_a_noisy_line_too() -> None:
    taking = turns()
    sound(taking, LOUD, 0, 1000)
    taking.transcript(interim("my washer leaks"), 1000)
    assert taking.foresight(1000) is None
    taking.transcript(Transcript("my washer leaks", final=False, eager=True), 1020)
    assert taking.foresight(1020) == "my washer leaks"


def test_a_turn_that_is_put_back_comes_before_what_was_said_since() -> None:
    taking = turns()
    taking.transcript(final("my number is"), 0)
    spoken = taking.take(1600)
    assert spoken is not None
    taking.transcript(final("four seven"), 1700)
    taking.put_back(spoken)
    assert taking.text == "my number is four seven"


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
    taking.transcript(interim("dryer"), 0)
    assert not taking.interrupts()
    taking.transcript(interim("dryer is"), 200)
    assert taking.interrupts()


def test_one_word_interrupts_with_loud_speech() -> None:
    taking = turns()
    taking.reply_begins()
    sound(taking, LOUD, 0, 480)
    assert not taking.interrupts()
    taking.transcript(interim("dishwasher"), 480)
    assert not taking.interrupts()
    sound(taking, LOUD, 480, 500)
    assert taking.interrupts()


def test_loudness_alone_does_not_interrupt() -> None:
    taking = turns()
    taking.reply_begins()
    sound(taking, LOUD, 0, 10_000)
    assert not taking.interrupts()


def test_the_loudness_of_a_word_is_remembered_until_it_is_reported() -> None:
    taking = turns()
    taking.reply_begins()
    sound(taking, LOUD, 0, 500)
    sound(taking, QUIET, 500, 1480)
    taking.transcript(final("dishwasher"), 1480)
    assert taking.interrupts()
    sound(taking, QUIET, 1480, 1500)
    assert not taking.interrupts()


def test_what_was_said_before_the_reply_does_not_interrupt_it() -> None:
    taking = turns()
    taking.transcript(final("and it is a Bosch"), 0)
    taking.transcript(interim("bought last year"), 100)
    taking.reply_begins()
    assert not taking.interrupts()
    taking.transcript(interim("bought last year in"), 200)
    assert taking.interrupts()


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


@pytest.mark.parametrize("words", ["uh-huh", "okay", "Right.", "yeah okay", "mm-hm"])
def test_who_only_listens_interrupts_nothing_and_says_nothing(words: str) -> None:
    taking = turns()
    taking.reply_begins()
    sound(taking, LOUD, 0, 600)
    taking.transcript(final(words), 700)
    assert not taking.interrupts("we can come on thursday or on friday")
    taking.reply_ends(3000, "we can come on thursday or on friday")
    assert not taking.pending


@pytest.mark.parametrize("words", ["no", "Wait!", "stop", "hold on", "no wait", "actually it's the dryer"])
def test_who_wants_to_be_let_in_is(words: str) -> None:
    taking = turns()
    taking.reply_begins()
    taking.transcript(interim(words), 300)
    assert taking.interrupts("we can come on thursday or on friday")


def test_the_beginning_of_a_mutter_interrupts_nothing() -> None:
    taking = turns()
    taking.reply_begins()
    sound(taking, LOUD, 0, 600)
    taking.transcript(interim("all"), 600)  # right
    assert not taking.interrupts("we can come on thursday or on friday")
    taking.transcript(final("all"), 700)
    assert taking.interrupts("we can come on thursday or on friday")


def test_a_yes_before_the_question_answers_nothing() -> None:
    taking = turns("yes_no")
    taking.reply_begins()
    taking.transcript(final("okay"), 700, at_the_end=False)
    taking.transcript(final("no"), 1400, at_the_end=False)
    taking.reply_ends(3000, "we can come on thursday shall I book it")
    assert taking.text == "no"


def test_a_yes_to_the_question_that_is_being_put_is_an_answer() -> None:
    taking = turns("yes_no")
    taking.reply_begins()
    sound(taking, LOUD, 0, 600)
    taking.transcript(final("okay"), 700)
    assert not taking.interrupts("shall I book it")
    assert taking.interrupts("shall I book it", at_the_end=True)


def test_the_assistants_own_voice_from_a_loudspeaker_is_no_answer() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -30.0, 1000, 1600)
    taking.transcript(final("come on thursday or Friday"), 1700)
    saying = "We can come on Thursday, or on Friday."
    assert not taking.interrupts(saying)
    taking.reply_ends(3000, saying)
    assert not taking.pending


def test_its_own_last_words_come_back_after_it_has_ended() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -30.0, 1000, 2800)
    taking.transcript(interim("We can come on Thursday"), 2800)
    taking.reply_ends(3000, "We can come on Thursday, or on Friday.")
    assert not taking.pending
    sound(taking, -30.0, 3000, 3200)
    taking.transcript(final("We can come on Thursday or on Friday"), 3400)
    assert not taking.pending
    taking.transcript(interim("on Friday okay Friday"), 3900)  # and the answer right behind
    assert taking.text == "okay Friday"


def test_an_echo_is_no_measure_of_how_loud_the_caller_is() -> None:
    taking = turns()
    speaks_once(taking)
    for begins_ms in (1000, 12_000):  # the second time after silence
        taking.reply_begins()
        sound(taking, -30.0, begins_ms, begins_ms + 1800)
        taking.transcript(interim("Are you still there"), begins_ms + 1800)
        assert not taking.interrupts("Are you still there?")
        taking.reply_ends(begins_ms + 1900, "Are you still there?")
        sound(taking, -30.0, begins_ms + 1900, begins_ms + 2100)
        sound(taking, QUIET, begins_ms + 2100, begins_ms + 8000)


def test_without_an_echo_before_nothing_is_taken_for_one() -> None:
    taking = turns()
    taking.reply_begins()
    taking.reply_ends(3000, "We can come on Thursday, or on Friday.")
    taking.transcript(final("on Friday"), 4000)
    assert taking.text == "on Friday"


def test_what_begins_loudly_and_goes_on_softly_breaks_in() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -15.0, 1000, 1080)
    sound(taking, -38.0, 1080, 1160)  # "excuse me": its middle is all hiss
    assert taking.breaks_in(1160)


def test_a_click_before_something_soft_does_not_break_in() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -15.0, 1000, 1020)
    sound(taking, -38.0, 1020, 1400)
    assert not taking.breaks_in(1400)


def test_a_sound_much_quieter_than_the_caller_is_not_paused_for() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -30.0, 1000, 1400)
    assert not taking.breaks_in(1400)
    sound(taking, -15.0, 1400, 1600)
    assert taking.breaks_in(1600)


def test_its_own_voice_does_not_interrupt_even_where_it_says_what_a_caller_would() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -30.0, 1000, 1600)
    taking.transcript(interim("sorry I didn't"), 1700)
    assert not taking.interrupts("Sorry, I didn't understand that.")
    sound(taking, -15.0, 1700, 4000)  # and this is no loudspeaker
    taking.transcript(final("sorry"), 4000)
    assert taking.interrupts("Sorry, I didn't understand that.")


def test_who_repeats_an_offer_interrupts() -> None:
    taking = turns()
    speaks_once(taking)
    taking.reply_begins()
    sound(taking, -16.0, 1000, 1600)
    taking.transcript(final("Thursday at nine"), 1700)
    assert taking.interrupts("I have Thursday at nine, or Friday at two.")


def test_a_turn_is_rehearsed_once_shortly_before_its_pause_is_over() -> None:
    taking = turns()
    sound(taking, -15.0, 20_000, 20_400)
    taking.transcript(interim("the dryer"), 20_500)
    sound(taking, QUIET, 20_400, 20_600)
    assert taking.rehearsal(20_600) is None, "a breath between two words"
    sound(taking, -15.0, 20_600, 21_000)
    taking.transcript(final("the dryer is loud"), 21_200)
    sound(taking, QUIET, 21_000, 21_480)
    assert taking.rehearsal(21_480) is None
    sound(taking, QUIET, 21_480, 21_500)
    assert taking.rehearsal(21_500) == "the dryer is loud"
    assert taking.rehearsal(21_520) is None
    assert not taking.due(21_680)
    assert taking.due(21_700)


@pytest.mark.parametrize("slot", ["urgent", "sure"])
def test_a_yes_that_is_often_explained_is_waited_for(slot: str) -> None:
    taking = turns()
    taking.expectation = Expectation("yes_no", slot)
    taking.transcript(final("yes please"), 0)
    assert taking.due(250) is (slot == "sure")


def test_a_brand_is_whole_as_one_word() -> None:
    taking = turns()
    taking.expectation = Expectation("name", "brand")
    taking.transcript(final("carrier"), 0)
    assert taking.due(250)
