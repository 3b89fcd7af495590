"""``throughline show``: a contact's whole conversation over all channels, as it is in the record."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from throughline import bootstrap
from throughline.errors import Rejected
from throughline.record import Heard, Record, StoredEvent
from throughline.settings.server import load_settings

_LATEST = 20


_STAGES = {  # of record.timings, in their order
    "quiet_ms": "caller quiet",
    "turn_ms": "dialogue",
    "first_audio_ms": "to first audio",
}


def show(contact: str | None, *, timing: bool = False) -> int:
    """Print the conversation of ``contact`` (any of its ids), or list the latest contacts; with ``timing`` what the answers on the phone
    took instead. Returns the exit status."""
    console = Console()
    record = bootstrap.open_record(load_settings())
    if contact is None:
        return _list(console, record)
    try:
        living = record.resolve(contact)
    except Rejected:
        console.print(f"No contact {escape(contact)} in {escape(record.name)}. `throughline show` lists the latest ones.")
        return 1
    if timing:
        _timing(console, record, living)
        return 0
    _conversation(console, record, living)
    _facts(console, record, living)
    _identity(console, record, living)
    _ends(console, record, living)
    return 0


def _list(console: Console, record: Record) -> int:
    table = Table("contact", "messages", "channels", "last", title="Latest conversations")
    for row in record.latest_conversations(limit=_LATEST):
        table.add_row(row.contact_id, str(row.messages), ", ".join(row.channels), f"{row.last_at:%Y-%m-%d %H:%M:%S}Z")
    console.print(table if table.row_count else "Nobody has said anything yet.")
    return 0


def _conversation(console: Console, record: Record, contact: str) -> None:
    aliases = record.aliases(contact)
    console.rule(f"Conversation with {contact}" + (f" (also {', '.join(aliases[1:])})" if len(aliases) > 1 else ""))
    events = [event for event in record.conversation(contact) if event.type_name in ("user", "bot")]
    heard = record.heard([event.event_id for event in events if event.type_name == "bot"])
    session = None
    for event in events:
        if event.session_id != session:
            session = event.session_id
            console.print(f"\n[dim]-- {event.channel or 'no channel'}, session {session}, {event.at:%Y-%m-%d %H:%M}Z[/]")
        console.print(_line(event, heard.get(event.event_id)))


def _line(event: StoredEvent, heard: Heard | None) -> str:
    text = escape(str(event.data.get("text") or event.data.get("data") or ""))
    who = "[bold]customer [/]" if event.type_name == "user" else "[cyan]assistant[/]"
    line = f"{event.at:%H:%M:%S} {who}  {text}"
    if heard is not None and not heard.complete:
        line += f"\n                     [dim]heard only: {escape(heard.text_heard) or 'nothing'}[/]"
    return line


def _timing(console: Console, record: Record, contact: str) -> None:
    """Each answer on the phone, and what its stages took."""
    table = Table(
        "said at", "what", *_STAGES.values(), "gap", title="Milliseconds from the caller's last sound to the first audio"
    )
    for turn in record.timings(contact):
        stages = [turn.timing.get(stage) for stage in _STAGES]
        figures = ["" if stage_ms is None else f"{stage_ms:.0f}" for stage_ms in stages]
        gap = f"{sum(stage_ms for stage_ms in stages if stage_ms is not None):.0f}"
        what = escape(turn.text) if turn.source == "speech" else f"[dim]{escape(turn.text)} ({turn.source})[/]"
        table.add_row(f"{turn.at:%Y-%m-%d %H:%M:%S}Z", what, *figures, gap)
    console.print(table if table.row_count else "No answer on the phone has been timed.")


def _facts(console: Console, record: Record, contact: str) -> None:
    table = Table("fact", "value", "channel", "said at", title="What the customer has told us", title_justify="left")
    for fact in record.facts(contact):
        table.add_row(fact.slot, escape(str(fact.value)), fact.channel or "", f"{fact.said_at:%Y-%m-%d %H:%M:%S}Z")
    console.print()
    console.print(table)


def _identity(console: Console, record: Record, contact: str) -> None:
    """Where they are reached and by which proof, and which other contacts became a part of them."""
    table = Table("who", "how we know", "when", title="Who it is", title_justify="left")
    for address in record.addresses_of(contact):
        table.add_row(escape(f"{address.kind} {address.value}"), address.proof, f"{address.proved_at:%Y-%m-%d %H:%M:%S}Z")
    for merge in record.merges_of(contact):
        undone = f", undone {merge.undone_at:%Y-%m-%d %H:%M:%S}Z" if merge.undone_at else ""
        table.add_row(f"{merge.contact_id} is {merge.into}", merge.reason, f"{merge.merged_at:%Y-%m-%d %H:%M:%S}Z{undone}")
    if table.row_count:
        console.print(table)


def _ends(console: Console, record: Record, contact: str) -> None:
    table = Table("kind", "what", "when", title="Outcomes and hand-offs", title_justify="left")
    for outcome in record.outcomes(contact):
        table.add_row(outcome.kind, escape(str(dict(outcome.data))), f"{outcome.at:%Y-%m-%d %H:%M:%S}Z")
    for handoff in record.handoffs(contact):
        table.add_row(f"hand-off: {handoff.kind}", escape(handoff.reason), f"{handoff.at:%Y-%m-%d %H:%M:%S}Z")
    console.print(table)
