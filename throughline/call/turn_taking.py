"""When the caller's turn is over, and when the caller interrupts.

Takes what the recogniser reports and how loud the line is; ``machine.py`` asks it what to do. Times are passed in.

How long a pause ends the turn depends on how far the caller is with what the dialogue asked (completeness.py, and what the dialogue
understands ahead): a whole answer is taken after a short one, half a telephone number is waited for, whatever the recogniser thinks. A
recogniser that takes them to be done shortens the pause, but for what is plainly unfinished. It is counted from the last sound on the
line (loudness.py), or by the recogniser's reports where the line did not hear the words. While somebody is audibly speaking on, their
turn isn't ended, for a while.

Always holds: every final transcript ends up in exactly one turn, but what a listener mutters while the assistant speaks, and the
assistant's own words. What comes while a turn is thought about, or while the assistant speaks without being interrupted, is kept and
joined to what comes next. Nothing that is only interim ends a turn: where the caller seems to be done, the recogniser is asked for its
last word.
"""

from __future__ import annotations

from dataclasses import dataclass

from throughline.call.call_settings import CallSettings
from throughline.call.completeness import Completeness, judge
from throughline.call.loudness import Loudness
from throughline.domain.listening import NO_WORDS, ListeningWords, begins_with, plain, undecided, without
from throughline.domain.transcripts import Transcript
from throughline.domain.turns import Expectation

_ECHO_SHARE = 0.7
"""So many of the words that came back were just being said by the assistant: then they are its own."""
_ECHO_QUIETER_DB = 6.0
"""A loudspeaker's sound comes back quieter than the caller's own voice by so much."""
_SOFTER_DB = 10.0
"""The first sounds of somebody's words are softer than the rest by up to this."""
_ECHO_LATE_MS = 2000.0
"""So long after the assistant has ended its own words may still be reported."""
_STABLE_MS = 60.0
"""Interim words that haven't changed for so long, on a quiet line, may be the last."""
_REPORTED_WITHIN_MS = 1000.0
"""Recognisers report words later than they are said, by no more than this."""


@dataclass(frozen=True)
class Spoken:
    """A caller's turn by voice. ``heard_ms`` is when its last words were reported, ``quiet_ms`` for how long it has been quiet then."""

    text: str
    confidence: float | None
    heard_ms: float
    quiet_ms: float | None = None


class TurnTaking:
    """The caller's side of one call."""

    def __init__(self, settings: CallSettings, words: ListeningWords = NO_WORDS) -> None:
        self._settings = settings
        self._words = words
        self._line = Loudness(settings.speech_level_dbfs)
        self._expectation = Expectation()
        self._finals: list[Transcript] = []
        self._interim = ""
        self._interim_ms = 0.0  # when it was last reported, whether it had changed or not
        self._changed_ms = 0.0  # when the words last changed
        self._eager = False  # the recogniser thinks that the caller may be done
        self._interim_is_new = False  # reported since the assistant began its current words
        self._flushed = False
        self._heard_ms = 0.0
        self._began_ms = 0.0  # when the first of the words were reported
        self._quiet_from_ms = 0.0  # since when it is quiet, as the recogniser tells it
        self._ended = False  # the recogniser says that the turn is over
        self._not_before_ms = 0.0
        self._so_far: Completeness | None = None  # how far it is; None when it is to be judged anew
        self._foreseen = self._rehearsed = ""
        self._whole = ""  # what the dialogue takes to be all of it
        self._before_reply = 0  # how many of _finals are older than the assistant's current words
        self._replying = False
        self._usual_dbfs: float | None = None  # how loud the caller is
        self._echoed = ""  # what the assistant has said that is coming back
        self._echoes_until_ms = 0.0

    # What is expected, and what was said

    @property
    def expectation(self) -> Expectation:
        """What the dialogue expects to hear next."""
        return self._expectation

    @expectation.setter
    def expectation(self, expectation: Expectation) -> None:
        self._expectation, self._so_far = expectation, None

    @property
    def text(self) -> str:
        """Everything that is not yet part of a turn, the interim words too."""
        return " ".join([transcript.text for transcript in self._finals] + [self._interim]).strip()

    @property
    def pending(self) -> bool:
        """The caller has said something that is not yet part of a turn."""
        return bool(self._finals or self._interim)

    @property
    def completeness(self) -> Completeness:
        """How far the caller is with it."""
        if self._so_far is None:
            self._so_far = judge(self.text, self._expectation, self._words)
            if self._so_far is Completeness.OPEN and self.text == self._whole:
                self._so_far = Completeness.COMPLETE
        return self._so_far

    def is_whole(self, text: str) -> None:
        """The dialogue understands ``text`` as all that the caller has to say."""
        self._whole, self._so_far = text, None

    def transcript(self, transcript: Transcript, now_ms: float, *, at_the_end: bool = True) -> None:
        """Take what the recogniser reports. ``at_the_end``: where the assistant speaks, it is at its last sentence; a yes that comes
        before is no answer to a question that has not been put."""
        text, before = transcript.text.strip(), self.text
        if not self._replying and now_ms < self._echoes_until_ms:
            text = self._without_echo(text)
        if self._replying and transcript.final and not at_the_end and not without(plain(text), self._words.backchannels):
            text = ""
        asked, self._flushed = self._flushed, False  # what was asked for its last word says that this is the end
        if not before:
            self._began_ms = now_ms
        if not transcript.final:
            self._interim, self._interim_ms, self._interim_is_new = text, now_ms, True
        else:
            self._interim = ""
            if text:
                self._finals.append(Transcript(text, True, transcript.end_of_turn, confidence=transcript.confidence))
        if self.text != before:
            self._changed_ms, self._so_far = now_ms, None
        if text:
            self._heard_ms = now_ms
        if transcript.final and (text or transcript.end_of_turn or transcript.quiet_ms):
            self._quiet_from_ms = now_ms - transcript.quiet_ms
        self._ended = transcript.end_of_turn and not asked
        self._eager = transcript.eager

    @property
    def speaks_on(self) -> bool:
        """More than a listener's mutter has been said since the last turn."""
        return bool(without(plain(self.text), self._words.backchannels))

    def put_back(self, spoken: Spoken) -> None:
        """A turn that was taken was none yet: what was said since belongs to it."""
        self._finals.insert(0, Transcript(spoken.text, final=True, confidence=spoken.confidence))
        self._before_reply += self._before_reply > 0
        self._so_far = None

    def sound(self, level_dbfs: float, length_ms: float, now_ms: float) -> None:
        """How loud the caller's line was in the ``length_ms`` until now. To be told of every frame."""
        self._line.frame(level_dbfs, length_ms, now_ms)

    # The end of the turn

    def _pause_ms(self) -> float:
        settings = self._settings
        if self.completeness is Completeness.UNFINISHED:
            return settings.end_of_turn_long_ms
        if self.completeness is Completeness.COMPLETE:
            return settings.end_of_turn_short_ms if self._ended else settings.end_of_turn_whole_ms
        return settings.end_of_turn_told_ms if self._ended else settings.end_of_turn_ms

    def _quiet_ms(self, now_ms: float) -> float:
        """For how long the caller has been quiet: by the line, and by the recogniser where the line did not hear their words, or has
        heard something since that brought none: a dog, a television."""
        told_ms = now_ms - self._quiet_from_ms
        if self._line_heard(now_ms):
            return max(self._line.quiet_ms(now_ms), told_ms - _REPORTED_WITHIN_MS)
        return told_ms

    def _line_heard(self, now_ms: float) -> bool:
        """The line heard the words that were reported: whoever speaks softly is no silence."""
        return now_ms - self._line.quiet_ms(now_ms) >= self._began_ms - _REPORTED_WITHIN_MS

    def _line_quiet_ms(self, now_ms: float) -> float:
        """The quiet by the line alone; 0 where it did not hear the words."""
        return self._line.quiet_ms(now_ms) if self._line_heard(now_ms) else 0.0

    def sounds_on(self, now_ms: float) -> bool:
        """They are heard to speak, though no word of it has been reported yet. A noise that brings no words is not waited for long."""
        sounding_ms = self._line.sounding_ms(now_ms)
        return self._settings.speaks_on_ms <= sounding_ms <= self._settings.noise_ms

    def wants_flush(self, now_ms: float) -> bool:
        """The recogniser is to be asked for its last word: the caller seems to be done, or the interim words are old and no final
        followed. After as long again the old ones count as final."""
        if not self._interim:
            return False
        if not self._flushed and self._seems_done(now_ms):
            self._flushed = True
            self._interim_ms = now_ms
            return True
        if now_ms - self._interim_ms < self._settings.lost_final_ms:
            return False
        if self._flushed:
            self.transcript(Transcript(self._interim, final=True), now_ms)
            return False
        self._flushed = True
        self._interim_ms = now_ms
        return True

    def _seems_done(self, now_ms: float) -> bool:
        """The line has been quiet for nearly as long as ends the turn, and the words have not changed."""
        settings, since_ms = self._settings, now_ms - self._changed_ms
        enough_ms = max(settings.flush_ahead_ms, self._pause_ms() - settings.flush_ahead_ms)
        return self._line_quiet_ms(now_ms) >= enough_ms and since_ms >= settings.flush_ahead_ms

    def due(self, now_ms: float) -> bool:
        """The caller's turn is over."""
        if not self._finals or self._interim or now_ms < self._not_before_ms or self.sounds_on(now_ms):
            return False
        return self._quiet_ms(now_ms) >= self._pause_ms()

    def foresight(self, now_ms: float) -> str | None:
        """Words that may be the turn, where they are worth understanding ahead; each once. The turn need not be over."""
        text = self.text
        if not text or text == self._foreseen or self._replying:
            return None
        is_stable = now_ms - self._changed_ms >= _STABLE_MS and self._line_quiet_ms(now_ms) >= _STABLE_MS
        if self._interim and not (self._eager or is_stable):
            return None
        self._foreseen = text
        return text

    def rehearsal(self, now_ms: float) -> str | None:
        """Words that are the turn unless more come soon; each once."""
        text, settings = self.text, self._settings
        if not text or text == self._rehearsed or self._replying or self.sounds_on(now_ms):
            return None
        # What is only interim has no report of quiet: of it the line alone tells.
        quiet_ms = self._line_quiet_ms(now_ms) if self._interim else self._quiet_ms(now_ms)
        if quiet_ms < max(_STABLE_MS, self._pause_ms() - settings.rehearse_ahead_ms):
            return None
        self._rehearsed = text
        return text

    def take(self, now_ms: float | None = None) -> Spoken | None:
        """The turn, which ends now; None if nothing was said."""
        text = self.text
        if not text:
            return None
        known = [transcript.confidence for transcript in self._finals if transcript.confidence is not None]
        quiet_ms = None if now_ms is None else self._quiet_ms(now_ms)
        if self._line.mean_dbfs is not None:
            self._usual_dbfs = self._line.mean_dbfs  # of what was a turn: an echo is no measure
        self._finals, self._interim, self._before_reply = [], "", 0
        self._ended, self._so_far, self._foreseen, self._rehearsed, self._whole = False, None, "", "", ""
        return Spoken(text, min(known, default=None), self._heard_ms, quiet_ms)

    # While the assistant speaks

    def reply_begins(self) -> None:
        """The assistant begins to speak."""
        self._before_reply = len(self._finals)
        self._interim_is_new = False
        self._replying = True
        self._line.begin()

    def reply_ends(self, now_ms: float, said: str = "") -> None:
        """The assistant has finished, with ``said``. Words from before its reply wait a pause longer, for the answer they are joined to;
        what was only muttered meanwhile, and the assistant's own words, are no answer."""
        if self._before_reply and self._finals:
            self._not_before_ms = now_ms + self._settings.end_of_turn_ms
        is_echo = self._is_echo(self._new_words(), said)
        self._echoed, self._echoes_until_ms = (said, now_ms + _ECHO_LATE_MS) if is_echo else ("", 0.0)
        if is_echo and self._interim_is_new:
            self._interim, self._so_far = "", None
        during = self._finals[self._before_reply :]
        kept = [final for final in during if not self._means_nothing(plain(final.text), said)]
        if len(kept) != len(during):
            self._finals[self._before_reply :] = kept
            self._so_far = None
        self._before_reply = 0
        self._replying = False
        self._line.begin()

    def _means_nothing(self, words: tuple[str, ...], said: str) -> bool:
        """Muttered while listening, or the assistant's own voice."""
        if self._is_echo(words, said):
            return True
        return self._expectation.kind != "yes_no" and not without(words, self._words.backchannels)

    def breaks_in(self, now_ms: float) -> bool:
        """A sound, as loud as the caller is, has lasted for as long as the assistant should pause for it."""
        loudest_dbfs, usual_dbfs = self._line.loudest_dbfs, self._usual_dbfs
        if loudest_dbfs is not None and usual_dbfs is not None and loudest_dbfs < usual_dbfs - _SOFTER_DB:
            return False
        return self._line.sounding_ms(now_ms) >= self._settings.barge_in_hold_ms

    def line_quiet_ms(self, now_ms: float) -> float:
        """For how long the line has been quiet."""
        return self._line.quiet_ms(now_ms)

    def _new_words(self) -> tuple[str, ...]:
        """What has been reported since the assistant began."""
        new = [transcript.text for transcript in self._finals[self._before_reply :]]
        return plain(" ".join(new + ([self._interim] if self._interim_is_new else [])))

    @property
    def has_new_words(self) -> bool:
        """Any words have been reported since the assistant began."""
        return bool(self._new_words())

    def interrupts(self, saying: str = "", *, at_the_end: bool = False) -> bool:
        """What the caller has said since the assistant began is enough to interrupt it. ``saying``: what it has been saying of late.
        ``at_the_end``: these are its last words, so that a yes may be the answer to its question."""
        words = self._new_words()
        if self._is_echo(words, saying):
            return False
        if begins_with(words, self._words.interruptions):
            return True
        if not (at_the_end and self._expectation.kind == "yes_no"):
            words = without(words, self._words.backchannels)
            if self._interim_is_new and self._interim:
                words = undecided(words, self._words.backchannels)
        if len(words) >= self._settings.barge_in_words:
            return True
        return len(words) > 0 and self._line.loud_ms >= self._settings.barge_in_speech_ms

    def _without_echo(self, text: str) -> str:
        """What of ``text`` comes after the assistant's own words, of which the last are reported when it has ended."""
        said, place, found, own = plain(self._echoed), 0, 0, 0
        words = text.split()
        for number, word in enumerate(words, 1):
            (spoken,) = plain(word)[:1] or ("",)
            if spoken in said[place:]:
                place, found = said.index(spoken, place) + 1, found + 1
                own = number if found >= _ECHO_SHARE * number else own
        return " ".join(words[own:])

    def _is_echo(self, words: tuple[str, ...], saying: str) -> bool:
        """Whether ``words`` are what the assistant was ``saying``, come back from a loudspeaker: in its order, and no louder than such a
        sound is. The caller who repeats an offer is as loud as ever."""
        if not words or not saying:
            return False
        mean_dbfs = self._line.mean_dbfs
        if mean_dbfs is not None and self._usual_dbfs is not None and mean_dbfs > self._usual_dbfs - _ECHO_QUIETER_DB:
            return False
        said, place, found = plain(saying), 0, 0
        for word in words:
            if word in said[place:]:
                place, found = said.index(word, place) + 1, found + 1
        return found >= _ECHO_SHARE * len(words)
