"""``throughline export``: everything the record has of one person, as one archive that they can be given.

The archive has a page to read (conversation.html) and the same as data (data.json). What always holds: it is one person's and nobody
else's; only the operator may read the file; a file that is there already is left alone.
"""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from throughline import bootstrap
from throughline.cli.export_page import page
from throughline.cli.whose import find_whose, is_known
from throughline.settings.business import load_business
from throughline.settings.server import load_settings


def export(options: argparse.Namespace) -> int:
    """Write the archive. Returns the exit status."""
    console = Console()
    settings = load_settings()
    company = load_business(Path(settings.business_dir)).company
    record = bootstrap.open_record(settings)
    contact = find_whose(options, record, console)
    if contact is None:
        return 1
    if not is_known(record, contact):
        console.print(f"No contact {escape(contact)} in {escape(record.name)}.")
        return 1
    with console.status("Reading the record ..."):
        person = record.person(contact)
    living = record.resolve(contact)
    made_at = datetime.now(timezone.utc)
    text = page(person, living, company=company.name, timezone=company.timezone, made_at=made_at)
    data = {"contact_id": living, "made_at": made_at, **person}
    target = options.to or Path(f"{living}.zip")
    try:
        _write(
            target,
            living,
            {"conversation.html": text, "data.json": json.dumps(data, default=_plain, indent=2, ensure_ascii=False)},
        )
    except FileExistsError:
        console.print(f"{escape(str(target))} is there already, and is left as it is. Name another file with --to.")
        return 1
    said, visits = sum(event["type_name"] in ("user", "bot") for event in person["events"]), len(person["sessions"])
    console.print(f"{escape(str(target.absolute()))}: {said} messages over {visits} visits and calls. Only you may read it.")
    return 0


def _write(target: Path, folder: str, files: dict[str, str]) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{folder}/{name}", text.encode("utf-8", "replace"))  # half a surrogate pair is no character


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in what the record has of a person")
