"""The assistant's voice on the line: utterances in, 20 ms frames and marks out, and what of it the caller has heard.

Speech comes in piece by piece (``Speak`` asks for each, ``audio`` brings it), a piece being a sentence, or the fixed beginning or the rest
of one. It leaves at the pace of real time, never more than ``lead_ms`` ahead, because what the other side has buffered it plays on until it
is told to clear. After each piece goes a mark, which comes back when it has been played. Times are passed in.

Always holds: every utterance leaves in the order it came, and is reported by exactly one ``Heard``, or by none where it is in no record (a
filler). A piece counts as heard when its mark is back; of one under way the words count whose time has passed, less the line's delay, known
from earlier marks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from throughline.call.call_settings import CallSettings
from throughline.call.effects import Effect, Heard, PrepareSpeech, Speak, StopSpeaking
from throughline.call.media_streams import Audio, Caption, Clear, Mark
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.domain.turns import Utterance
from throughline.speech.audio import Framer, level_dbfs

_MS_PER_CHAR = 65
"""A voice says some 15 characters in a second: the length of a sentence of which not all has been made."""

_LATE_SENTENCES = 2

_AUDIBLE_DBFS = -60.0
_LEAD_IN_MOST_MS = 300


@dataclass
class _Sentence:
    speech_id: int
    text: str
    spoken: str  # as the voice is given it
    speed: float
    framer: Framer
    frames: deque[bytes] = field(default_factory=deque)
    sent: list[bytes] = field(default_factory=list)  # for as long as they may have to be sent again
    times_sent: int = 1
    lead_in_ms: int = 0  # silence at its beginning that was left out
    made_ms: int = 0
    sent_ms: int = 0
    made: bool = False  # nothing more will come
    lost: bool = False  # the engine failed before it was done
    mark_due_ms: float | None = None  # when the mark, once sent, should come back
    played: bool = False

    def text_heard(self, unplayed_ms: float, wording: PhoneWording) -> str:
        """The written words heard when ``unplayed_ms`` of what was sent has not been played. How long a word takes goes by how it is
        spoken: "LG" is two words for a voice."""
        length_ms: float = self.made_ms
        if self.lost or not self.made:
            length_ms = max(length_ms, len(self.spoken) * _MS_PER_CHAR / self.speed)
        elif self.played:
            return self.text
        share = max(0.0, self.sent_ms - unplayed_ms) / length_ms if length_ms else 0.0
        words = self.text.split()
        for count in range(len(words), 0, -1):
            heard = " ".join(words[:count])
            if len(wording.spoken(heard)) <= share * len(self.spoken):
                return heard
        return ""


@dataclass
class _Line:
    utterance: Utterance
    sentences: list[_Sentence]
    shown: bool = False


class Playback:
    """What one call's assistant is saying."""

    def __init__(self, audio: AudioFormat, settings: CallSettings, wording: PhoneWording | None = None) -> None:
        self._audio = audio
        self._settings = settings
        self._wording = wording or PhoneWording()
        self._silence = b"\xff" if audio.encoding == "mulaw" else b"\x00"
        self._lines: deque[_Line] = deque()
        self._next_id = 1
        self._played_out_ms = 0.0  # when everything sent so far will have been played
        self._line_delay_ms = 0.0
        self._held_since_ms: float | None = None
        self._said_of_late: list[str] = []

    @property
    def held_since_ms(self) -> float | None:
        """Since when it pauses (see ``hold``); None while it doesn't."""
        return self._held_since_ms

    @property
    def said_of_late(self) -> str:
        """What has been sent of this reply, and the end of the one before: what may come back from a loudspeaker."""
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

    def say(self, utterances: Iterable[Utterance], speed: float = 1.0) -> list[Effect]:
        """Queue utterances, to be said ``speed`` times as fast as usual. Returns what speech to make."""
        effects: list[Effect] = []
        if not self._lines:
            del self._said_of_late[:-_LATE_SENTENCES]
        for utterance in utterances:
            line = _Line(utterance, [])
            for text in self._wording.pieces_of(utterance.text):
                spoken = self._wording.spoken(text)
                line.sentences.append(_Sentence(self._next_id, text, spoken, speed, Framer(self._audio.frame_bytes)))
                effects.append(Speak(self._next_id, spoken, speed))
                self._next_id += 1
            self._lines.append(line)
        return effects

    def prepare(self, utterances: Iterable[Utterance], speed: float = 1.0) -> list[Effect]:
        """``say`` will probably be called with this: the voice may begin with the first piece of it."""
        for utterance in utterances:
            for text in self._wording.pieces_of(utterance.text)[:1]:
                return [PrepareSpeech(self._wording.spoken(text), speed)]
        return []

    def withdraw(self) -> list[Effect]:
        """Forget what is queued, unless something of it has been sent already."""
        if not self._lines or any(sentence.sent_ms for sentence in self._sentences()):
            return []
        self._lines.clear()
        self._held_since_ms = None
        return [StopSpeaking()]

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
        if not sentence.made_ms and sentence is next(self._sentences()):
            frames = self._without_lead_in(sentence, frames)
        sentence.frames.extend(frames)
        sentence.made_ms += FRAME_MS * len(frames)

    def _without_lead_in(self, sentence: _Sentence, frames: list[bytes]) -> list[bytes]:
        """Without the silence with which voices begin: whoever waits for an answer has waited enough."""
        start = 0
        while start < len(frames) and sentence.lead_in_ms < _LEAD_IN_MOST_MS:
            if level_dbfs(frames[start], self._audio) >= _AUDIBLE_DBFS:
                break
            sentence.lead_in_ms += FRAME_MS
            start += 1
        return frames[start:]

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
        if self._held_since_ms is not None:
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
            effects += _heard(line, [sentence.text_heard(0.0, self._wording) for sentence in line.sentences])
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
        self._held_since_ms = self._played_out_ms = now_ms
        return [Clear()] if audible else []

    def resume(self, now_ms: float) -> list[Effect]:
        """Go on where it was held, from a little before: the word that was cut is said whole."""
        self._held_since_ms, self._played_out_ms = None, now_ms
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
        return 0.0 if self._held_since_ms is not None else max(0.0, self._played_out_ms + self._line_delay_ms - now_ms)

    def interrupt(self, now_ms: float) -> list[Effect]:
        """Stop at once and forget everything queued."""
        unplayed_ms = self._unplayed_ms(now_ms)
        audible = any(sentence.sent_ms and not sentence.played for sentence in self._sentences())
        heard: dict[int, str] = {}
        for sentence in reversed(list(self._sentences())):
            heard[sentence.speech_id] = sentence.text_heard(unplayed_ms, self._wording)
            unplayed_ms = max(0.0, unplayed_ms - sentence.sent_ms)
        effects: list[Effect] = [Clear()] if audible and self._held_since_ms is None else []
        effects.append(StopSpeaking())
        for line in self._lines:
            effects += _heard(line, [heard[sentence.speech_id] for sentence in line.sentences])
        self._lines.clear()
        self._played_out_ms, self._held_since_ms = now_ms, None
        return effects


def _mark_name(sentence: _Sentence) -> str:
    again = f"-{sentence.times_sent}" if sentence.times_sent > 1 else ""
    return f"sentence-{sentence.speech_id}{again}"


def _heard(line: _Line, texts: list[str]) -> list[Effect]:
    if not line.utterance.event_id:
        return []
    whole = [sentence.text for sentence in line.sentences]
    return [Heard(line.utterance.event_id, " ".join(text for text in texts if text), complete=texts == whole)]
