"""``throughline call``: speaks into a running line as Twilio would, or as our own page does, and prints what both sides say.

A trial of the real way in: the signed webhooks, the media stream in real time, the engines and the dialogue behind them. It asks the
line for nothing that a caller could not have.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from websockets.exceptions import WebSocketException

from throughline import bootstrap
from throughline.cli.call_transcript import Captions, Elsewhere, Recorded, Source, Transcript
from throughline.domain.transcripts import FRAME_MS, TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.settings.business import load_business
from throughline.settings.server import Settings, load_settings
from throughline.simulate.call import Caller
from throughline.simulate.page_call import page_caller
from throughline.simulate.sound_devices import Headset, programs
from throughline.simulate.sound_files import read_wav, write_wav
from throughline.simulate.twilio import PlacedCall, TwilioLine

CALLER = "+15035550100"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_INTERRUPTED = 130


@dataclass(frozen=True)
class CallOrder:
    """What to say, to whom, and how."""

    wavs: tuple[Path, ...] = ()
    to: str | None = None
    caller: str = CALLER
    keys: str = ""
    microphone: bool = False
    page: bool = False
    save: Path | None = None
    answer_s: float = 20.0


@dataclass(frozen=True)
class Placed:
    """A call that is on: who speaks, where its words are, and Twilio's side of it where there is one."""

    caller: Caller
    words: Source
    twilio: PlacedCall | None = None


def call(order: CallOrder) -> int:
    """Hold the call. Returns 0 if the assistant answered every time, else 1. Raises ConfigurationError, Unavailable or Rejected."""
    settings = load_settings()
    account, secret = (os.environ.get(name, "") for name in (settings.twilio.account_sid_env, settings.twilio.auth_token_env))
    as_page = order.page or not (account and secret)
    audio = WIDEBAND if as_page else TELEPHONE
    sounds = [(path.name, read_wav(path, audio)) for path in order.wavs]
    if order.microphone:
        programs(audio.sample_rate_hz)  # a machine without any is told so before the line is called
    console = Console()
    public, real = addresses(order.to, settings.public_url())
    if as_page:
        why = "" if order.page else f" ({settings.twilio.auth_token_env} is not set, so not as Twilio)"
        console.print(f"[dim]calling {escape(real)} as the page's own phone{escape(why)}[/]", highlight=False)
        placing = _placed_by_page(public, real)
    else:
        console.print(f"[dim]calling {escape(real)} as Twilio would, from {escape(order.caller)}[/]", highlight=False)
        line = TwilioLine(public, account_sid=account, auth_token=secret, connect_to=None if real == public else real)
        placing = _placed_by_twilio(line, order, settings)
    return asyncio.run(_Conversation(console, order, audio, sounds).hold(placing))


def addresses(to: str | None, configured: str) -> tuple[str, str]:
    """The line's public address, over which Twilio signs, and the one it is reached at. Raises ConfigurationError.

    Who names a port of this machine means the line that the settings describe, whatever its public name is.
    """
    real = (to or configured).rstrip("/")
    parts = urlsplit(real)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        mend = "Write it with http:// or https://, such as http://localhost:5005."
        raise ConfigurationError([Problem("--to", f"{real!r} is no address.", mend)])
    here = parts.hostname in _LOOPBACK and urlsplit(configured).hostname not in _LOOPBACK
    return (configured if here else real), real


@asynccontextmanager
async def _placed_by_page(public: str, real: str) -> AsyncIterator[Placed]:
    caller = await page_caller(real, origin=public)
    try:
        await caller.dial()
    except (WebSocketException, OSError) as error:
        mend = "Let websockets through what stands in front of the line: `throughline check --live` says more."
        raise ConfigurationError([Problem(real, f"gives no media stream ({error}).", mend)]) from error
    try:
        yield Placed(caller, Captions(caller))
    finally:
        await caller.hang_up()


@asynccontextmanager
async def _placed_by_twilio(line: TwilioLine, order: CallOrder, settings: Settings) -> AsyncIterator[Placed]:
    number = load_business(Path(settings.business_dir)).company.phone
    here = line.public_url == settings.public_url()
    record = await asyncio.to_thread(bootstrap.open_record, settings) if here else None
    async with line.call(from_=order.caller, to=number) as placed:
        try:
            caller = await placed.stream()
        except Unavailable:
            raise _not_put_through(placed, line, settings) from None
        yield Placed(caller, Recorded(record, placed.sid) if record else Elsewhere(), placed)


def _not_put_through(placed: PlacedCall, line: TwilioLine, settings: Settings) -> Exception:
    """Why no stream was opened, in words that lead on."""
    first = placed.webhooks[0]
    if first.status == 403:
        mend = (
            f"Run the line with the same {settings.twilio.auth_token_env} and {settings.twilio.account_sid_env} as this command, and "
            f"with {settings.site.public_url_env}={line.public_url} (the address Twilio calls, over which it signs)."
        )
        return ConfigurationError([Problem(first.url, "refuses the signature.", mend)])
    if first.status is None:
        return ConfigurationError(
            [Problem(first.url, "does not answer.", "Start the line with `throughline up`, or mend --to.")]
        )
    if first.status == 503:
        return Unavailable(f"{first.url} is not ready yet; `throughline check` says more")
    if placed.said:
        return Unavailable(f"the line did not take the call, and said: {' '.join(placed.said)}")
    return Unavailable(
        f"{first.url} answered {first.status}, and no stream was opened: {', '.join(placed.errors) or placed.verbs}"
    )


class _Conversation:
    """One call: what is said in it, and what is shown of it."""

    def __init__(self, console: Console, order: CallOrder, audio: AudioFormat, sounds: list[tuple[str, bytes]]) -> None:
        self._console, self._order, self._audio, self._sounds = console, order, audio, sounds
        self._heard = bytearray()
        self._faults = 0
        self._gaps_s: list[float] = []

    async def hold(self, placing: AbstractAsyncContextManager[Placed]) -> int:
        """Hold the call; the exit status."""
        with self._console.status("ringing ...") as status:
            async with placing as placed:
                placed.caller.listeners.append(self._heard.extend)
                transcript = Transcript(self._console, placed.words)
                interrupted = await self._until_said(self._speak(placed.caller, status), transcript)
                status.update("hanging up ...")
                await self._hang_up(placed)
                await transcript.settle()
        self._report(placed)
        if interrupted and not self._order.microphone:
            return _INTERRUPTED
        return 1 if self._faults else 0

    async def _until_said(self, speaking: Coroutine[Any, Any, None], transcript: Transcript) -> bool:
        """Speak, and print what is said, until everything has been. True if Ctrl-C ended it."""
        loop = asyncio.get_running_loop()
        speaker, printer = asyncio.create_task(speaking), asyncio.create_task(transcript.follow())
        loop.add_signal_handler(signal.SIGINT, speaker.cancel)
        try:
            await asyncio.wait({speaker, printer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            printer.cancel()
            if not speaker.done():
                speaker.cancel()
            await asyncio.gather(speaker, printer, return_exceptions=True)
        if speaker.cancelled():
            return True
        speaker.result()
        return False

    async def _speak(self, caller: Caller, status: Status) -> None:
        if not await self._answered(caller, "the call", status, since=0.0):
            return
        if self._order.keys:
            since = time.monotonic()
            status.update(f"pressing {len(self._order.keys)} keys ...")
            await caller.key(self._order.keys)
            await self._answered(caller, "the keys", status, since)
        for number, (name, sound) in enumerate(self._sounds, 1):
            if caller.ended.is_set():
                self._fault(f"the line hung up before {name} was said")
                return
            length_s = len(sound) / self._audio.frame_bytes * FRAME_MS / 1000
            status.update(f"saying {number} of {len(self._sounds)}: {escape(name)} ({length_s:.1f} s) ...")
            since = time.monotonic()
            await caller.say(sound)
            await self._answered(caller, name, status, since)
        if self._order.microphone and not caller.ended.is_set():
            async with Headset(caller, self._audio) as headset:
                status.update("speak; Ctrl-C hangs up")
                await headset.until_over()

    async def _answered(self, caller: Caller, what: str, status: Status, since: float) -> bool:
        """Wait until the assistant has answered ``what``, which was begun at ``since``, and is quiet again."""
        status.update(f"{escape(what)}: waiting for the answer ...")
        said_at = time.monotonic()
        try:
            await caller.wait_answer(self._order.answer_s)
        except Unavailable as error:
            self._fault(f"{what}: {error}")
            return False
        if caller.first_frame_at <= since:
            self._fault(f"{what}: the line hung up without an answer")
            return False
        self._gaps_s.append(max(0.0, caller.first_frame_at - said_at))
        return True

    def _fault(self, what: str) -> None:
        self._faults += 1
        self._console.print(f"[red]✗[/] {escape(what)}", highlight=False)

    @staticmethod
    async def _hang_up(placed: Placed) -> None:
        if placed.twilio:
            placed.twilio.hang_up()
            await placed.twilio.over()
        else:
            await placed.caller.hang_up()

    def _report(self, placed: Placed) -> None:
        twilio = placed.twilio
        if twilio:
            for text in twilio.said:
                self._console.print(f"[cyan]by Twilio[/] {escape(text)}", highlight=False)
            for number in twilio.dialled:
                self._console.print(f"put through to {escape(number)}; in a trial nobody answers there", highlight=False)
            for fault in [*twilio.errors, *twilio.violations]:
                self._fault(f"Twilio would report: {fault}")
        after = ", ".join(f"{gap_s:.1f}" for gap_s in self._gaps_s)
        self._console.print(
            f"[dim]{len(self._gaps_s)} answers, after {after} s[/]" if after else "[dim]no answers[/]", highlight=False
        )
        if self._order.save:
            write_wav(self._order.save, bytes(self._heard), self._audio)
            self._console.print(f"[dim]what was heard is in {escape(str(self._order.save))}[/]", highlight=False)
        self._console.print(f"[dim]{escape(placed.words.afterwards())}[/]", highlight=False)
