"""The assistant's voice on the line: utterances in, 20 ms frames and marks out, and what of it the caller has heard.

Speech comes in sentence by sentence (``Speak`` asks for each, ``audio`` brings it) and leaves at the pace of real time, never
more than ``lead_ms`` ahead, because what the other side has buffered it plays on until it is told to clear. After each sentence
goes a mark, which comes back when the sentence has been played. Times are passed in.

Always holds: every utterance leaves in the order it came, and is reported by exactly one ``Heard``. A sentence counts as heard
when its mark is back; of one under way the words count whose time has passed, less the line's delay, known from earlier marks.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from throughline.call.call_settings import CallSettings
from throughline.call.effects import Effect, Heard, Speak, StopSpeaking
from throughline.call.media_streams import Audio, Caption, Clear, Mark
from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.domain.turns import Utterance
from throughline.speech.audio import Framer

_MS_PER_CHAR = 65
"""A voice says some 15 characters in a second: the length of a sentence of which not all has been made."""

_LATE_SENTENCES = 2

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_SHORTEST_SENTENCE_CHARS = 12
"""What is shorter is more likely an abbreviation ("Mr."), or sounds better with what follows."""


def sentences_of(text: str) -> list[str]:
    """``text`` cut where a voice pauses, spaces normalised. Joined by single spaces they are the text again."""
    sentences: list[str] = []
    for piece in _SENTENCE_END.split(" ".join(text.split())):
        if sentences and len(sentences[-1]) < _SHORTEST_SENTENCE_CHARS:
            sentences[-1] += " " + piece
        elif piece:
            sentences.append(piece)
    return sentences


@dataclass
class _Sentence:
    speech_id: int
    text: str
    framer: Framer
    frames: deque[bytes] = field(default_factory=deque)
    sent: list[bytes] = field(default_factory=list)  # for as long as they may have to be sent again
    times_sent: int = 1
    made_ms: int = 0
    sent_ms: int = 0
    made: bool = False  # nothing more will come
    lost: bool = False  # the engine failed before it was done
    mark_due_ms: float | None = None  # when the mark, once sent, should come back
    played: bool = False

    def text_heard(self, unplayed_ms: float) -> str:
        """The words heard when ``unplayed_ms`` of what was sent has not been played."""
        length_ms: float = self.made_ms
        if self.lost or not self.made:
            length_ms = max(length_ms, len(self.text) * _MS_PER_CHAR)
        elif self.played:
            return self.text
        share = max(0.0, self.sent_ms - unplayed_ms) / length_ms if length_ms else 0.0
        words = self.text.split()
        for count in range(len(words), 0, -1):
            heard = " ".join(words[:count])
            if len(heard) <= share * len(self.text):
                return heard
        return ""


@dataclass
class _Line:
    utterance: Utterance
    sentences: list[_Sentence]
    shown: bool = False


class Playback:
    """What one call's assistant is saying."""

    def __init__(self, audio: AudioFormat, settings: CallSettings) -> None:
        self._audio = audio
        self._settings = settings
        self._silence = b"\xff" if audio.encoding == "mulaw" else b"\x00"
        self._lines: deque[_Line] = deque()
        self._next_id = 1
        self._played_out_ms = 0.0  # when everything sent so far will have been played
        self._line_delay_ms = 0.0
        self._held = False
        self._said_of_late: deque[str] = deque(maxlen=_LATE_SENTENCES)

    @property
    def held(self) -> bool:
        """It pauses: see ``hold``."""
        return self._held

    @property
    def said_of_late(self) -> str:
        """The sentences that have been sent last, the one at hand too: what may come back from a loudspeaker."""
        return " ".join(self._said_of_late)

    @property
    def at_the_end(self) -> bool:
        """The last sentence is being said."""
        return not any(sentence.frames or not sentence.made for sentence in list(self._sentences())[:-1])

    @property
    def busy(self) -> bool:
        """Something is being said, or about to be."""
        return bool(self._lines)

    @property
    def interruptible(self) -> bool:
        """Nothing that must be heard to its end is still to be said."""
        return all(line.utterance.interruptible for line in self._lines)

    @property
    def wants_speech(self) -> bool:
        """More speech should be made now."""
        ahead_ms = sum(len(sentence.frames) * FRAME_MS for sentence in self._sentences())
        return ahead_ms < self._settings.speech_ahead_ms

    def _sentences(self) -> Iterator[_Sentence]:
        return (sentence for line in self._lines for sentence in line.sentences)

    def say(self, utterances: Iterable[Utterance]) -> list[Effect]:
        """Queue utterances. Returns what speech to make."""
        effects: list[Effect] = []
        for utterance in utterances:
            line = _Line(utterance, [])
            for text in sentences_of(utterance.text):
                line.sentences.append(_Sentence(self._next_id, text, Framer(self._audio.frame_bytes)))
                effects.append(Speak(self._next_id, text))
                self._next_id += 1
            self._lines.append(line)
        return effects

    def audio(self, speech_id: int, audio: bytes, now_ms: float) -> list[Effect]:
        """Speech that was made, of any length. What was interrupted meanwhile is dropped."""
        for sentence in self._sentences():
            if sentence.speech_id == speech_id and not sentence.made:
                self._take(sentence, sentence.framer.push(audio))
        return self.tick(now_ms)

    def audio_end(self, speech_id: int, now_ms: float) -> list[Effect]:
        """All the speech under ``speech_id`` has come."""
        for sentence in self._sentences():
            if sentence.speech_id == speech_id:
                self._close(sentence)
        return self.tick(now_ms)

    def lost(self, now_ms: float) -> list[Effect]:
        """No more speech comes for anything queued. What there is, is played; the rest is shown and counts as not heard."""
        for sentence in self._sentences():
            if not sentence.made:
                sentence.lost = True
                self._close(sentence)
        return self.tick(now_ms)

    def _take(self, sentence: _Sentence, frames: list[bytes]) -> None:
        sentence.frames.extend(frames)
        sentence.made_ms += FRAME_MS * len(frames)

    def _close(self, sentence: _Sentence) -> None:
        rest = sentence.framer.rest(self._silence)
        self._take(sentence, [rest] if rest else [])
        sentence.made = True

    def mark(self, name: str, now_ms: float) -> list[Effect]:
        """A mark has come back: all sent before it was played. Marks of what was cleared come back too, and mean nothing."""
        sent = [sentence for sentence in self._sentences() if sentence.mark_due_ms is not None]
        names = [_mark_name(sentence) for sentence in sent]
        if name in names:
            last = names.index(name)
            self._line_delay_ms = max(0.0, now_ms - (sent[last].mark_due_ms or 0.0))
            for sentence in sent[: last + 1]:
                sentence.played = True
                sentence.sent.clear()
        return self.tick(now_ms)

    def tick(self, now_ms: float) -> list[Effect]:
        """Everything that is due: frames, marks, captions, and reports of what has been heard."""
        effects: list[Effect] = []
        if self._held:
            return effects
        for line in self._lines:
            for sentence in line.sentences:
                if sentence.mark_due_ms is None and not self._send(line, sentence, now_ms, effects):
                    return effects + self._finished(now_ms)
        return effects + self._finished(now_ms)

    def _send(self, line: _Line, sentence: _Sentence, now_ms: float, effects: list[Effect]) -> bool:
        """Send of one sentence what may be sent now; True when that was the last of it."""
        while sentence.frames and self._played_out_ms - now_ms < self._settings.lead_ms:
            if not sentence.sent_ms:
                self._said_of_late.append(sentence.text)
            self._show(line, effects)
            frame = sentence.frames.popleft()
            effects.append(Audio(frame))
            sentence.sent.append(frame)
            sentence.sent_ms += FRAME_MS
            self._played_out_ms = max(self._played_out_ms, now_ms) + FRAME_MS
        if sentence.frames or not sentence.made:
            return False
        self._show(line, effects)
        effects.append(Mark(_mark_name(sentence)))
        sentence.mark_due_ms = max(self._played_out_ms, now_ms)
        return True

    def _show(self, line: _Line, effects: list[Effect]) -> None:
        if not line.shown:
            line.shown = True
            effects.append(Caption("assistant", line.utterance.text, final=True))

    def _finished(self, now_ms: float) -> list[Effect]:
        """Reports of the utterances that are over."""
        for sentence in self._sentences():
            if sentence.mark_due_ms is not None and now_ms >= sentence.mark_due_ms + self._settings.mark_grace_ms:
                sentence.played = True
        effects: list[Effect] = []
        while self._lines and all(sentence.played for sentence in self._lines[0].sentences):
            line = self._lines.popleft()
            effects.append(_heard(line, [sentence.text_heard(0.0) for sentence in line.sentences]))
        return effects

    def hold(self, now_ms: float) -> list[Effect]:
        """Fall silent at once, and keep everything. ``resume`` goes on, ``interrupt`` gives it up."""
        unplayed_ms = self._unplayed_ms(now_ms)
        audible = any(sentence.sent_ms and not sentence.played for sentence in self._sentences())
        for sentence in reversed(list(self._sentences())):
            if sentence.sent_ms and not sentence.played:
                back = min(len(sentence.sent), math.ceil(unplayed_ms / FRAME_MS))
                unplayed_ms -= back * FRAME_MS
                self._take_back(sentence, back)
        self._held, self._played_out_ms = True, now_ms
        return [Clear()] if audible else []

    def resume(self, now_ms: float) -> list[Effect]:
        """Go on where it was held, from a little before: the word that was cut is said whole."""
        self._held, self._played_out_ms = False, now_ms
        cut = next((sentence for sentence in self._sentences() if not sentence.played), None)
        if cut is not None:
            self._take_back(cut, min(len(cut.sent), self._settings.resume_back_ms // FRAME_MS))
        return self.tick(now_ms)

    def _take_back(self, sentence: _Sentence, count: int) -> None:
        """The last ``count`` frames sent are to be sent again, and the mark behind them, under a name of its own: that of the mark that
        was cleared comes back too."""
        if sentence.mark_due_ms is not None:
            sentence.mark_due_ms = None
            sentence.times_sent += 1
        if count:
            sentence.frames.extendleft(reversed(sentence.sent[-count:]))
            del sentence.sent[-count:]
            sentence.sent_ms -= count * FRAME_MS

    def _unplayed_ms(self, now_ms: float) -> float:
        """How much of what was sent has not been played yet."""
        return 0.0 if self._held else max(0.0, self._played_out_ms + self._line_delay_ms - now_ms)

    def interrupt(self, now_ms: float) -> list[Effect]:
        """Stop at once and forget everything queued."""
        unplayed_ms = self._unplayed_ms(now_ms)
        audible = any(sentence.sent_ms and not sentence.played for sentence in self._sentences())
        heard: dict[int, str] = {}
        for sentence in reversed(list(self._sentences())):
            heard[sentence.speech_id] = sentence.text_heard(unplayed_ms)
            unplayed_ms = max(0.0, unplayed_ms - sentence.sent_ms)
        effects: list[Effect] = [Clear()] if audible else []
        effects.append(StopSpeaking())
        for line in self._lines:
            effects.append(_heard(line, [heard[sentence.speech_id] for sentence in line.sentences]))
        self._lines.clear()
        self._played_out_ms, self._held = now_ms, False
        return effects


def _mark_name(sentence: _Sentence) -> str:
    again = f"-{sentence.times_sent}" if sentence.times_sent > 1 else ""
    return f"sentence-{sentence.speech_id}{again}"


def _heard(line: _Line, texts: list[str]) -> Heard:
    whole = [sentence.text for sentence in line.sentences]
    return Heard(line.utterance.event_id, " ".join(text for text in texts if text), complete=texts == whole)
