"""How well questions about the company are answered from data/knowledge: ``python -m benchmarks.questions``.

120 questions in customers' words, typed and spoken, a third of which the pages do not answer (benchmarks/questions.tsv: the question, TAB,
the topic that answers it, or nothing). They were written by somebody who saw the answers and not the training questions. Each is
understood by the trained model, and what the assistant would do is counted:

    right          the topic that answers it is said
    asked back     "is it about ...?" names the right topic
    other answer   another rule answers or asks on, by an intent: it may be right or beside the point; every one is listed
    wrong          another topic is said, or asked about
    don't know     the assistant says that it does not know or does not understand

``--list`` prints every question that was not answered right.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rasa.core.agent import load_agent
from rich.console import Console
from rich.progress import track
from rich.table import Table

from throughline import log
from throughline.cli.model import quiet_environment, train
from throughline.settings.business import load_business

FILE = Path(__file__).with_name("questions.tsv")
KINDS = ("right", "asked back", "other answer", "wrong", "don't know")


def questions(file: Path = FILE) -> list[tuple[str, str]]:
    """Each question with the topic that answers it; empty for none."""
    rows = [line.partition("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [(question, topic) for question, _, topic in rows]


def kind_of(parsed: Mapping[str, Any], wanted: str, sure: float, worth_asking: float) -> str:
    """What the assistant would do, as one of KINDS; outside a form, at the first failure."""
    surest = parsed["knowledge"][0]
    intent, is_right = parsed["intent"]["name"], surest["topic"] == wanted
    if intent == "ask_policy" and surest["confidence"] >= sure:
        return "right" if is_right else "wrong"
    if intent == "ask_policy":
        return "don't know"
    if intent != "nlu_fallback":
        return "other answer"
    if surest["confidence"] >= worth_asking:
        return "asked back" if is_right else "wrong"
    return "don't know"


async def _measure(model: Path, console: Console, *, listed: bool) -> None:
    dialogue = load_business(Path("data/business")).dialogue
    agent = await load_agent(str(model))
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    others = []
    for question, wanted in track(questions(), "questions", console=Console(stderr=True)):
        parsed = await agent.parse_message(question)
        kind = kind_of(parsed, wanted, dialogue.topic_confidence, dialogue.topic_guess_confidence)
        counts[bool(wanted)][kind] += 1
        if kind != ("right" if wanted else "don't know"):
            others.append((kind, parsed["intent"]["name"], parsed["knowledge"][0]["topic"], question))
    table = Table("", *KINDS, "of")
    for is_answered, name in ((True, "a page answers it"), (False, "no page answers it")):
        found = counts[is_answered]
        table.add_row(name, *(str(found[kind]) for kind in KINDS), str(sum(found.values())))
    console.print(table)
    for other in sorted(others) if listed else ():
        console.print("  ".join(other), soft_wrap=True, markup=False, highlight=False)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print what was not answered right")
    options = parser.parse_args()
    console = Console()
    log.configure(level="ERROR")
    quiet_environment()
    asyncio.run(_measure(train(console), console, listed=options.list))
    return 0


if __name__ == "__main__":
    sys.exit(main())
