"""A person's own microphone and loudspeaker in a call, here with programs that stand for the machine's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.waiting import until
from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.errors import ConfigurationError, Unavailable
from throughline.simulate.call import Caller
from throughline.simulate.sound_devices import Headset, programs
from throughline.speech.audio import l16_to_mulaw

pytestmark = pytest.mark.contract

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a program of that name, a line of shell, in the only folder that programs are found in."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, script: str) -> Path:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        program.chmod(0o755)
        return program

    return put


class Mouth(Caller):
    """A caller without a line, who notes what is spoken."""

    def __init__(self, audio: AudioFormat) -> None:
        super().__init__("ws://nowhere", audio=audio)
        self.spoken = b""

    def feed(self, frame: bytes) -> None:
        self.spoken += frame


@pytest.mark.parametrize("audio", [TELEPHONE, WIDEBAND])
async def test_what_the_microphone_hears_is_said_and_what_the_line_says_is_played(
    install: Install, tmp_path: Path, audio: AudioFormat
) -> None:
    install("parec", f'echo "$@" > {tmp_path}/asked; head -c 6400 /dev/zero; exec sleep 60')
    install("paplay", f"exec cat > {tmp_path}/played")
    caller = Mouth(audio)
    async with Headset(caller, audio):
        silence = b"\0" * 6400
        await until(lambda: len(caller.spoken) >= 6400 // (2 if audio is TELEPHONE else 1))
        assert caller.spoken == (l16_to_mulaw(silence) if audio is TELEPHONE else silence)
        for listener in caller.listeners:
            listener((b"\xff" if audio is TELEPHONE else b"\0") * audio.frame_bytes)
        played = tmp_path / "played"
        await until(lambda: played.exists() and len(played.read_bytes()) == audio.sample_rate_hz // 50 * 2)
    assert caller.listeners == []
    assert f"--rate={audio.sample_rate_hz}" in (tmp_path / "asked").read_text()


async def test_the_end_of_the_call_is_the_end(install: Install) -> None:
    install("arecord", "exec sleep 60")
    install("aplay", "exec cat > /dev/null")
    caller = Mouth(WIDEBAND)
    async with Headset(caller, WIDEBAND) as headset:
        caller.ended.set()
        await asyncio.wait_for(headset.until_over(), 5)


async def test_a_microphone_that_stops_is_told_in_its_own_words(install: Install) -> None:
    install("parec", "echo 'Connection refused' >&2; exit 1")
    install("paplay", "exec cat > /dev/null")
    async with Headset(Mouth(WIDEBAND), WIDEBAND) as headset:
        with pytest.raises(Unavailable, match="Connection refused"):
            await asyncio.wait_for(headset.until_over(), 5)


async def test_a_loudspeaker_that_takes_nothing_does_not_hold_up_the_call(install: Install) -> None:
    install("parec", "exec sleep 60")
    install("paplay", "exec sleep 60")
    caller = Mouth(WIDEBAND)
    async with Headset(caller, WIDEBAND):
        for _ in range(1000):
            caller.listeners[0](b"\1" * WIDEBAND.frame_bytes)


def test_alsa_is_taken_where_there_is_no_pulseaudio(install: Install) -> None:
    for name in ("parec", "arecord", "aplay"):
        install(name, "")
    record, play = programs(8000)
    assert (Path(record[0]).name, Path(play[0]).name) == ("arecord", "aplay")
    assert record[1:] == ["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", "8000"]


def test_a_machine_without_any_is_told_what_to_do(install: Install) -> None:
    install("parec", "")
    with pytest.raises(ConfigurationError, match="pulseaudio-utils"):
        programs(8000)
