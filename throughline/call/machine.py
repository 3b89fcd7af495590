"""One phone call as a state machine: what happens goes in with its time, what is to be done comes out.

Between the codec and the engines on one side and the dialogue on the other; ``session.py`` is its only driver. The states, as
the page sees them:

    ringing     until the first words
    listening   it is the caller's turn
    thinking    a turn is with the dialogue
    speaking    something is being said, until its last mark is back
    over

Always holds:
- One request is with the dialogue at a time, and none is begun while something is being said. While a turn takes long a filler is said,
  never one that was just said, none once the reply has come, none while the caller goes on; the reply waits for its end.
- Everything the caller said, keyed or typed becomes part of exactly one turn, up to the end of the call: what is left then goes
  with ``HangUp``. Only once the dialogue itself has ended the call is nothing more taken. Of somebody whom we have called no
  spoken word is taken before they have heard the first words to their end: "yes?" into a telephone that has just rung answers nothing.
- A call that is to end says its last words to their end. Only the good-bye after silence may be interrupted: the call goes on. Where
  the company wants it, whoever the dialogue has parted from is asked how it was (rating.py).
- Whatever is said is reported as heard, partly heard or not heard, once.
- A caller who speaks on while their turn is with the dialogue has it withdrawn: what they say is one turn. Where that comes too late, its
  reply isn't spoken, and what they say is the next one.
- A sound while the assistant speaks makes it pause at once, and go on where it was when the sound was nothing, or when something comes
  that has to be heard. Words decide, never a sound alone (barge_in.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import pairwise

from throughline.call.barge_in import BargeIn, Verdict
from throughline.call.call_settings import CallSettings
from throughline.call.effects import (
    Ask,
    AskBegin,
    AskPrompt,
    AskTurn,
    Effect,
    Expect,
    FlushListening,
    Foresee,
    HangUp,
    Heard,
    Rated,
    Rehearse,
    TurnTimed,
    Withdraw,
)
from throughline.call.fillers import Fillers
from throughline.call.keypad import Keypad
from throughline.call.keys_alone import KeysAlone
from throughline.call.media_streams import Audio, Caption, Dtmf, Event, Mark, Media, Shown, Stop, Text
from throughline.call.playback import Playback
from throughline.call.rating import Rating
from throughline.call.turn_taking import Spoken, TurnTaking
from throughline.domain.key_words import NO_KEYS, KeyWords
from throughline.domain.listening import NO_WORDS, ListeningWords
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import AudioFormat, Transcript
from throughline.domain.turns import Expectation, TurnResult, Utterance
from throughline.errors import ProtocolError
from throughline.speech.audio import level_dbfs

_SILENCE_PROMPTS = ("utter_silence_1", "utter_silence_2", "utter_silence_goodbye")
_BY_DIALOGUE = ("completed", "transferred")
_FAILURES_MAX = 2
"""Requests to the dialogue that may fail in a row before the call is given up."""


class CallMachine:
    """One call. Every public method takes what happened and returns what to do about it, in order."""

    def __init__(
        self,
        settings: CallSettings,
        audio: AudioFormat,
        *,
        page: bool,
        called: bool = False,
        listening: ListeningWords = NO_WORDS,
        keys: KeyWords = NO_KEYS,
        wording: PhoneWording | None = None,
    ) -> None:
        self._settings = settings
        self._audio = audio
        self._page = page
        self._deaf = called  # until the first words are over
        self._turns = TurnTaking(settings, listening)
        self._keypad = Keypad(
            pause_ms=settings.keypad_pause_ms,
            whole_pause_ms=settings.keypad_whole_pause_ms,
            max_digits=settings.keypad_max_digits,
        )
        self._keys = keys
        self._keys_alone = KeysAlone(keys)
        self._playback = Playback(audio, settings, wording)
        self._rating = Rating(asks=settings.asks_rating, wait_ms=settings.rating_wait_ms)
        self._barge_in = BargeIn(settings, self._playback, self._turns)
        fillers = wording.fillers if wording else ()
        self._fillers = Fillers(fillers, after_ms=settings.filler_after_ms, again_ms=settings.filler_again_ms)
        self._speed = 1.0
        self._out: list[Effect] = []
        self._begun_ms = 0.0
        self._asking: Ask | None = None
        self._asked_ms = 0.0
        self._waited_ms = 0.0
        self._spoken: Spoken | None = None  # the turn that is with the dialogue, where it was spoken
        self._withdrawing = False
        self._waiting: deque[AskTurn] = deque()  # keyed and typed
        self._left_over: list[AskTurn] = []  # what was not yet a turn when the dialogue ended the call
        self._next_prompt: tuple[str, str] | None = None  # a prompt, and why the call ends with it (empty: it goes on)
        self._ending = ""  # why the call ends, once it is decided
        self._ends_by_ms = float("inf")
        self._over = False
        self._failures = 0
        self._silence_ms = settings.silence_ms
        self._silence_steps = 0
        self._quiet_since_ms = 0.0
        self._shown = ""
        self._replying = False
        self._timing: tuple[TurnTimed, float] | None = None  # of a reply whose first audio is still to come, and since when

    @property
    def wants_speech(self) -> bool:
        """More speech should be made now."""
        return self._playback.wants_speech

    @property
    def expectation(self) -> Expectation:
        """What the dialogue expects to hear next."""
        return self._turns.expectation

    # What happens

    def begin(self, now_ms: float) -> list[Effect]:
        """The call was admitted."""
        self._begun_ms = self._quiet_since_ms = now_ms
        self._ask(AskBegin(), now_ms)
        return self._settled(now_ms)

    def event(self, event: Event, now_ms: float) -> list[Effect]:
        """Something came from the other side. Raises ProtocolError when there is too much of it."""
        if self._over:
            return []
        if isinstance(event, Media):
            length_ms = 20.0 * len(event.audio) / self._audio.frame_bytes
            self._turns.sound(level_dbfs(event.audio, self._audio), length_ms, now_ms)
        elif isinstance(event, Dtmf):
            self._key(event.digit, now_ms)
        elif isinstance(event, Text):
            self._typed(event.text, now_ms)
        elif isinstance(event, Mark):
            self._play(self._playback.mark(event.name, now_ms), now_ms)
        elif isinstance(event, Stop):
            return self.hang_up("hung_up", now_ms)
        return self._settled(now_ms)

    def transcript(self, transcript: Transcript, now_ms: float) -> list[Effect]:
        """The recogniser reports."""
        if self._over:
            return []
        if self._deaf:
            return self._settled(now_ms)
        self._turns.transcript(transcript, now_ms, at_the_end=self._playback.at_the_end)
        if transcript.final and (rating := self._rating.words(transcript.text)) is not None:
            self._rated(rating, now_ms)
        elif transcript.text.strip():
            self._quiet_since_ms = now_ms
            self._out.append(Caption("customer", self._turns.text, final=False))
            if self._spoken and not self._withdrawing and self._turns.speaks_on:
                self._withdrawing = True
                self._out.append(Withdraw())
        return self._settled(now_ms)

    def is_whole(self, text: str, now_ms: float) -> list[Effect]:
        """What was to be foreseen is all that the caller has to say, as the dialogue understands it."""
        self._turns.is_whole(text)
        return self._settled(now_ms)

    def rehearsed(self, text: str, result: TurnResult, now_ms: float) -> list[Effect]:
        """What was to be rehearsed would be answered so."""
        if not self._over and self._asking is None and text == self._turns.text:
            self._out += self._playback.prepare(result.utterances, result.speed_once or result.speed or self._speed)
        return self._settled(now_ms)

    def result(self, result: TurnResult, now_ms: float) -> list[Effect]:
        """The dialogue answers what was asked."""
        if self._over:
            if result.withdrawn and self._spoken:  # nobody is there any more to say the rest of it: it is a turn all the same
                return [AskTurn(self._spoken.text, "speech", self._spoken.confidence)]
            return [Heard(utterance.event_id, "", complete=False) for utterance in result.utterances]
        asked, self._asking = self._asking, None
        spoken, self._spoken = self._spoken, None
        withdrawing, self._withdrawing = self._withdrawing, False
        if result.withdrawn and spoken:
            self._turns.put_back(spoken)
            return self._settled(now_ms)
        if isinstance(asked, AskPrompt):
            kept = result.expects == Expectation()
        else:
            kept, self._failures = False, 0
        if not kept:
            self._turns.expectation = result.expects
            self._out.append(Expect(result.expects))
        if result.end_session and not self._ending:
            self._left_over = self._left_to_say()
            self._leave("transferred" if result.transfer else "completed", now_ms)
        if not self._ending and self._keys_alone.is_over(self.expectation):
            self._prompt_next("utter_apology_person", ending="listening_lost")
        elif not self._ending:
            after = asked.name if isinstance(asked, AskPrompt) else ""
            if hint := self._keys_alone.hint(self.expectation, after=after):
                self._prompt_next(hint)
        if isinstance(asked, AskTurn) and result.utterances:
            timed = TurnTimed(
                asked.source,
                endpoint_ms=self._waited_ms,
                turn_ms=now_ms - self._asked_ms,
                first_audio_ms=0.0,
                quiet_ms=spoken.quiet_ms if spoken else None,
                message_id=result.message_id,
            )
            self._timing = (timed, now_ms)
        self._quiet_since_ms = now_ms
        self._speed = result.speed or self._speed
        self._play(self._playback.withdraw(), now_ms)  # a filler of which nothing was heard yet
        speaks_on = spoken is not None and not self._playback.busy and self._turns.sounds_on(now_ms)
        self._turns.reply_begins()
        self._play(self._playback.say(result.utterances, result.speed_once or self._speed), now_ms)
        if speaks_on and not self._deaf and self._barge_in.may_pause(ending=self._ending):
            self._out += self._playback.hold(now_ms)
        if withdrawing and self._playback.busy and self._playback.interruptible and not self._ending:
            self._timing = None
            self._out += self._playback.interrupt(now_ms)  # they speak on, and would not hear it
        self._play(self._playback.tick(now_ms), now_ms)  # reports what has no words to speak
        self._deaf = self._deaf and self._playback.busy
        return self._settled(now_ms)

    def failed(self, now_ms: float) -> list[Effect]:
        """What was asked of the dialogue failed or took too long."""
        if self._over:
            return []
        asked, self._asking, self._deaf = self._asking, None, False
        self._spoken, self._withdrawing = None, False
        self._play(self._playback.withdraw(), now_ms)
        self._failures += 1
        self._quiet_since_ms = now_ms
        too_often = self._failures >= _FAILURES_MAX
        if self._ending or (too_often and isinstance(asked, AskPrompt)):
            self._hang_up(self._ending or "failed", now_ms)
        elif too_often or isinstance(asked, AskBegin):
            self._prompt_next("utter_apology_person", ending="failed")
        elif isinstance(asked, AskTurn):
            self._prompt_next("utter_apology")
        return self._settled(now_ms)

    def audio(self, speech_id: int, audio: bytes, now_ms: float) -> list[Effect]:
        """Speech that was asked for, a piece of any length."""
        self._play(self._playback.audio(speech_id, audio, now_ms), now_ms)
        return self._settled(now_ms)

    def audio_end(self, speech_id: int, now_ms: float) -> list[Effect]:
        """All of that speech has come."""
        self._play(self._playback.audio_end(speech_id, now_ms), now_ms)
        return self._settled(now_ms)

    def speaking_lost(self, now_ms: float) -> list[Effect]:
        """The engine cannot speak what is queued. A page still has its captions; a telephone has nothing, so the call ends."""
        if self._over:
            return []
        self._play(self._playback.lost(now_ms), now_ms)
        if not self._page and not self._ending:
            self._prompt_next("utter_apology_person", ending="speaking_lost")
        return self._settled(now_ms)

    def listening_lost(self, now_ms: float) -> list[Effect]:
        """The recogniser is gone for good: the call goes on by keys, or with a person."""
        if not self._over and not self._ending:
            if name := self._keys_alone.begin(self.expectation):
                self._prompt_next(name)
            else:
                self._prompt_next("utter_apology_person", ending="listening_lost")
        return self._settled(now_ms)

    def tick(self, now_ms: float) -> list[Effect]:
        """Time passes: call this every 20 ms."""
        if self._over:
            return []
        self._play(self._playback.tick(now_ms), now_ms)
        digits = self._keypad.tick(now_ms, self.expectation.kind)
        if digits:
            self._wait(self._keyed(digits))
        if self._turns.wants_flush(now_ms):
            self._out.append(FlushListening())
        if self._asking is None and not self._ending and (text := self._turns.foresight(now_ms)):
            self._out.append(Foresee(text))
        if self._asking is None and not self._ending and not self._playback.busy and (text := self._turns.rehearsal(now_ms)):
            self._out.append(Rehearse(text))
        self._fill(now_ms)
        if now_ms - self._begun_ms >= self._settings.max_call_ms and not self._ending:
            self._prompt_next("utter_call_over", ending="too_long")
        if now_ms >= self._ends_by_ms:
            self._hang_up(self._ending, now_ms)
        return self._settled(now_ms)

    def hang_up(self, reason: str, now_ms: float) -> list[Effect]:
        """The call ends now, for ``reason`` of effects.REASONS."""
        self._hang_up(reason, now_ms)
        return self._settled(now_ms)

    # What it leads to

    def _key(self, key: str, now_ms: float) -> None:
        self._quiet_since_ms = now_ms
        if (rating := self._rating.key(key)) is not None:
            self._rated(rating, now_ms)
            return
        digits = self._keypad.press(key, now_ms)
        if digits:
            self._wait(self._keyed(digits))

    def _keyed(self, digits: str) -> AskTurn:
        return AskTurn(self._keys.said_by(digits, self.expectation), "keypad")

    def _rated(self, rating: int, now_ms: float) -> None:
        self._out.append(Rated(rating))
        if self._playback.busy:
            self._play(self._playback.interrupt(now_ms), now_ms)

    def _typed(self, text: str, now_ms: float) -> None:
        if not text:
            return
        self._quiet_since_ms = now_ms
        self._silence_ms = max(self._settings.silence_ms, self._settings.silence_typing_ms)
        if len(text) > self._settings.typed_max_chars:
            self._prompt_next("utter_too_long")
        else:
            self._wait(AskTurn(text, "typed"))

    def _wait(self, turn: AskTurn) -> None:
        if len(self._waiting) >= self._settings.waiting_max:
            raise ProtocolError("too_much_typed")
        self._waiting.append(turn)
        self._out.append(Caption("customer", turn.text, final=True))

    def _prompt_next(self, name: str, *, ending: str = "") -> None:
        """Say ``name`` as soon as possible, and end the call with it if ``ending`` tells why. What ends the call goes first."""
        if ending or self._next_prompt is None:
            self._next_prompt = (name, ending)

    def _settled(self, now_ms: float) -> list[Effect]:
        """Do whatever can be done now, and hand out what has come together."""
        if not self._over and self._playback.busy:
            self._interrupt_if_wanted(now_ms)
        if not self._over and not self._playback.busy and self._asking is None:
            self._go_on(now_ms)
        if not self._over:
            self._show()
        out, self._out = self._out, []
        return out

    def _interrupt_if_wanted(self, now_ms: float) -> None:
        wanted = bool(self._waiting or self._keypad.gathering)
        verdict = self._barge_in.verdict(now_ms, ending=self._ending, wanted=wanted, deaf=self._deaf)
        if verdict is Verdict.STOP:
            self._stay()
            self._quiet_since_ms = now_ms
            self._play(self._playback.interrupt(now_ms), now_ms)
        elif verdict is Verdict.RESUME:
            self._play(self._playback.resume(now_ms), now_ms)
        elif verdict is Verdict.PAUSE:
            self._out += self._playback.hold(now_ms)

    def _go_on(self, now_ms: float) -> None:
        """Nothing is being said and nothing asked: take the next thing in the order of its importance."""
        caller_waits = bool(self._waiting or self._keypad.gathering or self._turns.pending)
        if self._ending == "silence" and caller_waits:
            self._stay()
        if self._ending == "completed" and (name := self._rating.next_prompt()):
            self._leave(self._ending, now_ms)
            self._ask(AskPrompt(name), now_ms)
        elif self._ending:
            if self._ending != "completed" or self._rating.is_over(now_ms - self._quiet_since_ms):
                self._hang_up(self._ending, now_ms)
        elif self._next_prompt:
            (name, ending), self._next_prompt = self._next_prompt, None
            if ending:
                self._leave(ending, now_ms)
            self._ask(AskPrompt(name), now_ms)
        elif self._waiting:
            self._ask(self._waiting.popleft(), now_ms)
        elif not self._keypad.gathering and self._turns.due(now_ms) and (spoken := self._turns.take(now_ms)):
            self._spoken = spoken
            self._out.append(Caption("customer", spoken.text, final=True))
            self._ask(AskTurn(spoken.text, "speech", spoken.confidence), now_ms, waited_ms=now_ms - spoken.heard_ms)
        elif not caller_waits and now_ms - self._quiet_since_ms >= self._silence_ms:
            self._next_silence_step(now_ms)

    def _next_silence_step(self, now_ms: float) -> None:
        name = _SILENCE_PROMPTS[min(self._silence_steps, len(_SILENCE_PROMPTS) - 1)]
        self._silence_steps += 1
        if name == _SILENCE_PROMPTS[-1]:
            self._leave("silence", now_ms)
        self._ask(AskPrompt(name), now_ms)

    def _ask(self, ask: Ask, now_ms: float, *, waited_ms: float = 0.0) -> None:
        self._asking = ask
        self._asked_ms = now_ms
        self._waited_ms = waited_ms
        self._fillers.end()
        if isinstance(ask, AskTurn):
            self._silence_steps = 0
            self._fillers.begin(now_ms)
        self._out.append(ask)

    def _fill(self, now_ms: float) -> None:
        """Bridge a turn that takes long, unless the caller has gone on meanwhile."""
        caller_goes_on = self._waiting or self._keypad.gathering or self._turns.pending
        fits = isinstance(self._asking, AskTurn) and not self._playback.busy and not caller_goes_on
        if (filler := self._fillers.due(now_ms, fits=fits)) is not None:
            self._turns.reply_begins()
            self._play(self._playback.say([Utterance("", filler)], self._speed), now_ms)

    def _play(self, effects: list[Effect], now_ms: float) -> None:
        """Pass on what the playback wants, and notice its first audio and its end."""
        self._out += effects
        if self._timing and _begins(effects):
            timed, since_ms = self._timing
            self._timing = None
            self._out.append(replace(timed, first_audio_ms=now_ms - since_ms))
        if self._replying and not self._playback.busy:
            self._deaf = False
            self._quiet_since_ms = now_ms
            self._turns.reply_ends(now_ms, self._playback.said_of_late)
        self._replying = self._playback.busy

    def _leave(self, reason: str, now_ms: float) -> None:
        """The call is to end when what is being said, or comes next, has been said."""
        self._ending, self._ends_by_ms = reason, now_ms + self._settings.ending_grace_ms

    def _stay(self) -> None:
        self._ending, self._ends_by_ms = "", float("inf")

    def _hang_up(self, reason: str, now_ms: float) -> None:
        if self._over:
            return
        self._over = True
        if self._playback.busy:
            self._out += self._playback.interrupt(now_ms)
        if self._ending not in _BY_DIALOGUE:
            self._left_over += self._left_to_say()
        self._out += [Shown("over", reason), HangUp(reason, tuple(self._left_over))]

    def _left_to_say(self) -> list[AskTurn]:
        """Take everything the caller has said, keyed or typed and that no turn holds yet."""
        turns, spoken, digits = list(self._waiting), self._turns.take(), self._keypad.take()
        self._waiting.clear()
        if digits:
            turns.append(self._keyed(digits))
        if spoken:
            turns.append(AskTurn(spoken.text, "speech", spoken.confidence))
        return turns

    def _show(self) -> None:
        """Tell the page the state when it has changed. A prompt of ours needs no thinking: it leaves the state as it was."""
        if self._playback.busy:
            state = "speaking"
        elif isinstance(self._asking, AskBegin):
            state = "ringing"
        elif isinstance(self._asking, AskTurn):
            state = "thinking"
        elif self._asking is None:
            state = "listening"
        else:
            return
        if state != self._shown:
            self._shown = state
            self._out.append(Shown(state))


def _begins(effects: list[Effect]) -> bool:
    """Whether the audio of an utterance begins among ``effects``: its caption goes right before. A filler may be playing before."""
    return any(isinstance(effect, Caption) and isinstance(after, Audio) for effect, after in pairwise(effects))
