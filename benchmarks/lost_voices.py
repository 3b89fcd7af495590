"""Calls whose voice is lost in the middle of a sentence (benchmarks/lost_speech.py tells what is measured)."""

from __future__ import annotations

import asyncio
import difflib
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks import coded_voice, servers
from benchmarks.coded_voice import EMBEDDED, VENDOR, Heard
from benchmarks.listening import FIRST_BYTE_MS, FIRST_BYTE_SPREAD_MS, FLUX
from benchmarks.lost_ears import checked
from throughline.domain.transcripts import TELEPHONE
from throughline.simulate.call import Caller
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import Asked, ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.page_call import page_caller
from throughline.speech.audio import level_dbfs

WAYS = ("break_midway", "stall_midway")
LEAST_MIDWAY_MS, MOST_MIDWAY_MS = 50, 2500
RATE_WPM = 187  # ElevenLabs' voice; the embedded one's is 160

_KEY = "benchmark"
_TYPED = (
    "hello",
    "what are your prices",
    "are you open on saturday",
    "my washing machine is leaking",
    "it's a bosch",
    "since yesterday",
    "how long does a repair take",
    "no",
    "my name is dana reyes",
    "97201",
    "what did you say",
)
_AUDIBLE_DBFS = -50.0
_QUIET_S = 0.4
_ANSWERED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Lost:
    """A sentence whose voice was lost. ``silence_ms``: the longest within it. ``twice``: words of it that
    both voices were heard to say to their end."""

    way: str
    text: str
    words: int
    heard: int
    twice: int
    silence_ms: float


@dataclass
class Answer:
    """What one caller heard from one thing said to the next. Times are ``time.monotonic()``."""

    from_s: float
    to_s: float
    frames: list[tuple[float, bytes]]
    """What was played, and when."""
    heard: list[Heard]
    of: set[str] = field(default_factory=set)
    """The sentences that are known to be of it."""

    def silence_ms(self, first: Heard, last: Heard) -> float:
        """The longest silence from the beginning of one word to the end of another."""
        span = self.frames[first.first_byte // TELEPHONE.frame_bytes : last.last_byte // TELEPHONE.frame_bytes + 1]
        audible_s = [at_s for at_s, frame in span if level_dbfs(frame, TELEPHONE) >= _AUDIBLE_DBFS]
        return max((later - sooner for sooner, later in pairwise(audible_s)), default=0.0) * 1000


class _Trial:
    def __init__(self, address: str, voices: ElevenLabsServer, wanted: int, seed: int, tick: Callable[[], None]) -> None:
        self._address, self._voices, self._wanted, self._tick = address, voices, wanted, tick
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._counted = 0
        self.answers: list[Answer] = []

    async def line(self) -> None:
        """One caller, call after call, until enough voices have been lost."""
        while self._counted < self._wanted:
            caller = await page_caller(self._address, audio=TELEPHONE)
            frames: list[tuple[float, bytes]] = []
            caller.listeners.append(lambda frame, frames=frames: frames.append((time.monotonic(), frame)))  # type: ignore[misc]
            try:
                await self._ask(caller, frames, None)
                for text in _TYPED:
                    if caller.ended.is_set() or self._counted >= self._wanted:
                        break
                    await self._ask(caller, frames, text)
            finally:
                await caller.hang_up()

    async def _ask(self, caller: Caller, frames: list[tuple[float, bytes]], text: str | None) -> None:
        """Say something, or dial, and hear what comes of it."""
        self._voices.midway_ms = self._random.uniform(LEAST_MIDWAY_MS, MOST_MIDWAY_MS)
        self._voices.misbehave(self._random.choice(WAYS), times=1)
        from_s, states_before = time.monotonic(), len(caller.states)
        frames.clear()
        await (caller.dial() if text is None else caller.type(text))
        while time.monotonic() - from_s < _ANSWERED_WITHIN_S and not caller.ended.is_set():
            now_s = time.monotonic()
            spoke = "speaking" in caller.states[states_before:]
            if spoke and caller.states[-1] == "listening" and now_s - caller.last_audible_at >= _QUIET_S:
                break
            await asyncio.sleep(0.02)
        heard = coded_voice.decoded(b"".join(frame for _, frame in frames))
        self.answers.append(Answer(from_s, time.monotonic(), list(frames), heard))
        counted = sum(_is_lost(asked) for asked in self._voices.asked)
        for _ in range(counted - self._counted):
            self._tick()
        self._counted = counted


def _is_lost(asked: Asked) -> bool:
    """It was not over before it came to that; and a voice that is closed while it hangs is given up, not interrupted: nobody interrupts."""
    return asked.fault in WAYS and asked.outcome in ("misbehaved", "closed")


def _judged(asked: Sequence[Asked], answers: Sequence[Answer]) -> list[Lost]:
    """What was heard of each sentence that was lost. Of the answers that were being given then it belongs to the one with the most of its
    words, and where two had the same sentence, to one each."""
    lost: list[Lost] = []
    for each in (each for each in asked if _is_lost(each)):
        wanted = coded_voice.marks_of(each.text)
        at_hand = [one for one in answers if one.from_s <= each.received_s <= one.to_s and each.text not in one.of]
        if not wanted:
            continue
        if not at_hand:
            lost.append(Lost(each.fault, each.text, len(wanted), 0, 0, float("inf")))
            continue
        answer = max(at_hand, key=lambda one: len(_matched(wanted, one.heard)))
        answer.of.add(each.text)
        found = _matched(wanted, answer.heard)
        silence_ms = answer.silence_ms(answer.heard[found[0]], answer.heard[found[-1]]) if found else float("inf")
        lost.append(Lost(each.fault, each.text, len(wanted), len(found), _twice(answer.heard, found), silence_ms))
    return lost


def _matched(wanted: Sequence[int], heard: Sequence[Heard]) -> list[int]:
    """Places in ``heard`` of the words of ``wanted``, in their order."""
    blocks = difflib.SequenceMatcher(None, wanted, [word.mark for word in heard], autojunk=False).get_matching_blocks()
    return [block.b + number for block in blocks for number in range(block.size)]


def _twice(heard: Sequence[Heard], found: Sequence[int]) -> int:
    """Words of a sentence that the second voice began with, and the first had said last."""
    total = 0
    for place in range(found[0] + 1, found[-1] + 1) if found else ():
        if heard[place - 1].speaker == VENDOR and heard[place].speaker == EMBEDDED:
            first, second = [word.mark for word in heard[:place]], [word.mark for word in heard[place:]]
            total += max(
                (size for size in range(1, min(len(first), len(second)) + 1) if first[-size:] == second[:size]), default=0
            )
    return total


def measure(losses: int, at_once: int, seed: int, tick: Callable[[], None]) -> list[Lost]:
    """At least so many losses on ``at_once`` calls at a time."""
    coded_voice.install()
    voice = coded_voice.CodedVoice(rate_wpm=RATE_WPM)
    with (
        tempfile.TemporaryDirectory() as name,
        in_thread(
            ElevenLabsServer(key=_KEY, first_byte_ms=FIRST_BYTE_MS, first_byte_spread_ms=FIRST_BYTE_SPREAD_MS, voice=voice)
        ) as elevenlabs,
        in_thread(DeepgramServer(key=_KEY)) as deepgram,
        servers.actions(Path(name)) as actions,
    ):
        # The vendor is asked again soon after it failed, or there would be little to lose; nothing comes from what is kept on disk.
        engines = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": FLUX}, "retry_after_s": 1, "cache_mb": 0}
        keys = {"DEEPGRAM_API_KEY": _KEY, "ELEVENLABS_API_KEY": _KEY}
        vendors = {**keys, "DEEPGRAM_URL": deepgram.url, "ELEVENLABS_URL": elevenlabs.url}
        phone = {"max_calls": 30, "calls_per_minute": 600}
        also = "benchmarks.coded_voice.CodedVoices"
        with servers.throughline(Path(name), actions.address, also=also, speech=engines, vendors=vendors, phone=phone) as ours:
            trial = _Trial(ours.address, elevenlabs, losses, seed, tick)
            asyncio.run(_all(trial, at_once))
            checked(ours)
        return _judged(elevenlabs.asked, trial.answers)


async def _all(trial: _Trial, at_once: int) -> None:
    await asyncio.gather(*(trial.line() for _ in range(at_once)))
