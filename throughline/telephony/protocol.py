"""What a telephone company must do for us. Contract tests in tests/contract/test_telephony.py hold every adapter to it."""

from __future__ import annotations

from typing import Protocol


class CallControl(Protocol):
    """Acts on calls that are going on, from outside of them, and places new ones."""

    async def place(self, to: str, *, from_: str, answered_url: str, fallback_url: str, status_url: str, ring_s: int) -> str:
        """Ring ``to`` for ``ring_s`` seconds, from the company's own number ``from_`` (both E.164); the id of the call, which rings only
        after that. Whoever picks up, a person or a machine, the telephone company asks ``answered_url`` at once what to do with it, and
        ``fallback_url`` where that fails; how it ended it tells ``status_url``, also when nobody picked up.
        Raises Rejected("not_callable") for a number that may not or can't be called from there; Unavailable: it may ring all the same."""

    async def follow(self, call_sid: str, instructions: str) -> None:
        """Have the call follow ``instructions`` (the company's own language, TwiML for Twilio) from now on, whatever it is doing.
        Raises Unavailable when the company does not answer, Rejected("unknown_call") when the call is over."""

    async def hang_up(self, call_sid: str) -> None:
        """End the call. Raises as ``follow``."""


class Recordings(Protocol):
    """What the company has recorded and keeps, by its own ids."""

    async def delete_recording(self, recording: str) -> None:
        """Have the company keep it no longer; nothing where it does not (any more). Raises Unavailable."""

    async def delete_recordings_of(self, call_sid: str) -> None:
        """The same for everything recorded of a call. Raises Unavailable: some may be left."""


class Texts(Protocol):
    """Sends text messages from a number of ours."""

    async def send_text(self, to: str, text: str) -> None:
        """Have the company send ``text`` to the telephone number ``to`` (E.164). When this returns it has taken it; whether it arrives,
        it does not know yet. Raises Rejected("not_textable") for a number that gets no text messages from us, such as a landline or one
        that has asked for none; Unavailable where it was not taken, or nobody knows whether it was."""
