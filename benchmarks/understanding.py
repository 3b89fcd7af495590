"""How well and how fast messages are understood: ``python -m benchmarks.understanding [--data FOLDER]``.

Three measures, one table:
- intents: BANKING77 with ten examples each (Casanueva et al. 2020), accuracy over the whole test set of 3,080;
- spoken dates and times: the spans of NLU++ (Casanueva et al. 2022), how many are read as their gold value;
- CPU: milliseconds of processor time for one message, its vector, its intent and its grammar together.

The folder holds ``intents/banking77_{train_10shot,test}.tsv`` (label, TAB, text) and ``dates/nlupp_spans_dev.json``. The assistant is never
trained on any of it. NLU++ is British: days come before months, and an hour without am or pm is taken as it stands.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from throughline.nlu import sentence_model
from throughline.nlu.hybrid_model import HybridModel
from throughline.nlu.spoken_grammar import Reading, find

_NLUPP_NOW = datetime(2022, 3, 15, 9, 0)  # noqa: DTZ001  the spans' own reference day and hour
_NLUPP_READING = Reading(day_starts=None, day_first=True)
_WARM_UP = 20  # messages before the clock counts


@dataclass(frozen=True)
class Labelled:
    """Texts with their intents."""

    texts: list[str]
    labels: list[str]

    @classmethod
    def read(cls, file: Path) -> Labelled:
        """From lines of label, TAB, text."""
        rows = [line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines() if line]
        return cls([text for _label, text in rows], [label for label, _text in rows])


@dataclass(frozen=True)
class Intents:
    """What the intent measure found. Times in milliseconds of CPU per message."""

    accuracy: float
    training_s: float
    cpu_ms: Sequence[float]


def measure_intents(folder: Path, progress: Progress) -> Intents:
    """Train on the ten-shot set, classify the whole test set one message at a time."""
    training = Labelled.read(folder / "intents" / "banking77_train_10shot.tsv")
    test = Labelled.read(folder / "intents" / "banking77_test.tsv")
    model = sentence_model.load()
    task = progress.add_task("intents", total=len(test.texts))
    started = time.process_time()
    classifier = HybridModel.train(training.texts, training.labels, model.embed(training.texts))
    training_s = time.process_time() - started
    right, cpu_ms = 0, []
    for text, label in zip(test.texts, test.labels, strict=True):
        started = time.process_time()
        best = classifier.rank([text], model.embed([text]))[0][0]
        find(text, _NLUPP_NOW)
        cpu_ms.append((time.process_time() - started) * 1000)
        right += best.intent == label
        progress.advance(task)
    return Intents(right / len(test.texts), training_s, cpu_ms[_WARM_UP:])


def measure_spans(folder: Path, progress: Progress) -> dict[str, tuple[int, int]]:
    """For times and for dates: how many spans gave a gold value, of how many. A span was the answer to a question for it."""
    spans = json.loads((folder / "dates" / "nlupp_spans_dev.json").read_text(encoding="utf-8"))
    task = progress.add_task("dates and times", total=len(spans["times"]) + len(spans["dates"]))
    results = {}
    for name, expected, kinds in (("times", "time", ("time",)), ("dates", "date", ("date", "since"))):
        right = 0
        for span in spans[name]:
            gold = next(value for key, value in span.items() if key != "text")
            right += _value(span["text"], expected, kinds) in gold
            progress.advance(task)
        results[name] = (right, len(spans[name]))
    return results


def _value(text: str, expected: str, kinds: tuple[str, ...]) -> list[int] | None:
    found = [item for item in find(text, _NLUPP_NOW, _NLUPP_READING, expected=expected) if item.kind in kinds]
    return [int(part) for part in str(found[0].value).replace(":", "-").split("-")] if found else None


def table(intents: Intents, spans: dict[str, tuple[int, int]]) -> Table:
    """The figures as they are printed."""
    figures = Table("measure", "figure", title="Understanding")
    figures.add_row("BANKING77, 10 examples an intent: accuracy", f"{intents.accuracy:.1%}")
    figures.add_row("BANKING77: training, CPU", f"{intents.training_s:.1f} s")
    for name, (right, total) in spans.items():
        figures.add_row(f"NLU++ {name} read as their gold value", f"{right} of {total}")
    for share in (50, 99):
        figures.add_row(f"CPU per message, p{share}", f"{np.percentile(intents.cpu_ms, share):.1f} ms")
    return figures


def main(arguments: Sequence[str]) -> int:
    """Measure, print, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.understanding", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with intents/ and dates/")
    folder = parser.parse_args(arguments).data
    console = Console()
    if not (folder / "intents").is_dir():
        console.print(f"{folder} has no folder 'intents'. Name the folder with the measuring data: --data FOLDER")
        return 2
    with Progress(console=console) as progress:
        intents, spans = measure_intents(folder, progress), measure_spans(folder, progress)
    console.print(table(intents, spans))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
