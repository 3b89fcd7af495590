"""``throughline retain``: does away with what is older than data/business/retention.yml says, as the servers do once a day."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from throughline import bootstrap
from throughline.cli.erase import pay_owed
from throughline.settings.business import load_business
from throughline.settings.server import load_settings


def retain(*, dry_run: bool) -> int:
    """Do it now, whether or not a server has done it today; with ``dry_run`` only say what would go. Returns the exit status."""
    console = Console()
    settings = load_settings()
    business = load_business(Path(settings.business_dir))
    record = bootstrap.open_record(settings)
    with console.status("Looking for what is old ..."):
        done = record.retain(business, again=True, only_count=dry_run) or {}
    title = "This is older than its time" if dry_run else "This was older than its time, and is gone"
    table = Table("kind", "kept for", "how many", title=title, title_justify="left")
    for kind, count in done.items():
        days = getattr(business.retention, f"{kind}_days")
        table.add_row(kind, f"{days} days" if days else "good", str(count))
    console.print(table)
    return 0 if dry_run else int(pay_owed(console, settings, record))
