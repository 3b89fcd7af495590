"""How well the demo recogniser hears: word error rate by what is expected and by the line. ``python -m benchmarks.speech``.

The embedded voice, in several variants, says answers of a guided call; each variant is one call, so the recogniser gets used to
it as it would on the phone. Synthetic voices are kinder than people on loudspeakers and unkinder than people on handsets: the
figures tell one change of the recogniser from another, and whether a scripted call can be followed. No more.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from throughline.domain.transcripts import TELEPHONE, WIDEBAND, AudioFormat
from throughline.speech.audio import Framer
from throughline.speech.stt import pocketsphinx_models
from throughline.speech.stt.pocketsphinx import CACHE
from throughline.speech.stt.pocketsphinx_ear import PocketsphinxEar
from throughline.speech.tts.espeak import EspeakTts

VOICES = ("en-us", "en-us+f3", "en-us+m3", "en-us-nyc")
LINES = {"page, 16 kHz": WIDEBAND, "telephone, 8 kHz": TELEPHONE}
SENTENCES: Mapping[str, Sequence[str]] = {
    "free": (
        "my washing machine is leaking", "it's a bosch", "since yesterday", "no the dryer", "the dishwasher won't drain",
        "i want to talk to a person", "what are your opening hours", "i smell gas", "how much is a visit",
    ),
    "yes_no": ("yes", "no", "yes please", "no thank you", "that's right"),
    "date": ("thursday", "thursday morning", "tomorrow", "next tuesday", "for about two weeks", "since last night"),
    "time": ("two in the afternoon", "ten am", "in the morning", "half past nine", "at two thirty"),
    "choice": ("the first one", "the second one", "thursday at nine"),
    "name": ("dana reyes", "my name is dana reyes", "maria garcia", "it's priya patel"),
    "postcode": ("nine seven two oh one", "it's nine seven two one four", "nine eight one oh nine"),
    "code": ("four eight two one three three seven seven", "nine oh two one five five six three",
             "zero four one nine double two six five"),
}  # fmt: skip


@dataclass
class Score:
    """Errors in words said, and sentences heard without one."""

    words: int = 0
    errors: int = 0
    sentences: int = 0
    whole: int = 0

    def add(self, said: str, heard: str) -> None:
        """Count one sentence."""
        errors = edit_distance(said.split(), heard.split())
        self.words += len(said.split())
        self.errors += errors
        self.sentences += 1
        self.whole += errors == 0

    def __str__(self) -> str:
        return f"{self.errors / self.words:5.2f} ({self.whole:2}/{self.sentences:2} whole)" if self.words else ""


def edit_distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to insert, delete or change that make one of the other."""
    row = list(range(len(heard) + 1))
    for position, word in enumerate(said, start=1):
        previous, row[0] = row[0], position
        for column, other in enumerate(heard, start=1):
            previous, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, previous + (word != other))
    return row[-1]


def said_by(voice: str, text: str, line: AudioFormat) -> bytes:
    """The words between silences."""

    async def speech() -> bytes:
        return b"".join([chunk async for chunk in EspeakTts(voice).speak(text, line)])

    quiet = (b"\xff" if line.encoding == "mulaw" else b"\x00") * line.frame_bytes
    return quiet * 15 + asyncio.run(speech()) + quiet * 60


def heard_in(ear: PocketsphinxEar, audio: bytes, line: AudioFormat) -> str:
    """What the recogniser makes of it, all utterances together."""
    reports = [report for frame in Framer(line.frame_bytes).push(audio) for report in ear.hear(frame)]
    return " ".join(report.text for report in reports if report.final)


def main() -> None:
    """Measure and print the table."""
    models = pocketsphinx_models.prepare(Path("data/nlu"), CACHE)
    scores: dict[tuple[str, str], Score] = defaultdict(Score)
    audio_s = cpu_s = 0.0
    for line_name, line in LINES.items():
        for voice in VOICES:
            ear = PocketsphinxEar(models, line)
            for kind, sentences in SENTENCES.items():
                ear.expect(kind)
                for sentence in sentences:
                    audio = said_by(voice, sentence, line)
                    before = time.process_time()
                    heard = heard_in(ear, audio, line)
                    cpu_s += time.process_time() - before
                    audio_s += len(audio) / line.frame_bytes / 50
                    for score in (scores[line_name, kind], scores[line_name, "all"]):
                        score.add(sentence, heard)
    print(f"Word error rate of the demo recogniser, {len(VOICES)} synthetic voices\n")
    print(f"{'expected':10}" + "".join(f"{name:>24}" for name in LINES))
    for kind in (*SENTENCES, "all"):
        print(f"{kind:10}" + "".join(f"{scores[name, kind]!s:>24}" for name in LINES))
    print(f"\nProcessor time: {cpu_s / audio_s:.2f} of the audio's length.")


if __name__ == "__main__":
    main()
