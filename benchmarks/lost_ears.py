"""Calls whose listening connection is lost in the middle of what their callers say (benchmarks/lost_speech.py tells what is measured)."""

from __future__ import annotations

import asyncio
import difflib
import itertools
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import servers
from benchmarks.listening import (
    END_OF_TURN_MS,
    END_OF_TURN_SPREAD_MS,
    FIRST_BYTE_MS,
    FIRST_BYTE_SPREAD_MS,
    FLUX,
    QUIET_S,
    SCRIPTS,
    Listener,
    recorded,
    words_of,
)
from throughline.domain.transcripts import TELEPHONE
from throughline.simulate.deepgram import DeepgramServer, Loss
from throughline.simulate.deepgram_hearing import Recording
from throughline.simulate.elevenlabs import ElevenLabsServer
from throughline.simulate.in_thread import in_thread
from throughline.simulate.page_call import page_caller

KEY = "benchmark"
UNDISTURBED = "undisturbed"
WAYS: dict[str, tuple[str, str | int | None]] = {
    "drop": ("drop", None),
    "error": ("error", None),
    "close": ("close", None),
    "stall": ("stall", None),
    "drop, next refused": ("drop", 503),
    "drop, next silent": ("drop", "silent"),
}
"""How the connection is lost, and what happens to the next one that is asked for."""

_VOICES = ("en-us+f3", "en-us+m1", "en-us+f1", "en-us+m3", "en-us+f2", "en-us+m5", "en-us+f4", "en-us+m7")
_LEAST_WORDS = 3
_MOST_FAILED = 0.05
"""Of the turns. They are answered with an apology: what is measured goes on."""


@dataclass
class Utterance:
    """Something a caller said. ``silence_ms``: from the last frame of it to the first audible frame of the answer."""

    text: str
    way: str
    silence_ms: float = 0.0
    kept: int = 0
    """Of its words."""

    @property
    def words(self) -> int:
        """How many were said."""
        return len(self.text.split())


@dataclass
class Call:
    """What was said in one call, and the messages that the record has of it."""

    said: list[Utterance] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    added: int = 0
    """Words of the record that nobody said there: told twice, or misheard."""

    def compare(self) -> None:
        """Count the words that reached the record, in their order."""
        owners = [utterance for utterance in self.said for _ in utterance.text.split()]
        said = " ".join(utterance.text for utterance in self.said).lower().split()
        came = " ".join(self.recorded).lower().split()
        for block in difflib.SequenceMatcher(None, said, came, autojunk=False).get_matching_blocks():
            for owner in owners[block.a : block.a + block.size]:
                owner.kept += 1
        self.added = len(came) - sum(utterance.kept for utterance in self.said)


@dataclass
class Line:
    """One caller's voice: for every line of the scripts the audio, and what Deepgram knows it by."""

    speech: dict[str, bytes] = field(default_factory=dict)
    known: dict[str, Recording] = field(default_factory=dict)


class _Trial:
    def __init__(self, address: str, deepgram: DeepgramServer, wanted: int, tick: Callable[[], None]) -> None:
        self._address, self._deepgram, self._wanted, self._tick = address, deepgram, wanted, tick
        self._ways: Iterator[str] = itertools.cycle(WAYS)
        self._alone = asyncio.Lock()  # a new call must not be met by what was meant for a lost one
        self._happened = 0
        self._begun = 0
        self.calls: list[Call] = []

    async def line(self, line: Line) -> None:
        """One caller, call after call, until enough has been lost. Every third call is left in peace, with each script in turn."""
        while self._happened < self._wanted:
            number = self._begun
            self._begun += 1
            await self._call(line, SCRIPTS[number % len(SCRIPTS)], disturbed=(number + number // len(SCRIPTS)) % 3 != 2)

    async def _call(self, line: Line, script: Sequence[str], *, disturbed: bool) -> None:
        call = Call()
        caller = await page_caller(self._address, audio=TELEPHONE)
        async with self._alone:
            self.calls.append(call)  # in the order in which the record has their sessions
            await caller.dial()
            await caller.wait_quiet(QUIET_S)
        try:
            listener = Listener(caller)
            for text in script:
                if caller.ended.is_set() or self._happened >= self._wanted:
                    break
                said = words_of(text)
                way = next(self._ways) if disturbed and len(said.split()) >= _LEAST_WORDS else UNDISTURBED
                if way == UNDISTURBED and len(said.split()) < _LEAST_WORDS:
                    way = ""
                async with self._alone if (WAYS.get(way) or ("", None))[1] else _Nobody():
                    if caller.ended.is_set():  # who has waited for long is taken to have gone
                        break
                    await self._say(line, text, Utterance(said, way), call, caller, listener)
                await caller.wait_quiet(QUIET_S)
        finally:
            await caller.hang_up()

    async def _say(self, line: Line, text: str, utterance: Utterance, call: Call, caller: object, listener: Listener) -> None:
        loss: Loss | None = None
        if utterance.way in WAYS:
            fault, then = WAYS[utterance.way]
            loss = self._deepgram.lose(line.known[text], fault, after=(utterance.words + 1) // 2, then=then)
        began_s = time.monotonic()
        call.said.append(utterance)
        await caller.say(line.speech[text])  # type: ignore[attr-defined]
        ended_s = time.monotonic()
        try:
            utterance.silence_ms = (await listener.next_after(began_s) - ended_s) * 1000
            if utterance.silence_ms < 0:  # the answer began in a pause: what was said after it is answered, too
                await listener.next_after(max(ended_s, caller.last_audible_at))  # type: ignore[attr-defined]
        except RuntimeError:
            utterance.silence_ms = utterance.silence_ms or float("inf")  # never answered
        if loss is not None and loss.happened:
            self._happened += 1
            self._tick()
        elif loss is not None:
            utterance.way = ""  # taken to be over before it came to that


class _Nobody:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def measure(losses: int, at_once: int, tick: Callable[[], None]) -> list[Call]:
    """At least so many losses on ``at_once`` calls at a time."""
    with (
        tempfile.TemporaryDirectory() as name,
        in_thread(
            DeepgramServer(key=KEY, end_of_turn_ms=END_OF_TURN_MS, end_of_turn_spread_ms=END_OF_TURN_SPREAD_MS, mistaken=0)
        ) as deepgram,
        in_thread(
            ElevenLabsServer(key=KEY, first_byte_ms=FIRST_BYTE_MS, first_byte_spread_ms=FIRST_BYTE_SPREAD_MS)
        ) as elevenlabs,
        servers.actions(Path(name)) as actions,
    ):
        lines = [_taught(voice, deepgram) for voice in _VOICES[:at_once]]
        engines = {"stt": "deepgram", "tts": "elevenlabs", "deepgram": {"model": FLUX}}
        keys = {"DEEPGRAM_API_KEY": KEY, "ELEVENLABS_API_KEY": KEY}
        vendors = {**keys, "DEEPGRAM_URL": deepgram.url, "ELEVENLABS_URL": elevenlabs.url}
        phone = {"max_calls": 30, "calls_per_minute": 600}
        with servers.throughline(Path(name), actions.address, speech=engines, vendors=vendors, phone=phone) as ours:
            asyncio.run(_warmed(ours.address))
            first_sessions = len(_messages(Path(name) / "record.db"))
            trial = _Trial(ours.address, deepgram, losses, tick)
            asyncio.run(_all(trial, lines))
            checked(ours)
        by_session = _messages(Path(name) / "record.db")[first_sessions:]
        for call, texts in zip(trial.calls, by_session, strict=True):
            call.recorded = texts
            call.compare()
    return trial.calls


def checked(ours: servers.Running) -> None:
    """Raises RuntimeError where the dialogue failed in more than a few turns: what was said then is not what is to be measured."""
    log = ours.log_file.read_text(errors="replace")
    failed = re.findall(r".*\b(?:action|call)\.(?:failed|turn_failed|task_failed)\b.*", log)
    if len(failed) > _MOST_FAILED * len(re.findall(r"\bcall\.turn\b", log)):
        raise RuntimeError(f"not what was to be measured: {len(failed)} failures, such as {failed[0]}")


async def _all(trial: _Trial, lines: Sequence[Line]) -> None:
    await asyncio.gather(*(trial.line(line) for line in lines))


async def _warmed(address: str) -> None:
    """A server's first turns are slower: some that are typed."""
    async with await page_caller(address, audio=TELEPHONE) as caller:
        await caller.wait_quiet()
        for text in ("hello", "my washing machine leaks", "it's a bosch"):
            await caller.type(text)
            await caller.wait_answer()


def _taught(voice: str, deepgram: DeepgramServer) -> Line:
    line = Line()
    for text in dict.fromkeys(text for script in SCRIPTS for text in script):
        line.speech[text] = asyncio.run(recorded(text, voice))
        line.known[text] = deepgram.teach(text, TELEPHONE, line.speech[text])
    return line


def _messages(database: Path) -> list[list[str]]:
    """What customers said, by session, in the order in which the sessions began."""
    with sqlite3.connect(database) as connection:
        sessions = [row[0] for row in connection.execute("SELECT session_id FROM sessions ORDER BY started_at, rowid")]
        rows = connection.execute("SELECT session_id, text FROM messages ORDER BY id").fetchall()
    return [[text for owner, text in rows if owner == session] for session in sessions]
