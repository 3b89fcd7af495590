"""The microphone and the loudspeaker of this machine, through the programs that Linux has for them.

PulseAudio's or PipeWire's (``parec``, ``paplay``) come first, then ALSA's (``arecord``, ``aplay``). Both take and give raw linear PCM.
"""

from __future__ import annotations

import asyncio
import shutil
from types import TracebackType

from throughline.domain.transcripts import AudioFormat
from throughline.errors import ConfigurationError, Problem, Unavailable
from throughline.simulate.call import Caller
from throughline.speech.audio import Framer, l16_to_mulaw, mulaw_to_l16

_PULSE = ("--raw", "--format=s16le", "--channels=1", "--latency-msec=40")
_ALSA = ("-q", "-t", "raw", "-f", "S16_LE", "-c", "1")
_BEHIND_MAX_BYTES = 32_000
"""What the loudspeaker may be behind, a second at 16 kHz: more is left out."""
_ENDS_WITHIN_S = 2


def programs(rate_hz: int) -> tuple[list[str], list[str]]:
    """The commands that record and that play raw 16-bit sound. Raises ConfigurationError where there are none."""
    if (parec := shutil.which("parec")) and (paplay := shutil.which("paplay")):
        return [parec, *_PULSE, f"--rate={rate_hz}"], [paplay, *_PULSE, f"--rate={rate_hz}"]
    if (arecord := shutil.which("arecord")) and (aplay := shutil.which("aplay")):
        return [arecord, *_ALSA, "-r", str(rate_hz)], [aplay, *_ALSA, "-r", str(rate_hz)]
    what = "no program for it was found (parec and paplay, or arecord and aplay)."
    mend = "Install `pulseaudio-utils` or `alsa-utils`; or say WAV files; or use the phone on the demo page."
    raise ConfigurationError([Problem("--microphone", what, mend)])


class Headset:
    """A caller's microphone and loudspeaker, for as long as the ``async with`` lasts."""

    def __init__(self, caller: Caller, audio: AudioFormat) -> None:
        self._caller, self._audio = caller, audio
        self._record, self._play = programs(audio.sample_rate_hz)

    async def __aenter__(self) -> Headset:
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        self._ear = await asyncio.create_subprocess_exec(*self._play, stdin=pipe, stdout=quiet, stderr=pipe)
        self._mouth = await asyncio.create_subprocess_exec(*self._record, stdin=quiet, stdout=pipe, stderr=pipe)
        self._listening = asyncio.create_task(self._listen())
        self._caller.listeners.append(self._hear)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._caller.listeners.remove(self._hear)
        self._listening.cancel()
        for process in (self._ear, self._mouth):
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.communicate(), _ENDS_WITHIN_S)
            except asyncio.TimeoutError:
                process.kill()
                await process.communicate()

    async def until_over(self) -> None:
        """Return when the call is over. Raises Unavailable when the microphone ends before."""
        ended = asyncio.create_task(self._caller.ended.wait())
        try:
            await asyncio.wait({ended, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._listening.result()
                raise Unavailable(f"the microphone has stopped: {await self._last_words()}")
        finally:
            ended.cancel()

    async def _listen(self) -> None:
        frames = Framer(self._audio.sample_rate_hz // 50 * 2)
        assert self._mouth.stdout is not None  # noqa: S101 - it is a pipe
        while piece := await self._mouth.stdout.read(4096):
            for frame in frames.push(piece):
                self._caller.feed(l16_to_mulaw(frame) if self._audio.encoding == "mulaw" else frame)

    async def _last_words(self) -> str:
        """What the recording program has said about its end."""
        assert self._mouth.stderr is not None  # noqa: S101 - it is a pipe
        try:
            said = await asyncio.wait_for(self._mouth.stderr.read(1000), _ENDS_WITHIN_S)
        except asyncio.TimeoutError:
            said = b""
        return said.decode(errors="replace").strip() or f"{self._record[0]} gave no reason"

    def _hear(self, frame: bytes) -> None:
        ear = self._ear.stdin
        if ear is None or ear.is_closing() or ear.transport.get_write_buffer_size() > _BEHIND_MAX_BYTES:
            return
        ear.write(mulaw_to_l16(frame) if self._audio.encoding == "mulaw" else frame)
