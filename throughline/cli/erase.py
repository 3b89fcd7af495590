"""``throughline erase``: does away with one person, everywhere at once.

In this order, so that what is interrupted can be done again: their sentences in the training data (found by what the record still has),
the record (one transaction), what the telephone company keeps (noted in the record until it is done), the database's own leftovers.
What always holds: nothing is changed before everything that is in the way has been said and the operator has agreed.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from throughline import bootstrap
from throughline.cli.own_sentences import Sentence, find_sentences, remove_sentences
from throughline.cli.whose import find_whose, is_known
from throughline.domain.company import Business
from throughline.handoff.owed_deletions import delete_owed
from throughline.record import Record
from throughline.record.erasing import Holdings
from throughline.settings.business import load_business
from throughline.settings.server import Settings, load_settings

_KEPT = {  # tables of which something stays, and what
    "sessions": "channel, times, how sure we were",
    "handoffs": "kind, reason, time",
    "outcomes": "kind, time",
    "crm_cases": "kind, time, appliance",
    "calendar_visits": "time, technician, appliance",
}


def erase(options: argparse.Namespace) -> int:
    """Erase somebody. Returns the exit status: 0 once nothing is left anywhere we can reach, 1 otherwise."""
    console = Console()
    settings = load_settings()
    business = load_business(Path(settings.business_dir))
    record = bootstrap.open_record(settings)
    contact = find_whose(options, record, console)
    if contact is None:
        return 1
    if not is_known(record, contact):
        return _nobody(console, settings, record, contact)
    holdings = record.holdings(contact)
    sentences = find_sentences(record.person(contact), business.retention, Path())
    _tell(console, holdings, sentences)
    if _is_in_the_way(console, options, holdings, sentences) or not _agreed(console, options, holdings.contact_id):
        return 1
    taken_out = sentences if options.training_data else []
    left = _do(console, settings, business, record, holdings, taken_out, cancel_visits=options.cancel_visits)
    by_hand = [one for one in taken_out if not one.removable]
    for one in by_hand:
        console.print(f"Reword by hand: {escape(str(one.file))}:{one.line}")
    if any(one.removable for one in taken_out):
        console.print(
            "`throughline train` makes a model without their sentences; models that were made before still hold them."
        )
    return 1 if left or by_hand else 0


def _nobody(console: Console, settings: Settings, record: Record, contact: str) -> int:
    erased_at = record.erased_at(contact)
    if erased_at is None:
        console.print(f"No contact {escape(contact)} in {escape(record.name)}.")
        return 1
    console.print(f"{escape(contact)} was erased on {erased_at:%Y-%m-%d %H:%M}Z. Nothing of them is in the record.")
    left = pay_owed(console, settings, record)
    return 1 if left or not _scrubbed(console, record) else 0


def _tell(console: Console, holdings: Holdings, sentences: Sequence[Sentence]) -> None:
    also = f" (also {', '.join(holdings.aliases)})" if holdings.aliases else ""
    console.print(f"This erases {escape(holdings.contact_id)}{escape(also)}:")
    table = Table("what", "rows", "of each stays, as nobody's")
    for name, rows in holdings.rows.items():
        table.add_row(name.replace("_", " "), str(rows), _KEPT.get(name, ""))
    console.print(table)
    if holdings.recordings:
        console.print(f"At the telephone company: what was recorded of them ({holdings.recordings} to look for).")
    for address, people in holdings.sharing.items():
        console.print(
            f"{escape(address)} is also of {people} other contacts. They stay; if they are the same person, erase them too."
        )
    for one in sentences:
        removable = "" if one.removable else " [dim](to be reworded by hand)[/]"
        console.print(f"Their words: {escape(str(one.file))}:{one.line}  {escape(one.text)}{removable}")


def _is_in_the_way(console: Console, options: argparse.Namespace, holdings: Holdings, sentences: Sequence[Sentence]) -> bool:
    for visit in () if options.cancel_visits else holdings.ahead:
        console.print(
            f"In the way: visit {visit.reference} on {visit.starts_at:%Y-%m-%d %H:%M}Z. Nobody could go there any more."
        )
        console.print("  Wait until it is over, or cancel it with --cancel-visits.")
    undecided = bool(sentences) and not options.training_data and not options.leave_training_data
    if undecided:
        console.print(
            "In the way: their words in files. Take them out with --training-data, or say that anybody might have said"
        )
        console.print("  them with --leave-training-data. Once the record is erased they can't be found again.")
    return undecided or bool(holdings.ahead and not options.cancel_visits)


def _agreed(console: Console, options: argparse.Namespace, contact: str) -> bool:
    if options.yes:
        return True
    try:
        typed = console.input(f"This can't be undone. Type {escape(contact)} to go on: ")
    except EOFError:
        typed = ""
    if typed.strip() != contact:
        console.print("Nothing was changed. (`--yes` does not ask.)")
        return False
    return True


def _do(
    console: Console,
    settings: Settings,
    business: Business,
    record: Record,
    holdings: Holdings,
    sentences: Sequence[Sentence],
    *,
    cancel_visits: bool,
) -> bool:
    """Whether something is left that can be done again."""
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console, transient=True) as progress:
        steps = progress.add_task("training data", total=4)
        remove_sentences(sentences)
        progress.update(steps, advance=1, description="the record")
        rows = record.erase(holdings.contact_id, own_words=business.own_words, cancel_visits=cancel_visits)
        progress.update(steps, advance=1, description="recordings")
        left = pay_owed(console, settings, record)
        progress.update(steps, advance=1, description="the database's leftovers")
        scrubbed = _scrubbed(console, record)
        progress.update(steps, advance=1)
    console.print(f"Erased: {sum(rows.values())} rows.")
    return left or not scrubbed


def _scrubbed(console: Console, record: Record) -> bool:
    """Whether the database has let go of what was deleted."""
    scrubbed = record.scrub()
    if not scrubbed:
        console.print("Others were at work: deleted bytes may still lie in the database's file. Run the same command again.")
    return scrubbed


def pay_owed(console: Console, settings: Settings, record: Record) -> bool:
    """Delete at the telephone company what is owed there, of whomever; whether some is left."""
    if not record.owed_deletions(limit=1):
        return False
    telephone = bootstrap.telephone(settings)
    if telephone is None:
        names = f"{settings.twilio.account_sid_env} and {settings.twilio.auth_token_env}"
        console.print(f"Recordings at Twilio are still to be deleted. Set {names}, and run the same command again.")
        return True
    deleted, left = asyncio.run(delete_owed(record, telephone.recordings))
    if deleted:
        console.print(f"Deleted at Twilio: what was recorded under {deleted} of its ids.")
    if left:
        since = min(one.since for one in left)
        console.print(
            f"Twilio did not answer for {len(left)} (since {since:%Y-%m-%d}). It stays noted: run the same command again."
        )
    return bool(left)
