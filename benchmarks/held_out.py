"""How well sentences that were never learned are understood: ``python -m benchmarks.held_out``.

tests/nlu holds sentences for every intent of domain.yml, with their entities marked: held_out_typed.yml as people type them,
held_out_transcripts.yml as a recogniser hands on what they say. None of them stands in the training data (tests/unit/nlu/test_held_out.py).
Each is understood by the trained model, by itself, without a conversation around it. One table:

    intents      P, precision: of the messages taken for this intent, how many were. R, recall: of those that were, how many were taken
                 for it. F1, their harmonic mean. `nlu_fallback` is what we should not understand: it is asked about again
    entities     the same, of the exact words that were marked; below, where it is enough that the words overlap
    all          `right`: messages with the right intent. Of the others, `asked again` were not understood, which costs the customer a turn,
                 and `misread` were taken for something else

and below it the confusions that came most often. ``--list`` prints every message that was not understood right, ``--folder`` names other
files to measure. To mend what is found, write sentences of other words into data/nlu: one that is copied from here measures nothing any
more. Whoever has read the confusions and written against them knows the test; write new sentences now and then.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rasa.core.agent import Agent, load_agent
from rasa.shared.nlu.training_data.loading import load_data
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from throughline import log
from throughline.cli.model import quiet_environment, train

FOLDER = Path("tests/nlu")
STYLES = ("typed", "transcripts")
NOT_UNDERSTOOD = "nlu_fallback"
_NOT_MARKED = ("number",)  # kinds of entities that no slot reads
_WORST = 12


@dataclass(frozen=True)
class Span:
    """One entity: its kind and where it stands in the text."""

    kind: str
    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        """Whether the two are of one kind and share a character."""
        return self.kind == other.kind and self.start < other.end and other.start < self.end


@dataclass
class Tally:
    """Of one name: ``right``, ``wanted`` in all, ``given`` in all."""

    right: int = 0
    wanted: int = 0
    given: int = 0

    def figures(self) -> tuple[str, str, str]:
        """Precision, recall and F1 in percent; a dash where there is nothing to divide by."""
        f1 = 200 * self.right / (self.wanted + self.given) if self.wanted + self.given else None
        shares = (100 * self.right / whole if whole else None for whole in (self.given, self.wanted))
        precision, recall = ("-" if share is None else f"{share:.0f}" for share in shares)
        return precision, recall, "-" if f1 is None else f"{f1:.0f}"


@dataclass
class Results:
    """What was found in the sentences of one style."""

    intents: dict[str, Tally] = field(default_factory=dict)
    exact: dict[str, Tally] = field(default_factory=dict)
    overlapping: dict[str, Tally] = field(default_factory=dict)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)  # wanted, given, text
    messages: int = 0

    def add(self, text: str, wanted: str, given: str, marked: Sequence[Span], found: Sequence[Span]) -> None:
        """Count one message."""
        self.messages += 1
        self.intents.setdefault(wanted, Tally()).wanted += 1
        self.intents.setdefault(given, Tally()).given += 1
        if wanted == given:
            self.intents[wanted].right += 1
        else:
            self.wrong.append((wanted, given, text))
        _count(self.exact, marked, [span for span in marked if span in found], found)
        _count(self.overlapping, marked, [span for span in marked if any(span.overlaps(other) for other in found)], found)


def _count(tallies: dict[str, Tally], marked: Iterable[Span], right: Iterable[Span], found: Iterable[Span]) -> None:
    for spans, figure in ((marked, "wanted"), (right, "right"), (found, "given")):
        for span in spans:
            tally = tallies.setdefault(span.kind, Tally())
            setattr(tally, figure, getattr(tally, figure) + 1)


def sentences(file: Path) -> list[tuple[str, str, list[Span]]]:
    """Each text with its intent and its marked entities."""
    return [
        (str(example.get("text")), str(example.get("intent")), spans(example.get("entities") or ()))
        for example in load_data(str(file)).intent_examples
    ]


def spans(entities: Iterable[Mapping[str, Any]]) -> list[Span]:
    """Rasa's entities as spans."""
    found = (Span(str(item["entity"]), int(item["start"]), int(item["end"])) for item in entities)
    return [span for span in dict.fromkeys(found) if span.kind not in _NOT_MARKED]


async def measure(agent: Agent, file: Path) -> Results:
    """Understand every sentence of ``file``."""
    results = Results()
    for text, intent, marked in track(sentences(file), file.stem, console=Console(stderr=True)):
        parsed = await agent.parse_message(text)
        results.add(text, intent, str(parsed["intent"]["name"]), marked, spans(parsed["entities"]))
    return results


def as_table(found: Mapping[str, Results]) -> Table:
    """The figures as they are printed."""
    table = Table(title="Held-out sentences: how many of each style, and in %", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    for style in found:
        for heading in (style, "P", "R", "F1"):
            table.add_column(heading, justify="right", no_wrap=True)
    for heading, part in (("intents", "intents"), ("entities, exact", "exact"), ("entities, overlapping", "overlapping")):
        table.add_row(f"[bold]{heading}[/]")
        names = sorted({name for results in found.values() for name in getattr(results, part)})
        for name in names:
            tallies = [getattr(results, part).get(name, Tally()) for results in found.values()]
            table.add_row(name, *(cell for tally in tallies for cell in (str(tally.wanted), *tally.figures())))
        sums = [_sum(getattr(results, part).values()) for results in found.values()]
        table.add_row(
            "all together", *(cell for tally in sums for cell in (str(tally.wanted), *tally.figures())), end_section=True
        )
    return table


def _sum(tallies: Iterable[Tally]) -> Tally:
    tallies = list(tallies)
    return Tally(*(sum(getattr(tally, name) for tally in tallies) for name in ("right", "wanted", "given")))


def _print_totals(found: Mapping[str, Results], console: Console, *, listed: bool) -> None:
    for style, results in found.items():
        wrong, again = len(results.wrong), sum(given == NOT_UNDERSTOOD for _, given, _ in results.wrong)
        right = results.messages - wrong
        console.print(
            f"{style}: {results.messages} messages, {right} right ({right / results.messages:.1%}), {again} asked again, "
            f"{wrong - again} misread",
            highlight=False,
        )
    confusions = Counter((wanted, given) for results in found.values() for wanted, given, _ in results.wrong)
    console.print("\nTaken for something else most often:", highlight=False)
    for (wanted, given), times in confusions.most_common(_WORST):
        console.print(f"  {times}  {wanted} -> {given}", highlight=False)
    for style, results in found.items() if listed else ():
        for wanted, given, text in sorted(results.wrong):
            console.print(f"{style}  {wanted} -> {given}  {text}", soft_wrap=True, markup=False, highlight=False)


async def _measure(model: Path, folder: Path) -> dict[str, Results]:
    agent = await load_agent(str(model))
    return {style: await measure(agent, folder / f"held_out_{style}.yml") for style in STYLES}


def main() -> int:
    """Measure, print, return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.held_out", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print every message that was not understood right")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help=f"with held_out_typed.yml and held_out_transcripts.yml ({FOLDER})"
    )
    options = parser.parse_args()
    console = Console()
    missing = [file for style in STYLES if not (file := options.folder / f"held_out_{style}.yml").is_file()]
    if missing:
        console.print(f"{missing[0]} is not there. Name the folder that holds it: --folder FOLDER")
        return 2
    log.configure(level="ERROR")
    quiet_environment()
    found = asyncio.run(_measure(train(console), options.folder))
    console.print(as_table(found))
    _print_totals(found, console, listed=options.list)
    return 0


if __name__ == "__main__":
    sys.exit(main())
