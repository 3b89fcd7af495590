"""What a telephone company's call control must do. Contract tests in tests/contract/test_telephony.py hold every adapter to it."""

from __future__ import annotations

from typing import Protocol


class CallControl(Protocol):
    """Acts on calls that are going on, from outside of them."""

    async def follow(self, call_sid: str, instructions: str) -> None:
        """Have the call follow ``instructions`` (the company's own language, TwiML for Twilio) from now on, whatever it is doing.
        Raises Unavailable when the company does not answer, Rejected("unknown_call") when the call is over."""

    async def hang_up(self, call_sid: str) -> None:
        """End the call. Raises as ``follow``."""
