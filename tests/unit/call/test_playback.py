"""The assistant's voice: paced frames, marks, and what the caller really heard."""

from pathlib import Path

import pytest

from throughline.call.call_settings import CallSettings
from throughline.call.effects import Effect, Heard, Speak, StopSpeaking
from throughline.call.media_streams import Audio, Caption, Clear, Mark
from throughline.call.playback import Playback
from throughline.domain.phone_wording import phone_wording
from throughline.domain.sentences import sentences_of
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import Utterance
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

FRAME = b"\x55" * 160
TEN = "one two three four five six seven eight nine ten"


def playback() -> Playback:
    return Playback(TELEPHONE, CallSettings())


def frames_in(effects: list[Effect]) -> list[bytes]:
    return [effect.audio for effect in effects if isinstance(effect, Audio)]


def other_than_audio(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, Audio)]


def spoken(text: str, length_ms: int, *, event_id: str = "e1") -> Playback:
    """A playback whose speech for the one sentence ``text`` has been made, and whose first frames went out at 0 ms."""
    voice = playback()
    voice.say([Utterance(event_id, text)])
    voice.audio(1, FRAME * (length_ms // 20), 0)
    voice.audio_end(1, 0)
    return voice


def run(voice: Playback, start_ms: int, end_ms: int) -> list[Effect]:
    """Tick from one time to another, every 20 ms."""
    return [effect for now_ms in range(start_ms, end_ms + 1, 20) for effect in voice.tick(now_ms)]


def test_speech_is_asked_for_sentence_by_sentence() -> None:
    effects = playback().say([Utterance("e1", "Thank you, Dana.  Which day suits you?"), Utterance("e2", "Any day is fine.")])
    assert effects == [Speak(1, "Thank you, Dana."), Speak(2, "Which day suits you?"), Speak(3, "Any day is fine.")]


def test_abbreviations_and_tiny_sentences_stay_with_what_follows() -> None:
    assert sentences_of("Mr. Reyes is in. OK. He comes at 2.30 p.m. on Friday!") == [
        "Mr. Reyes is in.",
        "OK. He comes at 2.30 p.m.",
        "on Friday!",
    ]
    assert sentences_of("  \n ") == []


def test_the_first_frame_leaves_at_once_and_the_rest_at_the_pace_of_real_time() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN)])
    assert voice.audio(1, FRAME, 1000) == [Caption("assistant", TEN, final=True), Audio(FRAME)]
    first = voice.audio(1, FRAME * 99, 1000)
    assert len(frames_in(first)) == 9  # 200 ms ahead of real time
    for now_ms in range(1020, 2000, 20):
        assert len(frames_in(voice.tick(now_ms))) == 1


def test_a_late_tick_catches_up() -> None:
    voice = spoken(TEN, 4000)
    assert len(frames_in(voice.tick(100))) == 5


def test_after_a_gap_in_the_speech_frames_are_ahead_of_now_again() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN)])
    voice.audio(1, FRAME, 0)
    assert len(frames_in(voice.audio(1, FRAME * 50, 5000))) == 10


def test_pieces_of_any_length_become_whole_frames_and_the_last_is_filled_with_silence() -> None:
    voice = playback()
    voice.say([Utterance("e1", "Hello there.")])
    assert frames_in(voice.audio(1, b"\x55" * 100, 0)) == []
    assert frames_in(voice.audio(1, b"\x55" * 100, 0)) == [FRAME]
    effects = voice.audio_end(1, 0)
    assert effects == [Audio(b"\x55" * 40 + b"\xff" * 120), Mark("sentence-1")]


def test_an_utterance_is_heard_when_the_mark_of_its_last_sentence_is_back() -> None:
    voice = playback()
    voice.say([Utterance("e1", "Thank you, Dana. Which day suits you?")])
    for speech_id in (1, 2):
        voice.audio(speech_id, FRAME, 0)
        voice.audio_end(speech_id, 0)
    assert voice.mark("sentence-1", 60) == []
    assert voice.busy
    assert voice.mark("sentence-2", 80) == [Heard("e1", "Thank you, Dana. Which day suits you?", complete=True)]
    assert not voice.busy


def test_a_later_mark_stands_for_earlier_ones() -> None:
    voice = playback()
    voice.say([Utterance("e1", "Thank you, Dana."), Utterance("e2", "Which day suits you?")])
    for speech_id in (1, 2):
        voice.audio(speech_id, FRAME, 0)
        voice.audio_end(speech_id, 0)
    heard = [Heard("e1", "Thank you, Dana.", complete=True), Heard("e2", "Which day suits you?", complete=True)]
    assert voice.mark("sentence-2", 80) == heard


def test_unknown_marks_mean_nothing() -> None:
    voice = spoken(TEN, 1000)
    assert other_than_audio(voice.mark("sentence-7", 0)) == []
    assert voice.busy


def test_a_mark_that_never_comes_back_is_given_up() -> None:
    voice = spoken(TEN, 1000)
    assert other_than_audio(run(voice, 20, 2980)) == [Mark("sentence-1")]
    assert other_than_audio(run(voice, 3000, 3000)) == [Heard("e1", TEN, complete=True)]


def test_an_interruption_clears_and_reports_the_words_whose_time_has_passed() -> None:
    voice = spoken(TEN, 4800)  # 48 characters, 100 ms each
    run(voice, 20, 2000)
    assert voice.interrupt(2000) == [Clear(), StopSpeaking(), Heard("e1", "one two three four", complete=False)]
    assert not voice.busy
    assert voice.tick(2020) == []


def test_the_delay_of_the_line_known_from_marks_is_taken_off() -> None:
    voice = playback()
    voice.say([Utterance("e1", "Well, good day."), Utterance("e2", TEN)])
    voice.audio(1, FRAME * 10, 0)
    voice.audio_end(1, 0)
    voice.mark("sentence-1", 700)  # it was due at 200
    voice.audio(2, FRAME * 240, 700)
    voice.audio_end(2, 700)
    run(voice, 720, 2700)
    assert voice.interrupt(2700)[-1] == Heard("e2", "one two three", complete=False)


def test_what_was_queued_behind_an_interruption_was_not_heard() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN), Utterance("e2", "Which day suits you?")])
    voice.audio(1, FRAME * 5, 0)
    assert voice.interrupt(20)[2:] == [Heard("e1", "", complete=False), Heard("e2", "", complete=False)]


def test_nothing_is_cleared_before_anything_was_sent() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN)])
    assert voice.interrupt(0) == [StopSpeaking(), Heard("e1", "", complete=False)]


def test_speech_that_comes_after_an_interruption_is_dropped() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN)])
    voice.interrupt(0)
    assert voice.audio(1, FRAME * 5, 20) == []
    assert voice.audio_end(1, 40) == []


def test_of_speech_still_being_made_the_length_is_guessed_from_its_text() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN)])
    voice.audio(1, FRAME * 25, 0)  # half a second of what will be some three
    run(voice, 20, 600)
    assert voice.interrupt(600)[-1] == Heard("e1", "one two", complete=False)


def test_what_must_be_heard_holds_off_an_interruption_of_what_comes_before_it() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN), Utterance("e2", "Leave the house now.", interruptible=False)])
    assert not voice.interruptible


def test_an_utterance_without_words_is_heard_at_once() -> None:
    voice = playback()
    voice.say([Utterance("e1", "")])
    assert voice.tick(0) == [Heard("e1", "", complete=True)]


def test_without_a_voice_utterances_are_shown_and_count_as_not_heard() -> None:
    voice = playback()
    voice.say([Utterance("e1", TEN), Utterance("e2", "Which day suits you?")])
    voice.audio(1, FRAME * 25, 0)
    effects = run(voice, 20, 600) + voice.lost(600)
    assert [effect for effect in effects if isinstance(effect, Caption)] == [
        Caption("assistant", "Which day suits you?", final=True)
    ]
    assert voice.mark("sentence-2", 620) == [Heard("e1", "one two", complete=False), Heard("e2", "", complete=False)]


def test_speech_is_made_only_so_far_ahead() -> None:
    voice = playback()
    assert voice.wants_speech
    voice.say([Utterance("e1", TEN)])
    voice.audio(1, FRAME * 220, 0)
    assert not voice.wants_speech
    run(voice, 20, 1000)
    assert voice.wants_speech


LEXICON = load_business(Path("data/business")).lexicon
WORDING = phone_wording(["I have everything from before: {known}."], opening_chars=10, lexicon=LEXICON)


def test_the_fixed_beginning_of_a_sentence_is_a_piece_of_its_own() -> None:
    voice = Playback(TELEPHONE, CallSettings(), WORDING)
    said = voice.say([Utterance("e1", "I have everything from before: the oven.")])
    assert said == [Speak(1, "I have everything from before:"), Speak(2, "the oven.")]
    voice.audio(1, FRAME * 5, 0)
    assert voice.audio_end(1, 0)[-1] == Mark("sentence-1")  # it plays while the rest is made
    voice.mark("sentence-1", 100)
    assert voice.interrupt(200)[-1] == Heard("e1", "I have everything from before:", complete=False)


def test_the_voice_is_given_spoken_words_and_the_written_ones_are_shown_and_heard() -> None:
    voice = Playback(TELEPHONE, CallSettings(), WORDING)
    assert voice.say([Utterance("e1", "Call (503) 555-0142 by 10:30 am.")]) == [
        Speak(1, "Call 5 0 3, 5 5 5, 0 1 4 2 by 10 30 AM.")
    ]
    assert voice.audio(1, FRAME * 100, 0)[0] == Caption("assistant", "Call (503) 555-0142 by 10:30 am.", final=True)
    voice.audio_end(1, 0)
    voice.mark("sentence-1", 2000)
    assert voice.tick(2000) == []


@pytest.mark.parametrize(
    ("played", "heard"),
    [(0.13, "Call"), (0.45, "Call (503)"), (0.72, "Call (503) 555-0142"), (0.99, "Call (503) 555-0142 by 10:30")],
)
def test_how_much_was_heard_goes_by_how_long_the_spoken_words_are(played: float, heard: str) -> None:
    """By their written letters alone, the whole number would seem to be heard when half of it was."""
    voice = Playback(TELEPHONE, CallSettings(), WORDING)
    voice.say([Utterance("e1", "Call (503) 555-0142 by 10:30 am.")])
    voice.audio(1, FRAME * 100, 0)
    voice.audio_end(1, 0)
    run(voice, 20, 2000)
    assert voice.interrupt(2000 * played)[-1] == Heard("e1", heard, complete=False)


def test_what_is_to_be_said_slower_is_asked_for_slower_and_taken_to_last_longer() -> None:
    voice = Playback(TELEPHONE, CallSettings())
    assert voice.say([Utterance("e1", TEN)], 0.5) == [Speak(1, TEN, 0.5)]
    voice.audio(1, FRAME * 50, 0)  # the first second of some six
    run(voice, 20, 1000)
    (heard,) = [effect for effect in voice.interrupt(1000) if isinstance(effect, Heard)]
    assert heard.text_heard == "one two"  # at the usual speed it would be three


def test_what_is_in_no_record_is_not_reported() -> None:
    voice = spoken("One moment.", 400, event_id="")
    assert Heard not in [type(effect) for effect in run(voice, 0, 5000)]
    assert not voice.busy
    assert Heard not in [type(effect) for effect in spoken("One moment.", 400, event_id="").interrupt(100)]


def test_what_nobody_has_heard_yet_can_be_withdrawn() -> None:
    voice = playback()
    voice.say([Utterance("", "One moment.")])
    assert voice.withdraw() == [StopSpeaking()]
    assert not voice.busy
    assert voice.withdraw() == []


def test_what_is_being_heard_is_not_withdrawn() -> None:
    voice = spoken("One moment.", 400, event_id="")
    assert voice.withdraw() == []
    assert voice.busy
