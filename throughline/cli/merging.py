"""``throughline merge`` and ``throughline unmerge``: a person of the company has found out who is who."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from throughline import bootstrap
from throughline.domain.assurance import OPERATOR
from throughline.errors import Rejected
from throughline.settings.server import load_settings

_REFUSED = {
    "unknown_contact": "There is no such contact. `throughline show` lists the latest ones.",
    "same_contact": "They are one person already.",
    "not_merged": "This contact is no part of another. `throughline show` tells a contact's merges.",
    "merged_further": "The contact it became a part of has become a part of a third. Take that back first: throughline unmerge {detail}",
}


def merge(contact: str, into: str) -> int:
    """Make ``contact`` a part of ``into``. Returns the exit status."""
    console = Console()
    record = bootstrap.open_record(load_settings())
    try:
        record.merge(contact, into, reason=OPERATOR, session_id=None)
    except Rejected as refused:
        return _refused(console, refused)
    console.print(f"{escape(contact)} is a part of {escape(record.resolve(into))} now. `throughline unmerge` takes it back.")
    return 0


def unmerge(contact: str, reason: str) -> int:
    """Take the latest merge of ``contact`` back. Returns the exit status."""
    console = Console()
    record = bootstrap.open_record(load_settings())
    try:
        parted_from = record.unmerge(contact, reason=reason)
    except Rejected as refused:
        return _refused(console, refused)
    console.print(
        f"{escape(contact)} is a contact of its own again, with what was said in its visits. {escape(parted_from)} keeps the rest."
    )
    return 0


def _refused(console: Console, refused: Rejected) -> int:
    _, _, detail = str(refused).partition(": ")
    console.print(escape(_REFUSED.get(refused.reason, str(refused)).format(detail=detail)))
    return 1
