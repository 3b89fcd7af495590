"""Speech connections that are lost in the middle of something: how many words are kept, and how long callers hear nothing.

    python -m benchmarks.lost_speech [--losses 200] [--calls 4] [--only ears|voices] [--seed 0]

On the running server, with Deepgram and ElevenLabs as local servers that speak the vendors' protocols at their published
latencies.

**Ears.** Callers tell their scripts, and once half of the words of what they are saying are heard the listening connection is
gone: without a word, after an error, closed in order, silent though open, or gone and the next connection refused or never
answered. A word is kept where it is in the messages of the record, in its place. The silence is what the caller hears: from the
last frame of their speech, as it is sent, to the first audible frame of the answer, as it is played. Among the calls are some
that are left in peace, for comparison: what the dialogue itself waits for (half a telephone number, say) is in both.

**Voices.** Each answer's voice breaks off, or stops with its connection open, after 0.05 to 2.5 s of a sentence, and the
embedded voice goes on. Both speak in a code that tells which word each stretch of sound is (benchmarks/coded_voice.py), at the
pace of real ones, ElevenLabs' a sixth faster: so which words were heard is read from the sound as the caller's telephone played
it, and not from what the server thinks. A word is heard where all of its sound was played in one piece. The silence is the
longest within the sentence.

Assumed, not measured: what a network adds to a new connection (some 0.2 s on a good one), and that a vendor refuses or ignores
no more than one connection in a row. Exit status 1 where less than 99 % of the words are kept, or the longest silence is 1.5 s
or more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import lost_ears, lost_voices
from benchmarks.customers import percentile

LEAST_KEPT = 0.99
MOST_SILENCE_MS = 1500


def _silences(silences_ms: Sequence[float]) -> list[str]:
    if not silences_ms:
        return [""] * 4
    under = sum(silence_ms < MOST_SILENCE_MS for silence_ms in silences_ms) / len(silences_ms)
    figures = (statistics.median(silences_ms), percentile(silences_ms, 0.95), max(silences_ms))
    return [*(f"{figure:.0f}" for figure in figures), f"{under:.1%}"]


def _print_ears(calls: list[lost_ears.Call], console: Console) -> bool:
    """Whether the bounds were kept."""
    utterances = [utterance for call in calls for utterance in call.said if utterance.way]
    lost = [utterance for utterance in utterances if utterance.way != lost_ears.UNDISTURBED]
    table = Table(
        "", "times", "words said", "kept", "", "silence median ms", "95th", "longest", "under 1.5 s", title="The ear is lost"
    )
    groups = {"lost, all ways": lost}
    for way in (*lost_ears.WAYS, lost_ears.UNDISTURBED):
        groups[way] = [utterance for utterance in utterances if utterance.way == way]
    for name, group in groups.items():
        said, kept = sum(utterance.words for utterance in group), sum(utterance.kept for utterance in group)
        silences_ms = [max(0.0, utterance.silence_ms) for utterance in group]
        share = f"{kept / said:.2%}" if said else ""
        table.add_row(name, str(len(group)), str(said), str(kept), share, *_silences(silences_ms))
    console.print(table)
    console.print(f"{len(calls)} calls; words in the record that were not said there: {sum(call.added for call in calls)}")
    cut_in = sum(utterance.silence_ms < 0 for utterance in lost)
    console.print(f"answers that began before their caller had ended: {cut_in} of {len(lost)} lost ones")
    for utterance in lost:
        if utterance.kept < utterance.words or utterance.silence_ms >= MOST_SILENCE_MS:
            console.print(
                f"  {utterance.way}: {utterance.kept} of {utterance.words} words, {utterance.silence_ms:.0f} ms: {utterance.text}"
            )
    kept_share = sum(utterance.kept for utterance in lost) / sum(utterance.words for utterance in lost)
    return kept_share >= LEAST_KEPT and max(utterance.silence_ms for utterance in lost) < MOST_SILENCE_MS


def _print_voices(lost: list[lost_voices.Lost], console: Console) -> bool:
    """Whether the bounds were kept."""
    table = Table(
        "", "times", "words", "heard", "", "heard twice", "silence median ms", "95th", "longest", "under 1.5 s",
        title="The voice is lost",
    )  # fmt: skip
    groups = {"lost, all ways": lost}
    for way in lost_voices.WAYS:
        groups[way] = [each for each in lost if each.way == way]
    for name, group in groups.items():
        words, heard = sum(each.words for each in group), sum(each.heard for each in group)
        share = f"{heard / words:.2%}" if words else ""
        twice = str(sum(each.twice for each in group))
        silences = _silences([each.silence_ms for each in group])
        table.add_row(name, str(len(group)), str(words), str(heard), share, twice, *silences)
    console.print(table)
    for each in lost:
        if each.heard < each.words or each.silence_ms >= MOST_SILENCE_MS:
            console.print(f"  {each.way}: {each.heard} of {each.words} words, {each.silence_ms:.0f} ms: {each.text}")
    heard_share = sum(each.heard for each in lost) / sum(each.words for each in lost)
    return heard_share >= LEAST_KEPT and max(each.silence_ms for each in lost) < MOST_SILENCE_MS


def main() -> int:
    """Measure and print. 1 where a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=200, help="of each kind, at least (default 200)")
    parser.add_argument("--calls", type=int, default=4, help="calls at a time, at most 8 (default 4)")
    parser.add_argument("--only", choices=("ears", "voices"), help="one of the two")
    parser.add_argument("--seed", type=int, default=0, help="where and how voices are lost")
    options = parser.parse_args()
    console = Console(width=140)
    console.print(f"load before: {' '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    kept: list[bool] = []
    with Progress(console=console) as progress:
        if options.only != "voices":
            task = progress.add_task("ears", total=options.losses)
            calls = lost_ears.measure(options.losses, options.calls, lambda: progress.advance(task))
            kept.append(_print_ears(calls, console))
        if options.only != "ears":
            task = progress.add_task("voices", total=options.losses)
            lost = lost_voices.measure(options.losses, options.calls, options.seed, lambda: progress.advance(task))
            kept.append(_print_voices(lost, console))
    console.print(f"load after: {' '.join(f'{load:.1f}' for load in os.getloadavg())}")
    if not all(kept):
        console.print(f"A bound was missed: at least {LEAST_KEPT:.0%} of the words, silence under {MOST_SILENCE_MS} ms.")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
