"""Every conversation is moved to the other channel at every turn: all go on, and nothing is asked that is known.

    python -m benchmarks.moves                        every story of tests/conversations; two or three minutes
    python -m benchmarks.moves --story "dryer"        the stories whose names contain that
    python -m benchmarks.moves --only-words           without the answers that follow a story's own words; a minute
    python -m benchmarks.moves --story "dryer" --show what is said at each move, to read

A story's words are first said on the chat alone and on the phone alone. Then, for every message of it, they are said on one channel up to
there, the conversation is moved to the other by a one-time code as customers move it, and the rest is said there; both ways. Behind a
story's own words open questions are answered, with words that other stories answer them with, until the visit is booked or whatever the
form leads to. The trained model, the runner, the record and the action server are the real ones; each conversation finds a record in which
nothing has happened. Counted is what differs from the conversation that was not moved:

    went on           moves after which everything holds
    greeting          what is known, or the very question that was open, is not said on the other channel
    otherwise         a later message is answered otherwise: another question, other facts, other responses
    asked again       a question is put though its answer is known
    lost or doubled   visits, cases, hand-offs, outcomes or facts in the end
    not one           no code, no merge, or not everything in one contact in the order in which it was said
    apologised        the assistant could only say that something is wrong on its side

What does not hold of a story that is not moved is listed too: asked again, apologised, or another question and other facts on the phone
than in the chat.

New stories are taken in by themselves. Ends with status 1 where anything does not hold, after a list of it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.e2e.held import OTHER
from tests.e2e.moving import Stage, Tried
from tests.e2e.story_words import answers, stories
from tests.e2e.talk import Assistant
from throughline import log
from throughline.cli.model import quiet_environment, train

_KINDS = ("greeting", "otherwise", "asked again", "lost or doubled", "not one", "apologised")


async def _try_all(named: str, console: Console, *, only_words: bool) -> list[Tried]:
    with tempfile.TemporaryDirectory() as folder:
        assistant = Assistant(Path(folder))
        with console.status("starting the assistant ..."):
            await assistant.start()
        try:
            log.configure(level="ERROR")
            domain = assistant.agent.domain
            chosen = [story for story in stories(domain) if named.lower() in story.name.lower()]
            stage = Stage(assistant, {} if only_words else answers(domain))
            tried = []
            with Progress(console=console) as progress:
                task = progress.add_task("stories", total=sum(len(story.words) for story in chosen))
                for story in chosen:
                    progress.update(task, description=story.name[:40])
                    tried.append(await stage.try_moves(story))
                    progress.advance(task, len(story.words))
            return tried
        finally:
            await assistant.stop()


def _table(tried: Sequence[Tried]) -> Table:
    table = Table("", *(f"{channel} to {other}" for channel, other in OTHER.items()), title="Moved at every turn")
    rows: dict[str, list[int]] = {name: [] for name in ("stories", "moves", "went on", *_KINDS)}
    for channel in OTHER:
        moves = [(one.story.name, faults) for one in tried for moved, faults in one.moved if moved.channel == channel]
        found = Counter(kind for _, faults in moves for kind in {fault.kind for fault in faults})
        rows["stories"].append(len({name for name, _ in moves}))
        rows["moves"].append(len(moves))
        rows["went on"].append(sum(not faults for _, faults in moves))
        for kind in _KINDS:
            rows[kind].append(found[kind])
    for name, counts in rows.items():
        table.add_row(name, *map(str, counts))
    return table


def _show(tried: Sequence[Tried], console: Console) -> None:
    for one in tried:
        for moved, _ in one.moved:
            console.print(f"\n{moved}", style="bold", markup=False, highlight=False)
            for text, standing in zip(moved.words[: moved.after], moved.standings[1:], strict=False):
                console.print(f"  > {text}\n    {standing.words}", markup=False, highlight=False)
            console.print(f"  -- {OTHER[moved.channel]} --\n    {moved.greeting.words}", markup=False, highlight=False)
            for text, standing in zip(moved.words[moved.after :], moved.standings[moved.after + 1 :], strict=False):
                console.print(f"  > {text}\n    {standing.words}", markup=False, highlight=False)


def _report(tried: Sequence[Tried], console: Console) -> None:
    console.print(_table(tried))
    console.print(f"{len(tried)} stories, of which {sum(bool(one.moved) for one in tried)} were moved", highlight=False)
    reasons = Counter(reason for one in tried for _, reason in one.not_moved)
    for reason, count in reasons.items():
        stories_of = {one.story.name for one in tried for _, why in one.not_moved if why == reason}
        console.print(f"not moved: {count} ({len(stories_of)} stories), because {reason}", soft_wrap=True, highlight=False)
    left_open = Counter(moved.standings[-1].asked for one in tried for moved, _ in one.moved if not moved.broken)
    if slots := ", ".join(f"{slot} {count}" for slot, count in left_open.items() if slot):
        why = "in calls that the customer ends, or no story has an answer"
        console.print(f"still asked for in the end, moved or not, {why}: {slots}", soft_wrap=True, highlight=False)
    if held_again := sum(one.held_again for one in tried):
        console.print(f"{held_again} times other visits were free meanwhile, and a story was held once more to compare with")
    for fault in (fault for one in tried for fault in one.faults):
        console.print(str(fault), style="red", soft_wrap=True, markup=False, highlight=False)


def main() -> int:
    """Move them all; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.moves", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--story", default="", metavar="TEXT", help="only stories whose names contain this")
    parser.add_argument("--only-words", action="store_true", help="stop where a story's own words stop")
    parser.add_argument("--show", action="store_true", help="print every moved conversation")
    options = parser.parse_args()
    console = Console()
    log.configure(level="ERROR")
    quiet_environment()
    train(console)
    tried = asyncio.run(_try_all(options.story, console, only_words=options.only_words))
    if not any(one.moved for one in tried):
        console.print("Nothing was moved. Is there such a story in tests/conversations?", highlight=False)
        return 1
    if options.show:
        _show(tried, console)
    _report(tried, console)
    return 1 if any(one.faults for one in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
