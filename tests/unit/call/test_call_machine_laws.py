"""What holds in every call, whatever happens in it and in whatever order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughline.call.call_settings import CallSettings
from throughline.call.effects import AskBegin, AskPrompt, AskTurn, Effect, HangUp, Heard, Speak
from throughline.call.machine import CallMachine
from throughline.call.media_streams import Dtmf, Mark, Media, Text
from throughline.domain.transcripts import TELEPHONE, Transcript
from throughline.domain.turns import Expectation, TurnResult, Utterance

pytestmark = pytest.mark.unit

LONG_AGO_MS = 100_000  # so that only words with a final transcript count: interim ones are never taken as said
HAPPENINGS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([20, 100, 400, 1000, 9000])),
    st.tuples(st.just("says"), st.integers(1, 3)),
    st.tuples(st.just("begins to say"), st.integers(1, 3)),
    st.tuples(st.just("types"), st.integers(1, 3)),
    st.tuples(st.just("keys"), st.integers(1, 9)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("answer that must be heard"), st.integers(1, 2)),
    st.tuples(st.just("answer that ends"), st.integers(0, 2)),
    st.tuples(st.just("failure"), st.just(0)),
    st.tuples(st.just("speech"), st.integers(1, 60)),
    st.tuples(st.just("voice lost"), st.just(0)),
    st.tuples(st.just("ears lost"), st.just(0)),
    st.tuples(st.just("mark"), st.just(0)),
    st.tuples(st.just("noise"), st.integers(1, 50)),
)


class Anything:
    """A call to which anything may happen, and a ledger of what went in and out."""

    def __init__(self, *, page: bool) -> None:
        self.machine = CallMachine(CallSettings(lost_final_ms=LONG_AGO_MS), TELEPHONE, page=page)
        self.now_ms = 0.0
        self.count = 0
        self.said: list[str] = []  # until the dialogue ends the call
        self.ending = False
        self.taken: list[str] = []
        self.uttered: list[str] = []
        self.heard: list[str] = []
        self.asked = 0
        self.speeches: list[int] = []
        self.marks: list[str] = []
        self.hung_up: HangUp | None = None
        self.take(self.machine.begin(0))

    def word(self) -> str:
        self.count += 1
        return f"w{self.count}"

    def take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            assert self.hung_up is None or isinstance(effect, Heard)
            if isinstance(effect, (AskBegin, AskTurn, AskPrompt)):
                self.asked += 1
                assert self.asked == 1, "one request at a time"
            if isinstance(effect, AskTurn):
                self.taken += effect.text.split()
            elif isinstance(effect, Heard):
                self.heard.append(effect.event_id)
            elif isinstance(effect, Speak):
                self.speeches.append(effect.speech_id)
            elif isinstance(effect, Mark):
                self.marks.append(effect.name)
            elif isinstance(effect, HangUp):
                self.hung_up = effect
                self.taken += [word for turn in effect.last_turns for word in turn.text.split()]

    def answer(self, utterances: int, **how: Any) -> None:
        if not self.asked:
            return
        self.asked = 0
        self.ending = self.ending or how.get("end", False)
        said = []
        for _ in range(utterances):
            event_id = self.word()
            self.uttered.append(event_id)
            said.append(
                Utterance(event_id, "One sentence here. And another there.", interruptible=how.get("interruptible", True))
            )
        result = TurnResult("c_1", tuple(said), Expectation(), end_session=how.get("end", False))
        self.take(self.machine.result(result, self.now_ms))

    def happens(self, what: str, size: int) -> None:
        now_ms = self.now_ms
        over = self.hung_up is not None
        if what == "wait":
            for _ in range(size // 20):
                self.now_ms += 20
                self.take(self.machine.tick(self.now_ms))
        elif what == "says":
            words = [self.word() for _ in range(size)]
            self.said += [] if over or self.ending else words
            self.take(self.machine.transcript(Transcript(" ".join(words), final=True), now_ms))
        elif what == "begins to say" and not over:
            self.take(self.machine.transcript(Transcript("um " * size, final=False), now_ms))
            self.take(self.machine.transcript(Transcript("", final=True), now_ms))
        elif what == "types":
            word = self.word()
            self.said += [] if over or self.ending else [word]
            self.take(self.machine.event(Text(word), now_ms))
        elif what == "keys":
            self.take(self.machine.event(Dtmf(str(size)), now_ms))
        elif what.startswith("answer"):
            self.answer(size, interruptible="must" not in what, end="ends" in what)
        elif what == "failure" and self.asked:
            self.asked = 0
            self.take(self.machine.failed(now_ms))
        elif what == "speech" and self.speeches:
            speech_id = self.speeches.pop(0)
            self.take(self.machine.audio(speech_id, b"\x80" * 160 * size, now_ms))
            self.take(self.machine.audio_end(speech_id, now_ms))
        elif what == "voice lost":
            self.speeches.clear()
            self.take(self.machine.speaking_lost(now_ms))
        elif what == "ears lost":
            self.take(self.machine.listening_lost(now_ms))
        elif what == "mark" and self.marks:
            self.take(self.machine.event(Mark(self.marks.pop(0)), now_ms))
        elif what == "noise":
            for _ in range(size):
                self.take(self.machine.event(Media(b"\x80" * 160), now_ms))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.booleans(), st.lists(HAPPENINGS, max_size=30))
def test_every_word_is_taken_once_and_every_utterance_reported_once(page: bool, happenings: list[tuple[str, int]]) -> None:
    call = Anything(page=page)
    waiting = 0
    for what, size in happenings:
        waiting = 0 if what.startswith(("answer", "failure")) else waiting + (what in ("types", "keys"))
        if waiting < 16:  # more would rightly break the protocol
            call.happens(what, size)
    call.take(call.machine.hang_up("hung_up", call.now_ms))
    call.answer(1)
    assert call.hung_up is not None
    words = [word for word in call.taken if word.startswith("w")]
    assert sorted(set(words)) == sorted(words), "no word is taken twice"
    assert set(call.said) <= set(words)
    assert call.ending or set(call.said) == set(words)
    assert sorted(call.heard) == sorted(call.uttered)
