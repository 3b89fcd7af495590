"""What was said in a call, printed while it is said: from the captions that a page is told, or from this machine's record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.markup import escape

from throughline.errors import Rejected
from throughline.record import Record
from throughline.simulate.call import Caller

_LOOKS_EVERY_S = 0.25
_SETTLES_IN_LOOKS = 4
_WHO = {"customer": "[bold]caller   [/]", "assistant": "[cyan]assistant[/]"}


@dataclass(frozen=True)
class Line:
    """One thing that was said, by ``customer`` or ``assistant``."""

    who: str
    text: str


class Source(Protocol):
    """Where the words of a call are to be had."""

    def lines(self) -> Sequence[Line]:
        """Everything said so far. Called outside the event loop."""

    def afterwards(self) -> str:
        """Where the whole conversation can be seen."""


class Captions:
    """The words of a page's call."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def lines(self) -> Sequence[Line]:
        """The final captions so far."""
        return [Line(caption["who"], caption["text"]) for caption in tuple(self._caller.captions) if caption.get("final")]

    def afterwards(self) -> str:
        """Where to look."""
        return "The whole conversation: `throughline show`, on the machine of the line's record."


class Recorded:
    """The words of a telephone call, of which Twilio is told none: read from the record."""

    def __init__(self, record: Record, call_sid: str) -> None:
        self._record, self._call_sid = record, call_sid
        self._contact = ""

    def lines(self) -> Sequence[Line]:
        """What the record has of the call so far."""
        try:
            session = self._record.phone_call(self._call_sid).session
        except Rejected:  # another machine's record, or not there yet
            return []
        if session is None:
            return []
        self._contact = session.contact_id
        return [
            Line("customer" if event.type_name == "user" else "assistant", str(event.data.get("text") or ""))
            for event in self._record.conversation(session.contact_id)
            if event.session_id == session.session_id and event.type_name in ("user", "bot")
        ]

    def afterwards(self) -> str:
        """Where to look."""
        if not self._contact:
            return (
                "This call is not in the record here: its words are in the server's, where `throughline show` lists it first."
            )
        return f"The whole conversation: throughline show {self._contact}"


class Elsewhere:
    """A telephone call whose words are in another machine's record."""

    def lines(self) -> Sequence[Line]:
        """Nothing."""
        return []

    def afterwards(self) -> str:
        """Where to look."""
        return "What was said is in the server's record: run `throughline show` there; the latest conversation is listed first."


class Transcript:
    """Prints a source's lines as they come, each once."""

    def __init__(self, console: Console, source: Source) -> None:
        self._console, self._source = console, source
        self._printed = 0

    async def follow(self) -> None:
        """Print until cancelled."""
        while True:
            await self.catch_up()
            await asyncio.sleep(_LOOKS_EVERY_S)

    async def settle(self) -> None:
        """Print what still comes once the call is over: the last words are recorded a moment after it."""
        for _ in range(_SETTLES_IN_LOOKS):
            await self.catch_up()
            await asyncio.sleep(_LOOKS_EVERY_S)

    async def catch_up(self) -> None:
        """Print what has not been printed."""
        lines = await asyncio.to_thread(self._source.lines)
        for line in lines[self._printed :]:
            self._console.print(f"{_WHO.get(line.who, line.who)} {escape(line.text)}", highlight=False)
        self._printed = max(self._printed, len(lines))
