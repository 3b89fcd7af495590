"""The audio on its way to Deepgram: order, bounds, the call's own time, and how long speech waits for an answer."""

from __future__ import annotations

import math
import struct

import pytest

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.speech.stt.deepgram_audio import Allowance, AudioQueue, Control, Patience

pytestmark = pytest.mark.unit

FRAME = bytes(range(160))


def queue(audio: AudioFormat = TELEPHONE, *, least_ms: int = 20, most_ms: int = 200, silence_ms: int = 1000) -> AudioQueue:
    return AudioQueue(audio, least_ms=least_ms, most_ms=most_ms, silence_ms=silence_ms)


def everything(waiting: AudioQueue) -> list[bytes | Control]:
    taken: list[bytes | Control] = []
    while (piece := waiting.take()) is not None:
        taken.append(piece)
    return taken


def loud(frames: int) -> bytes:
    tone = [int(10_000 * math.sin(n / 3)) for n in range(320 * frames)]
    return struct.pack(f"<{len(tone)}h", *tone)


class TestQueue:
    def test_audio_comes_out_as_it_went_in(self) -> None:
        waiting = queue()
        for _ in range(25):
            waiting.give(FRAME)
        pieces = everything(waiting)
        assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == FRAME * 25
        assert [len(piece) for piece in pieces if isinstance(piece, bytes)] == [1600, 1600, 800]

    def test_a_piece_too_short_to_be_worth_sending_waits_for_more(self) -> None:
        waiting = queue(least_ms=80)
        waiting.give(FRAME * 3)
        assert waiting.take() is None
        waiting.give(FRAME)
        assert waiting.take() == FRAME * 4

    def test_a_control_message_keeps_its_place_and_waits_for_nothing(self) -> None:
        waiting = queue(least_ms=80)
        waiting.give(FRAME)
        waiting.ask(Control.FLUSH)
        waiting.ask(Control.FLUSH)
        waiting.give(FRAME)
        assert everything(waiting) == [FRAME, Control.FLUSH]
        waiting.give(FRAME * 3)
        assert everything(waiting) == [FRAME * 4]

    def test_half_a_sample_is_never_sent_by_itself(self) -> None:
        waiting = queue(WIDEBAND)
        waiting.give(bytes(641))
        waiting.ask(Control.FLUSH)
        assert everything(waiting) == [bytes(640), Control.FLUSH]
        waiting.give(bytes(639))
        assert everything(waiting) == [bytes(640)]

    def test_beyond_its_bound_the_oldest_goes_in_whole_frames(self) -> None:
        waiting = queue()
        numbered = [bytes([n % 251]) * 160 for n in range(40 * 50)]
        kept = [waiting.give(frame) for frame in numbered]
        assert kept == [True] * (35 * 50) + [False] * (5 * 50)
        pieces = everything(waiting)
        assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == b"".join(numbered[5 * 50 :])

    def test_a_minute_at_once_leaves_its_end(self) -> None:
        waiting = queue()
        assert not waiting.give(b"\xff" * 480_001 + FRAME)
        pieces = [piece for piece in everything(waiting) if isinstance(piece, bytes)]
        assert sum(map(len, pieces)) <= 35 * 8000
        assert pieces[-1].endswith(FRAME)


class TestTime:
    def test_is_the_calls_own_where_all_was_sent(self) -> None:
        waiting = queue()
        waiting.give(FRAME * 50)
        everything(waiting)
        assert waiting.given_ms(400) == 400

    def test_what_was_dropped_has_passed_in_the_call(self) -> None:
        waiting = queue()
        waiting.give(FRAME * 50)
        everything(waiting)
        for _ in range(40 * 50):
            waiting.give(FRAME)  # five seconds too much
        everything(waiting)
        assert waiting.given_ms(900) == 900
        assert waiting.given_ms(1000) == 6000
        assert waiting.given_ms(3000) == 8000

    def test_our_own_silence_has_not_passed_in_the_call(self) -> None:
        waiting = queue(silence_ms=1000)
        waiting.give(FRAME * 50)
        for _ in range(3):
            waiting.ask(Control.SILENCE)
            assert everything(waiting)[-1] == b"\xff" * 8000
        waiting.give(FRAME * 50)
        everything(waiting)
        assert [waiting.given_ms(ms) for ms in (500, 1000, 1500, 3999, 4000, 4500)] == [500, 1000, 1000, 1000, 1000, 1500]

    def test_an_hour_of_silence_costs_no_memory(self) -> None:
        waiting = queue()
        waiting.give(FRAME * 50)
        for _ in range(3600):
            waiting.ask(Control.SILENCE)
            everything(waiting)
        waiting.give(FRAME * 50)
        everything(waiting)
        assert waiting.given_ms(3_601_500) == 1500
        assert waiting.given_ms(500) == 500

    def test_never_lies_beyond_the_audio_given(self) -> None:
        waiting = queue()
        waiting.give(FRAME)
        assert waiting.given_ms(86_400_000) == 20


class TestPatience:
    def test_ends_when_speech_has_had_no_answer_for_long_enough(self) -> None:
        patience = Patience(WIDEBAND, 4000)
        patience.spoken(loud(20), 1000)
        assert not patience.over(4999)
        assert patience.over(5000)

    def test_any_message_is_an_answer(self) -> None:
        patience = Patience(WIDEBAND, 4000)
        patience.spoken(loud(20), 1000)
        patience.answered()
        assert not patience.over(9000)
        patience.spoken(loud(20), 9000)
        assert not patience.over(12_999)
        assert patience.over(13_000)

    def test_silence_is_owed_no_answer(self) -> None:
        patience = Patience(TELEPHONE, 4000)
        patience.spoken(b"\xff" * 80_000, 0)
        assert not patience.over(60_000)

    def test_a_click_is_owed_no_answer(self) -> None:
        patience = Patience(WIDEBAND, 4000)
        patience.spoken(loud(2) + bytes(640 * 100), 0)
        assert not patience.over(60_000)


class TestPromisedUpdates:
    """A turn's updates come for silence too: what is late is not waited for as long as an answer to speech."""

    SILENCE = b"\xff" * TELEPHONE.frame_bytes

    def patience(self, allowance: Allowance) -> Patience:
        return Patience(TELEPHONE, 4000, updates_ms=320, allowance=allowance)

    def given(self, patience: Patience, count: int, from_ms: float) -> float:
        for number in range(count):
            patience.spoken(self.SILENCE, from_ms + 20 * number)
        return from_ms + 20 * (count - 1)

    def test_one_that_is_late_is_missed(self) -> None:
        patience = self.patience(Allowance(400, 4000))
        patience.answered(in_turn=True)
        owed_ms = self.given(patience, 16, 1000)
        assert not patience.over(owed_ms + 399)
        assert patience.over(owed_ms + 400)

    def test_between_turns_none_is_owed(self) -> None:
        patience = self.patience(Allowance(400, 4000))
        patience.answered(in_turn=True)
        patience.answered(in_turn=False)
        assert not patience.over(self.given(patience, 500, 0))

    def test_audio_that_was_held_up_is_given_as_much_time_as_any(self) -> None:
        patience = self.patience(Allowance(400, 4000))
        patience.answered(in_turn=True)
        for _ in range(50):
            patience.spoken(self.SILENCE, 5000)
        assert not patience.over(5399)

    def test_without_audio_none_is_owed(self) -> None:
        patience = self.patience(Allowance(400, 4000))
        patience.answered(in_turn=True)
        self.given(patience, 15, 0)
        assert not patience.over(60_000)

    def test_alarms_make_it_more_patient_and_turns_less(self) -> None:
        allowance = Allowance(400, 4000)
        for _ in range(2):
            allowance.missed()
        assert allowance.ms == 1600
        patience = self.patience(allowance)
        patience.answered(in_turn=True)
        patience.answered(in_turn=False)
        assert allowance.ms == 1440
        for _ in range(10):
            allowance.missed()
        assert allowance.ms == 4000
        for _ in range(100):
            allowance.kept()
        assert allowance.ms == 400
