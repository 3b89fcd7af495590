"""``throughline voice``: has the speech of all fixed phone sentences made before anybody calls, and lets one listen to a sentence.

A server makes the same in the background (channels/voice_script.py). Here one sees first how much it is: a voice may be paid for by the
character.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from channels.voice_script import formats, script
from throughline import bootstrap
from throughline.domain.phone_wording import PhoneWording
from throughline.domain.transcripts import WIDEBAND, AudioFormat
from throughline.settings.business import load_business
from throughline.settings.checked_yaml import load_mapping
from throughline.settings.knowledge import load_knowledge
from throughline.settings.privacy import DOMAIN_FILE
from throughline.settings.server import Settings, load_settings
from throughline.simulate.sound_files import write_wav
from throughline.speech.tts.cache import CachedTts

_Missing = Sequence[tuple[AudioFormat, str]]


def voice(*, count: bool = False, yes: bool = False) -> int:
    """Make what is missing, after asking where somebody is paid for it, unless ``yes``; with ``count`` only say how much that is. Returns
    the exit status. Raises Unavailable where the voice fails: what was made is kept."""
    console, settings = Console(), load_settings()
    spoken_by = bootstrap.voice(settings)
    kept = spoken_by.kept
    if kept is None:
        console.print("No speech is kept: the setting speech.cache_mb is 0.")
        return 0
    texts = _wording(settings).to_keep
    kept.keep(texts)

    async def make() -> int:
        try:
            return await _make(console, spoken_by, kept, texts, count=count, yes=yes)
        finally:
            await kept.close()

    return asyncio.run(make())


async def _make(
    console: Console, spoken_by: bootstrap.Voice, kept: CachedTts, texts: Sequence[str], *, count: bool, yes: bool
) -> int:
    missing = [(audio, text) for audio in formats(spoken_by) for text in await kept.missing(texts, audio)]
    characters = sum(len(text) for _, text in missing)
    console.print(f"{kept.name}: {len(texts)} fixed pieces; to be made: {len(missing)}, {characters} characters.")
    if count or not missing:
        return 0
    if spoken_by.paid and not yes and console.input("Make them? The voice is paid for by the character. (yes/no) ") != "yes":
        return 1
    await kept.warm_up()
    with Progress(TextColumn("making speech"), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(missing))
        for audio, text in missing:
            await kept.make(text, audio)
            progress.advance(bar)
    await kept.written()
    left = [text for audio, text in missing if await kept.missing([text], audio)]
    console.print(f"Made: {len(missing) - len(left)}. They are in {bootstrap.SPEECH_FOLDER}.")
    for text in left:
        console.print(f"[yellow]![/] not kept, for the speech can't be all of it: {escape(text)}")
    return 1 if left else 0


def say(text: str, save: Path) -> int:
    """Say ``text`` as a caller would hear it into the WAV file ``save``, and print how the voice is given it. Returns the exit status.
    Raises Unavailable or ConfigurationError."""
    settings = load_settings()
    wording = _wording(settings)
    pieces = [wording.spoken(piece) for piece in wording.pieces_of(text)]
    tts = bootstrap.speaking(settings)

    async def said() -> bytes:
        speech = bytearray()
        try:
            await tts.warm_up()
            for piece in pieces:
                async for chunk in tts.speak(piece, WIDEBAND):
                    speech += chunk
        finally:
            await tts.close()
        return bytes(speech)

    write_wav(save, asyncio.run(said()), WIDEBAND)
    for piece in pieces:
        print(piece)
    print(f"{tts.name} says it in {save}.")
    return 0


def _wording(settings: Settings) -> PhoneWording:
    """The wording of the project's files, as a server has it of the model trained from them. Raises ConfigurationError."""
    business, topics = load_business(Path(settings.business_dir)), load_knowledge()
    return script(load_mapping(DOMAIN_FILE, []).get("responses") or {}, business, topics)
