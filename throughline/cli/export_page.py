"""A person's data as one page that anybody can read: plain HTML, no scripts, nothing from elsewhere.

Pure: it is given what the record has of a person and gives the page's text. Everything a customer or anybody else wrote is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}"
    "th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#f2f2f2}.assistant{color:#444}.note{color:#777;font-size:.9em}"
)


_OF_A_TECHNICIANS_VISIT = (
    "visit_id", "reference", "starts_at", "ends_at", "place", "details", "booked_at", "cancelled_at",
)  # fmt: skip
_OF_A_VISIT = (
    "started_at", "ended_at", "channel", "assurance", "assurance_at", "assurance_until", "caller_vouched", "end_reason", "detail",
)  # fmt: skip


def page(person: Rows, contact_id: str, *, company: str, timezone: str, made_at: datetime) -> str:
    """The whole page. ``person`` is what the record has of ``contact_id`` (Record.person); times are shown in ``timezone``."""
    zone = ZoneInfo(timezone)
    sections = [
        _intro(company, contact_id, timezone, _time(made_at, zone)),
        *_known(person, zone),
        _conversation(person, zone),
        *_led_to(person, zone),
        *_kept_for_safety(person, zone),
    ]
    title = html.escape(f"What {company} has of {contact_id}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def _intro(company: str, contact_id: str, timezone: str, made: str) -> str:
    return (
        f"<h1>What {html.escape(company)} has of you</h1>\n<p>Customer id {html.escape(contact_id)}. Made {made}. "
        f"All times are {html.escape(timezone)}. The same data for computers is in data.json beside this page.</p>"
    )


def _known(person: Rows, zone: ZoneInfo) -> list[str]:
    return [
        _table("How you can be reached", person["addresses"], ("kind", "value", "proof", "created_at", "proved_at"), zone),
        _table("What you told us", person["facts"], ("slot", "value", "channel", "said_at"), zone),
        _table("Your entry as a customer", person["crm_customers"], ("fields", "updated_at"), zone),
    ]


def _conversation(person: Rows, zone: ZoneInfo) -> str:
    sessions = {row["session_id"]: row for row in person["sessions"]}
    heard = {row["event_id"]: row for row in person["heard"]}
    lines = ["<h2>What was said</h2>"]
    current: Any = ...
    for event in person["events"]:
        if event["type_name"] not in ("user", "bot"):
            continue
        if event["session_id"] != current:
            current = event["session_id"]
            lines.append(_session_heading(sessions.get(current), event, zone))
        lines.append(_line(event, heard.get(event["event_id"]), zone))
    said = {str(event["data"].get("text")) for event in person["events"] if event["type_name"] == "user"}
    others = [row for row in person["messages"] if row["text"] not in said]
    return "\n".join(lines) + _table("Messages that were not answered", others, ("received_at", "channel", "text"), zone)


def _session_heading(session: Row | None, event: Row, zone: ZoneInfo) -> str:
    if session is None:
        return f"<h3>{html.escape(str(event['channel'] or 'no channel'))}</h3>"
    until = f" to {_time(session['ended_at'], zone)}" if session["ended_at"] else ""
    return f"<h3>{html.escape(session['channel'])}, {_time(session['started_at'], zone)}{until}</h3>"


def _line(event: Row, heard: Row | None, zone: ZoneInfo) -> str:
    who, css = ("You", "you") if event["type_name"] == "user" else ("Assistant", "assistant")
    text = html.escape(str(event["data"].get("text") or event["data"].get("data") or ""))
    note = ""
    if heard is not None and not heard["complete"]:
        note = f' <span class="note">(heard only: {html.escape(heard["text_heard"]) or "nothing"})</span>'
    return f'<p class="{css}"><b>{who}</b> <span class="note">{_time(event["created_at"], zone)}</span><br>{text}{note}</p>'


def _led_to(person: Rows, zone: ZoneInfo) -> list[str]:
    return [
        _table("Visits", person["calendar_visits"], _OF_A_TECHNICIANS_VISIT, zone),
        _table("Changes of visits", person["calendar_changes"], ("visit_id", "kind", "changed_at"), zone),
        _table("Cases", person["crm_cases"], ("reference", "kind", "subject", "details", "opened_at", "due_at"), zone),
        _table("Notes", person["crm_notes"], ("written_at", "text"), zone),
        _table("What it led to", person["outcomes"], ("created_at", "kind", "data"), zone),
        _table("Passed on", person["handoffs"], ("created_at", "kind", "reason", "packet"), zone),
    ]


def _kept_for_safety(person: Rows, zone: ZoneInfo) -> list[str]:
    return [
        _table("Telephone calls", person["phone_calls"], ("announced_at", "ended_at", "caller", "attestation"), zone),
        _table("Calls that we placed", person["placed_calls"], ("placed_at", "answered_at", "number", "outcome"), zone),
        _table("Visits to us", person["sessions"], _OF_A_VISIT, zone),
        _table("One-time codes", person["codes"], ("created_at", "expires_at", "used_at"), zone),
        _table("Links sent", person["links"], ("kind", "address", "created_at", "expires_at", "used_at"), zone),
        _table("Wrong codes and answers", person["failed_tries"], ("at", "kind"), zone),
        _table("How you were recognised", person["audit_log"], ("at", "action", "detail"), zone),
        _table("Contacts that were made one, and parted", person["merges"], ("merged_at", "undone_at", "reason"), zone),
    ]


def _table(title: str, rows: Sequence[Row], columns: Sequence[str], zone: ZoneInfo) -> str:
    """A heading and a table; nothing where there are no rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row[name], zone)}</td>" for name in columns) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2>\n<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _time(value, zone)
    if isinstance(value, Mapping):
        return _lines(
            f"{html.escape(str(name))}: {_cell(one, zone)}" for name, one in value.items() if one not in (None, "", [], {})
        )
    if isinstance(value, (list, tuple)):
        return _lines(_cell(one, zone) for one in value)
    return html.escape(str(value))


def _lines(cells: Iterable[str]) -> str:
    return "<br>".join(cells)


def _time(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
