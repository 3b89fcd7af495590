"""How soon the phone answers, and how often it cuts in: the response gap of scripted callers, beside a fixed pause of 700 ms.

    python -m benchmarks.listening [--turns 300] [--calls 4] [--callers held_out] [--model nova-3] [--mistaken 0.25] [--plot FILE]

The gap is what a caller notices: from the last frame of their speech, as it is sent, to the first audible frame of the answer, as it
is played, on the wire of calls at real time. A cut-in is an answer that begins while its caller has not finished. The callers
(benchmarks/callers, scripted_callers.py) say everything that a call brings: yes and no, names, numbers in groups, days, questions and whole
stories, with pauses where people make them, and answer what they are asked. But for the first three calls of ``tuned.txt`` whoever wrote
them had seen nothing of how we listen. The words and pauses of data/business/phone.yml and endpoints.yml were chosen with ``tuned.txt``; of
``held_out.txt`` nobody reads who chooses: so this command counts its cut-ins and does not print them.

Deepgram's Flux and ElevenLabs are local servers that speak the vendors' protocols at the latencies they publish: the end of a turn
after 260 ms of silence in the median (160 to 360), the first byte of a voice after 75 ms (45 to 105). How often Flux takes a pause for
the end nobody has published: ``--mistaken`` is our assumption, and 1 a recogniser that knows silence alone, as Nova is. The fixed pause is
the same server, told to wait 700 ms whatever was said, with a recogniser that knows silence alone. No network is between the parts here.
The server has been running for as long as it takes to make the speech of its fixed sentences ahead.

What is ours of a gap is all but the pause that was waited for (the server's own count, kept with each turn) and the voice's wait: the
dialogue, carrying audio and words both ways, and what the simulation costs on the same machine. It is at least what the server itself
took from the end of that pause to the first sound: where somebody ends softly its pause began before their last audible frame.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import servers
from benchmarks.customers import percentile
from benchmarks.scripted_callers import HELD_OUT, TUNED, Line, Questions, calls, next_line, scripts
from throughline import record as record_room
from throughline.domain.transcripts import FRAME_MS, TELEPHONE
from throughline.simulate.call import Caller
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.page_call import page_caller
from throughline.speech.audio import Framer, level_dbfs
from throughline.speech.tts.espeak import EspeakTts

FLUX = "flux-general-en"
END_OF_TURN_MS, END_OF_TURN_SPREAD_MS = 160.0, 200.0
FIRST_BYTE_MS, FIRST_BYTE_SPREAD_MS = 75.0, 30.0
FIXED_MS = 700

SCRIPTS = scripts(TUNED)
CALLER_VOICE = "en-us+f3"
QUIET_S = 0.9
"""Somebody who is asked waits so long before they answer: what they listen to has pauses of its own."""

_KEY = "benchmark"
_AUDIBLE_DBFS = -50.0
_FIRST_TURNS = 3  # a server's first turns are slower: not counted
_ANSWERED_WITHIN_S = 12.0
_SAME_TURN_S = 3.0
_QUESTIONS = Questions(
    ("appliance", "problem", "brand", "since", "urgent", "customer_name", "postcode", "visit_day", "visit_time")
)
_PAUSE = re.compile(r"\[(\d+)\]")
_MADE_AHEAD, _MADE_WITHIN_S = "speech.made_ahead", 300.0
_IN_VAIN = re.compile(r"\bspeech\.begun_in_vain\b")
_LOST_LOGGED = re.compile(r"\bspeech\.(engine|voice)_(lost|not_ready)\b.*")


@dataclass(frozen=True)
class Turn:
    """One answer. Times in milliseconds; ``own`` is None where the turn is not known to the record as it was said. ``taken``: of what was
    said before the answer, what became a turn."""

    text: str
    source: str
    gap: float
    ended_s: float
    at: datetime
    paused: bool
    own: float | None = None
    waited: float | None = None
    taken: str = ""

    @property
    def cut_in(self) -> bool:
        """The answer began before the caller had ended."""
        return self.gap < 0


@dataclass(frozen=True)
class Policy:
    """A way to listen: the server's settings, and how its recogniser judges."""

    name: str
    end_of_turn_ms: float
    spread_ms: float
    mistaken: float
    phone: dict[str, object] = field(default_factory=dict)


def words_of(line: str) -> str:
    """What is said, without the pauses."""
    return " ".join(_PAUSE.sub(" ", line).split())


async def recorded(line: str, voice: str = CALLER_VOICE) -> bytes:
    """``line`` in whole frames of a telephone's audio, of which the first and the last are speech."""
    frames: list[bytes] = []
    for number, part in enumerate(_PAUSE.split(line)):
        if number % 2:
            frames += [b"\xff" * TELEPHONE.frame_bytes] * (int(part) // FRAME_MS)
            continue
        speech = b"".join([chunk async for chunk in EspeakTts(voice).speak(part.strip(), TELEPHONE)])
        said = Framer(TELEPHONE.frame_bytes).push(speech)
        loud = [place for place, frame in enumerate(said) if level_dbfs(frame, TELEPHONE) >= _AUDIBLE_DBFS]
        frames += said[loud[0] : loud[-1] + 1]
    return b"".join(frames)


class Listener:
    """When the assistant was audible on one call."""

    def __init__(self, caller: Caller) -> None:
        self.audible_s: list[float] = []
        caller.listeners.append(self._take)

    def _take(self, frame: bytes) -> None:
        if level_dbfs(frame, TELEPHONE) >= _AUDIBLE_DBFS:
            self.audible_s.append(time.monotonic())

    async def next_after(self, moment_s: float) -> float:
        """When it was first audible after a moment. Raises RuntimeError when it stays silent."""
        deadline = time.monotonic() + _ANSWERED_WITHIN_S
        while time.monotonic() < deadline:
            later = [heard_s for heard_s in self.audible_s[-2000:] if heard_s > moment_s]
            if later:
                return later[0]
            await asyncio.sleep(0.01)
        raise RuntimeError("the caller was not answered")


async def _call(
    address: str,
    source: str,
    lines: Sequence[Line],
    speech: dict[str, bytes],
    tick: Callable[[], None],
    is_enough: Callable[[], bool],
) -> list[Turn]:
    """One call, as long as its caller has something to say and it lasts, and until ``is_enough``."""
    taken: list[Turn] = []
    left = list(lines)
    async with await page_caller(address, audio=TELEPHONE) as caller:
        listener, heard = Listener(caller), 0
        await caller.wait_quiet(QUIET_S)
        while left and not caller.ended.is_set() and not is_enough():
            said = " ".join(caption["text"] for caption in caller.captions[heard:] if caption["who"] == "assistant")
            heard = len(caller.captions)
            line = next_line(left, _QUESTIONS.asked(said))
            left.remove(line)
            began_s = time.monotonic()
            await caller.say(speech[line.text])
            ended_s = time.monotonic()
            first_s = await listener.next_after(began_s)
            gap, now = (first_s - ended_s) * 1000, datetime.now(timezone.utc)
            taken.append(Turn(words_of(line.text), source, gap, ended_s, now, paused="[" in line.text))
            tick()
            await caller.wait_quiet(QUIET_S)
    return taken


def _by_turns(callers: Sequence[str]) -> list[tuple[str, tuple[Line, ...]]]:
    """Every call with the file it comes from, those of several files in turn."""
    files = [[(name, lines) for lines in calls(name)] for name in callers]
    return [call for some in zip_longest(*files) for call in some if call is not None]


async def _calls(
    address: str, callers: Sequence[str], count: int, at_once: int, speech: dict[str, bytes], tick: Callable[[], None]
) -> list[Turn]:
    """At least ``count`` turns of ``callers``, on ``at_once`` calls at a time."""
    taken: list[Turn] = []
    to_come = _by_turns(callers)
    begun = told = 0

    def one_more() -> None:
        nonlocal told
        told += 1
        tick()

    async def line() -> None:
        nonlocal begun
        while len(taken) < count:
            source, lines = to_come[begun % len(to_come)]
            begun += 1
            taken.extend(await _call(address, source, lines, speech, one_more, lambda: told >= count))

    await asyncio.gather(*(line() for _ in range(at_once)))
    return taken


def _with_shares(taken: list[Turn], database: Path, voices: ElevenLabsServer) -> list[Turn]:
    """The turns with what the server kept of them."""
    record = record_room.open(f"sqlite:///{database}")
    timings = [timed for row in record.latest_conversations(limit=10_000) for timed in record.timings(row.contact_id)]
    record.close()
    found: list[Turn] = []
    for turn in taken:
        same = [timed for timed in timings if timed.text.lower().strip(" .") == turn.text.lower()]
        near = min(same, key=lambda timed: abs((timed.at - turn.at).total_seconds()), default=None)
        if near is None or abs((near.at - turn.at).total_seconds()) > _SAME_TURN_S or "quiet_ms" not in near.timing:
            within = [timed.text for timed in timings if abs((timed.at - turn.at).total_seconds()) <= _SAME_TURN_S]
            parts = [text for text in within if text.lower().strip(" .") in turn.text.lower()]
            found.append(replace(turn, taken=" / ".join(parts)))
            continue
        waited, thought = near.timing["quiet_ms"], near.timing["turn_ms"] + near.timing["first_audio_ms"]
        voice = _voice_wait_ms(voices, turn, near.timing["first_audio_ms"])
        found.append(replace(turn, waited=waited, own=max(turn.gap - waited, thought) - voice))
    return found


def _voice_wait_ms(voices: ElevenLabsServer, turn: Turn, first_audio_ms: float) -> float:
    """What of ``first_audio_ms``, from the answer to its sound, was spent on the voice's first byte: nothing where the first words were
    kept, or made ahead."""
    sounds_s = turn.ended_s + turn.gap / 1000
    answered_s = sounds_s - first_audio_ms / 1000
    bytes_s = [(one.first_byte_s, one.received_s) for one in voices.asked if answered_s <= one.first_byte_s <= sounds_s]
    waits_s = [first_byte_s - max(received_s, answered_s) for first_byte_s, received_s in bytes_s]
    return 1000 * waits_s[-1] if waits_s else 0.0


@dataclass(frozen=True)
class Measured:
    """The turns taken with one policy; for how many sentences the voice was asked, and how many it was asked for in vain."""

    turns: list[Turn]
    asked: int
    in_vain: int


def _measure(
    policy: Policy, model: str, callers: Sequence[str], count: int, at_once: int, tick: Callable[[], None]
) -> Measured:
    """Raises RuntimeError if anything but the simulated vendors listened or spoke."""
    with (
        tempfile.TemporaryDirectory() as name,
        in_thread(
            DeepgramServer(
                key=_KEY,
                end_of_turn_ms=policy.end_of_turn_ms,
                end_of_turn_spread_ms=policy.spread_ms,
                mistaken=policy.mistaken,
            )
        ) as deepgram,
        in_thread(
            ElevenLabsServer(key=_KEY, first_byte_ms=FIRST_BYTE_MS, first_byte_spread_ms=FIRST_BYTE_SPREAD_MS)
        ) as elevenlabs,
        servers.actions(Path(name)) as actions,
    ):
        speech: dict[str, bytes] = {}
        for line in (line for name in callers for script in scripts(name) for line in script):
            speech[line] = asyncio.run(recorded(line))
            deepgram.teach(line, TELEPHONE, speech[line])
        engines = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": model}}
        keys = {"DEEPGRAM_API_KEY": _KEY, "ELEVENLABS_API_KEY": _KEY}
        vendors = {**keys, "DEEPGRAM_URL": deepgram.url, "ELEVENLABS_URL": elevenlabs.url}
        phone = {"max_calls": 30, "calls_per_minute": 600, **policy.phone}
        with servers.throughline(Path(name), actions.address, speech=engines, vendors=vendors, phone=phone) as ours:
            servers.wait_for(ours, _MADE_AHEAD, within_s=_MADE_WITHIN_S)
            ahead = len(elevenlabs.asked)
            asyncio.run(_calls(ours.address, callers, _FIRST_TURNS, 1, speech, lambda: None))
            taken = asyncio.run(_calls(ours.address, callers, count, at_once, speech, tick))
            log = ours.log_file.read_text(errors="replace")
        if lost := _LOST_LOGGED.search(log):
            raise RuntimeError(f"not what was to be measured: {lost.group()}")
        turns = _with_shares(taken, Path(name) / "record.db", elevenlabs)
        return Measured(turns, len(elevenlabs.asked) - ahead, len(_IN_VAIN.findall(log)))


def _95th(values: Sequence[float]) -> float:
    return percentile(values, 0.95)


def _print(outcomes: dict[str, Measured], console: Console) -> None:
    measured = {name: outcome.turns for name, outcome in outcomes.items()}
    table = Table("", *measured, title="Response gap, milliseconds: median / 95th percentile")
    groups: dict[str, Callable[[Turn], bool]] = {
        "all turns": lambda turn: True,
        "said in one go": lambda turn: not turn.paused,
        "with pauses": lambda turn: turn.paused,
    }
    for name, belongs in groups.items():
        gaps = [[turn.gap for turn in taken if belongs(turn) and not turn.cut_in] for taken in measured.values()]
        table.add_row(name, *(f"{statistics.median(values):.0f} / {_95th(values):.0f}" for values in gaps))
    own = [[turn.own for turn in taken if turn.own is not None] for taken in measured.values()]
    table.add_row("of it ours", *(f"{statistics.median(values):.0f} / {_95th(values):.0f}" if values else "" for values in own))
    table.add_row("turns", *(str(len(taken)) for taken in measured.values()))
    for name in dict.fromkeys(turn.source for taken in measured.values() for turn in taken):
        sources = [[turn for turn in taken if turn.source == name] for taken in measured.values()]
        table.add_row(f"cut-ins, {name} callers", *(_cut_ins(turns) for turns in sources))
    table.add_row("cut-ins", *(_cut_ins(taken) for taken in measured.values()))
    spent = [f"{outcome.asked}, {outcome.in_vain}" for outcome in outcomes.values()]
    table.add_row("sentences the voice made, begun in vain", *spent)
    console.print(table)
    for name, taken in measured.items():
        for turn in taken:
            if turn.cut_in and turn.source != HELD_OUT:
                console.print(f"{name} cut in {-turn.gap:.0f} ms before the end: {turn.text} | taken: {turn.taken}")


def _cut_ins(turns: Sequence[Turn]) -> str:
    count = sum(turn.cut_in for turn in turns)
    return f"{count} of {len(turns)} ({count / max(1, len(turns)):.1%})"


def _plot(measured: dict[str, Measured], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4))
    for name, outcome in measured.items():
        gaps = sorted(turn.gap for turn in outcome.turns)
        axes.plot(gaps, [(place + 1) / len(gaps) for place in range(len(gaps))], label=name)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("from the caller's last speech frame to the first audible frame, ms (below 0: cut in)")
    axes.set_ylabel("share of turns")
    axes.set_xlim(-1500, 2000)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=300, help="turns with each policy, at least (default 300)")
    parser.add_argument("--calls", type=int, default=4, help="calls at a time (default 4)")
    parser.add_argument("--callers", choices=(TUNED, HELD_OUT), help="those of one file (default: of both, in turn)")
    parser.add_argument("--model", default=FLUX, help=f"Deepgram's model that listens (default {FLUX})")
    parser.add_argument(
        "--mistaken", type=float, default=0.25, help="share of pauses that Flux takes for an end (default 0.25)"
    )
    parser.add_argument("--only", choices=("ours", "fixed"), help="one of the two")
    parser.add_argument("--plot", type=Path, help="where to draw the two distributions (a .png)")
    options = parser.parse_args()
    console = Console(width=130)
    fixed = {f"end_of_turn_{which}ms": FIXED_MS for which in ("", "told_", "whole_", "short_", "long_")}
    policies = {
        "ours": Policy("what is expected", END_OF_TURN_MS, END_OF_TURN_SPREAD_MS, options.mistaken),
        "fixed": Policy(f"fixed {FIXED_MS} ms", FIXED_MS, 0, 1.0, fixed),
    }
    chosen = [policies[options.only]] if options.only else list(policies.values())
    callers = [options.callers] if options.callers else [HELD_OUT, TUNED]
    measured: dict[str, Measured] = {}
    with Progress(console=console) as progress:
        for policy in chosen:
            task = progress.add_task(policy.name, total=options.turns)
            measured[policy.name] = _measure(
                policy, options.model, callers, options.turns, options.calls, lambda task=task: progress.advance(task)
            )
    _print(measured, console)
    if options.plot:
        _plot(measured, options.plot)


if __name__ == "__main__":
    main()
