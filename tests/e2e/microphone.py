"""A microphone for a browser: a sound device of the operating system's kind, into which a test speaks when it wants to.

A PulseAudio server of its own runs in a temporary folder: what is played into its null sink comes out of its source ``microphone``, on
the server's own clock, with silence between. A browser that is started with ``PULSE_SERVER`` set to ``server`` finds it as its default
device, and getUserMedia, echo cancellation, noise suppression and gain control are the browser's real ones. What the browser plays goes
into another sink, so the microphone never hears it. The machine's own sound is not touched and need not exist.

Chromium's fake device (``--use-file-for-fake-audio-capture``) is no substitute: it reads one file from the moment it is opened.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import tempfile
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_READY_WITHIN_S = 20
_SAID_WITHIN_S = 60
_ORPHAN_ENDS_AFTER_S = 600  # without clients, when a killed test run left it behind
_MOUTH = "mouth"
_VOLUME = 38300  # of 65536, on PulseAudio's cubic scale: -14 dB, as loud as a person; the browser's gain control cuts off a louder start


@dataclass(frozen=True)
class Microphone:
    """``server`` is the address for ``PULSE_SERVER``, ``folder`` what PulseAudio's programs have for a home."""

    server: str
    folder: Path

    async def speak(self, wav: bytes) -> None:
        """Say a WAV file's 16-bit sound; returns when it has been said. Raises RuntimeError when the device takes none."""
        with wave.open(io.BytesIO(wav)) as sound:
            form = [f"--rate={sound.getframerate()}", f"--channels={sound.getnchannels()}", "--format=s16le"]
            samples = sound.readframes(sound.getnframes())
        command = [_program("pacat"), f"--server={self.server}", f"--device={_MOUTH}", f"--volume={_VOLUME}", "--raw", *form]
        process = await asyncio.create_subprocess_exec(
            *command, "--playback", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=_private(self.folder)
        )
        try:
            _, told = await asyncio.wait_for(process.communicate(samples), _SAID_WITHIN_S)
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            raise RuntimeError(f"The microphone took no sound: {told.decode(errors='replace').strip()}")


@asynccontextmanager
async def open_microphone() -> AsyncIterator[Microphone]:
    """A microphone that is silent until it is spoken into. Raises RuntimeError, with what PulseAudio said, if it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="microphone-"))
    address = folder / "native"
    try:
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*_daemon(address), stdout=log, stderr=log, env=_private(folder))
        try:
            await _ready(process, address)
            yield Microphone(f"unix:{address}", folder)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    finally:
        shutil.rmtree(folder)


def _daemon(address: Path) -> list[str]:
    """``norewinds`` keeps the sink's steps under 50 ms. With rewinds it takes up to two seconds at once, the source hands them on in
    lumps, and the browser, which holds a few times 10 ms, cuts pieces out of what is said."""
    modules = (
        f"module-native-protocol-unix socket={address} auth-anonymous=1 auth-cookie-enabled=0",
        "module-null-sink sink_name=loudspeaker rate=48000",
        f"module-null-sink sink_name={_MOUTH} rate=48000 channels=1 norewinds=1",
        f"module-remap-source source_name=microphone master={_MOUTH}.monitor remix=no",  # browsers don't list monitors
    )
    flags = ("-n", "--daemonize=no", "--use-pid-file=no", "--realtime=no", "--high-priority=no", "--disable-shm=yes")
    return [
        _program("pulseaudio"),
        *flags,
        f"--exit-idle-time={_ORPHAN_ENDS_AFTER_S}",
        "--resample-method=speex-float-5",
        *(word for module in modules for word in ("-L", module)),
    ]


async def _ready(process: asyncio.subprocess.Process, address: Path) -> None:
    """The microphone is the last module, and the default once it is there."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline and process.returncode is None:
        asked = await asyncio.create_subprocess_exec(
            *(_program("pactl"), f"--server=unix:{address}", "list", "short", "sources"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_private(address.parent),
        )
        told, _ = await asked.communicate()
        if b"\tmicrophone\t" in told:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"PulseAudio did not start: {(address.parent / 'log').read_text(errors='replace')[-2000:]}")


def _private(folder: Path) -> dict[str, str]:
    """An environment in which PulseAudio's programs know nothing of the user's own sound server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PULSE_RUNTIME_PATH": str(folder)}


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise LookupError(f"No {name}: PulseAudio is the browser's microphone in these tests. `make browser` installs it.")
    return found
