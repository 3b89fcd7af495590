"""The audio on its way to Deepgram: what waits to be sent, where in the call each moment of it lies, and how long an answer is owed.

Logic without I/O: times are passed in. ``deepgram_line`` does the sending.

Deepgram counts time in the audio that it was sent. That is not the audio that we were given: what could not be sent in time was
dropped, and where nobody gave any, silence was put in. ``AudioQueue`` remembers both, so that "up to 3.2 s" can be said in the
call's own time.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from throughline.domain.transcripts import FRAME_MS, AudioFormat
from throughline.speech.audio import Framer, level_dbfs

_HELD_S = 35  # a relay may replay half a minute at once
_MOST_ANCHORS = 64
_LISTENED_TO_MS = 100  # at once: how loud a single frame is costs as much as sending it
_SPEECH_DBFS = -40.0
_OWED_AFTER_MS = 300  # of loud audio: a click or a cough is owed no answer


class Control(enum.Enum):
    """What is sent between pieces of audio, in its order."""

    FLUSH = "flush"
    KEEP_ALIVE = "keep_alive"
    SILENCE = "silence"
    CONFIGURE = "configure"


@dataclass(frozen=True)
class _Anchor:
    """From ``sent`` bytes on, ``given`` bytes of the call had gone before; within silence of our own the call stands still."""

    sent: int
    given: int
    moving: bool


class AudioQueue:
    """What waits to be sent, in order. Holds half a minute; beyond that the oldest goes, in whole frames."""

    def __init__(self, audio: AudioFormat, *, least_ms: int, most_ms: int, silence_ms: int) -> None:
        """Pieces taken are ``least_ms`` to ``most_ms`` long; shorter ones only where a control message follows.
        ``silence_ms``: how much silence ``Control.SILENCE`` puts in."""
        self._bytes_per_ms = audio.frame_bytes // FRAME_MS
        self._frame_bytes = audio.frame_bytes
        self._sample_bytes = 1 if audio.encoding == "mulaw" else 2
        self._least = least_ms * self._bytes_per_ms
        self._most = most_ms * self._bytes_per_ms
        self._silence = (b"\xff" if audio.encoding == "mulaw" else b"\x00") * (silence_ms * self._bytes_per_ms)
        self._limit = _HELD_S * 1000 * self._bytes_per_ms
        self._waiting = bytearray()
        self._controls: deque[tuple[int, Control]] = deque()  # and how much was given before each
        self._given = 0  # bytes
        self._sent = 0  # bytes
        self._anchors: deque[_Anchor] = deque([_Anchor(0, 0, moving=True)], maxlen=_MOST_ANCHORS)

    def give(self, audio: bytes) -> bool:
        """Queue ``audio``. False if older audio had to be dropped for it."""
        self._waiting += audio
        self._given += len(audio)
        over = len(self._waiting) - self._limit
        if over <= 0:
            return True
        del self._waiting[: -(-over // self._frame_bytes) * self._frame_bytes]
        if self._anchors[-1].moving and self._anchors[-1].sent == self._sent:
            self._anchors.pop()  # nothing was sent since
        self._anchors.append(_Anchor(self._sent, self._given - len(self._waiting), moving=True))
        return False

    def ask(self, control: Control) -> None:
        """Queue a control message behind the audio given so far. Asked twice for the same place, it is sent once."""
        if (self._given, control) not in self._controls:
            self._controls.append((self._given, control))

    def take(self) -> bytes | Control | None:
        """What is to be sent next, None if that is nothing yet."""
        room = len(self._waiting)
        if self._controls:
            place, control = self._controls[0]
            room -= self._given - place
            if room < self._sample_bytes:
                self._controls.popleft()
                return self._filled() if control is Control.SILENCE else control
        elif room < self._least:
            return None
        length = min(room, self._most) // self._sample_bytes * self._sample_bytes
        piece = bytes(self._waiting[:length])
        del self._waiting[:length]
        self._sent += length
        return piece or None

    def _filled(self) -> bytes:
        """Silence to be sent now, and remembered as no part of the call."""
        given = self._given - len(self._waiting)
        if self._anchors and self._anchors[-1] == _Anchor(self._sent, given, moving=True):
            self._anchors.pop()  # silence follows silence
        if not self._anchors or self._anchors[-1].moving:
            self._anchors.append(_Anchor(self._sent, given, moving=False))
        self._sent += len(self._silence)
        self._anchors.append(_Anchor(self._sent, given, moving=True))
        return self._silence

    def given_ms(self, sent_ms: float) -> float:
        """The place in the audio given that lies ``sent_ms`` into the audio sent."""
        sent = sent_ms * self._bytes_per_ms
        anchor = next((anchor for anchor in reversed(self._anchors) if anchor.sent <= sent), self._anchors[0])
        given = anchor.given + (max(0.0, sent - anchor.sent) if anchor.moving else 0)
        return min(given, self._given) / self._bytes_per_ms


class Allowance:
    """How late updates may be that were promised, in milliseconds: for all of an engine's calls, since they share its network.

    An alarm may be false, where the network is slow. So each one doubles it, up to ``most_ms``, and each turn that is heard to its end
    takes a tenth off, down to where it began.
    """

    def __init__(self, least_ms: float, most_ms: float) -> None:
        self._least_ms, self._most_ms = min(least_ms, most_ms), most_ms
        self.ms = self._least_ms

    def missed(self) -> None:
        """An update was given up."""
        self.ms = min(self._most_ms, 2 * self.ms)

    def kept(self) -> None:
        """A turn was heard to its end."""
        self.ms = max(self._least_ms, 0.9 * self.ms)


class Patience:
    """How long an answer to speech is waited for. Silence is owed no answer, and any message is one.

    A recogniser that promises updates as long as a turn lasts owes them for silence too: where ``updates_ms`` of audio have gone there
    since the last message, and nothing has come for as long as ``allowance`` says, it is not waited for the whole of ``timeout_ms``.
    """

    def __init__(
        self, audio: AudioFormat, timeout_ms: float, *, updates_ms: float | None = None, allowance: Allowance | None = None
    ) -> None:
        self._audio = audio
        self._timeout_ms = timeout_ms
        self._updates_ms = updates_ms
        self._allowance = allowance or Allowance(timeout_ms, timeout_ms)
        self._in_turn = False
        self._unanswered_ms = 0.0
        self._update_owed_ms: float | None = None  # since when
        self._framer = Framer(audio.frame_bytes * _LISTENED_TO_MS // FRAME_MS)
        self._loud_ms = 0
        self._since_ms = 0.0

    def spoken(self, audio: bytes, now_ms: float) -> None:
        """Audio has been given."""
        self._unanswered_ms += len(audio) / self._audio.frame_bytes * FRAME_MS
        if self._update_owed_ms is None and self._updates_ms is not None and self._unanswered_ms >= self._updates_ms:
            self._update_owed_ms = now_ms
        for stretch in self._framer.push(audio):
            if level_dbfs(stretch, self._audio) >= _SPEECH_DBFS:
                if not self._loud_ms:
                    self._since_ms = now_ms
                self._loud_ms += _LISTENED_TO_MS

    def answered(self, *, in_turn: bool = False) -> None:
        """A message has come. ``in_turn``: by it a turn is under way."""
        if self._in_turn and not in_turn:
            self._allowance.kept()
        self._in_turn = in_turn
        self._loud_ms = 0
        self._unanswered_ms, self._update_owed_ms = 0.0, None

    def over(self, now_ms: float) -> bool:
        """Speech has waited for an answer too long."""
        return self.update_missed(now_ms) or self._speech_unanswered(now_ms)

    def update_missed(self, now_ms: float) -> bool:
        """An update of the turn that was promised has not come."""
        if not self._in_turn or self._update_owed_ms is None:
            return False
        return now_ms - self._update_owed_ms >= self._allowance.ms

    def _speech_unanswered(self, now_ms: float) -> bool:
        return self._loud_ms >= _OWED_AFTER_MS and now_ms - self._since_ms >= self._timeout_ms
