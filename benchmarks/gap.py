"""What share of a phone call's response gap is ours, with the vendors simulated at the latencies they publish.

    python -m benchmarks.gap [--turns 60] [--models flux-general-en nova-3]

The gap is what a caller notices: from the last frame of their speech, as it is sent, to the first audible frame of the answer, as it
comes, taken on the wire of a call at real time. Deepgram and ElevenLabs are local servers that speak the vendors' protocols: the
end of a turn is reported after 260 ms of silence, the first byte of the voice comes 75 ms after it was asked for. Taken off as the
vendors' are these 260 ms, and for the voice the wait that its server measured and the silence it begins with. All the rest is counted
as ours, also what the simulation costs on this machine. There is no network between the parts here; with real vendors there is.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import servers
from benchmarks.customers import SCRIPT as TYPED
from benchmarks.customers import percentile
from throughline.domain.transcripts import FRAME_MS, TELEPHONE
from throughline.simulate.call import Caller
from throughline.simulate.deepgram import DeepgramServer
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.page_call import page_caller
from throughline.speech.audio import Framer, level_dbfs
from throughline.speech.tts.espeak import EspeakTts

MODELS = ("flux-general-en", "nova-3")
END_OF_TURN_MS = 260.0
FIRST_BYTE_MS = 75.0
SCRIPT = tuple("nine seven two oh one" if line == "97201" else line for line in TYPED)
CALLER_VOICE = "en-us+f3"

_KEY = "benchmark"
_AUDIBLE_DBFS = -50.0
_FIRST_TURNS = 3  # a server's first turns are slower: not counted
_TURN_LOGGED = re.compile(r"\bcall\.turn\b.*\bendpoint_ms=([\d.]+).*\bsource=speech\b.*\bturn_ms=([\d.]+)")
_LOST_LOGGED = re.compile(r"\bspeech\.(engine|voice)_(lost|not_ready)\b.*")


@dataclass(frozen=True)
class Turn:
    """One answer, in milliseconds. The last two are the server's own, from its log; they are part of what is ours."""

    gap: float
    voice: float
    """What ElevenLabs took: to its first byte, and the silence before its first sound."""
    waiting: float = 0.0
    """From the last words heard until the turn was taken to be over."""
    thinking: float = 0.0
    """The dialogue's turn."""

    @property
    def vendors(self) -> float:
        """The share that is not ours."""
        return END_OF_TURN_MS + self.voice

    @property
    def ours(self) -> float:
        """The share that is."""
        return self.gap - self.vendors


class Voices:
    """What the caller says, as the simulated Deepgram was taught it."""

    def __init__(self, deepgram: DeepgramServer) -> None:
        self._speech: dict[str, bytes] = {}
        for text in SCRIPT:
            self._speech[text] = asyncio.run(_recorded(text))
            deepgram.teach(text, TELEPHONE, self._speech[text])

    def __getitem__(self, text: str) -> bytes:
        return self._speech[text]


async def _recorded(text: str) -> bytes:
    """``text`` in whole frames, of which the last is speech."""
    speech = b"".join([chunk async for chunk in EspeakTts(CALLER_VOICE).speak(text, TELEPHONE)])
    frames = Framer(TELEPHONE.frame_bytes).push(speech)
    while level_dbfs(frames[-1], TELEPHONE) < _AUDIBLE_DBFS:
        frames.pop()
    return b"".join(frames)


async def _spoken(
    address: str, count: int, voices: Voices, elevenlabs: ElevenLabsServer, tick: Callable[[], None]
) -> list[Turn]:
    """``count`` spoken turns, call after call."""
    taken: list[Turn] = []
    while len(taken) < count:
        async with await page_caller(address, audio=TELEPHONE) as caller:
            await caller.wait_quiet()
            for text in SCRIPT[: count - len(taken)]:
                taken.append(await _turn(caller, voices[text], elevenlabs))
                tick()
    return taken


async def _turn(caller: Caller, speech: bytes, elevenlabs: ElevenLabsServer) -> Turn:
    asked_before, heard_before = len(elevenlabs.asked), len(caller.heard)
    await caller.say(speech)
    said_s = time.monotonic()
    first_frame_s = await caller.first_frame()
    await caller.wait_quiet(0.3)
    silence_ms = _silence_ms(bytes(caller.heard[heard_before:]))
    asked = elevenlabs.asked[asked_before]
    return Turn(
        gap=(first_frame_s - said_s) * 1000 + silence_ms,
        voice=(asked.first_byte_s - asked.received_s) * 1000 + silence_ms,
    )


def _silence_ms(heard: bytes) -> float:
    """How much of it comes before the first sound."""
    levels = (level_dbfs(frame, TELEPHONE) for frame in Framer(TELEPHONE.frame_bytes).push(heard))
    return next(number for number, level in enumerate(levels) if level >= _AUDIBLE_DBFS) * float(FRAME_MS)


def _measure(model: str, count: int, tick: Callable[[], None]) -> list[Turn]:
    """``count`` turns with Deepgram's ``model`` listening. Raises RuntimeError if anything else listened or spoke."""
    with (
        tempfile.TemporaryDirectory() as name,
        in_thread(DeepgramServer(key=_KEY, end_of_turn_ms=END_OF_TURN_MS)) as deepgram,
        in_thread(ElevenLabsServer(key=_KEY, first_byte_ms=FIRST_BYTE_MS)) as elevenlabs,
        servers.actions(Path(name)) as actions,
    ):
        voices = Voices(deepgram)
        speech = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": model}}
        keys = {"DEEPGRAM_API_KEY": _KEY, "ELEVENLABS_API_KEY": _KEY}
        vendors = {**keys, "DEEPGRAM_URL": deepgram.url, "ELEVENLABS_URL": elevenlabs.url}
        with servers.throughline(Path(name), actions.address, speech=speech, vendors=vendors) as ours:
            asyncio.run(_spoken(ours.address, _FIRST_TURNS, voices, elevenlabs, tick))
            spoken = asyncio.run(_spoken(ours.address, count, voices, elevenlabs, tick))
            log = ours.log_file.read_text(errors="replace")
    logged = _TURN_LOGGED.findall(log)[-count:]
    if (lost := _LOST_LOGGED.search(log)) or len(logged) != count:
        raise RuntimeError(f"not what was to be measured: {lost.group() if lost else f'{len(logged)} spoken turns'}")
    return [
        replace(turn, waiting=float(waiting), thinking=float(thinking))
        for turn, (waiting, thinking) in zip(spoken, logged, strict=True)
    ]


def _print(model: str, spoken: list[Turn], console: Console) -> None:
    table = Table(f"{model}, {len(spoken)} turns", "median ms", "95th ms", "median %", "95th %")
    parts: dict[str, Callable[[Turn], float]] = {
        "gap": lambda turn: turn.gap,
        "the vendors'": lambda turn: turn.vendors,
        "ours": lambda turn: turn.ours,
        "  waiting whether more words come": lambda turn: turn.waiting,
        "  the dialogue's turn": lambda turn: turn.thinking,
        "  carrying audio and words, and the simulation": lambda turn: turn.ours - turn.waiting - turn.thinking,
    }
    for part, of in parts.items():
        values = [of(turn) for turn in spoken]
        shares = [of(turn) / turn.gap * 100 for turn in spoken]
        figures = [f"{figure(each):.0f}" for each in (values, shares) for figure in (statistics.median, _95th)]
        table.add_row(part, *figures)
    console.print(table)


def _95th(values: list[float]) -> float:
    return percentile(values, 0.95)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=60, help="turns with each model (default 60)")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help=f"Deepgram's models (default {' '.join(MODELS)})")
    options = parser.parse_args()
    console = Console(width=120)
    measured: dict[str, list[Turn]] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("", total=len(options.models) * (options.turns + _FIRST_TURNS))
        for model in options.models:
            progress.update(task, description=model)
            measured[model] = _measure(model, options.turns, lambda: progress.advance(task))
    for model, spoken in measured.items():
        _print(model, spoken, console)
    console.print(
        f"Deepgram: {END_OF_TURN_MS:.0f} ms to the end of a turn; ElevenLabs: {FIRST_BYTE_MS:.0f} ms to its first byte."
    )


if __name__ == "__main__":
    main()
