"""What a caller hears while a turn takes long, and what never: with every time given."""

from __future__ import annotations

import pytest

from tests.unit.call.test_call_machine import Line
from throughline.call.call_settings import CallSettings
from throughline.call.effects import AskPrompt, AskTurn, Heard, Speak, StopSpeaking, TurnTimed
from throughline.call.machine import CallMachine
from throughline.call.media_streams import Caption, Clear, Dtmf
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import TELEPHONE
from throughline.domain.turns import Expectation, TurnResult, Utterance

pytestmark = pytest.mark.unit

FILLERS = ("One moment, please.", "Let me look that up.")


def asked(*fillers: str, speaks: bool = True, **settings: int) -> Line:
    """A call whose caller has just ended a turn."""
    line = Line(page=False, **settings)
    wording = PhoneWording(fillers=fillers or FILLERS)
    line.machine = CallMachine(CallSettings(**settings), TELEPHONE, page=False, wording=wording)
    line.take(line.machine.begin(0.0))
    line.result("Hello there, caller.")
    line.wait(3000)
    if not speaks:
        line.silent()
    line.says("my dryer is broken")
    line.wait_for(AskTurn)
    line.effects.clear()
    return line


def spoken(line: Line) -> list[str]:
    return [effect.text for effect in line.effects if isinstance(effect, Speak)]


def test_a_turn_that_takes_a_second_is_bridged_and_no_earlier() -> None:
    line = asked()
    line.wait(980)
    assert spoken(line) == []
    line.wait(40)
    assert spoken(line) == ["One moment, please."]


def test_a_quick_turn_hears_none() -> None:
    line = asked()
    line.wait(900)
    line.result("Which brand is it?")
    line.wait(5000)
    assert spoken(line) == ["Which brand is it?"]


def test_the_reply_follows_the_filler_and_does_not_cut_it_off() -> None:
    line = asked()
    line.wait(1100)
    line.result("Which brand is it?")
    shown = [effect.text for effect in line.wait(6000) if isinstance(effect, Caption) and effect.who == "assistant"]
    assert shown == ["Which brand is it?"]
    assert not [effect for effect in line.effects if isinstance(effect, (Clear, StopSpeaking))]


def test_a_filler_that_nobody_has_heard_yet_makes_way_for_the_reply() -> None:
    line = asked(speaks=False)  # the filler's speech does not come
    line.wait(1100)
    known = len(line.effects)
    line.result("Which brand is it?")
    made = [effect for effect in line.effects[known:] if isinstance(effect, (Speak, StopSpeaking))]
    assert made == [StopSpeaking(), Speak(3, "Which brand is it?")]


def test_a_turn_that_still_takes_long_hears_the_next_one_and_none_twice() -> None:
    line = asked()
    line.wait(30_000)
    assert spoken(line) == list(FILLERS)


def test_the_next_turn_begins_with_the_one_that_was_said_longest_ago() -> None:
    line = asked()
    line.wait(1500)
    line.result("Which brand is it?")
    line.wait(3000)
    line.says("it is a bosch")
    line.wait_for(AskTurn)
    line.wait(1500)
    assert spoken(line) == ["One moment, please.", "Which brand is it?", "Let me look that up."]


def test_no_second_request_goes_to_the_dialogue_while_a_filler_is_said() -> None:
    line = asked()
    line.wait(1100)
    line.says("and it is urgent")
    line.wait(5000)
    assert not [effect for effect in line.effects if isinstance(effect, (AskTurn, AskPrompt))]
    line.result("Which brand is it?")
    line.wait(6000)
    assert [effect.text for effect in line.effects if isinstance(effect, AskTurn)] == ["and it is urgent"]


def test_a_caller_who_goes_on_is_not_talked_over() -> None:
    line = asked()
    line.says("and it", final=False)
    line.wait(1500)
    assert spoken(line) == []


def test_a_filler_can_be_interrupted() -> None:
    line = asked()
    line.wait(1100)
    effects = line.says("no wait please")
    assert Clear() in effects
    assert not line.machine._playback.busy


def test_a_key_interrupts_it_too_and_counts() -> None:
    line = asked()
    line.wait(1100)
    line.take(line.machine.event(Dtmf("5"), line.now_ms))
    assert not line.machine._playback.busy
    line.result("Which brand is it?")
    line.wait(4000)
    assert [effect.text for effect in line.effects if isinstance(effect, AskTurn)] == ["5"]


def test_it_is_no_turn_and_in_no_record() -> None:
    line = asked()
    line.wait(10_000)
    assert not [effect for effect in line.effects if isinstance(effect, Heard)]


def test_it_is_shown_like_everything_that_is_said() -> None:
    line = asked()
    line.wait(1100)
    assert Caption("assistant", "One moment, please.", final=True) in line.effects


def test_a_turn_that_fails_is_apologised_for_after_it() -> None:
    line = asked()
    line.wait(1100)
    line.take(line.machine.failed(line.now_ms))
    line.wait(5000)
    assert [effect.name for effect in line.effects if isinstance(effect, AskPrompt)][:1] == ["utter_apology"]


def test_a_greeting_or_a_prompt_that_takes_long_hears_none() -> None:
    line = Line(page=False)
    line.machine = CallMachine(CallSettings(), TELEPHONE, page=False, wording=PhoneWording(fillers=FILLERS))
    line.take(line.machine.begin(0.0))
    line.wait(8000)
    assert spoken(line) == []
    line.result("Hello.")
    line.wait_for(AskPrompt)
    line.wait(4000)
    assert spoken(line) == ["Hello."]


def test_the_time_to_the_reply_is_counted_to_the_reply() -> None:
    line = asked()
    line.wait(1100)
    line.result("Which brand is it?")
    timed = line.wait_for(TurnTimed)
    assert timed.turn_ms == 1100
    assert timed.first_audio_ms > 800  # the filler took 19 letters of 65 ms, and had begun 100 ms before


def test_from_now_on_everything_is_said_at_the_speed_that_the_dialogue_names() -> None:
    line = asked()
    said = (Utterance("e1", "Of course, once more."),)
    line.take(line.machine.result(TurnResult("c_1", said, Expectation(), speed=0.85, speed_once=0.7), line.now_ms))
    line.wait(4000)
    line.says("it is a bosch")
    line.wait_for(AskTurn)
    line.wait(1100)
    line.result("Since when?")
    speeds = [(effect.text, effect.speed) for effect in line.effects if isinstance(effect, Speak)]
    assert speeds == [("Of course, once more.", 0.7), ("One moment, please.", 0.85), ("Since when?", 0.85)]
