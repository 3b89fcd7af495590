"""Whom a command is about: a contact's id, or an address of theirs. Where several people have the address, the operator chooses."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from throughline.errors import Rejected
from throughline.record import Record

_KINDS = ("phone", "email", "account")


def find_whose(options: argparse.Namespace, record: Record, console: Console) -> str | None:
    """The id that was named, or the one living contact with the address that was; None, with the reason printed, where there is no one
    or there are several. An id is given back as it is, known or not."""
    named = [(kind, str(getattr(options, kind))) for kind in _KINDS if getattr(options, kind)]
    if options.contact and not named:
        return str(options.contact)
    if options.contact or len(named) != 1:
        console.print("Name one contact: by its id, or by --phone, --email or --account.")
        return None
    found = record.find_by_address(*named[0])
    if len(found) == 1:
        return found[0]
    if not found:
        console.print(f"Nobody has the address {escape(' '.join(named[0]))}.")
        return None
    table = Table("contact", "messages", "last in touch", title=f"{len(found)} people have this address", title_justify="left")
    for contact in found:
        said = sum(event.type_name == "user" for event in record.conversation(contact))
        table.add_row(contact, str(said), f"{record.last_seen(contact):%Y-%m-%d %H:%M}Z")
    console.print(table)
    console.print(
        "They are not taken for one person: name one of them by its id. `throughline show CONTACT` shows who said what."
    )
    return None


def is_known(record: Record, contact: str) -> bool:
    """Whether there is such a contact."""
    try:
        record.resolve(contact)
    except Rejected:
        return False
    return True
