"""One call from its first words to its end, with every time given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from throughline.call.call_settings import CallSettings
from throughline.call.effects import (
    AskBegin,
    AskPrompt,
    AskTurn,
    Effect,
    Expect,
    FlushListening,
    HangUp,
    Heard,
    Rated,
    Speak,
    StopSpeaking,
    TurnTimed,
    Withdraw,
)
from throughline.call.machine import CallMachine
from throughline.call.media_streams import Audio, Caption, Clear, Dtmf, Mark, Media, Shown, Stop, Text
from throughline.domain.key_words import NO_KEYS, KeyWords
from throughline.domain.listening import NO_WORDS, ListeningWords
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import TELEPHONE, Transcript
from throughline.domain.turns import Expectation, TurnResult, Utterance
from throughline.errors import ProtocolError
from throughline.settings.business import load_business

pytestmark = pytest.mark.unit

LOUD, QUIET = Media(b"\x80" * 160), Media(b"\xff" * 160)  # mu-law full scale, and nothing
PHONE = load_business(Path("data/business")).phone
WORDS, KEYS = PHONE.listening, PHONE.keys
T = TypeVar("T")


class Line:
    """A call whose other side plays what it gets at the pace of real time and whose voice speaks 65 ms a character."""

    def __init__(
        self,
        *,
        page: bool = True,
        called: bool = False,
        listening: ListeningWords = NO_WORDS,
        keys: KeyWords = NO_KEYS,
        wording: PhoneWording | None = None,
        **settings: int,
    ) -> None:
        self.machine = CallMachine(
            CallSettings(**settings), TELEPHONE, page=page, called=called, listening=listening, keys=keys, wording=wording
        )
        self.now_ms = 0.0
        self.effects: list[Effect] = []
        self._speak = True
        self._marks: list[tuple[float, str]] = []
        self._plays_until_ms = 0.0

    def take(self, effects: Iterable[Effect]) -> None:
        """Note what the machine wants, and do the voice's and the far end's part of it."""
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, Audio):
                self._plays_until_ms = max(self._plays_until_ms, self.now_ms) + 20
            elif isinstance(effect, Mark):
                self._marks.append((max(self._plays_until_ms, self.now_ms), effect.name))
            elif isinstance(effect, Clear):
                self._plays_until_ms = self.now_ms
            elif isinstance(effect, Speak) and self._speak:
                self.take(self.machine.audio(effect.speech_id, b"\x80" * 8 * 65 * len(effect.text), self.now_ms))
                self.take(self.machine.audio_end(effect.speech_id, self.now_ms))

    def silent(self) -> None:
        """From now on no speech is made."""
        self._speak = False

    def wait(self, length_ms: int) -> list[Effect]:
        """Let time pass; returns what happened in it."""
        known = len(self.effects)
        for _ in range(length_ms // 20):
            self.now_ms += 20
            for due_ms, name in [mark for mark in self._marks if mark[0] <= self.now_ms]:
                self._marks.remove((due_ms, name))
                self.take(self.machine.event(Mark(name), self.now_ms))
            self.take(self.machine.tick(self.now_ms))
        return self.effects[known:]

    def wait_for(self, wanted: type[T], limit_ms: int = 60_000) -> T:
        """Let time pass until there is an effect of this type."""
        for _ in range(limit_ms // 20):
            for effect in self.wait(20):
                if isinstance(effect, wanted):
                    return effect
        raise AssertionError(f"no {wanted.__name__} within {limit_ms} ms")

    def result(
        self, *texts: str, expects: str = "free", slot: str | None = None, end: bool = False, interruptible: bool = True
    ) -> list[Effect]:
        known = len(self.effects)
        said = tuple(Utterance(f"e-{text}", text, interruptible=interruptible) for text in texts)
        self.take(self.machine.result(TurnResult("c_1", said, Expectation(expects, slot), end_session=end), self.now_ms))
        return self.effects[known:]

    def says(self, text: str, *, final: bool = True, confidence: float | None = None) -> list[Effect]:
        known = len(self.effects)
        self.take(self.machine.transcript(Transcript(text, final, confidence=confidence), self.now_ms))
        return self.effects[known:]

    def does(self, event: Media | Dtmf | Text | Stop) -> list[Effect]:
        known = len(self.effects)
        self.take(self.machine.event(event, self.now_ms))
        return self.effects[known:]

    def keys(self, digits: str) -> None:
        for digit in digits:
            self.does(Dtmf(digit))

    def all(self, kind: type[T]) -> list[T]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


def greeted(*, listening: ListeningWords = NO_WORDS, keys: KeyWords = NO_KEYS, **settings: int) -> Line:
    """A call that has been greeted and is listening."""
    line = Line(listening=listening, keys=keys, **settings)
    line.take(line.machine.begin(0))
    line.result("Good morning.")
    line.wait(2000)
    line.effects.clear()
    return line


def thinking(*, listening: ListeningWords = NO_WORDS, keys: KeyWords = NO_KEYS, **settings: int) -> Line:
    """A call with a turn under way."""
    line = greeted(listening=listening, keys=keys, **settings)
    line.says("it leaks")
    line.wait_for(AskTurn)
    line.effects.clear()
    return line


def speaking(*, interruptible: bool = True, end: bool = False, page: bool = True, listening: ListeningWords = NO_WORDS) -> Line:
    """A call one second into a sentence of three."""
    line = Line(page=page, listening=listening)
    line.take(line.machine.begin(0))
    line.result("one two three four five six seven eight nine ten", interruptible=interruptible, end=end)
    line.wait(1000)
    line.effects.clear()
    return line


def test_a_call_begins_with_the_dialogues_first_words() -> None:
    line = Line()
    line.take(line.machine.begin(0))
    assert line.effects == [AskBegin(), Shown("ringing")]
    said = line.result("Good morning. What can I do?", expects="yes_no")
    assert said[0] == Expect(Expectation("yes_no"))
    assert line.all(Speak) == [Speak(1, "Good morning."), Speak(2, "What can I do?")]
    assert line.all(Caption) == [Caption("assistant", "Good morning. What can I do?", final=True)]
    assert line.all(Audio)
    line.wait(3000)
    assert line.all(Heard) == [Heard("e-Good morning. What can I do?", "Good morning. What can I do?", complete=True)]
    assert [shown.state for shown in line.all(Shown)] == ["ringing", "speaking", "listening"]


def test_a_turn_goes_to_the_dialogue_and_its_answer_to_the_caller() -> None:
    line = greeted()
    assert line.says("my washing", final=False) == [Caption("customer", "my washing", final=False)]
    line.says("my washing machine leaks", confidence=0.8)
    assert line.wait_for(AskTurn) == AskTurn("my washing machine leaks", "speech", 0.8)
    assert Caption("customer", "my washing machine leaks", final=True) in line.effects
    line.result("Which brand is it?")
    line.wait(2000)
    assert [shown.state for shown in line.all(Shown)] == ["thinking", "speaking", "listening"]


def test_the_stages_of_a_turn_are_timed() -> None:
    line = greeted()
    line.silent()
    line.says("it leaks")
    line.wait_for(AskTurn)
    line.wait(60)
    line.take(line.machine.result(TurnResult("c_1", (Utterance("e-1", "Which brand?"),), message_id="m-1"), line.now_ms))
    line.wait(40)
    line.take(line.machine.audio(2, b"\x80" * 160, line.now_ms))
    pause_ms = CallSettings().end_of_turn_ms
    timed = TurnTimed("speech", pause_ms, turn_ms=60, first_audio_ms=40, quiet_ms=pause_ms, message_id="m-1")
    assert line.all(TurnTimed) == [timed]


def test_an_interruption_silences_at_once_and_its_words_become_a_turn() -> None:
    line = speaking()
    said = line.says("no the dryer", final=False)
    assert said[1:4] == [Clear(), StopSpeaking(), Heard(line_event(), "one two three", complete=False)]
    assert said[-1] == Shown("listening")
    line.says("no the dryer")
    assert line.wait_for(AskTurn).text == "no the dryer"


def line_event() -> str:
    return "e-one two three four five six seven eight nine ten"


def test_a_single_word_interrupts_only_with_loud_speech() -> None:
    line = speaking()
    line.says("stop", final=False)
    assert not line.all(Clear)
    for _ in range(25):
        line.does(LOUD)
    assert line.all(Clear)


def hears(line: Line, event: Media, length_ms: int) -> list[Effect]:
    """The caller's side of the line for a while."""
    known = len(line.effects)
    for _ in range(length_ms // 20):
        line.wait(20)
        line.does(event)
    return line.effects[known:]


def test_a_sound_makes_it_pause_and_what_was_nothing_makes_it_go_on_where_it_was() -> None:
    line = speaking()
    hears(line, QUIET, 400)
    before = hears(line, LOUD, 140)
    assert not [effect for effect in before if isinstance(effect, Clear)]
    assert [effect for effect in hears(line, LOUD, 40) if isinstance(effect, Clear)]
    assert not [effect for effect in hears(line, LOUD, 200) if isinstance(effect, Audio)]
    assert not [effect for effect in hears(line, QUIET, 340) if isinstance(effect, Audio)]
    assert [effect for effect in hears(line, QUIET, 60) if isinstance(effect, Audio)]
    hears(line, QUIET, 6000)
    assert line.all(Heard)[0].complete
    assert not line.all(AskTurn)


def test_words_that_follow_the_sound_interrupt() -> None:
    line = speaking()
    hears(line, QUIET, 400)
    hears(line, LOUD, 300)
    line.says("no wait", final=False)
    assert line.all(Heard)[0].text_heard and not line.all(Heard)[0].complete
    sent = len(line.all(Audio))
    hears(line, QUIET, 500)
    line.says("no wait it's the dryer")
    assert line.wait_for(AskTurn).text == "no wait it's the dryer"
    assert len(line.all(Audio)) == sent


def test_a_mutter_makes_it_pause_no_longer_than_the_mutter() -> None:
    line = speaking(listening=WORDS)
    hears(line, QUIET, 400)
    hears(line, LOUD, 300)
    line.says("uh huh")
    assert [effect for effect in hears(line, QUIET, 140) if isinstance(effect, Audio)]
    hears(line, QUIET, 6000)
    assert line.all(Heard)[0].complete
    assert not line.all(AskTurn)


def test_a_noisy_place_does_not_make_it_stutter_for_long() -> None:
    line = speaking()
    hears(line, QUIET, 200)
    for _ in range(10):
        hears(line, LOUD, 220)
        hears(line, QUIET, 400)
    assert len(line.all(Clear)) == 3


def test_what_has_to_be_heard_is_not_paused_for_a_sound() -> None:
    line = speaking(interruptible=False)
    hears(line, QUIET, 200)
    hears(line, LOUD, 1000)
    assert not line.all(Clear)


def test_nothing_pauses_while_who_was_called_is_not_listened_to() -> None:
    line = called()
    hears(line, QUIET, 200)
    hears(line, LOUD, 1000)
    assert not line.all(Clear)


def test_a_caller_who_speaks_on_has_the_turn_withdrawn_and_says_it_whole() -> None:
    line = thinking()
    line.says("since", final=False)
    assert line.all(Withdraw) == [Withdraw()]
    line.says("since yesterday", final=False)
    assert line.all(Withdraw) == [Withdraw()]  # once
    line.take(line.machine.result(TurnResult("c_1", (), withdrawn=True), line.now_ms))
    line.says("since yesterday")
    assert line.wait_for(AskTurn).text == "it leaks since yesterday"


def test_who_hangs_up_while_a_turn_is_withdrawn_has_said_it_all_the_same() -> None:
    line = thinking()
    line.says("since", final=False)
    line.does(Stop())
    line.take(line.machine.result(TurnResult("c_1", (), withdrawn=True), line.now_ms))
    (hang_up,) = line.all(HangUp)
    assert [turn.text for turn in line.all(AskTurn)] == ["it leaks"]
    assert [turn.text for turn in hang_up.last_turns] == ["since"]


def paused_in_a_filler() -> Line:
    """A call whose filler pauses for a sound while the turn is still with the dialogue."""
    line = Line(wording=PhoneWording(fillers=("one two three four five six seven eight nine ten",)))
    line.take(line.machine.begin(0))
    line.result("Good morning.")
    line.wait(2000)
    line.says("it leaks")
    line.wait_for(AskTurn)
    line.wait(1200)
    line.effects.clear()
    hears(line, QUIET, 200)
    hears(line, LOUD, 220)
    assert line.all(Clear)
    return line


def test_what_has_to_be_heard_is_said_though_a_filler_pauses() -> None:
    line = paused_in_a_filler()
    line.result("Leave the house now.", interruptible=False)
    hears(line, LOUD, 8000)
    assert [heard.event_id for heard in line.all(Heard) if heard.complete] == ["e-Leave the house now."]


def test_the_last_words_are_said_though_a_filler_pauses() -> None:
    line = paused_in_a_filler()
    line.result("Goodbye.", end=True)
    hears(line, LOUD, 8000)
    assert [heard.event_id for heard in line.all(Heard) if heard.complete] == ["e-Goodbye."]
    assert line.all(HangUp)[0].reason == "completed"


def speaks_on_as_the_reply_comes() -> Line:
    """A caller who is heard again while their turn is with the dialogue, too late for words; the reply has come."""
    line = thinking()
    line.effects.clear()
    hears(line, QUIET, 200)
    hears(line, LOUD, 80)
    line.result("How long has it been leaking?")
    return line


def test_no_reply_begins_while_its_caller_is_heard() -> None:
    line = speaks_on_as_the_reply_comes()
    hears(line, LOUD, 300)
    assert not line.all(Audio)
    line.says("since yesterday", final=False)
    assert [heard.text_heard for heard in line.all(Heard)] == [""]
    line.says("since yesterday")
    hears(line, QUIET, 1000)
    assert [turn.text for turn in line.all(AskTurn)] == ["since yesterday"]


def test_a_reply_that_waits_for_a_sound_comes_when_it_was_nothing() -> None:
    line = speaks_on_as_the_reply_comes()
    hears(line, QUIET, 500)
    assert line.all(Audio)


def test_a_mutter_does_not_withdraw_a_turn() -> None:
    line = thinking(listening=WORDS)
    line.says("okay")
    assert not line.all(Withdraw)


def test_what_must_be_heard_is_not_interrupted_and_nothing_said_meanwhile_is_lost() -> None:
    line = speaking(interruptible=False)
    line.says("but I only wanted")
    line.does(Text("97201"))
    line.keys("1")
    assert not line.all(Clear)
    for text in ("97201", "1", "but I only wanted"):
        line.wait(3000)
        assert line.all(AskTurn)[-1].text == text
        line.result()


def called() -> Line:
    """A telephone that we have called and somebody has picked up, and that hears why."""
    line = Line(page=False, called=True)
    line.take(line.machine.begin(0))
    line.says("yes?")
    line.result("We call as you have asked. Shall we go on?", expects="yes_no")
    return line


def test_what_is_said_into_a_telephone_that_has_just_rung_answers_nothing() -> None:
    line = called()
    line.wait(1000)
    line.says("yes hello who is there")
    line.wait(4000)
    assert line.all(AskTurn) == []
    (heard,) = line.all(Heard)
    assert heard.complete, "nor does it keep them from hearing why we call"


def test_after_they_have_heard_why_we_call_everything_said_counts() -> None:
    line = called()
    line.wait(1000)
    line.says("yes yes", final=False)
    line.wait_for(Heard)
    line.says("yes")
    assert line.wait_for(AskTurn).text == "yes"
    line.result("Thank you. Which brand is it?")
    line.wait(200)
    line.says("it's a bosch")
    assert line.all(Clear), "and may interrupt again"
    assert line.wait_for(AskTurn).text == "it's a bosch"


def test_where_the_first_words_fail_they_are_heard_all_the_same() -> None:
    line = Line(page=False, called=True)
    line.take(line.machine.begin(0))
    line.take(line.machine.failed(0))
    line.says("yes")
    assert line.machine._turns.pending


def test_a_reply_that_comes_too_late_to_be_withdrawn_is_not_spoken_over_the_caller() -> None:
    line = thinking()
    line.says("since yesterday")
    line.result("Which brand is it?")
    assert line.all(Heard) == [Heard("e-Which brand is it?", "", complete=False)]
    assert not line.all(Audio)
    assert line.wait_for(AskTurn).text == "since yesterday"


def test_one_turn_at_a_time_is_with_the_dialogue() -> None:
    line = thinking()
    line.does(Text("one"))
    line.does(Text("two"))
    line.wait(3000)
    assert not line.all(AskTurn)
    line.result()
    assert [turn.text for turn in line.all(AskTurn)] == ["one"]
    line.result()
    assert [turn.text for turn in line.all(AskTurn)] == ["one", "two"]


def test_typed_text_is_a_turn_at_once() -> None:
    line = greeted()
    assert line.does(Text("97201")) == [
        Caption("customer", "97201", final=True),
        AskTurn("97201", "typed"),
        Shown("thinking"),
    ]
    assert line.does(Text("")) == []


def test_typed_text_interrupts() -> None:
    line = speaking()
    line.does(Text("97201"))
    assert line.all(Clear)
    assert line.all(AskTurn) == [AskTurn("97201", "typed")]


def test_typed_text_that_is_too_long_is_refused_with_words() -> None:
    line = greeted()
    line.does(Text("x" * 501))
    assert line.all(AskPrompt) == [AskPrompt("utter_too_long")]
    assert not line.all(AskTurn)


def test_too_much_typed_at_once_breaks_the_protocol() -> None:
    line = thinking()
    for _ in range(16):
        line.does(Text("more"))
    with pytest.raises(ProtocolError, match="too_much_typed"):
        line.does(Text("more"))


def test_eight_keys_are_a_turn() -> None:
    line = greeted()
    line.keys("12345678")
    line.wait(700)
    assert line.all(AskTurn) == [AskTurn("12345678", "keypad")]


def test_keys_end_with_a_pause_and_hold_off_the_silence_prompt() -> None:
    line = greeted(silence_ms=3000)
    line.wait(1500)
    line.keys("97201")
    line.wait(2480)
    assert not line.all(AskPrompt)
    line.wait(20)
    assert line.all(AskTurn) == [AskTurn("97201", "keypad")]


def test_the_first_key_interrupts() -> None:
    line = speaking()
    line.keys("9")
    assert line.all(Clear)


def test_silence_is_answered_in_three_steps_and_then_the_call_ends() -> None:
    line = greeted()
    for name in ("utter_silence_1", "utter_silence_2", "utter_silence_goodbye"):
        assert line.wait_for(AskPrompt, 9000) == AskPrompt(name)
        line.result("Hello?")
    assert line.wait_for(HangUp) == HangUp("silence")
    assert line.all(Heard)[-1].complete
    assert "thinking" not in [shown.state for shown in line.all(Shown)]
    assert line.all(Shown)[-1] == Shown("over", "silence")


def test_the_steps_of_silence_begin_anew_with_each_turn() -> None:
    line = greeted()
    line.wait_for(AskPrompt)
    line.result("Are you there?")
    line.says("yes sorry")
    line.wait_for(AskTurn)
    line.result("Fine.")
    assert line.wait_for(AskPrompt) == AskPrompt("utter_silence_1")


def test_speech_holds_off_the_silence_prompt() -> None:
    line = greeted()
    line.wait(6000)
    line.says("well", final=False)
    line.wait(2500)
    assert not line.all(AskPrompt)


def test_somebody_who_types_is_given_more_time() -> None:
    line = greeted()
    line.does(Text("it leaks"))
    line.result("Which brand is it?")
    line.wait(29_000)
    assert not line.all(AskPrompt)
    assert line.wait_for(AskPrompt, 4000) == AskPrompt("utter_silence_1")


def test_the_good_bye_after_silence_may_be_interrupted() -> None:
    line = greeted()
    for _ in range(3):
        line.wait_for(AskPrompt)
        line.result("I will hang up now, good bye.")
    line.wait(200)
    line.says("wait I am here")
    line.wait_for(AskTurn)
    line.result("Good.")
    line.wait(2000)
    assert not line.all(HangUp)


def test_a_word_during_the_good_bye_after_silence_keeps_the_call() -> None:
    line = greeted()
    for _ in range(3):
        line.wait_for(AskPrompt)
        line.result("Good bye then.")
    line.says("wait")
    assert line.wait_for(AskTurn).text == "wait"
    assert not line.all(HangUp)


def test_a_prompt_keeps_what_was_expected() -> None:
    line = Line()
    line.take(line.machine.begin(0))
    line.result("Is it urgent?", expects="yes_no")
    line.wait_for(AskPrompt)
    line.result("Are you there?")
    assert line.machine.expectation == Expectation("yes_no")


def test_the_dialogue_ends_the_call_once_its_last_words_are_played() -> None:
    line = thinking()
    line.result("Good bye, Dana Reyes.", end=True)
    line.says("bye bye then")
    assert not line.all(Clear)
    assert line.wait_for(HangUp) == HangUp("completed")
    assert line.all(Heard) == [Heard("e-Good bye, Dana Reyes.", "Good bye, Dana Reyes.", complete=True)]


def test_what_was_said_before_the_dialogue_ended_the_call_is_handed_over() -> None:
    line = thinking()
    line.says("and ring twice")
    line.result("Good bye, Dana Reyes.", end=True)
    line.says("bye bye then")
    assert line.wait_for(HangUp) == HangUp("completed", (AskTurn("and ring twice", "speech"),))


def test_a_call_that_does_not_manage_to_end_is_ended() -> None:
    line = thinking(ending_grace_ms=3000)
    line.silent()
    line.result("Good bye.", end=True)
    assert line.wait_for(HangUp, 3020) == HangUp("completed")


def test_the_longest_call_ends_with_words() -> None:
    line = greeted(max_call_ms=5000)
    assert line.wait_for(AskPrompt) == AskPrompt("utter_call_over")
    line.result("We have to end here.")
    assert line.wait_for(HangUp) == HangUp("too_long")


def test_hanging_up_reports_what_was_heard_and_hands_over_what_was_said() -> None:
    line = speaking()
    line.says("ok")
    line.does(Stop())
    assert line.all(Heard) == [Heard(line_event(), "one two three", complete=False)]
    assert line.effects[-2:] == [Shown("over", "hung_up"), HangUp("hung_up", (AskTurn("ok", "speech"),))]
    assert line.wait(1000) == []
    assert line.says("hello") == []
    assert line.does(Text("hello")) == []


def test_keyed_and_typed_words_left_at_hang_up_are_handed_over_too() -> None:
    line = thinking()
    line.does(Text("97201"))
    line.keys("12")
    line.says("since yesterday", final=False)
    line.does(Stop())
    turns = (AskTurn("97201", "typed"), AskTurn("12", "keypad"), AskTurn("since yesterday", "speech"))
    assert line.all(HangUp) == [HangUp("hung_up", turns)]


def test_an_answer_that_comes_after_hang_up_was_not_heard() -> None:
    line = thinking()
    line.does(Stop())
    assert line.result("Which brand is it?") == [Heard("e-Which brand is it?", "", complete=False)]


def test_a_call_hangs_up_once() -> None:
    line = greeted()
    line.take(line.machine.hang_up("hung_up", line.now_ms))
    line.take(line.machine.hang_up("failed", line.now_ms))
    assert line.all(HangUp) == [HangUp("hung_up")]


def fails(line: Line) -> None:
    line.take(line.machine.failed(line.now_ms))


def test_a_failed_turn_is_apologised_for() -> None:
    line = thinking()
    fails(line)
    assert line.all(AskPrompt) == [AskPrompt("utter_apology")]
    line.result("Sorry, once more please?")
    line.wait(3000)
    assert line.all(Shown)[-1] == Shown("listening")


def test_a_second_failed_turn_ends_the_call_with_words() -> None:
    line = thinking()
    fails(line)
    line.result("Sorry, once more please?")
    line.wait(3000)
    line.says("it leaks")
    line.wait_for(AskTurn)
    fails(line)
    assert line.all(AskPrompt)[-1] == AskPrompt("utter_apology_person")
    line.result("Somebody will call you.")
    assert line.wait_for(HangUp) == HangUp("failed")


def test_when_even_the_apology_fails_the_call_ends() -> None:
    line = thinking()
    fails(line)
    fails(line)
    assert line.all(HangUp)[0].reason == "failed"


def test_a_failed_greeting_ends_the_call_with_words() -> None:
    line = Line()
    line.take(line.machine.begin(0))
    fails(line)
    assert line.all(AskPrompt) == [AskPrompt("utter_apology_person")]
    line.result("Somebody will call you.")
    assert line.wait_for(HangUp) == HangUp("failed")


def test_a_failed_silence_prompt_alone_does_not_end_the_call() -> None:
    line = greeted()
    line.wait_for(AskPrompt)
    fails(line)
    assert line.wait_for(AskPrompt) == AskPrompt("utter_silence_2")


def test_without_ears_the_call_ends_with_words() -> None:
    line = greeted()
    line.take(line.machine.listening_lost(line.now_ms))
    assert line.all(AskPrompt) == [AskPrompt("utter_apology_person")]
    line.result("Somebody will call you.")
    assert line.wait_for(HangUp) == HangUp("listening_lost")


def test_without_ears_a_call_goes_on_by_keys_as_far_as_they_can_answer() -> None:
    line = thinking(keys=KEYS)
    line.result("Is it urgent?", expects="yes_no", slot="urgent")
    line.wait(3000)
    line.take(line.machine.listening_lost(line.now_ms))
    assert line.all(AskPrompt) == [AskPrompt("utter_keys_alone")]
    line.result("I can't hear you any more.")
    assert line.wait_for(AskPrompt) == AskPrompt("utter_keys_yes_no")
    line.result("For yes, press 1.")
    line.wait(3000)
    line.keys("1")
    assert line.wait_for(AskTurn) == AskTurn("yes", "keypad")
    line.result("What's your ZIP code?", expects="postcode", slot="postcode")
    assert line.wait_for(AskPrompt) == AskPrompt("utter_keys_number")
    line.result("Please key it in.")
    line.wait(3000)
    line.keys("97201")
    assert line.wait_for(AskTurn) == AskTurn("97201", "keypad")
    line.result("Which day suits you?", expects="date", slot="visit_day")
    assert line.wait_for(AskPrompt) == AskPrompt("utter_keys_offered")
    line.result("Press 1 for the first.")
    line.wait(3000)
    line.keys("2")
    assert line.wait_for(AskTurn) == AskTurn("the second one", "keypad")
    line.result("Your visit is booked.")
    assert line.wait_for(AskPrompt) == AskPrompt("utter_keys_else")
    line.result("Otherwise just hang up.")
    line.wait(3000)
    assert not line.all(HangUp)


def test_without_ears_what_keys_can_not_answer_leads_to_a_person() -> None:
    line = thinking(keys=KEYS)
    line.result("Is it urgent?", expects="yes_no", slot="urgent")
    line.wait(3000)
    line.take(line.machine.listening_lost(line.now_ms))
    line.result("I can't hear you any more.")
    line.wait_for(AskPrompt)
    line.result("For yes, press 1.")
    line.wait(3000)
    line.keys("2")
    assert line.wait_for(AskTurn) == AskTurn("no", "keypad")
    line.result("What's your name?", expects="name", slot="customer_name")
    assert line.wait_for(AskPrompt) == AskPrompt("utter_apology_person")
    line.result("A colleague will see it.")
    assert line.wait_for(HangUp) == HangUp("listening_lost")


def test_a_silent_caller_without_ears_is_told_again_how_to_answer() -> None:
    line = thinking(keys=KEYS)
    line.result("Is it urgent?", expects="yes_no", slot="urgent")
    line.wait(3000)
    line.take(line.machine.listening_lost(line.now_ms))
    line.result("I can't hear you any more.")
    for name in ("utter_keys_yes_no", "utter_silence_1", "utter_keys_yes_no", "utter_silence_2", "utter_keys_yes_no"):
        assert line.wait_for(AskPrompt) == AskPrompt(name)
        line.result(f"This is {name}.")


def test_who_knows_the_keys_may_press_them_at_any_time() -> None:
    line = thinking(keys=KEYS)
    line.result("Is it urgent?", expects="yes_no", slot="urgent")
    line.wait(3000)
    line.keys("2")
    assert line.wait_for(AskTurn) == AskTurn("no", "keypad")
    line.result("What's your ZIP code?", expects="postcode", slot="postcode")
    line.keys("2")
    assert line.wait_for(AskTurn) == AskTurn("2", "keypad"), "where a number is asked for it is a number"
    line.result("All five digits, please.", expects="postcode", slot="postcode")
    line.keys("0")
    assert line.wait_for(AskTurn) == AskTurn("I want to talk to a person", "keypad")


def test_without_a_voice_a_page_goes_on_in_captions() -> None:
    line = thinking()
    line.silent()
    line.result("Which brand is it?")
    line.take(line.machine.speaking_lost(line.now_ms))
    line.wait(40)
    assert Caption("assistant", "Which brand is it?", final=True) in line.effects
    assert line.all(Heard) == [Heard("e-Which brand is it?", "", complete=False)]
    line.does(Text("Bosch"))
    assert line.all(AskTurn) == [AskTurn("Bosch", "typed")]
    assert not line.all(HangUp)


def test_without_a_voice_a_telephone_call_ends() -> None:
    line = speaking(page=False)
    line.silent()
    line.take(line.machine.speaking_lost(line.now_ms))
    assert line.wait_for(AskPrompt) == AskPrompt("utter_apology_person")
    line.result("Somebody will call you.")
    line.take(line.machine.speaking_lost(line.now_ms))
    assert line.wait_for(HangUp) == HangUp("speaking_lost")


def test_interim_words_that_stay_without_a_final_are_asked_for() -> None:
    line = greeted()
    line.says("it leaks", final=False)
    line.wait_for(FlushListening)
    line.says("it leaks")
    assert line.wait_for(AskTurn).text == "it leaks"


def test_what_is_said_while_keys_are_pressed_waits_for_the_number() -> None:
    line = greeted()
    line.keys("1234")
    line.says("my code is")
    line.wait(1000)
    line.keys("5678")
    line.wait(700)
    assert line.all(AskTurn) == [AskTurn("12345678", "keypad")]
    line.result()
    assert line.all(AskTurn)[-1].text == "my code is"


def parted_from(**settings: int) -> Line:
    """A call that the dialogue has ended, and whose caller has heard its last words."""
    line = thinking(asks_rating=True, rating_wait_ms=3000, **settings)
    line.result("Goodbye.", end=True)
    line.wait_for(AskPrompt)
    line.result("How easy was that?")
    return line


def test_who_the_dialogue_has_parted_from_is_asked_how_it_was() -> None:
    line = parted_from()
    assert line.all(AskPrompt) == [AskPrompt("utter_ask_rating")]
    line.keys("4")  # before the question has ended
    assert line.all(Rated) == [Rated(4)]
    assert line.all(AskPrompt)[1:] == [AskPrompt("utter_rated")]
    line.result("Thank you.")
    assert line.wait_for(HangUp) == HangUp("completed")
    assert not line.all(AskTurn)


def test_how_it_was_may_be_said() -> None:
    line = parted_from()
    line.wait(2000)
    line.says("five")
    assert line.all(Rated) == [Rated(5)]


def test_who_says_nothing_is_let_go() -> None:
    line = parted_from()
    line.wait(2900)
    assert not line.all(HangUp)
    assert line.wait_for(HangUp) == HangUp("completed")


def test_who_is_put_through_is_not_asked() -> None:
    line = thinking(asks_rating=True)
    line.take(line.machine.result(TurnResult("c_1", (), end_session=True, transfer=True), line.now_ms))
    assert line.all(HangUp) == [HangUp("transferred")]
    assert not line.all(AskPrompt)
