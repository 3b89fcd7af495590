"""How the assistant takes being spoken to while it speaks: real interruptions, mutters, and its own voice from a loudspeaker.

    python -m benchmarks.interruptions [--each 40]

On calls at real time, with Deepgram's Flux and ElevenLabs as local servers that speak the vendors' protocols: the caller asks something,
and one to two seconds into the answer

- interrupts ("no wait", "how much is a visit"): from the first frame of it, as it is sent, to the last audible frame of the answer,
  as it is played; and whether the words that the record says were heard are those that were, by a voice whose sound tells which
  word it is (coded_voice.py);
- or mutters ("uh-huh", "okay"): ignored is a mutter after which the answer is said to its last word and which is no turn. How long the
  assistant pauses for it is told beside it;
- or is on a loudspeaker: what the assistant says comes back a fifth of a second later, much quieter, and is recognised. Ignored is an
  echo that neither ends the answer nor becomes a turn.

Ends with status 1 where an interruption is not taken or takes longer than 250 ms in the 95th percentile, where fewer than 95 % of the
mutters are ignored, or where the record's words are off by more than one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import servers
from benchmarks.coded_voice import CodedVoice, decoded, install, marks_of
from benchmarks.customers import percentile
from benchmarks.listening import FLUX, QUIET_S, Listener, recorded
from throughline import record as record_room
from throughline.domain.transcripts import TELEPHONE
from throughline.simulate.call import Caller
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.page_call import page_caller
from throughline.speech.audio import l16_to_mulaw, mulaw_to_l16

QUESTIONS = ("what are your prices", "how long does a visit take", "what does the warranty cover")
INTERRUPTIONS = (
    "no wait",
    "hold on",
    "actually it's about my dryer",
    "how much is a visit",
    "excuse me I have another question",
)
MUTTERS = ("uh huh", "okay", "right", "yeah", "I see", "all right", "mm hm")
WITHIN_MS, IGNORED = 250.0, 0.95

_KEY = "benchmark"
_BREAK_S = 0.25
"""A silence of this length within an answer is a pause, and not one between words."""
_ECHO_DELAY_FRAMES = 10
_ECHO_SHARE = 0.025
"""32 dB quieter than the coded voice, which is at full scale: 14 dB quieter than a voice at an ordinary level."""
_EARLIEST_S, _LATEST_S = 1.0, 2.0


@dataclass(frozen=True)
class Interrupted:
    """One interruption: what was being said, how many words of it were heard whole, how long the assistant went on; None where it did not
    stop."""

    saying: str
    words: int
    stopped_ms: float | None


@dataclass(frozen=True)
class Ignored:
    """One mutter or echo: whether the answer was said to its end all the same, and the longest pause in it after that."""

    said_whole: bool
    paused_ms: float
    seen: str
    """What was said, and what came of it."""


class Line:
    """One call, and what is heard on it."""

    def __init__(self, caller: Caller, speech: dict[str, bytes]) -> None:
        self.caller = caller
        self._speech = speech
        self._listener = Listener(caller)

    async def ask(self, question: str) -> tuple[int, int, float]:
        """Ask, and wait until the answer is heard. Returns where its captions and its audio begin, and when it began."""
        await self.caller.wait_quiet(QUIET_S)
        captions, heard_before, began_s = len(self.caller.captions), len(self.caller.heard), time.monotonic()
        await self.caller.say(self._speech[question])
        return captions, heard_before, await self._listener.next_after(began_s)

    async def interrupt(self, words: str, question: str, into_s: float) -> Interrupted:
        """Interrupt the answer to ``question`` so long after it began."""
        captions, start, first_s = await self.ask(question)
        await asyncio.sleep(max(0.0, first_s + into_s - time.monotonic()))
        onset_s = time.monotonic()
        saying = asyncio.ensure_future(self.caller.say(self._speech[words]))
        await asyncio.sleep(1.2)
        audible = [at_s for at_s in self._listener.audible_s if at_s > onset_s]
        stopped = [*audible, float("inf")]
        last = next(
            (at_s for at_s, after_s in zip([onset_s, *audible], stopped, strict=False) if after_s - at_s > _BREAK_S), None
        )
        end = len(self.caller.heard)
        await saying
        await self.caller.wait_quiet(QUIET_S)
        told = [caption["text"] for caption in self.caller.captions[captions:] if caption["who"] == "assistant"]
        text = told[0] if told else ""
        return Interrupted(text, _words_heard(text, bytes(self.caller.heard[start:end])), last and (last - onset_s) * 1000)

    async def mutter(self, words: str, question: str, into_s: float) -> Ignored:
        """Mutter while the answer to ``question`` is said."""
        captions, start, first_s = await self.ask(question)
        await asyncio.sleep(max(0.0, first_s + into_s - time.monotonic()))
        since_s = time.monotonic()
        await self.caller.say(self._speech[words])
        return await self._heard_out(captions, start, since_s, words)

    async def echo(self, question: str, teach: Callable[[str, bytes], None]) -> Ignored:
        """Hear the answer to ``question``, then ask again, and let what is said then come back."""
        captions, start, _ = await self.ask(question)
        await self.caller.wait_quiet(QUIET_S)
        text = " ".join(caption["text"] for caption in self.caller.captions[captions:] if caption["who"] == "assistant")
        teach(text, _quieter(bytes(self.caller.heard[start:])))
        played: list[bytes] = []

        def come_back(frame: bytes) -> None:
            played.append(frame)
            if len(played) > _ECHO_DELAY_FRAMES:
                self.caller.feed(_quieter(played[-1 - _ECHO_DELAY_FRAMES]))

        captions, start, first_s = await self.ask(question)
        self.caller.listeners.append(come_back)
        try:
            return await self._heard_out(captions, start, first_s, "echo")
        finally:
            self.caller.listeners.remove(come_back)

    async def _heard_out(self, captions: int, start: int, since_s: float, words: str) -> Ignored:
        await self.caller.wait_quiet(QUIET_S)
        audible = [since_s, *(at_s for at_s in self._listener.audible_s if at_s > since_s)]
        gaps = [after_s - at_s for at_s, after_s in pairwise(audible)]
        shown = self.caller.captions[captions:]
        text = " ".join(caption["text"] for caption in shown if caption["who"] == "assistant")
        _question, *taken = [caption["text"] for caption in shown if caption["who"] == "customer" and caption["final"]]
        heard, there_are = _words_heard(text, bytes(self.caller.heard[start:])), len(marks_of(text))
        seen = f"{words}: {heard} of {there_are} words of {text!r}" + "".join(f", taken: {other!r}" for other in taken)
        return Ignored(heard == there_are and not taken, max(gaps, default=0.0) * 1000, seen)


def _words_heard(text: str, played: bytes) -> int:
    """How many words of ``text``, from its beginning, were played whole; a word that was said again counts once."""
    marks, reached = marks_of(text), 0
    for word in decoded(played):
        if word.mark in marks[reached : reached + 3]:
            reached = marks.index(word.mark, reached) + 1
    return reached


def _quieter(audio: bytes) -> bytes:
    import numpy as np

    samples = np.frombuffer(mulaw_to_l16(audio), "<i2").astype(np.float32) * _ECHO_SHARE
    return l16_to_mulaw(samples.astype("<i2").tobytes())


@dataclass
class Measured:
    """Everything that was measured."""

    interrupted: list[Interrupted]
    mutters: list[Ignored]
    echoes: list[Ignored]
    off_by_more: list[str]
    """What the record says of those where it is off by more than a word."""
    record_off: list[int]
    """For each interruption, by how many words the record is off."""
    mutters_taken: int
    """Mutters that became turns."""


async def _talk(
    address: str, each: int, speech: dict[str, bytes], teach: Callable[[str, bytes], None], tick: Callable[[], None]
) -> Measured:
    chosen = random.Random(1)  # noqa: S311 -- when somebody speaks
    measured = Measured([], [], [], [], [], 0)
    for number in range(each):
        question, into_s = QUESTIONS[number % len(QUESTIONS)], chosen.uniform(_EARLIEST_S, _LATEST_S)
        async with await page_caller(address, audio=TELEPHONE) as caller:
            line = Line(caller, speech)
            measured.interrupted.append(await line.interrupt(INTERRUPTIONS[number % len(INTERRUPTIONS)], question, into_s))
            tick()
        async with await page_caller(address, audio=TELEPHONE) as caller:
            line = Line(caller, speech)
            measured.mutters.append(await line.mutter(MUTTERS[number % len(MUTTERS)], question, into_s))
            tick()
            if number % 4 == 0:
                measured.echoes.append(await line.echo(question, teach))
    return measured


def _compare(measured: Measured, database: Path) -> None:
    """Look up in the record what is said to have been heard, and what became turns."""
    record = record_room.open(f"sqlite:///{database}")
    told: dict[str, list[int]] = defaultdict(list)
    said: Counter[str] = Counter()
    for row in record.latest_conversations(limit=10_000):
        events = record.conversation(row.contact_id)
        said.update(str(event.data["text"]).lower().strip(" .!") for event in events if event.type_name == "user")
        bots = [event for event in events if event.type_name == "bot"]
        heard = record.heard([event.event_id for event in bots])
        for event in bots:
            if event.event_id in heard and not heard[event.event_id].complete:
                told[" ".join(str(event.data["text"]).split())].append(len(heard[event.event_id].text_heard.split()))
    record.close()
    ours: dict[str, list[int]] = defaultdict(list)
    for one in measured.interrupted:
        ours[" ".join(one.saying.split())].append(one.words)
    for text, counts in ours.items():
        known = told.get(text, [])
        for count in counts:  # a mutter may have ended the same answer once more
            nearest = min(known, key=lambda other: abs(other - count), default=None)
            measured.record_off.append(len(text.split()) if nearest is None else abs(nearest - count))
            if measured.record_off[-1] > 1:
                measured.off_by_more.append(f"{count} words heard, {nearest} in the record: {text!r}")
            if nearest is not None:
                known.remove(nearest)
    measured.mutters_taken = sum(said[mutter.lower()] for mutter in MUTTERS)


def _measure(each: int, tick: Callable[[], None]) -> Measured:
    install()
    with (
        tempfile.TemporaryDirectory() as name,
        in_thread(DeepgramServer(key=_KEY, end_of_turn_ms=160, end_of_turn_spread_ms=200)) as deepgram,
        in_thread(ElevenLabsServer(key=_KEY, voice=CodedVoice())) as elevenlabs,
        servers.actions(Path(name)) as actions,
    ):
        speech: dict[str, bytes] = {}
        for line in (*QUESTIONS, *INTERRUPTIONS, *MUTTERS):
            speech[line] = asyncio.run(recorded(line))
            deepgram.teach(line, TELEPHONE, speech[line])

        def teach(text: str, audio: bytes) -> None:
            deepgram.teach(text, TELEPHONE, audio)

        engines = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": FLUX}, "make_ahead": False, "cache_mb": 0}
        keys = {"DEEPGRAM_API_KEY": _KEY, "ELEVENLABS_API_KEY": _KEY}
        vendors = {**keys, "DEEPGRAM_URL": deepgram.url, "ELEVENLABS_URL": elevenlabs.url}
        phone = {"max_calls": 30, "calls_per_minute": 600}
        with servers.throughline(Path(name), actions.address, speech=engines, vendors=vendors, phone=phone) as ours:
            measured = asyncio.run(_talk(ours.address, each, speech, teach, tick))
        _compare(measured, Path(name) / "record.db")
        return measured


def _print(measured: Measured, console: Console) -> bool:
    """Print the figures; whether the bounds were kept."""
    stops = [one.stopped_ms for one in measured.interrupted if one.stopped_ms is not None]
    table = Table(
        "",
        "",
        title=f"{len(measured.interrupted)} interruptions, {len(measured.mutters)} mutters, {len(measured.echoes)} echoes",
    )
    late = percentile(stops, 0.95) if stops else float("inf")
    table.add_row("interruptions taken", f"{len(stops)} of {len(measured.interrupted)}")
    table.add_row("last audible frame after the first of the interruption, ms: median / 95th / longest",
                  f"{statistics.median(stops):.0f} / {late:.0f} / {max(stops):.0f}")  # fmt: skip
    exact = sum(off == 0 for off in measured.record_off)
    near = sum(off <= 1 for off in measured.record_off)
    table.add_row("record's words heard: exact / off by one at most", f"{exact} / {near} of {len(measured.record_off)}")
    for name, ignored in (("mutters", measured.mutters), ("echoes", measured.echoes)):
        whole = sum(one.said_whole for one in ignored)
        pauses = [one.paused_ms for one in ignored]
        table.add_row(f"{name} ignored", f"{whole} of {len(ignored)}")
        table.add_row(f"longest silence in the answer after them, ms: median / 95th ({name})",
                      f"{statistics.median(pauses):.0f} / {percentile(pauses, 0.95):.0f}")  # fmt: skip
    table.add_row("mutters that became turns", str(measured.mutters_taken))
    console.print(table)
    for told in measured.off_by_more:
        console.print(told, markup=False)
    for one in (*measured.mutters, *measured.echoes):
        if not one.said_whole:
            console.print(f"not ignored: {one.seen}", markup=False)
    ignored_share = sum(one.said_whole for one in measured.mutters) / len(measured.mutters)
    return (
        len(stops) == len(measured.interrupted)
        and late <= WITHIN_MS
        and ignored_share >= IGNORED
        and near == len(measured.record_off)
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=40, help="interruptions, and as many mutters (default 40)")
    options = parser.parse_args()
    console = Console(width=130)
    with Progress(console=console) as progress:
        task = progress.add_task("calls", total=2 * options.each)
        measured = _measure(options.each, lambda: progress.advance(task))
    sys.exit(0 if _print(measured, console) else 1)


if __name__ == "__main__":
    main()
