"""What a recogniser reports, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AudioFormat:
    """``encoding`` is ``mulaw`` (ITU-T G.711, 1 byte a sample) or ``l16`` (signed 16-bit little-endian PCM)."""

    encoding: str
    sample_rate_hz: int

    @property
    def frame_bytes(self) -> int:
        """Bytes in a frame of 20 ms."""
        return self.sample_rate_hz // 50 * (1 if self.encoding == "mulaw" else 2)


TELEPHONE = AudioFormat("mulaw", 8000)
WIDEBAND = AudioFormat("l16", 16000)
FRAME_MS = 20


@dataclass(frozen=True)
class Transcript:
    """One report of a recogniser about one utterance.

    Interim reports replace each other; a final one stands. ``end_of_turn`` says that the engine itself judges the speaker to be
    done. ``eager``, on an interim one: it thinks that the speaker may be done, and has not said so yet; the next report without it takes
    that back. ``quiet_ms`` is for how long the speaker had been quiet when a final one was reported, where the engine waits for that.
    ``confidence`` is 0..1, or None where the engine gives none. ``until_ms`` is how far into the stream's audio the report reaches,
    or None where the engine doesn't say.
    """

    text: str
    final: bool
    end_of_turn: bool = False
    quiet_ms: int = 0
    confidence: float | None = None
    until_ms: float | None = None
    eager: bool = False
